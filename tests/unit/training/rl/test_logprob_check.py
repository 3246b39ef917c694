import json
from types import SimpleNamespace

import pytest

from stillhouse import testing
from stillhouse.errors import BadConfig, EngineFailed
from stillhouse.models import chat_templates
from stillhouse.training import models
from stillhouse.training.config import FromScratch
from stillhouse.training.rl import logprob_check
from stillhouse.training.rl.rollout_prompts import RolloutPrompt

TINY = FromScratch(kind="scratch", hidden_size=32, intermediate_size=64, layers=2, heads=2, vocabulary=300, context=128)


@pytest.fixture(scope="module")
def trainer():
    from accelerate import Accelerator

    model, tokenizer = models.load(TINY, None, ["What is 1 + 1?"], 0)
    return SimpleNamespace(
        model=model, model_wrapped=model, processing_class=tokenizer, use_vllm=False, accelerator=Accelerator(cpu=True)
    )


@pytest.fixture(scope="module")
def scored(trainer):
    asked = [*testing.questions(5), testing.question("What is " + "1 + " * 20 + "1?", "21")]
    chat = chat_templates.prepare(trainer.processing_class)
    prompts = {each.question_id: RolloutPrompt(each, each.messages, chat.ids(chat.prompt(each.messages))) for each in asked}
    return logprob_check.pairs(prompts, trainer.processing_class)


def answering(monkeypatch, trained, sampled):
    monkeypatch.setattr(logprob_check, "by_trainer", lambda *_: trained)
    monkeypatch.setitem(logprob_check._ENGINES, "transformers", lambda *_: sampled)


def test_pairs_are_the_same_few_prompts_with_their_answers(trainer, scored):
    assert len(scored) == logprob_check.N_PAIRS
    decoded = [trainer.processing_class.decode(prompt) for prompt, _ in scored]
    assert all(each.startswith("<|user|>What is") and each.endswith("<|assistant|>") for each in decoded)
    assert all(0 < len(answer) <= logprob_check.ANSWER_TOKENS for _, answer in scored)


def test_logprob_check_generation_gives_the_training_forwards_numbers(trainer, scored):
    """Prompts of several lengths, padded on the left and with a cache, against padded on the right and without one."""
    assert len({len(prompt) for prompt, _ in scored}) > 1
    one, other = logprob_check.by_trainer(trainer, scored), logprob_check._by_transformers(trainer, scored)
    assert len(one) == sum(len(answer) for _, answer in scored)
    assert one == pytest.approx(other, abs=1e-5)
    assert len(set(one)) > 3


def test_logprob_check_of_the_same_weights_passes_and_says_how_far_apart_they_are(trainer, scored):
    found = logprob_check.LogprobCheck(scored).check(trainer)
    assert found["sampler/moved"] == 0
    assert 0 <= found["sampler/difference_mean"] <= found["sampler/difference_max"] < 1e-4


def test_logprob_check_beyond_the_bound_stops(trainer, monkeypatch):
    answering(monkeypatch, [-1.0, -2.0], [-1.5, -2.1])
    with pytest.raises(EngineFailed, match=r"differ by 0.3 in the mean \(0.5 at most\), at first by 0.3; .* the bound is 0.2"):
        logprob_check.LogprobCheck([]).check(trainer)


def test_logprob_check_bound_and_what_to_do_come_from_the_environment(trainer, monkeypatch, capsys):
    answering(monkeypatch, [-1.0, -2.0], [-1.5, -2.1])
    monkeypatch.setenv("STILLHOUSE_PROBE_BOUND", "0.4")
    assert logprob_check.LogprobCheck([]).check(trainer)["sampler/difference_mean"] == pytest.approx(0.3)
    monkeypatch.delenv("STILLHOUSE_PROBE_BOUND")
    monkeypatch.setenv("STILLHOUSE_PROBE", "warn")
    assert logprob_check.LogprobCheck([]).check(trainer)["sampler/difference_mean"] == pytest.approx(0.3)
    assert "warning: rollouts: the rollout engine does not have the trained weights" in capsys.readouterr().err
    monkeypatch.setenv("STILLHOUSE_PROBE", "ignore")
    with pytest.raises(BadConfig, match="STILLHOUSE_PROBE=ignore: not one of stop, warn"):
        logprob_check.LogprobCheck([])


def test_logprob_check_that_is_no_number_stops(trainer, monkeypatch):
    answering(monkeypatch, [-1.0], [float("nan")])
    with pytest.raises(EngineFailed, match="does not have the trained weights"):
        logprob_check.LogprobCheck([]).check(trainer)


def test_logprob_check_older_weights_are_found_far_below_the_bound(trainer, monkeypatch):
    """Training moved the log-probabilities by 0.01; the engine did not move with it."""
    check = logprob_check.LogprobCheck([])
    answering(monkeypatch, [-1.0, -2.0], [-1.001, -2.001])
    check.check(trainer)
    answering(monkeypatch, [-0.99, -2.01], [-0.991, -2.011])
    assert check.check(trainer)["sampler/moved"] == pytest.approx(0.01)
    answering(monkeypatch, [-0.99, -2.01], [-1.001, -2.001])
    with pytest.raises(EngineFailed, match="training moved them by 0.01"):
        check.check(trainer)


def test_logprob_check_remembers_over_a_restart(trainer, monkeypatch):
    answering(monkeypatch, [-1.0, -2.0], [-1.0, -2.0])
    before, after = logprob_check.LogprobCheck([]), logprob_check.LogprobCheck([])
    before.check(trainer)
    after.recall(json.loads(json.dumps(before.remember())))
    answering(monkeypatch, [-0.99, -2.01], [-1.0, -2.0])
    with pytest.raises(EngineFailed, match="at first by 0; training moved them by 0.01"):
        after.check(trainer)


def test_by_server_reads_vllms_reply_in_the_order_of_the_pairs():
    asked = []

    def post(url, **given):
        asked.append((url, given["json"]))
        choices = [
            {"index": 1, "prompt_logprobs": [None, {"7": {"logprob": -0.5}}, {"8": {"logprob": -0.25}, "9": {"logprob": -0.1}}]},
            {"index": 0, "prompt_logprobs": [None, {"5": {"logprob": -3.0}}]},
        ]
        return SimpleNamespace(status_code=200, text=json.dumps({"choices": choices}))

    client = SimpleNamespace(model="m", base_url="http://vllm", session=SimpleNamespace(post=post))
    assert logprob_check.by_server(client, [([4], [5]), ([6], [7, 8])]) == [-3.0, -0.5, -0.25]
    assert asked == [("http://vllm/v1/completions", asked[0][1])]
    assert asked[0][1] | {"model": "m", "prompt": [[4, 5], [6, 7, 8]], "prompt_logprobs": 0, "max_tokens": 1} == asked[0][1]


def test_by_server_that_refuses_is_named():
    reply = SimpleNamespace(status_code=404, text="no such route")
    client = SimpleNamespace(model="m", base_url="http://vllm", session=SimpleNamespace(post=lambda *_, **__: reply))
    with pytest.raises(EngineFailed, match="the vLLM server at http://vllm does not score tokens .404: no such route."):
        logprob_check.by_server(client, [([1], [2])])


def test_by_server_that_is_gone_is_named():
    def post(*_, **__):
        raise ConnectionError("reset\nby peer")

    client = SimpleNamespace(model="m", base_url="http://vllm", session=SimpleNamespace(post=post))
    with pytest.raises(EngineFailed, match="the vLLM server at http://vllm failed while it scored tokens: reset by peer"):
        logprob_check.by_server(client, [([1], [2])])
