import copy
import threading

import pytest

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.errors import BadConfig, EngineFailed, EngineLost
from stillhouse.stages import rl
from stillhouse.training import models
from stillhouse.training.config import FromCheckpoint
from stillhouse.training.rl import rollouts_ahead
from stillhouse.training.rl.rollout_servers import RolloutServers
from stillhouse.vocabulary.rows import Question, Selected
from tests.services.training.rl.rollout_server_fake import FakeRolloutServer, broken_off, garbled, refused
from tests.unit.training import fake_vllm

PROMPTS = [[number, number] for number in range(5)]


@pytest.fixture
def vllm(monkeypatch):
    """TRL finds vLLM installed."""
    from trl.generation import vllm_client

    monkeypatch.setattr(vllm_client, "is_vllm_available", lambda *_, **__: True)
    return fake_vllm.install(monkeypatch)


@pytest.fixture
def fakes(vllm):
    made = [FakeRolloutServer(), FakeRolloutServer()]
    yield made
    for server in made:
        server.stop()


@pytest.fixture
def servers(fakes):
    return RolloutServers(",".join(server.url for server in fakes), connection_timeout=5)


def written(servers, prompts=PROMPTS):
    return servers.generate(prompts=prompts, n=2, max_tokens=2)


def n_requests(fake):
    return fake.asked.count("v1/completions:rollouts")


def test_servers_share_the_prompts_and_answer_in_their_order(servers, fakes):
    found = written(servers)
    assert found["prompt_ids"] == PROMPTS
    assert found["completion_ids"] == [[7, 8]] * 10
    assert found["logprobs"] == [[[-0.5], [-0.25]]] * 10
    assert [n_requests(fake) for fake in fakes] == [1, 1]


def test_servers_fewer_prompts_than_servers_ask_no_server_for_nothing(servers, fakes):
    assert written(servers, PROMPTS[:1])["prompt_ids"] == PROMPTS[:1]
    assert sum(map(n_requests, fakes)) == 1


@pytest.mark.parametrize("fault", [refused, broken_off, garbled])
def test_server_that_fails_is_left_out_and_the_other_writes_its_share(servers, fakes, capsys, fault):
    fakes[1].faults["v1/completions"] = fault
    assert written(servers)["prompt_ids"] == PROMPTS
    assert written(servers)["prompt_ids"] == PROMPTS
    assert [n_requests(fake) for fake in fakes] == [3, 1], "its share once, then everything; the lost one is not asked again"
    assert f"its server {fakes[1].url} did not write rollouts" in capsys.readouterr().err


def test_server_that_hangs_is_left_out_after_the_time_limit(fakes, monkeypatch, capsys):
    released = threading.Event()
    monkeypatch.setenv("STILLHOUSE_ROLLOUT_TIMEOUT_S", "0.2")
    servers = RolloutServers(",".join(server.url for server in fakes), connection_timeout=5)
    fakes[0].faults["v1/completions"] = lambda handler: released.wait(30)
    assert written(servers)["prompt_ids"] == PROMPTS
    released.set()
    assert "Read timed out" in capsys.readouterr().err


def test_server_that_is_back_takes_its_share_again(servers, fakes, capsys):
    fakes[0].faults["v1/completions"] = refused
    written(servers)
    del fakes[0].faults["v1/completions"]
    servers.readmit()
    written(servers)
    assert [n_requests(fake) for fake in fakes] == [2, 3]
    assert f"the vLLM server at {fakes[0].url} is back" in capsys.readouterr().err


def test_servers_that_are_all_lost_can_be_tried_again(servers, fakes):
    for fake in fakes:
        fake.faults["v1/completions"] = broken_off
    with pytest.raises(EngineLost, match="no server is left .*; look at their logs, the next try goes on") as caught:
        written(servers)
    assert caught.value.exit_code == 75
    assert "\n" not in str(caught.value)


def test_servers_that_all_refuse_would_refuse_again(servers, fakes):
    for fake in fakes:
        fake.faults["reset_prefix_cache"] = lambda handler: handler.reply(404, {"detail": "no such route"})
    servers.reset_prefix_cache()
    with pytest.raises(EngineFailed, match="start it with VLLM_SERVER_DEV_MODE=1") as caught:
        written(servers)
    assert caught.value.exit_code == 1


def test_servers_of_which_one_returns_other_logprobs_are_told_by_that_one(servers, fakes):
    fakes[1].logprobs_mode = "raw_logprobs"
    assert servers.get_server_info()["model_config"]["logprobs_mode"] == "raw_logprobs"


def test_server_that_is_not_up_is_named_at_the_start(fakes):
    fakes[1].stop()
    with pytest.raises(EngineLost, match=f"its server {fakes[1].url} is not reached: no answer within 0 s"):
        RolloutServers(",".join(server.url for server in fakes), connection_timeout=0)
    fakes[1].restart()


def rl_inputs(tmp_path, checkpoint, name="scratch", **changes):
    asked = testing.questions(6)
    tables.write(tmp_path / "questions", asked, Question)
    tables.write(tmp_path / "selected", [testing.selected(each, "rl_1") for each in asked], Selected)
    (tmp_path / name).mkdir()
    return rl.Inputs(
        scratch=tmp_path / name, selected=tmp_path / "selected", questions=tmp_path / "questions", checkpoint=checkpoint, **changes
    )


RL = rl.Config(
    steps=4, group_size=4, prompts_per_step=2, max_tokens=16, learning_rate=1e-2, kl_coefficient=0.01, engine="vllm",
    system_prompt="none", suffix="none",
)  # fmt: skip


@pytest.fixture
def serving(tmp_path, checkpoint, vllm, monkeypatch):
    """Two servers that have the checkpoint, and a directory through which they get other weights."""
    model = models.load(FromCheckpoint(), checkpoint, (), 0)[0]
    fakes = [FakeRolloutServer(copy.deepcopy(model).eval()) for _ in range(2)]
    (tmp_path / "weights").mkdir()
    monkeypatch.setenv("STILLHOUSE_ROLLOUT_SERVER", ",".join(fake.url for fake in fakes))
    monkeypatch.setenv("STILLHOUSE_ROLLOUT_WEIGHTS", str(tmp_path / "weights"))
    yield fakes
    for fake in fakes:
        fake.stop()


def of_weights(fakes):
    """How many syncs of weights came before each request for rollouts, by server."""
    counts = []
    for fake in fakes:
        done, own = 0, []
        for route in fake.asked:
            done += route == "collective_rpc"
            own += [done] if route == "v1/completions:rollouts" else []
        counts.append(own)
    return counts


@pytest.mark.parametrize(("ahead", "expected"), [(0, [1, 2, 3, 4]), (1, [1, 1, 2, 3])])
def test_rl_rollouts_are_as_old_as_the_config_says(tmp_path, checkpoint, serving, ahead, expected):
    logged = []
    given = rl_inputs(tmp_path, checkpoint, log=lambda numbers, step: logged.append(numbers))
    rl.run(RL.model_copy(update={"rollouts_ahead": ahead}), given)
    assert of_weights(serving) == [expected, expected]
    ratios = [numbers["train/sampling/importance_sampling_ratio/mean"] for numbers in logged if "train/loss" in numbers]
    apart = [abs(ratio - 1) > 1e-4 for ratio in ratios]
    assert apart == ([False, True, True, True] if ahead else [False] * 4), "the first step's rollouts are of the first weights"


def test_rl_rollouts_ahead_that_was_ended_goes_on_to_the_same_weights(tmp_path, checkpoint, serving, monkeypatch):
    from safetensors.torch import load_file

    monkeypatch.setenv("STILLHOUSE_SAVE_STEPS", "1")
    config, root, output = RL.model_copy(update={"rollouts_ahead": 1}), tmp_path / "store", tmp_path / "first" / "output"

    def publish(path):
        target = root / path.relative_to(output)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())

    def end(done, *_):
        if done == 3:
            raise ZeroDivisionError

    first = rl_inputs(
        tmp_path, checkpoint, "first", publish_part=publish, progress=end,
        retract_part=lambda path: (root / path.relative_to(output)).unlink(),
    )  # fmt: skip
    with pytest.raises(ZeroDivisionError):
        rl.run(config, first)
    steps = []
    resumed = rl_inputs(tmp_path, checkpoint, "resumed", finished=root, progress=lambda done, *_: steps.append(done))
    rl.run(config, resumed)
    assert steps in ([3, 4], [4])
    whole = rl_inputs(tmp_path, checkpoint, "whole")
    rl.run(config, whole)
    ours, expected = (load_file(each.output / "model.safetensors") for each in (resumed, whole))
    assert all(ours[name].equal(value) for name, value in expected.items())


def test_rl_rollouts_ahead_without_servers_is_refused(tmp_path, checkpoint):
    with pytest.raises(BadConfig, match="rollouts_ahead=1: only servers write rollouts during an update; set engine to vllm"):
        rl.run(RL.model_copy(update={"rollouts_ahead": 1, "engine": "transformers"}), rl_inputs(tmp_path, checkpoint))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps_per_batch": 2}, "steps_per_batch"),
        ({"dynamic_sampling": {}}, "dynamic_sampling"),
        ({"active_sampling": {}}, "active_sampling"),
        ({"environment": {"tools": ["calculator"]}}, "environment"),
        ({"engine_correction": "none"}, "engine_correction: none"),
    ],
)
def test_rl_rollouts_ahead_need_questions_that_are_known_and_a_correction(changes, said):
    config = rl.Config.model_validate(RL.model_dump() | changes | {"rollouts_ahead": 1})
    with pytest.raises(BadConfig, match=f"rollouts_ahead=1: not with {said}; leave out one of the two"):
        rollouts_ahead.require_support(config)


def test_rl_goes_on_when_a_server_dies_and_takes_it_back_with_the_trained_weights(tmp_path, checkpoint, serving, capsys):
    logged = []

    def progress(done, *_):
        if done == 1:
            serving[1].stop()
        if done == 2:
            serving[1].restart()

    given = rl_inputs(tmp_path, checkpoint, progress=progress, log=lambda numbers, step: logged.append(numbers))
    outputs = rl.run(RL, given)
    assert outputs.metrics["n_steps"] == 4
    apart = [numbers["train/sampler/difference_max"] for numbers in logged if "train/sampler/difference_max" in numbers]
    assert len(apart) == 4
    assert max(apart) < 1e-5
    said = capsys.readouterr().err
    assert f"the vLLM server at {serving[1].url} failed while it took the weights" in said
    assert f"the vLLM server at {serving[1].url} is back" in said
    assert serving[1].asked.count("collective_rpc") == 3, "in all steps but the second"
