import dataclasses
import json
import os
import shutil
import signal
import sys

import pytest

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.errors import BadConfig, EngineFailed, NothingToDo
from stillhouse.stages import rl
from stillhouse.training import metrics_file
from stillhouse.training.config import Adapters, FromCheckpoint
from stillhouse.training.rl import policy_training, rollout_engine
from stillhouse.training.rl.config import Plateau
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.verdict import Verdict
from stillhouse.vocabulary.rows import Dropped, Graded, Question, Selected

CONFIG = rl.Config(
    steps=2, group_size=4, prompts_per_step=2, max_tokens=24, learning_rate=1e-2, kl_coefficient=0.01,
    system_prompt="none", suffix="none",
)  # fmt: skip


def inputs(tmp_path, checkpoint, asked, name="scratch", split="rl_1", **changes):
    tables.write(tmp_path / "questions", testing.questions(8), Question)
    tables.write(tmp_path / "selected", [testing.selected(each, split) for each in asked], Selected)
    (tmp_path / name).mkdir()
    given = {"selected": tmp_path / "selected", "questions": tmp_path / "questions", "checkpoint": checkpoint}
    return rl.Inputs(scratch=tmp_path / name, **given, **changes)


def weights(directory):
    from safetensors.torch import load_file

    return load_file(directory / "model.safetensors")


def test_rl_two_steps_change_the_weights_and_count_every_rollout(tmp_path, checkpoint):
    import torch

    logged = []
    given = inputs(tmp_path, checkpoint, testing.questions(6), log=lambda numbers, step: logged.append((step, numbers)))
    outputs = rl.run(CONFIG, given)
    found, before = weights(given.output), weights(checkpoint)
    assert found.keys() == before.keys()
    assert all(each.isfinite().all() for each in found.values())
    assert not all(torch.equal(found[name], before[name]) for name in found)
    assert (outputs.metrics["n_questions"], outputs.metrics["n_steps"]) == (6, 2)
    assert sum(value for name, value in outputs.metrics.items() if name.startswith("n_rollouts_")) == 2 * 2 * 4
    assert {step for step, numbers in logged if "train/rewards/total/mean" in numbers} == {1, 2}
    assert 0 <= outputs.metrics["train/rewards/total/mean"] <= 1
    assert (given.output / "tokenizer.json").is_file()


@pytest.mark.parametrize(("least", "warmed"), [(16, [["math", "math"]]), (17, [])])
def test_rl_verifiers_are_loaded_before_the_first_step_of_a_run_that_is_worth_it(tmp_path, checkpoint, monkeypatch, least, warmed):
    """Sixteen rollouts."""
    asked, logged = [], []
    monkeypatch.setattr(policy_training, "WARM_FROM", least)
    monkeypatch.setattr(VerifierPool, "begin_warming", lambda self, categories: asked.append(list(categories)))
    given = inputs(tmp_path, checkpoint, testing.questions(2), log=lambda numbers, step: logged.append(numbers))
    rl.run(CONFIG, given)
    assert asked == warmed
    start = [name for numbers in logged for name in numbers if name.startswith("train/start/")]
    assert start == [f"train/start/{part}_s" for part in ("init", "load", "data", "move", "first_step")]


def test_rl_fewer_questions_than_a_step_takes_still_trains(tmp_path, checkpoint):
    outputs = rl.run(CONFIG, inputs(tmp_path, checkpoint, testing.questions(1)))
    assert outputs.metrics["n_steps"] == 2
    assert outputs.metrics["n_questions"] == 1


def test_rl_twice_gives_the_same_weights(tmp_path, checkpoint):
    import torch

    made = []
    for name in ("one", "two"):
        given = inputs(tmp_path, checkpoint, testing.questions(4), name)
        rl.run(CONFIG.model_copy(update={"steps": 1}), given)
        made.append(weights(given.output))
    assert all(torch.equal(made[0][name], made[1][name]) for name in made[0])


def ended_and_resumed(tmp_path, checkpoint, config, how):
    """A run that ``how`` ends after its second step, and one that goes on from what it left: both outputs and their inputs."""
    root, output = tmp_path / "store", tmp_path / "first" / "output"

    def publish(path):
        target = root / path.relative_to(output)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())

    given = inputs(
        tmp_path, checkpoint, testing.questions(6), "first", progress=lambda done, *_: how() if done == 2 else None,
        publish_part=publish, retract_part=lambda path: (root / path.relative_to(output)).unlink(),
    )  # fmt: skip
    with pytest.raises((KeyboardInterrupt, ZeroDivisionError)):
        rl.run(config, given)
    steps = []
    resumed = inputs(
        tmp_path, checkpoint, testing.questions(6), "resumed", finished=root, progress=lambda done, *_: steps.append(done)
    )
    return rl.run(config, resumed), resumed, steps


@pytest.mark.parametrize(("how", "first"), [(lambda: 1 / 0, 2), (lambda: os.kill(os.getpid(), signal.SIGTERM), 4)])
def test_rl_ended_in_the_middle_goes_on_to_the_same_rollouts_and_weights(tmp_path, checkpoint, monkeypatch, how, first):
    import torch

    monkeypatch.setenv("STILLHOUSE_SAVE_STEPS", "1" if first == 2 else "50")
    config = CONFIG.model_copy(update={"steps": 4})
    outputs, resumed, steps = ended_and_resumed(tmp_path, checkpoint, config, how)
    assert steps == list(range(first, 5))
    whole = inputs(tmp_path, checkpoint, testing.questions(6), "whole")
    expected = rl.run(config, whole)
    assert all(torch.equal(weights(resumed.output)[name], value) for name, value in weights(whole.output).items())
    assert outputs.metrics.keys() == expected.metrics.keys()
    same = [name for name in expected.metrics if name.startswith(("n_", "train/reward", "train/loss", "train/kl"))]
    assert [outputs.metrics[name] for name in same] == [expected.metrics[name] for name in same]
    for name in ("outcomes.json", "rollouts.table.json", "last-step.table.json", "asked.json"):
        assert (resumed.output / name).read_text() == (whole.output / name).read_text()


def test_rl_outcomes_and_rollouts_say_what_was_tried(tmp_path, checkpoint):
    given = inputs(tmp_path, checkpoint, testing.questions(6))
    outputs = rl.run(CONFIG, given)
    tried = json.loads((given.output / "outcomes.json").read_text())
    assert sum(n for n, _ in tried.values()) == 2 * 2 * 4
    assert all(0 <= n_passed <= n for n, n_passed in tried.values())
    table = json.loads((given.output / "rollouts.table.json").read_text())
    assert {"question", "text", "reward", "kind"} <= set(table["columns"])
    assert len(table["data"]) == 2
    assert {len(row) for row in table["data"]} == {len(table["columns"])}
    assert outputs.artifacts == ["rollouts.table.json", "last-step.table.json", "training.html"]


def test_rl_stage_after_a_stage_leaves_out_what_was_always_solved(tmp_path, checkpoint):
    asked = testing.questions(4)
    before = tmp_path / "before"
    shutil.copytree(checkpoint, before)
    solved = asked[0].question_id
    (before / "outcomes.json").write_text(json.dumps({solved: [8, 8], asked[1].question_id: [8, 7]}))
    given = inputs(tmp_path, before, asked)
    outputs = rl.run(CONFIG.model_copy(update={"drop_solved": True, "steps": 3}), given)
    assert (outputs.metrics["n_questions"], outputs.metrics["n_solved_before"]) == (3, 1)
    assert solved not in json.loads((given.output / "outcomes.json").read_text())


def test_rl_begins_with_the_questions_that_stages_before_have_not_asked(tmp_path, checkpoint):
    """Seven questions, two steps of two in each of two stages: the first stage leaves three, and they come first."""
    asked, split = [], testing.questions(7)
    for name, base in (("first", checkpoint), ("second", tmp_path / "first" / "output")):
        given = inputs(tmp_path, base, split, name)
        outputs = rl.run(CONFIG, given)
        asked.append((json.loads((given.output / "asked.json").read_text()), outputs.metrics["n_asked_before"]))
    (first, none_before), (both, before) = asked
    assert (none_before, before) == (0, 4)
    assert sorted(first.values()) == [1] * 4
    assert sorted(both.values()) == [1] * 6 + [2]
    assert set(json.loads((given.output / "outcomes.json").read_text())) >= {each.question_id for each in split} - set(first)


def test_rl_carried_optimizer_makes_another_first_step(tmp_path, checkpoint):
    import torch
    from safetensors.torch import load_file

    one = CONFIG.model_copy(update={"steps": 1, "keep_optimizer": True})
    first = inputs(tmp_path, checkpoint, testing.questions(4), "first")
    rl.run(one, first)
    made = []
    for name, carried in (("fresh", False), ("carried", True)):
        given = inputs(tmp_path, first.output, testing.questions(4), name)
        outputs = rl.run(one.model_copy(update={"carry_optimizer": carried}), given)
        assert outputs.metrics.get("n_steps_carried") == (1 if carried else None)
        made.append((weights(given.output), load_file(given.output / "optimizer.safetensors")))
    (fresh, fresh_state), (carried, carried_state) = made
    assert not all(torch.equal(fresh[name], carried[name]) for name in fresh)
    assert [float(state["step"]) for state in (fresh_state, carried_state)] == [1.0, 2.0]
    names = {name for name in fresh_state if name != "step"}
    assert names == {f"{name}.{moment}" for name in fresh for moment in ("exp_avg", "exp_avg_sq")}
    assert all(fresh_state[f"{name}.exp_avg"].shape == value.shape for name, value in fresh.items())


def test_rl_carried_optimizer_that_is_not_there_is_refused(tmp_path, checkpoint):
    with pytest.raises(BadConfig, match="the checkpoint has no optimizer.safetensors"):
        rl.run(CONFIG.model_copy(update={"carry_optimizer": True}), inputs(tmp_path, checkpoint, testing.questions(4)))


def test_rl_carried_optimizer_of_another_architecture_is_refused(tmp_path, checkpoint):
    import torch
    from safetensors.torch import save_file

    other = tmp_path / "other"
    shutil.copytree(checkpoint, other)
    moments = {f"{name}.{moment}": torch.zeros(3) for name in weights(checkpoint) for moment in ("exp_avg", "exp_avg_sq")}
    save_file(moments | {"step": torch.tensor(1.0)}, other / "optimizer.safetensors")
    with pytest.raises(BadConfig, match="carry_optimizer: optimizer.safetensors belongs to a model with other weights"):
        rl.run(CONFIG.model_copy(update={"carry_optimizer": True}), inputs(tmp_path, other, testing.questions(4)))


def test_rl_plateau_ends_the_stage_early(tmp_path, checkpoint):
    logged = []
    config = CONFIG.model_copy(update={"steps": 9, "plateau": Plateau(window=1, least_gain=2.0)})
    given = inputs(tmp_path, checkpoint, testing.questions(4), log=lambda numbers, step: logged.append((step, numbers)))
    outputs = rl.run(config, given)
    assert outputs.metrics["n_steps"] == 2  # a reward between 0 and 1 cannot gain 2
    assert [(step, numbers) for step, numbers in logged if "train/plateau_step" in numbers] == [(2, {"train/plateau_step": 2})]


def test_rl_logs_all_that_says_how_training_goes(tmp_path, checkpoint):
    asked, logged = testing.questions(4), []
    tables.write(tmp_path / "graded", [testing.graded(each, level=2) for each in asked], Graded)
    given = inputs(
        tmp_path, checkpoint, asked, graded=tmp_path / "graded", log=lambda numbers, step: logged.append((step, numbers))
    )  # fmt: skip
    rl.run(CONFIG, given)
    names = {name.removeprefix("train/") for step, numbers in logged for name in numbers if step == 2}
    assert names >= {
        "loss", "learning_rate", "grad_norm", "tokens_per_s", "padding_share", "reward", "reward/math", "reward/math/level_2",
        "completions/mean_length", "completions/clipped_ratio", "entropy", "kl", "frac_reward_zero_std", "without_reward",
        "rewards/verifier/mean", "rewards/verifier/failures",
        "reward_constant_steps", "sampler/difference_mean", "sampler/difference_max", "sampler/moved", "seconds/rollout",
        "seconds/verify", "step_time", "seconds/step", "time/rollout", "time/sync", "time/verify", "time/update", "time/waiting",
    }  # fmt: skip
    found = {name: value for step, numbers in logged for name, value in numbers.items() if step == 2}
    assert found["train/sampler/difference_max"] < 1e-4 < found["train/sampler/moved"]
    assert 0 <= found["train/padding_share"] < 1
    parts = [value for name, value in found.items() if name.startswith("train/time/")]
    assert sum(parts) == pytest.approx(1)
    assert min(parts) >= 0
    (line,) = [line for line in metrics_file.read(given.output) if line["step"] == 2]
    assert line["train/reward"] == found["train/reward"]


@pytest.fixture
def vllm(checkpoint, monkeypatch):
    """A vLLM that is a copy of the checkpoint's model."""
    from stillhouse.training import models
    from tests.unit.training import fake_vllm

    installed = fake_vllm.install(monkeypatch)
    monkeypatch.setattr(installed, "model", models.load(FromCheckpoint(), checkpoint, (), 0)[0])
    return installed


def test_rl_vllm_writes_the_rollouts_with_the_trained_weights(tmp_path, checkpoint, vllm):
    logged = []
    given = inputs(tmp_path, checkpoint, testing.questions(4), log=lambda numbers, step: logged.append(numbers))
    outputs = rl.run(CONFIG.model_copy(update={"engine": "vllm", "steps": 3}), given)
    assert outputs.metrics["n_steps"] == 3
    apart = [numbers["train/sampler/difference_max"] for numbers in logged if "train/sampler/difference_max" in numbers]
    assert len(apart) == 3
    assert max(apart) < 1e-5


def test_rl_vllm_that_sleeps_during_the_update_gets_its_weights_again(tmp_path, checkpoint, vllm, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_ROLLOUT_SLEEP", "on")
    monkeypatch.setattr(rollout_engine, "hardware", dict)  # as on a GPU, where TRL syncs the weights itself
    logged = []
    given = inputs(tmp_path, checkpoint, testing.questions(4), log=lambda numbers, step: logged.append(numbers))
    rl.run(CONFIG.model_copy(update={"engine": "vllm", "steps": 3}), given)
    apart = [numbers["train/sampler/difference_max"] for numbers in logged if "train/sampler/difference_max" in numbers]
    assert len(apart) == 3
    assert max(apart) < 1e-5


def test_rl_engine_that_keeps_older_weights_stops_the_run(tmp_path, checkpoint, vllm, monkeypatch):
    monkeypatch.setattr(vllm, "deaf", True)
    monkeypatch.setenv("STILLHOUSE_PROBE_BOUND", "100")
    steps = []
    given = inputs(tmp_path, checkpoint, testing.questions(4), progress=lambda done, *_: steps.append(done))
    with pytest.raises(EngineFailed, match="the rollout engine does not have the trained weights"):
        rl.run(CONFIG.model_copy(update={"engine": "vllm", "steps": 9}), given)
    assert steps == [1], "found at the first sync after a step"


ADAPTERS = CONFIG.model_copy(update={"lora": Adapters(rank=2, alpha=4)})


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_rl_adapters_are_trained_and_the_engine_has_them(tmp_path, checkpoint, vllm, engine):
    import torch

    logged = []
    given = inputs(tmp_path, checkpoint, testing.questions(4), log=lambda numbers, step: logged.append(numbers))
    rl.run(ADAPTERS.model_copy(update={"engine": engine, "steps": 3}), given)
    found, before = weights(given.output), weights(checkpoint)
    assert found.keys() == before.keys()
    moved = {name for name in found if not torch.equal(found[name], before[name])}
    assert moved
    assert all("proj" in name for name in moved)
    apart = [numbers["train/sampler/difference_max"] for numbers in logged if "train/sampler/difference_max" in numbers]
    kl = [numbers["train/kl"] for numbers in logged if "train/kl" in numbers]
    assert len(apart) == 3
    assert max(apart) < 1e-5 < max(kl)
    assert kl[0] == pytest.approx(0, abs=1e-7), "the initial policy is the model without its adapters"


def test_rl_adapters_ended_in_the_middle_go_on_to_the_same_adapters(tmp_path, checkpoint, monkeypatch):
    import torch
    from safetensors.torch import load_file

    monkeypatch.setenv("STILLHOUSE_SAVE_STEPS", "1")
    config = ADAPTERS.model_copy(update={"steps": 4, "lora": Adapters(rank=2, publish="adapter")})
    _, resumed, steps = ended_and_resumed(tmp_path, checkpoint, config, lambda: 1 / 0)
    assert steps == [2, 3, 4]
    whole = inputs(tmp_path, checkpoint, testing.questions(6), "whole")
    rl.run(config, whole)
    ours, expected = (load_file(each.output / "adapter_model.safetensors") for each in (resumed, whole))
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[name], value) for name, value in expected.items())
    assert any(value.any() for name, value in ours.items() if "lora_B" in name)


@pytest.mark.parametrize("field", ["keep_optimizer", "carry_optimizer"])
def test_rl_adapters_have_no_optimizer_to_hand_on(tmp_path, checkpoint, field):
    with pytest.raises(BadConfig, match=f"{field}: not with lora"):
        rl.run(ADAPTERS.model_copy(update={field: True}), inputs(tmp_path, checkpoint, testing.questions(2)))


def test_rl_vllm_that_is_not_installed_is_refused(tmp_path, checkpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(EngineFailed, match="engine vllm: vllm is not installed here"):
        rl.run(CONFIG.model_copy(update={"engine": "vllm"}), inputs(tmp_path, checkpoint, testing.questions(4)))


def test_rl_verifier_that_always_fails_moves_no_weight(tmp_path, checkpoint, monkeypatch):
    """Neither by an advantage nor by KL term or entropy bonus."""
    import torch

    monkeypatch.setattr(VerifierPool, "verify", lambda self, requests: (Verdict("timeout", None, "toy") for _ in requests))
    given = inputs(tmp_path, checkpoint, testing.questions(4))
    config = CONFIG.model_copy(update={"entropy_coefficient": 0.5, "plateau": Plateau(window=1)})
    outputs = rl.run(config, given)
    found, before = weights(given.output), weights(checkpoint)
    assert all(torch.equal(found[name], before[name]) for name in found)
    assert outputs.metrics["n_rollouts_timeout"] == 2 * 2 * 4
    assert json.loads((given.output / "outcomes.json").read_text()) == {}


BREVITY = {"kind": "house_rewards:brevity", "max_failure_rate": 1}


def test_rl_reward_of_ones_own_is_trained_on_and_its_failures_leave_the_loss(tmp_path, checkpoint, monkeypatch):
    (tmp_path / "house_rewards.py").write_text(
        "def brevity(rollout):\n"
        "    assert rollout.question.reference_answer and rollout.verdict\n"
        "    return 1 / len(rollout.text) if len(rollout.text) % 2 else float('nan')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    config = rl.Config.model_validate(CONFIG.model_dump() | {"rewards": [BREVITY]})
    given = inputs(tmp_path, checkpoint, testing.questions(4))
    outputs = rl.run(config, given)
    rollouts = json.loads((given.output / "rollouts.table.json").read_text())
    texts, rewards = ([row[rollouts["columns"].index(name)] for row in rollouts["data"]] for name in ("text", "reward"))
    assert rewards == [1 / len(text) if len(text) % 2 else None for text in texts]
    kinds = {name: value for name, value in outputs.metrics.items() if name.startswith("n_rollouts_")}
    assert kinds.pop("n_rollouts_failed_brevity", 0) <= sum(kinds.values()) == 2 * 2 * 4


def test_rl_reward_that_never_moves_is_said(tmp_path, checkpoint, monkeypatch, capsys):
    monkeypatch.setattr(VerifierPool, "verify", lambda self, requests: (Verdict("wrong", 0.0, "toy") for _ in requests))
    monkeypatch.setenv("STILLHOUSE_CONSTANT_STEPS", "2")
    rl.run(CONFIG.model_copy(update={"steps": 3}), inputs(tmp_path, checkpoint, testing.questions(4)))
    assert "warning: the reward was 0 in each of the last 2 steps" in capsys.readouterr().err


def test_rl_question_that_leaves_no_room_for_a_rollout_goes_to_dropped(tmp_path, checkpoint):
    short, long = testing.question(), testing.question("What is " + "1 + " * 40 + "1?", "41")
    tables.write(tmp_path / "own", [short, long], Question)
    given = dataclasses.replace(inputs(tmp_path, checkpoint, [long, short]), questions=tmp_path / "own")
    outputs = rl.run(CONFIG.model_copy(update={"steps": 1}), given)
    assert (outputs.dropped, outputs.metrics["n_questions"]) == ({"too_long": 1}, 1)
    (row,) = tables.read(given.dropped.rename(tmp_path / "looked-at"), Dropped)
    assert (row.key, row.reason) == (long.question_id, "too_long")
    assert outputs.metrics["n_questions"] == 1
    with pytest.raises(
        NothingToDo, match="no question of 2 leaves room for 999 tokens in the model's context of 128; lower max_tokens"
    ):
        rl.run(CONFIG.model_copy(update={"max_tokens": 999}), dataclasses.replace(given, scratch=tmp_path))


def test_rl_tokenizer_without_chat_template_is_refused(tmp_path, checkpoint):
    bare = tmp_path / "bare"
    shutil.copytree(checkpoint, bare)
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(EngineFailed, match="its tokenizer has no chat template; set chat_template"):
        rl.run(CONFIG, inputs(tmp_path, bare, testing.questions(2)))


def test_rl_checkpoint_of_another_architecture_is_refused(tmp_path, checkpoint):
    other = tmp_path / "other"
    shutil.copytree(checkpoint, other)
    (other / "config.json").write_text(json.dumps({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}))
    with pytest.raises(EngineFailed, match="transformers cannot load it: .*give a causal language model") as caught:
        rl.run(CONFIG, inputs(tmp_path, other, testing.questions(2)))
    assert "\n" not in str(caught.value)


def test_rl_weights_that_are_not_finite_stop_the_run_before_they_write_rollouts(tmp_path, checkpoint):
    config = CONFIG.model_copy(update={"steps": 9, "learning_rate": 1e30})
    with pytest.raises(EngineFailed, match=r"the weights are not finite after step \d; lower learning_rate"):
        rl.run(config, inputs(tmp_path, checkpoint, testing.questions(4)))


def test_rl_loss_that_is_not_finite_stops_and_names_the_batch(tmp_path, checkpoint, monkeypatch):
    from stillhouse.training.rl.policy_loss import PolicyLossMixin

    original = PolicyLossMixin._compute_loss
    monkeypatch.setattr(PolicyLossMixin, "_compute_loss", lambda *given: original(*given) * float("nan"))
    with pytest.raises(EngineFailed, match="the loss is nan in step 1, on a batch that begins 'What is"):
        rl.run(CONFIG, inputs(tmp_path, checkpoint, testing.questions(4)))


def test_rl_split_without_questions_is_refused(tmp_path, checkpoint):
    with pytest.raises(NothingToDo, match="split 'rl_1' has no example"):
        rl.run(CONFIG, inputs(tmp_path, checkpoint, testing.questions(4), split="sft_1"))


def test_rl_question_that_is_not_among_the_questions_is_named(tmp_path, checkpoint):
    stranger = testing.question("What is 9 + 9?", "18")
    with pytest.raises(
        NothingToDo, match=f"1 questions of split 'rl_1' are not in the questions input, the first is {stranger.question_id}"
    ):
        rl.run(CONFIG, inputs(tmp_path, checkpoint, [stranger]))


def test_rl_input_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(EngineFailed, match="give a causal language model"):
        rl.run(CONFIG, inputs(tmp_path, tmp_path / "empty", testing.questions(2)))


def test_rl_tokenizer_with_a_parser_for_responses_rewards_what_was_sampled(tmp_path, checkpoint, monkeypatch):
    from trl.trainer import grpo_trainer

    parsing = tmp_path / "parsing"
    shutil.copytree(checkpoint, parsing)
    config = parsing / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"response_template": {"fields": {}}}))
    monkeypatch.setattr(grpo_trainer, "parse_response", lambda *_, **__: {"role": "assistant", "content": "without its thinking"})
    given = inputs(tmp_path, parsing, testing.questions(4))
    rl.run(CONFIG, given)
    rollouts = json.loads((given.output / "rollouts.table.json").read_text())
    texts = [row[rollouts["columns"].index("text")] for row in rollouts["data"]]
    assert "without its thinking" not in texts
    assert json.loads((given.output / "tokenizer_config.json").read_text())["response_template"] == {"fields": {}}


def test_rl_category_that_no_rule_scores_is_refused_before_the_model_loads(tmp_path):
    science = testing.question("Why is the sky blue?", "scattering", category="science")
    (tmp_path / "no-model").mkdir()
    given = inputs(tmp_path, tmp_path / "no-model", [science])
    tables.write(tmp_path / "own", [science], Question)
    with pytest.raises(BadConfig, match="nothing rewards the answers to 1 of science"):
        rl.run(CONFIG, dataclasses.replace(given, questions=tmp_path / "own"))


def test_rl_that_never_moves_a_weight_is_an_error_in_the_end(tmp_path, checkpoint):
    """Every rollout is cut, and left out of the loss: three steps moved the weights by 0.0 and ended well."""
    config = CONFIG.model_copy(update={"steps": 3, "max_tokens": 2, "mask_truncated": True})
    with pytest.raises(EngineFailed, match=r"nothing is learnt: in each of the last 3 steps every rollout was cut at max_tokens 2"):
        rl.run(config, inputs(tmp_path, checkpoint, testing.questions(4)))
