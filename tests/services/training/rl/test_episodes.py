"""Rollouts of several turns in the rl stage: which tokens are whose, and a model that learns to call a tool."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoTokenizer

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.errors import BadConfig, EngineFailed
from stillhouse.models import chat_templates
from stillhouse.stages import rl, sft
from stillhouse.training import models
from stillhouse.training.config import FromCheckpoint
from stillhouse.training.rl.environments.episodes import Episodes
from stillhouse.training.rl.on_policy import OnPolicyGrpoTrainer
from stillhouse.training.rl.rollout_prompts import RolloutPrompt
from stillhouse.vocabulary.rows import Question, Selected
from tests.architectures import tokenizer_of
from tests.stage_fixtures import TINY
from tests.unit.training import fake_vllm

QUESTION = testing.question()
CALL = '<think>.</think><tool_call>{"name": "calculator", "arguments": {"expression": "1 + 7"}}</tool_call>'
TOOLS = {"tools": ["calculator"], "announce": False, "max_turns": 2, "max_reply_tokens": 40}
CONFIG = rl.Config(
    steps=24, group_size=8, prompts_per_step=4, max_tokens=104, learning_rate=1e-3, kl_coefficient=0, entropy_coefficient=0,
    system_prompt="none", suffix="none",
)  # fmt: skip


class ScriptedTrainer:
    """A trainer whose rollout engine writes these turns, one list for every call; ``asked_for`` are the prompts it was given."""

    use_vllm, num_generations = False, 2

    def __init__(self, chat, turns, *, logprobs=False, questions=2):
        self.chat, self.turns, self.has_logprobs = chat, list(turns), logprobs
        self.asked, self.eos_token_ids = [QUESTION.question_id] * questions, [chat.end_id]
        self.generation_config = SimpleNamespace(max_new_tokens=999)
        self.accelerator = SimpleNamespace(device="cpu")
        self.asked_for, self.limits, self.logged = [], [], {}

    def _generate_single_turn(self, prompts, images, fields, num_generations):
        self.asked_for.append(prompts)
        self.limits.append((self.generation_config.max_new_tokens, num_generations))
        written = [[*self.chat.ids(text), *([] if cut else [self.chat.end_id])] for text, cut in self.turns.pop(0)]
        return written, [[-0.5] * len(ids) for ids in written] if self.has_logprobs else None

    def log_with_step(self, numbers):
        self.logged |= numbers


@pytest.fixture(scope="module")
def chat():
    return chat_templates.prepare(tokenizer_of("qwen2.5"))


def played(chat, turns, max_tokens=400, *, logprobs=False, questions=2, **settings):
    config = rl.Config(environment={"tools": ["calculator"]} | settings).environment
    prompt = RolloutPrompt(QUESTION, QUESTION.messages, chat.ids(chat.prompt(QUESTION.messages)))
    trainer = ScriptedTrainer(chat, turns, logprobs=logprobs, questions=questions)
    return Episodes(config, max_tokens, chat, {QUESTION.question_id: prompt})(["unused"] * questions, trainer), trainer, prompt.ids


def whole(text):
    return text, False


def cut(text):
    return text, True


def call(expression):
    return whole(f'<tool_call>{{"name": "calculator", "arguments": {{"expression": "{expression}"}}}}</tool_call>')


def test_episode_tokens_are_the_turns_as_sampled_and_the_replies_and_the_mask_says_which(chat):
    answer = whole("<answer>3</answer>")
    output, trainer, prompt = played(chat, [[call("1 + 2"), answer], [answer]], logprobs=True)
    first = [*chat.ids(call("1 + 2")[0]), chat.end_id]
    last = [*chat.ids(answer[0]), chat.end_id]
    reply = chat.ids("\n<|im_start|>user\n<tool_response>\n3\n</tool_response><|im_end|>\n<|im_start|>assistant\n")
    assert output["completion_ids"] == [[*first, *reply, *last], last]
    assert output["env_mask"] == [[1] * len(first) + [0] * len(reply) + [1] * len(last), [1] * len(last)]
    assert output["logprobs"] == [[-0.5] * len(first) + [0.0] * len(reply) + [-0.5] * len(last), [-0.5] * len(last)]
    assert output["prompt_ids"] == [prompt] * 2
    assert trainer.asked_for == [[prompt] * 2, [[*prompt, *first, *reply]]]
    assert [group for _, group in trainer.limits] == [2, 1]
    assert trainer.logged == {
        "environment/turns": 1.5, "environment/calls": 0.5, "environment/failures": 0, "environment/reply_tokens": len(reply) / 2,
    }  # fmt: skip


def test_episode_reward_sees_own_tokens_the_last_turn_and_all_that_was_said(chat):
    output, _, _ = played(chat, [[call("1 + 2")], [whole("<answer>3</answer>")]], questions=1)
    (episode,) = output["episode"]
    assert [(turn.speaker, turn.text) for turn in episode.turns] == [
        ("model", call("1 + 2")[0]), ("environment", "<tool_response>\n3\n</tool_response>"), ("model", "<answer>3</answer>"),
    ]  # fmt: skip
    own = [token for token, mask in zip(output["completion_ids"][0], output["env_mask"][0], strict=True) if mask]
    assert episode.own_ids == own
    assert (output["logprobs"], episode.environment.n_calls) == (None, 1)


def test_episode_ends_at_the_most_turns_without_a_last_reply(chat):
    output, trainer, _ = played(chat, [[call("1")], [call("2")], [call("3")]], questions=1, max_turns=2)
    (episode,) = output["episode"]
    assert [turn.speaker for turn in episode.turns] == ["model", "environment", "model"]
    assert len(trainer.asked_for) == 2


def test_episode_turn_that_was_cut_gets_no_reply(chat):
    output, trainer, _ = played(chat, [[cut(call("1")[0])]], questions=1)
    assert len(output["episode"][0].turns) == len(trainer.asked_for) == 1


def test_episode_never_has_more_than_max_tokens_and_a_reply_without_room_is_left_out(chat):
    long = whole("a b c d " * 200)
    output, trainer, _ = played(chat, [[call("1 + 2")], [long]], questions=1, max_tokens=240)
    assert len(output["completion_ids"][0]) == len(output["env_mask"][0]) == 240
    assert trainer.limits[0][0] == 240 > trainer.limits[1][0]
    assert trainer.generation_config.max_new_tokens == 999
    n_call = len(chat.ids(call("1 + 2")[0])) + 1
    output, trainer, _ = played(chat, [[call("1 + 2")]], questions=1, max_tokens=n_call + 3)
    assert output["env_mask"] == [[1] * n_call]


def test_episode_environment_that_raises_or_hangs_is_told_to_the_model_and_counted(chat, tmp_path, monkeypatch):
    (tmp_path / "own_world.py").write_text(
        "import threading\nclass World:\n    def __init__(self, question):\n        self.n = 0\n"
        "    def reply(self, turn):\n        return threading.Event().wait() if turn == 'hang' else 1 / 0\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    turns = [[whole("hang"), whole("raise")], [whole("bye")] * 2]
    output, trainer, _ = played(chat, turns, kind="own_world:World", tools=[], timeout_s=0.02, max_turns=2)
    said = [episode.turns[1].text for episode in output["episode"]]
    assert said == ["error: TimeoutError: no answer after 0.2 s", "error: ZeroDivisionError: division by zero"]
    assert trainer.logged["environment/failures"] == 1


@pytest.fixture(scope="module")
def caller(tmp_path_factory):
    """A very small model that calls the calculator now and then, and guesses otherwise."""
    torch.set_num_threads(1)
    scratch = tmp_path_factory.mktemp("caller")
    rows = [
        replace(testing.selected(question), example_id=f"{question.question_id}-{number}",
                messages=[*question.messages, {"role": "assistant", "content": text}])
        for question in testing.questions(12)
        for number, text in enumerate([CALL, "<think>.</think><answer>8</answer>", "<think>.</think><answer>9</answer>"])
    ]  # fmt: skip
    tables.write(scratch / "selected", rows, Selected)
    config = sft.Config(
        init=TINY, max_steps=90, batch_size=36, learning_rate=2e-2, max_length=128, system_prompt="none", suffix="none",
        packing=False,
    )  # fmt: skip
    inputs = sft.Inputs(scratch=scratch, selected=scratch / "selected")
    sft.run(config, inputs)
    return inputs.output


def trained(tmp_path, checkpoint, config):
    """The outputs of rl on twelve additions, and the numbers it logged, step by step."""
    asked, logged = testing.questions(12), []
    tables.write(tmp_path / "questions", asked, Question)
    tables.write(tmp_path / "selected", [testing.selected(question, "rl_1") for question in asked], Selected)
    (tmp_path / "scratch").mkdir()
    inputs = rl.Inputs(
        scratch=tmp_path / "scratch", selected=tmp_path / "selected", questions=tmp_path / "questions", checkpoint=checkpoint,
        log=lambda numbers, step: logged.append(numbers),
    )  # fmt: skip
    rl.run(config, inputs)
    return inputs.output, [numbers for numbers in logged if "train/reward" in numbers]


def with_environment(tmp_path, monkeypatch, **changes):
    (tmp_path / "calling_rewards.py").write_text(
        "def called(rollout):\n    return float(rollout.environment.n_calls > rollout.environment.n_failed)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return rl.Config.model_validate(
        CONFIG.model_dump() | {"environment": TOOLS, "rewards": [{"kind": "calling_rewards:called"}]} | changes
    )


def mean(numbers, name):
    return sum(step[f"train/{name}"] for step in numbers) / len(numbers)


@pytest.mark.timeout(300)
def test_rl_a_small_model_learns_to_call_the_tool(tmp_path, caller, monkeypatch):
    """Without learning the model calls it in about a quarter of its rollouts, from the first step to the last."""
    _, still = trained(tmp_path, caller, with_environment(tmp_path, monkeypatch, learning_rate=1e-12, steps=6))
    (tmp_path / "learning").mkdir()
    output, steps = trained(tmp_path / "learning", caller, with_environment(tmp_path, monkeypatch))
    before, after = mean(still, "reward"), mean(steps[-4:], "reward")
    assert before < 0.5
    assert after > 0.65
    assert mean(steps[-4:], "environment/turns") > mean(still, "environment/turns") + 0.2
    assert max(step["train/sampler/difference_max"] for step in steps) < 1e-4
    rollouts = json.loads((output / "rollouts.table.json").read_text())
    texts = [row[rollouts["columns"].index("text")] for row in rollouts["data"]]
    assert f"[model] {CALL}\n[environment] <tool_response>\n8\n</tool_response>\n[model] " in texts[-1]


def test_rl_replies_are_in_no_loss(tmp_path, caller, monkeypatch):
    """The mask that TRL's loss, KL term and entropy bonus are multiplied by is 0 on them, and nowhere else."""
    seen = []
    original = OnPolicyGrpoTrainer._compute_loss

    def compute_loss(trainer, model, inputs):
        seen.append({name: inputs[name].clone() for name in ("completion_ids", "completion_mask", "tool_mask")})
        return original(trainer, model, inputs)

    monkeypatch.setattr(OnPolicyGrpoTrainer, "_compute_loss", compute_loss)
    trained(tmp_path, caller, with_environment(tmp_path, monkeypatch, steps=1))
    (batch,) = seen
    replies = (batch["tool_mask"] == 0) & (batch["completion_mask"] == 1)
    assert replies.any(dim=1).sum() >= 1
    tokenizer = AutoTokenizer.from_pretrained(caller)
    for ids, foreign in zip(batch["completion_ids"], replies, strict=True):
        text = tokenizer.decode(ids[foreign])
        assert text == "" or re.fullmatch(r"<\|user\|><tool_response>\n.*<\|end\|><\|assistant\|>", text, re.DOTALL)


@pytest.mark.timeout(300)
def test_rl_vllm_writes_turns_and_its_probabilities_of_replies_are_not_compared(tmp_path, caller, monkeypatch):
    installed = fake_vllm.install(monkeypatch)
    monkeypatch.setattr(installed, "model", models.load(FromCheckpoint(), caller, (), 0)[0])
    config = with_environment(tmp_path, monkeypatch, steps=1, engine="vllm", group_size=4, prompts_per_step=2)
    _, steps = trained(tmp_path, caller, config)
    assert mean(steps, "environment/reply_tokens") > 0
    assert max(step["train/sampling/sampling_logp_difference/max"] for step in steps) < 1e-4


def test_rl_environment_that_cannot_be_loaded_is_refused_before_the_model(tmp_path):
    (tmp_path / "no-model").mkdir()
    config = rl.Config.model_validate(CONFIG.model_dump() | {"environment": {"tools": ["json:dumps"]}})
    with pytest.raises(BadConfig, match="tool dumps: its docstring or type hints do not describe it"):
        trained(tmp_path, tmp_path / "no-model", config)


def test_rl_environment_with_python_needs_isolation_before_the_model_loads(tmp_path, monkeypatch):
    from stillhouse.training.rl import early_refusals

    def refuse():
        raise EngineFailed("no isolation for untrusted programs here")

    monkeypatch.setattr(early_refusals, "Sandbox", refuse)
    config = rl.Config.model_validate(CONFIG.model_dump() | {"environment": {"tools": ["python"]}})
    with pytest.raises(EngineFailed, match="no isolation"):
        trained(tmp_path, tmp_path / "no-model", config)
