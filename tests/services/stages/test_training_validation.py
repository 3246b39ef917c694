"""``validation`` of sft and rl: what is measured, which checkpoint is published, and that a resumed training does the same."""

import json
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.benchmarks.evaluation import evaluate
from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.models import chat_templates
from stillhouse.sampling.config import Sampling
from stillhouse.sampling.transformers import TransformersEngine
from stillhouse.stages import report, rl, sft
from stillhouse.training import best_weights, loop, metrics_file, models, validation_set
from stillhouse.training.config import FromCheckpoint, FromScratch, Lora, SftValidation, Validation
from stillhouse.training.rl import rl_validation, rollout_server
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.scoring import verdicts
from stillhouse.vocabulary.rows import Question, Selected
from tests.unit.training import fake_vllm

TINY = FromScratch(kind="scratch", hidden_size=32, intermediate_size=64, layers=1, heads=2, vocabulary=300, context=128)
SFT = sft.Config(
    init=TINY, max_steps=6, batch_size=4, learning_rate=1e-2, max_length=96, packing=False, system_prompt="none", suffix="none"
)
RL = rl.Config(
    steps=4, group_size=4, prompts_per_step=2, max_tokens=24, learning_rate=1e-2, kl_coefficient=0.01, system_prompt="none",
    suffix="none",
)  # fmt: skip
ASKED = testing.questions(12)[8:]
"""Questions that are not trained on."""


def sft_config(**changes):
    return SFT.model_copy(update={"validation": SftValidation.model_validate({"every": 2, "max_tokens": 16} | changes)})


def rl_config(**changes):
    return RL.model_copy(update={"validation": Validation.model_validate({"every": 2} | changes)})


def sft_inputs(tmp_path, name="scratch", asked=ASKED, **changes):
    tables.write(tmp_path / "selected", [testing.selected(question) for question in testing.questions(8)], Selected)
    if asked is not None:
        tables.write(tmp_path / "asked", asked, Question)
        changes |= {"validation_questions": tmp_path / "asked"}
    (tmp_path / name).mkdir()
    return sft.Inputs(scratch=tmp_path / name, selected=tmp_path / "selected", **changes)


def rl_inputs(tmp_path, checkpoint, name="scratch", **changes):
    tables.write(tmp_path / "questions", testing.questions(8), Question)
    tables.write(tmp_path / "selected", [testing.selected(each, "rl_1") for each in testing.questions(6)], Selected)
    tables.write(tmp_path / "asked", ASKED, Question)
    (tmp_path / name).mkdir()
    return rl.Inputs(
        scratch=tmp_path / name, selected=tmp_path / "selected", questions=tmp_path / "questions", checkpoint=checkpoint,
        validation_questions=tmp_path / "asked", **changes,
    )  # fmt: skip


def weights(directory):
    from safetensors.torch import load_file

    return load_file(directory / "model.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def measured(output, name="validation/pass_at_1"):
    return [(line["step"], line[name]) for line in metrics_file.read(output) if name in line]


def test_sft_validation_measures_every_so_many_steps_and_at_the_end(tmp_path):
    logged = []
    given = sft_inputs(tmp_path, log=lambda numbers, step: logged.append((step, numbers)))
    outputs = sft.run(sft_config(every=4), given)
    assert [step for step, _ in measured(given.output)] == [4, 6]
    curve = [(step, numbers["validation/pass_at_1"]) for step, numbers in logged if "validation/pass_at_1" in numbers]
    assert curve == measured(given.output)
    assert outputs.metrics["validation/published_step"] in {4, 6}
    assert outputs.metrics["validation/pass_at_1"] == max(value for _, value in curve)


def test_sft_validation_changes_nothing_of_the_training(tmp_path):
    plain, watched = sft_inputs(tmp_path, "plain", asked=None), sft_inputs(tmp_path, "watched")
    sft.run(SFT, plain)
    sft.run(sft_config(keep="last", temperature=1.0, choice="seeded", questions=3), watched)
    assert same(weights(plain.output), weights(watched.output))
    losses = [measured(each.output, "train/loss") for each in (plain, watched)]
    assert losses[0] == losses[1]


def test_sft_validation_is_what_report_measures(tmp_path):
    """On the published checkpoint, by the same sampling: the same responses pass."""
    given = sft_inputs(tmp_path, asked=None)
    taught = [testing.question(f"Add {number} and 7.", str(number + 7)) for number in range(8)]
    tables.write(tmp_path / "selected", [testing.selected(question) for question in taught], Selected)
    settings = {"benchmark": "arithmetic-toy", "temperature": 0.7, "questions": None, "samples": 2}
    outputs = sft.run(sft_config(keep="last", **settings), given)
    (tmp_path / "report").mkdir()
    config = report.Config(
        benchmarks=("arithmetic-toy",), engine="transformers", samples=2, temperature=0.7, max_tokens=16, system_prompt="none",
        suffix="none",
    )  # fmt: skip
    again = report.Inputs(scratch=tmp_path / "report", checkpoint=given.output, uris={"checkpoint": ["/a/sft/b/c"]})
    reported = report.run(config, again)
    (pass_at_1,) = [value for name, value in reported.metrics.items() if name.endswith("round_1/pass_at_1")]
    assert outputs.metrics["validation/pass_at_1"] == pass_at_1
    (tokens,) = [value for name, value in reported.metrics.items() if name.endswith("round_1/tokens")]
    assert measured(given.output, "validation/tokens")[-1][1] == tokens


MEASURE = validation_set.measure


def by_hand(monkeypatch, values):
    """What the measurements give, one after the other."""
    coming = iter(values)

    def scripted(*given, **named):
        return MEASURE(*given, **named) | {"pass_at_1": next(coming), "low": 0.0, "high": 1.0}

    monkeypatch.setattr(validation_set, "measure", scripted)


@pytest.mark.parametrize("lora", [None, Lora(rank=2)])
def test_sft_validation_publishes_the_best_checkpoint(tmp_path, monkeypatch, checkpoint, lora):
    """The best of steps 2, 4 and 6 is step 4, whose weights are those of a training of as many steps of the same schedule."""
    seen, published = {}, {}
    keep, write = best_weights.save, loop.save

    def trained(trainer):
        return {name: value.detach().clone() for name, value in trainer.model.named_parameters() if value.requires_grad}

    def look_and_keep(trainer, path):
        keep(trainer, path)
        seen[trainer.state.global_step] = trained(trainer)

    def look_and_write(trainer, *given):
        published.update(trained(trainer))
        write(trainer, *given)

    monkeypatch.setattr(best_weights, "save", look_and_keep)
    monkeypatch.setattr(loop, "save", look_and_write)
    by_hand(monkeypatch, [0.25, 0.5, 0.25])
    given = sft_inputs(tmp_path, checkpoint=checkpoint)
    outputs = sft.run(sft_config().model_copy(update={"init": FromCheckpoint(), "lora": lora}), given)
    assert (outputs.metrics["validation/published_step"], outputs.metrics["validation/pass_at_1"]) == (4, 0.5)
    assert outputs.metrics["n_steps"] == 6
    assert list(seen) == [2, 4]
    assert same(published, seen[4])
    assert not (given.output / "resume").exists()


def test_sft_validation_keep_last_publishes_the_last_checkpoint(tmp_path, monkeypatch):
    by_hand(monkeypatch, [0.5, 0.25, 0.0])
    given, plain = sft_inputs(tmp_path), sft_inputs(tmp_path, "plain", asked=None)
    outputs = sft.run(sft_config(keep="last"), given)
    sft.run(SFT, plain)
    assert (outputs.metrics["validation/published_step"], outputs.metrics["validation/best_step"]) == (6, 2)
    assert outputs.metrics["validation/pass_at_1"] == 0.0
    assert same(weights(given.output), weights(plain.output))


def test_sft_validation_patience_ends_the_training(tmp_path, monkeypatch, capsys):
    by_hand(monkeypatch, [0.25, 0.5, 0.5, 0.25, 0.75])
    outputs = sft.run(sft_config(every=1, patience=2), sft_inputs(tmp_path))
    assert (outputs.metrics["n_steps"], outputs.metrics["validation/published_step"]) == (4, 3), "of equals the last"
    assert "no better pass_at_1 in 2 measurements: the training ends at step 4" in capsys.readouterr().err


def test_sft_validation_loss_is_that_of_held_out_rows(tmp_path):
    """The mean over all learnt tokens, as transformers computes it from the published checkpoint."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    held = [testing.selected(question) for question in ASKED]
    tables.write(tmp_path / "held", held, Selected)
    given = sft_inputs(tmp_path, asked=None, validation_rows=tmp_path / "held")
    outputs = sft.run(sft_config(by="loss", every=3, keep="last"), given)
    assert outputs.metrics["n_examples_held_out"] == len(held)
    model, tokenizer = (kind.from_pretrained(given.output) for kind in (AutoModelForCausalLM, AutoTokenizer))
    total, n = 0.0, 0
    for row in held:
        whole = tokenizer.apply_chat_template(row.messages, tokenize=True, return_dict=False)
        prompt = tokenizer.apply_chat_template(row.messages[:-1], tokenize=True, add_generation_prompt=True, return_dict=False)
        logits = model(torch.tensor([whole])).logits[0].detach().log_softmax(-1)
        total -= sum(float(logits[place - 1, whole[place]]) for place in range(len(prompt), len(whole)))
        n += len(whole) - len(prompt)
    assert outputs.metrics["validation/loss"] == pytest.approx(total / n, rel=1e-5)


@pytest.mark.parametrize("packing", [True, False])
def test_sft_validation_rows_hold_out_whole_questions(tmp_path, packing):
    given = sft_inputs(tmp_path, asked=None)
    config = sft_config(by="loss", rows=0.4).model_copy(update={"packing": packing})
    outputs = sft.run(config, given)
    n = outputs.metrics["n_examples_held_out"]
    assert 0 < n < 8
    assert outputs.metrics["n_examples"] == 8 - n
    values = [value for _, value in measured(given.output, "validation/loss")]
    assert len(values) == 3
    assert outputs.metrics["validation/loss"] == min(values)


@pytest.mark.parametrize(
    ("changes", "asked", "said"),
    [
        ({}, None, r"it measures nothing; set benchmark, or give --input validation_questions=URI"),
        ({"rows": 0.5}, None, r"by pass_at_1 needs questions; set benchmark, .*or set by to loss"),
        ({"by": "loss"}, ASKED, r"by loss needs held-out rows"),
        ({"benchmark": "arithmetic-toy@1"}, ASKED, r"benchmark arithmetic-toy and --input validation_questions are both given"),
        ({}, testing.questions(9), r"8 of 9 questions are in the examples of split 'sft_1' too"),
        ({}, [testing.question("Why?", "so", category="science")], r"no rule scores answers of science"),
        ({"max_tokens": 200}, ASKED, r"the longest prompt has \d+ tokens, and with 200 more it exceeds the model's 128"),
    ],
)
def test_sft_validation_that_cannot_work_is_refused(tmp_path, changes, asked, said):
    with pytest.raises(BadConfig, match=said):
        sft.run(sft_config(**changes), sft_inputs(tmp_path, asked=asked))


def test_sft_validation_input_without_validation_is_refused(tmp_path):
    with pytest.raises(BadConfig, match="--input validation_questions is given, and the config measures nothing"):
        sft.run(SFT, sft_inputs(tmp_path))


def test_sft_validation_rows_that_hold_out_nothing_are_refused(tmp_path):
    with pytest.raises(NothingToDo, match=r"no example is held out that can be learnt; raise validation.rows"):
        sft.run(sft_config(by="loss", rows=1e-9), sft_inputs(tmp_path, asked=None))


def interrupted(tmp_path, run, inputs_of, at):
    """A run that crashes at the log of a step: the store that it leaves."""
    root, output = tmp_path / "store", tmp_path / "first" / "output"

    def publish(path):
        target = root / path.relative_to(output)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())

    def kill(done, *_):
        if done == at:
            raise ZeroDivisionError

    def retract(path):
        (root / path.relative_to(output)).unlink()

    given = inputs_of("first", progress=kill, publish_part=publish, retract_part=retract)
    with pytest.raises(ZeroDivisionError):
        run(given)
    return root


@pytest.mark.parametrize(("values", "killed"), [([0.5, 0.25, 0.25], 5), ([0.25, 0.5, 0.25], 6), ([0.5, 0.75, 0.25], 4)])
def test_sft_validation_killed_and_resumed_publishes_the_same_weights(tmp_path, monkeypatch, values, killed):
    """The best step lies before the checkpoint, at it, or between it and the kill."""
    monkeypatch.setenv("STILLHOUSE_SAVE_STEPS", "3")
    whole = sft_inputs(tmp_path, "whole")
    by_hand(monkeypatch, values)
    expected = sft.run(sft_config(), whole)
    by_hand(monkeypatch, values)
    root = interrupted(tmp_path, partial(sft.run, sft_config()), partial(sft_inputs, tmp_path), killed)
    by_hand(monkeypatch, values[1:])
    resumed = sft_inputs(tmp_path, "resumed", finished=root)
    outputs = sft.run(sft_config(), resumed)
    assert same(weights(resumed.output), weights(whole.output))
    names = [name for name in expected.metrics if name.startswith("validation/")]
    assert [outputs.metrics[name] for name in names] == [expected.metrics[name] for name in names]
    assert measured(resumed.output) == measured(whole.output)


def test_rl_validation_measures_and_publishes_the_best(tmp_path, checkpoint, monkeypatch):
    by_hand(monkeypatch, [0.75, 0.25])
    given = rl_inputs(tmp_path, checkpoint)
    outputs = rl.run(rl_config(patience=5), given)
    assert measured(given.output) == [(2, 0.75), (4, 0.25)]
    assert (outputs.metrics["validation/published_step"], outputs.metrics["n_steps"]) == (2, 4)
    half = rl_inputs(tmp_path, checkpoint, "half")
    by_hand(monkeypatch, [0.75])
    rl.run(rl_config().model_copy(update={"steps": 2}), half)
    assert same(weights(given.output), weights(half.output)), "the rate is constant: two steps are two steps"


def test_rl_validation_changes_nothing_of_the_training(tmp_path, checkpoint):
    plain = rl_inputs(tmp_path, checkpoint, "plain")
    watched = rl_inputs(tmp_path, checkpoint, "watched")
    plain_outputs = rl.run(RL, rl.Inputs(**{**vars(plain), "validation_questions": None}))
    outputs = rl.run(rl_config(every=1, keep="last", samples=2), watched)
    assert same(weights(plain.output), weights(watched.output))
    assert (plain.output / "rollouts.table.json").read_text() == (watched.output / "rollouts.table.json").read_text()
    names = [name for name in plain_outputs.metrics if "time" not in name and "seconds" not in name and "per_s" not in name]
    assert [outputs.metrics[name] for name in names] == [plain_outputs.metrics[name] for name in names]


def test_rl_validation_with_a_carried_optimizer_of_another_step_is_refused(tmp_path, checkpoint):
    with pytest.raises(BadConfig, match="keep_optimizer keeps the state of the last step"):
        rl.run(rl_config().model_copy(update={"keep_optimizer": True}), rl_inputs(tmp_path, checkpoint))


def test_rl_validation_on_trained_questions_is_refused_before_the_model_loads(tmp_path):
    given = rl_inputs(tmp_path, tmp_path / "no-model")
    tables.write(tmp_path / "own", testing.questions(7), Question)
    with pytest.raises(BadConfig, match="6 of 7 questions are in the questions of split 'rl_1' too"):
        rl.run(rl_config(), rl.Inputs(**{**vars(given), "validation_questions": tmp_path / "own"}))


def test_rl_validation_by_vllm_has_the_trained_weights(tmp_path, checkpoint, monkeypatch):
    """Greedily, so that the report of the published checkpoint by transformers says the same."""
    installed = fake_vllm.install(monkeypatch)
    model, tokenizer = models.load(FromCheckpoint(), checkpoint, (), 0)
    monkeypatch.setattr(installed, "model", model)
    monkeypatch.setattr(installed, "tokenizer", tokenizer)
    given = rl_inputs(tmp_path, checkpoint)
    config = rl_config(every=1, keep="last", temperature=0).model_copy(update={"engine": "vllm", "steps": 2})
    outputs = rl.run(config, given)
    assert [step for step, _ in measured(given.output)] == [1, 2]
    trained = TransformersEngine(str(given.output), Sampling(max_tokens=24, temperature=0, system_prompt="none", suffix="none"))
    with VerifierPool(0.9) as pool:
        evaluation = evaluate(trained, partial(verdicts, pool), trained._sampling, "m", ASKED, 1, 1, lambda *_: None)
    assert measured(given.output, "validation/tokens")[-1][1] == evaluation.tokens(1)
    assert outputs.metrics["validation/pass_at_1"] == sum(row.passed for row in evaluation.verified) / len(ASKED)


def test_rl_validation_by_a_server_asks_by_tokens_with_a_seed_of_each_question(checkpoint, monkeypatch):
    chat = chat_templates.prepare(models.load(FromCheckpoint(), checkpoint, (), 0)[1])
    bodies = []

    def answer(client, route, body, task, doing):
        bodies.append((route, body))
        tokens = [*chat.ids("<think>so</think><answer>9</answer>"), chat.end_id]
        return json.dumps({"choices": [{"token_ids": tokens, "finish_reason": "stop"}]})

    monkeypatch.setattr(rollout_server, "ask", answer)
    sampling = Sampling(max_tokens=24, system_prompt="none", suffix="none")
    servers = SimpleNamespace(model="m", of_any=lambda number, ask: ask(f"server {number % 2}"))
    policy = rl_validation.ServedPolicy(servers, chat, sampling, [chat.end_id])
    with VerifierPool(0.9) as pool:
        evaluation = evaluate(policy, partial(verdicts, pool), sampling, "m", testing.questions(3), 1, 1, lambda *_: None)
    asked = testing.questions(3)
    assert {row.question_id for row in evaluation.verified if row.passed} == {asked[2].question_id}
    assert {route for route, _ in bodies} == {"v1/completions"}
    assert len({body["seed"] for _, body in bodies}) == 3
    assert sorted(body["prompt"] for _, body in bodies) == sorted(chat.ids(chat.prompt(each.messages)) for each in asked)
