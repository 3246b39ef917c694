import json
import os
import shutil
import signal

import pytest

from stillhouse import rows, testing
from stillhouse.errors import BadConfig, EngineFailed, NothingToDo
from stillhouse.rows import Question, Selected
from stillhouse.stages import rl
from stillhouse.training.curriculum import Plateau

CONFIG = rl.Config(
    steps=2, group_size=4, prompts_per_step=2, max_tokens=24, learning_rate=1e-2, kl_coefficient=0.01,
    system_prompt="none", suffix="none",
)  # fmt: skip


def inputs(tmp_path, checkpoint, asked, name="scratch", split="rl_1", **changes):
    rows.write(tmp_path / "questions", testing.questions(8), Question)
    rows.write(tmp_path / "selected", [testing.selected(each, split) for each in asked], Selected)
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
    assert {step for step, numbers in logged if "train/rewards/verify_score/mean" in numbers} == {1, 2}
    assert 0 <= outputs.metrics["train/rewards/verify_score/mean"] <= 1
    assert (given.output / "tokenizer.json").is_file()


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


@pytest.mark.parametrize(("how", "first"), [(lambda: 1 / 0, 2), (lambda: os.kill(os.getpid(), signal.SIGTERM), 3)])
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
    for name in ("outcomes.json", "rollouts.jsonl"):
        assert (resumed.output / name).read_text() == (whole.output / name).read_text()


def test_rl_outcomes_and_rollouts_say_what_was_tried(tmp_path, checkpoint):
    given = inputs(tmp_path, checkpoint, testing.questions(6))
    outputs = rl.run(CONFIG, given)
    tried = json.loads((given.output / "outcomes.json").read_text())
    assert sum(n for n, _ in tried.values()) == 2 * 2 * 4
    assert all(0 <= n_passed <= n for n, n_passed in tried.values())
    rollouts = [json.loads(line) for line in (given.output / "rollouts.jsonl").read_text().splitlines()]
    assert {"question", "text", "reward", "kind"} <= rollouts[0].keys()
    assert outputs.artifacts == ["rollouts.jsonl"]


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


def test_rl_carried_optimizer_makes_another_first_step(tmp_path, checkpoint):
    import torch

    one = CONFIG.model_copy(update={"steps": 1, "keep_optimizer": True})
    first = inputs(tmp_path, checkpoint, testing.questions(4), "first")
    rl.run(one, first)
    made = []
    for name, carried in (("fresh", False), ("carried", True)):
        given = inputs(tmp_path, first.output, testing.questions(4), name)
        rl.run(one.model_copy(update={"carry_optimizer": carried}), given)
        made.append((weights(given.output), torch.load(given.output / "optimizer.pt", weights_only=True)))
    (fresh, fresh_state), (carried, carried_state) = made
    assert not all(torch.equal(fresh[name], carried[name]) for name in fresh)
    steps = [{float(each["step"]) for each in state["state"].values()} for state in (fresh_state, carried_state)]
    assert steps == [{1.0}, {2.0}]


def test_rl_carried_optimizer_that_is_not_there_is_refused(tmp_path, checkpoint):
    with pytest.raises(BadConfig, match="the checkpoint has no optimizer.pt"):
        rl.run(CONFIG.model_copy(update={"carry_optimizer": True}), inputs(tmp_path, checkpoint, testing.questions(4)))


def test_rl_plateau_ends_the_stage_early(tmp_path, checkpoint):
    config = CONFIG.model_copy(update={"steps": 9, "plateau": Plateau(window=1, least_gain=2.0)})
    outputs = rl.run(config, inputs(tmp_path, checkpoint, testing.questions(4)))
    assert outputs.metrics["n_steps"] == 2  # a reward between 0 and 1 cannot gain 2


def test_rl_logs_the_reward_of_each_category(tmp_path, checkpoint):
    logged = []
    rl.run(CONFIG, inputs(tmp_path, checkpoint, testing.questions(4), log=lambda numbers, step: logged.append(numbers)))
    names = {name for numbers in logged for name in numbers}
    assert any(name.endswith("reward/math") for name in names)
    assert any(name.endswith("verifier_failures") for name in names)
    assert {"train/kl", "train/entropy", "train/frac_reward_zero_std", "train/completions/clipped_ratio"} <= names


def test_rl_split_without_questions_is_refused(tmp_path, checkpoint):
    with pytest.raises(NothingToDo, match="split 'rl_1' has no example"):
        rl.run(CONFIG, inputs(tmp_path, checkpoint, testing.questions(4), split="sft_1"))


def test_rl_question_that_is_not_among_the_questions_is_named(tmp_path, checkpoint):
    stranger = testing.question("What is 9 + 9?", "18")
    with pytest.raises(NothingToDo, match=f"question {stranger.question_id} .1 such. of split 'rl_1'"):
        rl.run(CONFIG, inputs(tmp_path, checkpoint, [stranger]))


def test_rl_input_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(EngineFailed, match="is the input an sft or rl artifact"):
        rl.run(CONFIG, inputs(tmp_path, tmp_path / "empty", testing.questions(2)))
