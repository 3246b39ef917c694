"""The openai engine against a real HTTP server that misbehaves on demand."""

import threading
import time
from collections import Counter

import pytest

from stillhouse import testing
from stillhouse.errors import BadConfig, EngineFailed
from stillhouse.sampling import endpoints, openai
from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Completion, Request, load
from stillhouse.vocabulary import patience
from stillhouse.vocabulary.seeds import row_seed
from tests.endpoint import Reply, answer, endpoint, refusal

SAMPLING = Sampling(engine="openai", temperature=0.7, top_p=0.9, max_tokens=64, system_prompt="none", suffix="none")


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(patience, "LONGEST_PAUSE_S", 0.05)


def requests(count):
    asked = testing.questions(count)
    keys = [(each.question_id, "toy", "question", 1, 0) for each in asked]
    return [Request(key, each.messages, row_seed(0, key)) for key, each in zip(keys, asked, strict=True)]


@pytest.fixture
def sample(monkeypatch):
    """Ask for so many completions at these servers; returns them by key, each once."""

    def run(count, *servers, model="toy", **environment):
        monkeypatch.setenv("STILLHOUSE_ENDPOINTS", ",".join(each if isinstance(each, str) else each.url for each in servers))
        for name, value in environment.items():
            monkeypatch.setenv(f"STILLHOUSE_{name.upper()}", str(value))
        given = requests(count)
        made = list(load(SAMPLING, model).sample(iter(given)))
        assert Counter(request.key for request, _ in made) == Counter(request.key for request in given), "none lost, none doubled"
        return {request.key: completion for request, completion in made}

    return run


def right(made):
    """Whether every completion is the answer to its own request, with its own seed."""
    return all(
        completion.text.endswith(f"{request.messages[-1]['content']} seed {request.seed}</think><answer>{place + 7}</answer>")
        for place, request in enumerate(requests(len(made)))
        for completion in [made[request.key]]
    )


def retried(made):
    return Counter(kind for completion in made.values() for kind in completion.retried)


def test_sample_sends_the_settings_and_reads_text_reason_and_tokens(sample):
    with endpoint() as server:
        made = sample(1, server, api_key="secret")
    (request,) = requests(1)
    assert server.asked == [
        {
            "model": "toy", "messages": request.messages, "temperature": 0.7, "top_p": 0.9, "max_tokens": 64, "seed": request.seed,
        }
    ]  # fmt: skip
    assert server.keys == ["Bearer secret"]
    text = f"<think>What is 0 + 7? seed {request.seed}</think><answer>7</answer>"
    assert made == {request.key: Completion(text, "stop", 5, 7)}


def test_sample_many_are_in_flight_at_once_and_no_more_than_allowed(sample):
    with endpoint(lambda number, body: 0.02) as server:
        made = sample(60, server, concurrency=12)
    assert right(made)
    assert 8 <= server.most_at_once <= 12


def test_sample_storm_of_429_halves_the_requests_in_flight_and_loses_nothing(sample):
    with endpoint(lambda number, body: refusal(429, "slow down") if 20 <= number < 60 else None) as server:
        made = sample(100, server, concurrency=16)
    assert right(made)
    assert retried(made) == {"rate_limited": 40}
    assert len(server.asked) == 140


def test_sample_retry_after_is_waited_for(sample):
    with endpoint(lambda number, body: refusal(429, Retry_After="0.4") if number == 0 else None) as server:
        started = time.monotonic()
        made = sample(1, server)
    assert right(made)
    assert time.monotonic() - started >= 0.4


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        (refusal(500, "out of memory"), "server_error"),
        (refusal(503, "loading"), "unavailable"),
        ("drop", "disconnected"),
        ("cut", "disconnected"),
        (Reply(200, b'{"choices": [{"mess'), "bad_json"),
        (Reply(200, {"choices": []}), "empty_choices"),
        (Reply(200, {"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}), "empty_choices"),
        (Reply(200, {"choices": [{"message": {"content": "x"}, "finish_reason": None}]}), "empty_choices"),
    ],
)
def test_sample_every_third_reply_broken_is_asked_again_and_counted(sample, action, kind):
    with endpoint(lambda number, body: action if number % 3 == 0 else None) as server:
        made = sample(30, server)
    assert right(made)
    assert retried(made)[kind] == len(server.asked) - 30 > 9


def test_sample_slow_stream_is_cut_off_and_asked_again(sample):
    with endpoint(lambda number, body: 30.0 if number == 3 else None) as server:
        made = sample(10, server, request_timeout_s=0.5)
    assert right(made)
    assert retried(made) == {"timeout": 1}


def test_sample_poisoned_request_is_given_up_as_a_value_and_the_others_are_answered(sample):
    with endpoint(lambda number, body: refusal(500, "crash") if "is 4 +" in body["messages"][-1]["content"] else None) as server:
        made = sample(10, server)
    bad = made.pop(requests(5)[4].key)
    assert (bad.finish_reason, bad.failure, bad.text) == ("error", "server_error", "")
    assert (bad.detail, len(bad.retried)) == ("HTTP 500: crash", openai.TRIES - 1)
    assert len(server.asked) == 9 + openai.TRIES
    assert {completion.finish_reason for completion in made.values()} == {"stop"}


@pytest.mark.parametrize(
    ("message", "kind"),
    [("This model's maximum context length is 128 tokens", "context_overflow"), ("temperature is too hot", "bad_request")],
)
def test_sample_refused_request_is_not_asked_again(sample, message, kind):
    with endpoint(lambda number, body: refusal(400, message) if number == 0 else None) as server:
        made = sample(4, server, concurrency=1)
    assert Counter(completion.failure for completion in made.values()) == {kind: 1, "": 3}
    assert len(server.asked) == 4


def test_sample_filtered_is_a_value(sample):
    reply = {"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}
    with endpoint(lambda number, body: Reply(200, reply)) as server:
        (made,) = sample(1, server).values()
    assert (made.failure, len(server.asked)) == ("filtered", 1)


def test_sample_thinking_told_apart_by_the_server_is_put_back(sample):
    reply = {"choices": [{"message": {"content": "<answer>7</answer>", "reasoning_content": "easy"}, "finish_reason": "length"}]}
    with endpoint(lambda number, body: Reply(200, reply)) as server:
        (made,) = sample(1, server).values()
    assert (made.text, made.finish_reason) == ("<think>easy</think><answer>7</answer>", "length")


def test_sample_server_that_restarts_in_the_middle_loses_nothing(sample):
    """It closes after 10 requests with others in flight, and is there again under the same port a moment later."""
    with endpoint(lambda number, body: 0.05) as first:
        restarted = []

        def restart():
            while len(first.asked) < 10:
                time.sleep(0.005)
            port = first.port
            first.close()
            time.sleep(0.2)
            restarted.append(endpoint(port=port))
            restarted[0].__enter__()

        thread = threading.Thread(target=restart)
        thread.start()
        made = sample(40, first)
        thread.join()
        restarted[0].__exit__(None, None, None)
    assert right(made)
    assert retried(made)["unreachable"] > 0


def test_sample_one_of_two_endpoints_dead_the_other_answers_all(sample):
    with endpoint() as dead, endpoint() as alive:
        dead.close()
        made = sample(50, dead, alive)
    assert right(made)
    assert len(alive.asked) == 50


def test_sample_one_of_two_endpoints_broken_rows_wait_for_the_busy_one_instead_of_being_given_up(sample):
    with endpoint(lambda number, body: refusal(500, "broken")) as broken, endpoint(lambda number, body: 0.05) as busy:
        made = sample(60, broken, busy, concurrency=2)
    assert right(made)
    assert len(busy.asked) == 60
    assert max(len(completion.retried) for completion in made.values()) < openai.TRIES - 1


def test_sample_endpoint_that_answers_nothing_but_500_is_a_dead_one(sample):
    said = r"no endpoint answered for 0.3 s \(.*server_error; last: HTTP 500: broken"
    with endpoint(lambda number, body: refusal(500, "broken")) as server, pytest.raises(EngineFailed, match=said):
        sample(400, server, outage_s=0.3)


def test_sample_two_endpoints_share_the_work(sample):
    with endpoint(lambda number, body: 0.01) as one, endpoint(lambda number, body: 0.01) as other:
        made = sample(80, one, other)
    assert right(made)
    assert min(len(one.asked), len(other.asked)) > 20


def test_sample_dead_endpoint_fails_after_its_budget_and_says_what_was_tried(sample):
    with endpoint() as dead:
        dead.close()
    started = time.monotonic()
    with pytest.raises(EngineFailed, match=r"no endpoint answered for 0.5 s \(http://127.*: \d+ unreachable; last: ConnectError"):
        sample(5, dead, outage_s=0.5)
    assert 0.5 < time.monotonic() - started < 10


def test_sample_endpoint_that_dies_half_way_hands_on_what_it_answered_first(monkeypatch):
    with endpoint(lambda number, body: None if number < 6 else "drop") as server:
        monkeypatch.setenv("STILLHOUSE_ENDPOINTS", server.url)
        monkeypatch.setenv("STILLHOUSE_OUTAGE_S", "0.2")
        monkeypatch.setattr(openai, "TRIES", 1000)
        got = []
        with pytest.raises(EngineFailed, match="disconnected"):
            got.extend(request for request, _ in load(SAMPLING, "toy").sample(requests(20)))
    assert len(got) == 6


def test_sample_wrong_model_name_is_said_before_anything_is_asked(sample):
    with endpoint(models=("toy-large",)) as server, pytest.raises(EngineFailed, match=r"toy-larg is not .*you mean toy-large\?"):
        sample(1, server, model="toy-larg")
    assert server.asked == []


def test_sample_model_that_only_some_endpoints_list_is_asked_of_those(sample):
    with endpoint(models=("other",)) as one, endpoint() as two, endpoint(models=None) as silent:
        made = sample(40, one, two, silent)
    assert right(made)
    assert (len(one.asked), len(two.asked) + len(silent.asked)) == (0, 40)


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "check STILLHOUSE_API_KEY"), (404, "check the model's name and the URL in STILLHOUSE_ENDPOINTS")]
)
def test_sample_refused_key_or_model_fails_the_stage_at_once(sample, status, hint):
    with endpoint(lambda number, body: refusal(status, "no"), models=None) as server, pytest.raises(EngineFailed, match=hint):
        sample(3, server)


def test_sample_left_early_stops_asking(monkeypatch):
    with endpoint(lambda number, body: 0.01) as server:
        monkeypatch.setenv("STILLHOUSE_ENDPOINTS", server.url)
        monkeypatch.setenv("STILLHOUSE_CONCURRENCY", "2")
        threads = threading.active_count()
        made = load(SAMPLING, "toy").sample(requests(500))
        next(made)
        made.close()
        asked = len(server.asked)
        assert asked < 10
        assert threading.active_count() < threads + 20


def test_sample_reads_requests_only_as_they_are_needed(monkeypatch):
    with endpoint() as server:
        monkeypatch.setenv("STILLHOUSE_ENDPOINTS", server.url)
        monkeypatch.setenv("STILLHOUSE_CONCURRENCY", "4")
        read = []
        made = load(SAMPLING, "toy").sample(read.append(each) or each for each in requests(100))
        next(made)
        assert len(read) <= 9
        made.close()


def test_endpoints_entry_for_a_model_serves_that_model_alone(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_ENDPOINTS", "http://a/v1, judge=http://b/v1/,http://c:8000/v1")
    monkeypatch.setenv("STILLHOUSE_API_KEY", "x,y,z")
    assert [(each.url, each.key) for each in endpoints.endpoints("judge")] == [("http://b/v1", "y")]
    assert [(each.url, each.key) for each in endpoints.endpoints("toy")] == [("http://a/v1", "x"), ("http://c:8000/v1", "z")]


@pytest.mark.parametrize(
    ("named", "said"), [("", "names nothing"), ("judge=http://b/v1", "no endpoint for model toy"), ("host:8000", "neither")]
)
def test_endpoints_none_for_the_model_says_what_to_set(monkeypatch, named, said):
    monkeypatch.setenv("STILLHOUSE_ENDPOINTS", named)
    with pytest.raises(EngineFailed, match=said):
        endpoints.endpoints("toy")


def test_endpoints_concurrency_of_none_is_refused(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_ENDPOINTS", "http://a/v1")
    monkeypatch.setenv("STILLHOUSE_CONCURRENCY", "0")
    with pytest.raises(BadConfig, match="STILLHOUSE_CONCURRENCY=0: not a whole number of at least 1"):
        endpoints.endpoints("toy")


def test_endpoints_two_keys_for_three_are_refused(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_ENDPOINTS", "http://a/v1,http://b/v1,http://c/v1")
    monkeypatch.setenv("STILLHOUSE_API_KEY", "x,y")
    with pytest.raises(EngineFailed, match="2 keys for 3 endpoints"):
        endpoints.endpoints("toy")


def test_answer_of_the_server_is_what_these_tests_take_it_for():
    (request,) = requests(1)
    body = {"messages": request.messages, "seed": 5}
    assert answer(body).body["choices"][0]["message"]["content"].endswith("seed 5</think><answer>7</answer>")
