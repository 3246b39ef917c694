import pytest

from stillhouse import rows, testing
from stillhouse.errors import EngineFailed, NothingToDo
from stillhouse.rows import Question, Selected
from stillhouse.stages import rl

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
