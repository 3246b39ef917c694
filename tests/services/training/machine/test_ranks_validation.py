"""Validation by two processes that meet over gloo: each asks its share, and what they measure is what one process measures."""

import pytest

from stillhouse import stages, testing
from stillhouse.artifacts import manifest as manifests
from stillhouse.execution.execute import execute
from stillhouse.training import metrics_file
from stillhouse.vocabulary.rows import Question
from tests.services.training.machine import test_zero
from tests.services.training.machine.test_zero import CONFIG, RL, TOLERANCE, far, local, plan, said, together, weights

house = test_zero.house
pytestmark = pytest.mark.timeout(600)
VALIDATION = {"every": 2, "questions": None, "samples": 2, "max_tokens": 12}
SFT = CONFIG | {"validation": VALIDATION | {"rows": 0.4}}
ROLLOUTS = RL | {"steps": 4, "validation": VALIDATION}
STILL = ROLLOUTS | {"learning_rate": 1e-9}
"""One process draws other rollouts than two: weights that do not move are the same for both."""


def measuring(house, name, stage, config, n_questions=3, **more):
    """A plan that measures on so many questions, none of which is trained on."""
    source = f"{house}/questions/asked-{n_questions}/1"
    if not local(source).exists():
        testing.publish([testing.question(f"Say {number}.", str(number)) for number in range(n_questions)], Question, source)
    made = plan(house, f"validation-{name}", stage, config, **more)
    made["inputs"]["validation_questions"] = [source]
    return made


@pytest.fixture(scope="module")
def alone(house):
    """By one process."""
    plans = {"sft": measuring(house, "sft-alone", "sft", SFT), "still": measuring(house, "still-alone", "rl", STILL)}
    for made in plans.values():
        stage = stages.load(made["stage"])
        execute(stage, stage.Config.model_validate(made["config"]), made["inputs"], made["output"])
    return plans


@pytest.fixture(scope="module")
def trained(house):
    """By two processes; the last training is killed after a measurement, and goes on in another start."""
    plans = {
        "sft": measuring(house, "sft", "sft", SFT), "still": measuring(house, "still", "rl", STILL),
        "rl": measuring(house, "rl", "rl", ROLLOUTS), "fewer": measuring(house, "fewer", "sft", SFT, n_questions=1),
        "fsdp": measuring(house, "fsdp", "rl", ROLLOUTS, sharding="fsdp2"),
        "killed": measuring(house, "killed", "rl", ROLLOUTS, end={"step": 3, "how": "killed"}),
    }  # fmt: skip
    _, text = together(list(plans.values()))
    unfinished = [name for name, each in plans.items() if not local(each["output"]).with_name("ranks.json").is_file()]
    assert unfinished == ["killed"], text
    plans["killed"] = {**plans["killed"], "end": {"step": 0}}
    code, text = together([plans["killed"]])
    assert code == 0, text
    return plans


def measured(made):
    """By step, what each measurement found."""
    lines = [line for line in metrics_file.read(local(made["output"])) if "validation/tokens" in line]
    left_out = {"time", "step", "validation/seconds"}
    return [(line["step"], {name: value for name, value in line.items() if name not in left_out}) for line in lines]


def require_same(own, theirs):
    """The same steps, measurements, choice of a checkpoint and weights, but for rounding."""
    assert "error" not in said(own)
    assert [step for step, _ in measured(own)] == [step for step, _ in measured(theirs)]
    for (_, found), (_, expected) in zip(measured(own), measured(theirs), strict=True):
        assert found == pytest.approx(expected, abs=TOLERANCE)
    chosen, expected = (manifests.find(each["output"]).metrics["validation/published_step"] for each in (own, theirs))
    assert chosen == expected
    assert far(weights(own), weights(theirs)) < TOLERANCE


@pytest.mark.parametrize("name", ["sft", "still"])
def test_validation_of_two_processes_measures_and_publishes_what_one_does(trained, alone, name):
    require_same(trained[name], alone[name])


@pytest.mark.parametrize("name", ["fsdp", "killed"])
def test_validation_of_two_processes_shared_or_resumed_is_that_of_two_that_run_through(trained, name):
    require_same(trained[name], trained["rl"])


def test_validation_with_fewer_questions_than_processes_is_measured_by_those_that_have_one(trained):
    assert "error" not in said(trained["fewer"])
    assert [step for step, _ in measured(trained["fewer"])] == [2, 3]
    assert all(numbers["validation/n_unverified"] == 0 for _, numbers in measured(trained["fewer"]))
