"""Two processes that meet over gloo: with and without ZeRO, what they make is what one process makes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from stillhouse import testing
from stillhouse.artifacts import manifest
from stillhouse.errors import BadConfig
from stillhouse.execution import command, processes, tracking
from stillhouse.execution.execute import execute
from stillhouse.stages import sft
from stillhouse.training import checkpoints, optimizer
from stillhouse.training.machine import zero
from stillhouse.vocabulary.rows import Question, Selected

CONFIG = {
    "epochs": 3, "batch_size": 4, "learning_rate": 1e-2, "max_length": 64, "packing": False,
    "system_prompt": "none", "suffix": "none",
}  # fmt: skip
PACKED = CONFIG | {"packing": True, "max_length": 96, "epochs": 1, "max_steps": 3}
RL = {
    "steps": 2, "group_size": 8, "prompts_per_step": 2, "max_tokens": 24, "learning_rate": 1e-3, "kl_coefficient": 0.01,
    "system_prompt": "none", "suffix": "none", "split": "rl_1",
}  # fmt: skip
KEPT = RL | {"keep_optimizer": True, "steps": 3}
RESAMPLED = RL | {"dynamic_sampling": {"attempts": 2}, "active_sampling": {}}
CARRIED = KEPT | {"carry_optimizer": True, "steps": 1}
TURNS = RL | {
    "environment": {"kind": "talking_environment:Talk", "max_turns": 5}, "rewards": [{"kind": "talking_environment:turns"}],
    "max_tokens": 60,
}  # fmt: skip
WAYS = ("plain", "zero-2", "zero-3")
TOLERANCE = 1e-5
"""Of losses around 5, and of weights: sums are taken in another order."""
RELATIVE = 1e-4
"""Of AdamW's moments, for the same reason."""
pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize(("name", "cut"), [("zero-1", 1), ("zero-2-offload", 2), ("zero-3-offload", 3), ("", 0)])
def test_sharding_name_is_a_deepspeed_config(monkeypatch, name, cut):
    monkeypatch.setenv("STILLHOUSE_SHARDING", name)
    assert zero.stage() == cut
    assert name.endswith("-offload") == ("offload_optimizer" in (zero.settings() or {}).get("zero_optimization", {}))


def test_sharding_file_of_ones_own_is_taken_and_a_mistyped_name_is_corrected(monkeypatch, tmp_path):
    (tmp_path / "mine.yaml").write_text("zero_optimization: {stage: 2}")
    monkeypatch.setenv("STILLHOUSE_SHARDING", str(tmp_path / "mine.yaml"))
    assert zero.settings() == {"zero_optimization": {"stage": 2}}
    monkeypatch.setenv("STILLHOUSE_SHARDING", "zero3")
    with pytest.raises(BadConfig, match="STILLHOUSE_SHARDING=zero3: neither .*; did you mean zero-3?"):
        zero.settings()


def test_sharding_refuses_by_name_what_needs_whole_weights(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_SHARDING", "zero-3")
    with pytest.raises(BadConfig, match="lora: not with STILLHOUSE_SHARDING=zero-3; choose zero-2, which keeps weights whole"):
        zero.require_whole_weights("lora")


ALONE = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}


@pytest.mark.parametrize(("name", "ranks"), [("", {}), ("zero-2", ALONE)])
def test_environment_of_deepspeed_is_set_for_the_block_alone(monkeypatch, name, ranks):
    import deepspeed  # noqa: F401  # its first import in a process sets variables of other libraries, and they stay

    for variable in ("DS_ACCELERATOR", "MASTER_ADDR", "MASTER_PORT", *ALONE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("STILLHOUSE_SHARDING", name)
    before = dict(os.environ)
    with zero.deepspeed_environment():
        assert {variable: os.environ[variable] for variable in ranks} == ranks
        assert os.environ["DS_ACCELERATOR"] == "cpu"
    assert dict(os.environ) == before


def test_environment_of_deepspeed_keeps_torchruns_ranks(monkeypatch):
    for variable, value in (ALONE | {"RANK": "1", "WORLD_SIZE": "2"}).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("STILLHOUSE_SHARDING", "zero-2")
    with zero.deepspeed_environment():
        assert (os.environ["RANK"], os.environ["WORLD_SIZE"]) == ("1", "2")
    assert os.environ["RANK"] == "1"


def test_sharding_checkpoint_that_is_cut_in_another_way_is_refused_and_one_that_is_not_cut_goes_on(monkeypatch, tmp_path):
    for step, cut in ((4, {"zero": 3, "processes": 2}), (2, {"zero": 0, "processes": 1})):
        (tmp_path / str(step) / "resume" / f"checkpoint-{step}").mkdir(parents=True)
        whole = {"files": {}, "cut": cut, "remembered": {}}
        (tmp_path / str(step) / "resume" / f"checkpoint-{step}" / "whole.json").write_text(json.dumps(whole))
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setattr(processes, "gathered", lambda value: [value] * 4)
    assert checkpoints.newest(sft.Inputs(scratch=tmp_path, finished=tmp_path / "2"))
    monkeypatch.setenv("STILLHOUSE_SHARDING", "zero-3")
    with pytest.raises(BadConfig, match="checkpoint-4 .* ZeRO 3 over 2 processes, this one has ZeRO 3 over 4 processes; run it"):
        checkpoints.newest(sft.Inputs(scratch=tmp_path, finished=tmp_path / "4"))


@pytest.fixture(scope="module")
def house(tmp_path_factory, checkpoint):
    """A store with seven examples, one of them too long, their questions, and a checkpoint."""
    root = tmp_path_factory.mktemp("house").as_uri()
    asked = [*testing.questions(6), testing.question("What is " + "1 + " * 30 + "1?", "31")]
    examples = [testing.selected(each, split) for split in ("sft_1", "rl_1") for each in asked]
    testing.publish(examples, Selected, f"{root}/selected/toy/1")
    testing.publish(asked, Question, f"{root}/questions/toy/1")
    files = {path.name: path.read_bytes() for path in checkpoint.iterdir() if path.is_file()}
    testing.publish_files(files, "sft", f"{root}/sft/base/1")
    return root


def plan(house, name, stage="sft", config=CONFIG, after=None, **more):
    """Each in a store of its own: equal work that differs in how it is shared alone would be reused."""
    checkpoint = f"{house}/{Path(after).name}/{after}/1" if after else f"{house}/sft/base/1"
    inputs = {"selected": [f"{house}/selected/toy/1"], "checkpoint": [checkpoint]}
    inputs |= {"questions": [f"{house}/questions/toy/1"]} if stage == "rl" else {}
    return {"stage": stage, "config": config, "inputs": inputs, "output": f"{house}/{name}/{stage}/{name}/1"} | more


def together(plans):
    """Two processes, started as a stage's own command starts them: the exit code and what they said."""
    words = command.command("sft", config=[], inputs={}, output="", program=sys.executable, ranks=True, processes=2)
    driver = [*words[: words.index("-m")], Path(__file__).with_name("rank_driver.py"), json.dumps(plans)]
    variables = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "TQDM_DISABLE": "1"}
    done = subprocess.run(driver, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def local(uri) -> Path:
    return Path(urlsplit(uri).path)


def said(plan):
    return json.loads((local(plan["output"]).parent / "ranks.json").read_text())


def weights(plan):
    """As anybody loads them."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(local(plan["output"])).state_dict()


def far(one, other) -> float:
    """The largest difference between two models' weights."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.fixture(scope="module")
def alone(house):
    """The same training by one process: its plan and its losses."""
    losses, made = {}, plan(house, "alone")
    with pytest.MonkeyPatch.context() as patch:
        heard = lambda self, metrics, step=None: losses.setdefault(step, metrics.get("train/loss"))  # noqa: E731
        patch.setattr(tracking.Untracked, "log", heard)
        execute(sft, sft.Config(**CONFIG), made["inputs"], made["output"])
    return made, losses


@pytest.fixture(scope="module")
def trained(house):
    """One start of two processes that train each way, one way after the other; what ZeRO leaves behind makes ZeRO 3 the last.

    The last of all is killed after its third step.
    """
    plans = {
        "plain": plan(house, "plain"),
        "kept plain": plan(house, "kept-plain", "rl", KEPT),
        "carried plain": plan(house, "carried-plain", "rl", CARRIED, after="rl/kept-plain"),
        "fresh": plan(house, "fresh", "rl", KEPT | {"steps": 1}, after="rl/kept-plain"),
        "odd": plan(house, "odd", config=CONFIG | {"batch_size": 3}),
        "rl odd": plan(house, "odd", "rl", RL | {"prompts_per_step": 3}),
        "turns": plan(house, "turns", "rl", TURNS),
        "zero-2": plan(house, "zero-2", sharding="zero-2"),
        "carried zero-2": plan(house, "carried-zero-2", "rl", CARRIED, sharding="zero-2", after="rl/kept-plain"),
        "zero-3": plan(house, "zero-3", sharding="zero-3"),
        "packed": plan(house, "packed", config=PACKED, sharding="zero-3"),
        "turns zero-3": plan(house, "turns-zero-3", "rl", TURNS, sharding="zero-3"),
        "resampled": plan(house, "resampled", "rl", RESAMPLED, sharding="zero-3"),
        "kept zero-3": plan(house, "kept-zero-3", "rl", KEPT, sharding="zero-3"),
        "carried zero-3": plan(house, "carried-zero-3", "rl", CARRIED, sharding="zero-3", after="rl/kept-plain"),
        "killed": plan(house, "killed", "rl", KEPT, sharding="zero-3", end={"step": 3, "how": "killed"}),
    }
    _, text = together(list(plans.values()))
    unfinished = [name for name, each in plans.items() if not local(each["output"]).with_name("ranks.json").is_file()]
    assert unfinished == ["killed"], text
    return plans | {"text": text}


@pytest.mark.parametrize("name", WAYS)
def test_sharding_two_processes_give_the_losses_and_weights_of_one(trained, alone, name):
    expected, losses = alone
    found = {int(step): loss for step, loss in said(trained[name])["loss"].items()}
    assert len(found) == 6  # two steps an epoch: four examples, then two
    assert found == pytest.approx(losses, abs=TOLERANCE)
    assert far(weights(trained[name]), weights(expected)) < TOLERANCE


def test_resampling_two_processes_ask_the_same_number_of_times_and_count_all(trained):
    output = local(trained["resampled"]["output"])
    metrics = json.loads((output / "manifest.json").read_text())["metrics"]
    asked = json.loads((output / "asked.json").read_text())
    n_rollouts = sum(value for name, value in metrics.items() if name.startswith("n_rollouts_"))
    assert n_rollouts == sum(asked.values()) * RESAMPLED["group_size"]
    assert said(trained["resampled"])["steps"] == [1, 2]
    assert 0 <= metrics["train/refilled_share"] <= 1


def test_sharding_packed_documents_are_isolated_under_zero_3_too(house, trained):
    made = plan(house, "packed-alone", config=PACKED)
    execute(sft, sft.Config(**PACKED), made["inputs"], made["output"])
    assert manifest.load(trained["packed"]["output"]).metrics["n_sequences"] < 7
    assert far(weights(trained["packed"]), weights(made)) < TOLERANCE


@pytest.mark.parametrize("name", WAYS)
def test_sharding_is_published_once_and_under_the_fingerprint_of_one_process(trained, alone, name):
    made, expected = manifest.load(trained[name]["output"]), manifest.load(alone[0]["output"])
    assert (made.fingerprint, made.dropped, made.files.keys()) == (expected.fingerprint, {"too_long": 1}, expected.files.keys())
    counts = {key: value for key, value in expected.metrics.items() if key.startswith("n_")}
    assert {key: made.metrics[key] for key in counts} == counts
    left = {path.relative_to(local(trained[name]["output"])).as_posix() for path in local(trained[name]["output"]).rglob("*.*")}
    assert left - {"dropped"} == {*made.stored.values(), "manifest.json"}


def test_sharding_rl_counts_the_rollouts_of_all_ranks(trained):
    made = manifest.load(trained["kept zero-3"]["output"])
    assert sum(value for name, value in made.metrics.items() if name.startswith("n_rollouts_")) == 3 * 2 * 8
    outcomes = json.loads((local(trained["kept zero-3"]["output"]) / "outcomes.json").read_text())
    assert sum(n for n, _ in outcomes.values()) == 3 * 2 * 8
    assert said(trained["kept zero-3"])["steps"] == [1, 2, 3]


@pytest.mark.parametrize("name", ["turns", "turns zero-3"])
def test_sharding_ranks_whose_rollouts_have_different_numbers_of_turns_wait_for_each_other(trained, name):
    made = manifest.load(trained[name]["output"]).metrics
    assert said(trained[name])["steps"] == [1, 2]
    assert made["train/environment/turns"] > 1
    assert made["train/environment/reply_tokens"] > 0
    assert sum(value for key, value in made.items() if key.startswith("n_rollouts_")) == 2 * 2 * 8


def moments(plan):
    """AdamW's, each in units of its own largest value."""
    from safetensors.torch import load_file

    found = load_file(local(plan["output"]) / optimizer.FILE)
    return {name: each / each.abs().max() for name, each in found.items() if name != optimizer.STEP}


@pytest.mark.parametrize(("name", "steps"), [("kept zero-3", 3), ("carried zero-2", 4), ("carried zero-3", 4)])
def test_sharding_optimizer_that_is_kept_is_whole_and_that_of_uncut_processes(trained, name, steps):
    plain = trained["kept plain" if steps == 3 else "carried plain"]
    assert optimizer.steps(local(trained[name]["output"])) == steps
    assert far(moments(trained[name]), moments(plain)) < RELATIVE
    for logged in ("loss", "reward"):
        assert said(trained[name])[logged] == pytest.approx(said(plain)[logged], abs=TOLERANCE)


def test_sharding_rl_of_these_tests_has_rewards_to_learn_from(trained):
    assert len(said(trained["kept plain"])["loss"]) == 3
    assert max(said(trained["kept plain"])["reward"].values()) > 0


@pytest.mark.parametrize("name", ["carried zero-2", "carried zero-3"])
def test_sharding_optimizer_of_uncut_processes_is_carried_into_a_cut_training(trained, name):
    assert far(weights(trained[name]), weights(trained["carried plain"])) < TOLERANCE
    assert far(weights(trained[name]), weights(trained["fresh"])) > 10 * TOLERANCE


@pytest.mark.parametrize(("name", "field"), [("odd", "batch_size 3"), ("rl odd", "prompts_per_step 3")])
def test_sharding_batch_that_the_processes_cannot_share_is_refused_by_name(trained, name, field):
    assert said(trained[name])["error"].startswith(f"{field} cannot be shared evenly by 2 processes")
    assert manifest.find(trained[name]["output"]) is None


def left(plan):
    """What a training that was ended left: the names of its checkpoints, and whether it published."""
    return sorted(path.parent.name for path in local(plan["output"]).rglob("whole.*.json")), manifest.find(plan["output"])


@pytest.fixture(scope="module")
def resumed(house, trained):
    """Trainings that were ended before their last step, sft by preemption and rl by a kill, and went on in one start."""
    preempted = plan(house, "preempted", sharding="zero-2", end={"step": 4, "how": "preempted"})
    code, _ = together([preempted])
    ended = {"preempted": preempted, "killed": trained["killed"]}
    found = {how: left(each) for how, each in ended.items()}
    plans = {how: {**each, "end": {"step": 0}} for how, each in ended.items()}
    last, text = together(list(plans.values()))
    assert last == 0, text
    return {"code": code, "left": found, "plans": plans}


def test_sharding_that_is_preempted_saves_and_one_that_is_killed_has_its_last_checkpoint(resumed):
    assert resumed["left"] == {"preempted": (["checkpoint-5"], None), "killed": (["checkpoint-2"], None)}
    assert resumed["code"] != 0


def test_sharding_rank_that_dies_ends_the_others_and_is_named(trained):
    assert "rank 0: the other ranks are gone" in trained["text"]
    assert "Signal 9 (SIGKILL) received" in trained["text"]


def test_sharding_that_was_preempted_goes_on_to_the_weights_of_the_uninterrupted(resumed, alone):
    made, (expected, losses) = resumed["plans"]["preempted"], alone
    assert said(made)["steps"] == [6]
    assert said(made)["loss"]["6"] == pytest.approx(losses[6], abs=TOLERANCE)
    assert far(weights(made), weights(expected)) < TOLERANCE


def test_sharding_rl_that_was_killed_goes_on_bit_for_bit_and_counts_once(resumed, trained):
    made, expected = resumed["plans"]["killed"], trained["kept zero-3"]
    assert said(made)["steps"] == [3]
    for logged in ("loss", "reward"):
        assert said(made)[logged] == {"3": said(expected)[logged]["3"]}
    assert far(weights(made), weights(expected)) == 0
    assert far(moments(made), moments(expected)) == 0
    for name in ("outcomes.json", "asked.json", "rollouts.table.json"):
        assert (local(made["output"]) / name).read_text() == (local(expected["output"]) / name).read_text()
