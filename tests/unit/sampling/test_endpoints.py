"""How an endpoint's requests in flight follow what it says; the whole engine is tested in ``test_openai.py``."""

from stillhouse.sampling.endpoints import START, Endpoint
from stillhouse.sampling.replies import Failure

LIMITED = Failure("rate_limited", "HTTP 429")


def made(**changes):
    return Endpoint("http://a/v1", **changes)


def test_endpoint_grows_by_about_one_with_every_round_of_answers_up_to_its_most():
    endpoint = made(most=12)
    assert endpoint.limit == START
    for _ in range(START):
        endpoint.answered()
    assert START + 0.9 < endpoint.limit < START + 1
    for _ in range(200):
        endpoint.answered()
    assert endpoint.limit == 12


def test_endpoint_halves_once_for_all_refusals_of_requests_sent_before():
    endpoint = made()
    for _ in range(5):
        endpoint.failed(LIMITED, sent=1.0, now=2.0, spread=0.5)
    assert endpoint.limit == START / 2
    endpoint.failed(LIMITED, sent=3.0, now=4.0, spread=0.5)
    assert endpoint.limit == START / 4


def test_endpoint_never_falls_below_one_request():
    endpoint = made()
    for now in range(20):
        endpoint.failed(LIMITED, sent=now, now=now, spread=0.5)
    assert endpoint.limit == 1
    assert endpoint.free(1e9)


def test_endpoint_pauses_as_long_as_it_was_asked_to():
    endpoint = made()
    endpoint.failed(Failure("rate_limited", "HTTP 429", retry_after_s=30), sent=0, now=100, spread=0)
    assert not endpoint.free(129)
    assert endpoint.free(130)


def test_endpoint_with_a_doubtful_failure_is_neither_paused_nor_halved():
    endpoint = made()
    endpoint.failed(Failure("server_error", "HTTP 500"), sent=0, now=1, spread=0.5)
    assert (endpoint.limit, endpoint.free(1)) == (START, True)


def test_endpoint_with_several_doubtful_failures_in_a_row_gets_few_requests_and_short_pauses():
    endpoint = made()
    for now in range(6):
        endpoint.failed(Failure("server_error", "HTTP 500"), sent=now, now=now, spread=0.5)
    assert endpoint.limit == 1
    assert not endpoint.free(5.9)
    assert endpoint.free(6.0)


def test_endpoint_is_gone_only_after_its_outage_several_failures_and_with_nothing_in_flight():
    endpoint = made()
    for now in (0, 1):
        endpoint.failed(LIMITED, sent=now, now=now, spread=0.5)
    assert not endpoint.gone(100, 10), "two failures prove nothing"
    endpoint.failed(LIMITED, sent=5, now=5, spread=0.5)
    assert not endpoint.gone(9, 10)
    assert endpoint.gone(10, 10)
    endpoint.in_flight = 1
    assert not endpoint.gone(10, 10)
    endpoint.in_flight = 0
    endpoint.answered()
    assert not endpoint.gone(1000, 10)


def test_endpoint_history_names_what_was_tried():
    endpoint = made()
    for kind in ("unreachable", "unreachable", "server_error"):
        endpoint.failed(Failure(kind, f"it was {kind}"), sent=0, now=0, spread=0)
    assert endpoint.history() == "http://a/v1: 2 unreachable, 1 server_error; last: it was server_error"
