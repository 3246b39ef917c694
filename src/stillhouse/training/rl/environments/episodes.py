"""Rollouts of several turns: the model writes a turn, its environment replies, and so on.

The tokens of a rollout are the model's turns as they were sampled and, between them, the replies as the chat template writes them.
The mask says which are the model's own: these alone are in the loss.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from trl import GRPOTrainer

from stillhouse.execution import processes
from stillhouse.models.chat_formats import ChatFormat
from stillhouse.training.rl.config import EnvironmentConfig, RlConfig
from stillhouse.training.rl.deadline_calls import CallsInTime
from stillhouse.training.rl.environments import rollout_environment
from stillhouse.training.rl.environments.reply_tokens import ReplyTokens
from stillhouse.training.rl.environments.rollout_environment import Environment
from stillhouse.training.rl.reward_terms.rollout import Turn
from stillhouse.training.rl.rollout_prompts import RolloutPrompt
from stillhouse.vocabulary.masking import one_line

PATIENCE = 10
"""A reply may take so many times ``timeout_s``: a loaded machine gives a program its processor time late."""


@dataclass(eq=False)
class Episode:
    """One rollout as it grows. ``ids``, ``mask`` and ``logprobs`` have one entry for each token after the prompt."""

    prompt_ids: list[int]
    environment: Environment
    ids: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    """1 for the model's own tokens, 0 for those of replies."""
    logprobs: list[float | None] = field(default_factory=list)
    """The rollout engine's; 0 for tokens of replies, empty if the engine gives none."""
    turns: list[Turn] = field(default_factory=list)
    n_failed: int = 0
    """Replies that failed, and tools that did."""
    is_over: bool = False

    @property
    def own_ids(self) -> list[int]:
        """The tokens that the model sampled."""
        return [token for token, own in zip(self.ids, self.mask, strict=True) if own]

    def add(self, ids: Sequence[int], logprobs: Sequence[float | None] | None, *, own: bool) -> None:
        """Append tokens of a turn, or of a reply."""
        self.ids += ids
        self.mask += [int(own)] * len(ids)
        self.logprobs += logprobs or []


class Episodes:
    """TRL's ``rollout_func``: writes the rollouts of a batch with the trainer's own engine, turn by turn."""

    def __init__(
        self,
        config: EnvironmentConfig,
        max_tokens: int,
        chat: ChatFormat,
        prompts: Mapping[str, RolloutPrompt],
    ) -> None:
        """``max_tokens``: tokens of a rollout, replies included. Raises BadConfig if the environment cannot be loaded."""
        self._config, self._max_tokens, self._chat, self._prompts = config, max_tokens, chat, prompts
        self._make = rollout_environment.load(config)
        self._replies = ReplyTokens(chat, config.max_reply_tokens)
        self._callers: SimpleQueue[CallsInTime[Episode, str | None]] = SimpleQueue()
        for _ in range(processes.share_of_cores()):
            self._callers.put(CallsInTime(_answered, config.timeout_s * PATIENCE))

    def __call__(self, prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        """One rollout for each question in ``trainer.asked``, which stand in ``prompts`` in the same order."""
        asked = [self._prompts[question_id] for question_id in trainer.asked]
        episodes = [Episode(prompt.ids, self._make(prompt.question)) for prompt in asked]
        for number in range(self._config.max_turns):
            playing = [episode for episode in episodes if not episode.is_over]
            if not self._play(trainer, episodes, playing, trainer.num_generations if number == 0 else 1):
                break
            if number + 1 < self._config.max_turns:
                self._reply([episode for episode in playing if not episode.is_over])
        trainer.log_with_step(self._numbers(trainer, episodes))
        has_logprobs = bool(episodes[0].logprobs)
        return {
            "prompt_ids": [episode.prompt_ids for episode in episodes],
            "completion_ids": [episode.ids for episode in episodes],
            "logprobs": [episode.logprobs for episode in episodes] if has_logprobs else None,
            "env_mask": [episode.mask for episode in episodes],
            "episode": episodes,
        }

    def _play(self, trainer: Any, episodes: Sequence[Episode], playing: Sequence[Episode], group: int) -> bool:
        """One turn of the model in each episode that goes on; False if there is none on any rank.

        ``group``: how many neighbours have the same prompt. All ranks send equally many prompts, as engines that ranks share
        expect: one with fewer fills up with a prompt whose response nobody reads.
        """
        (n_prompts,) = processes.combined([len(playing)], trainer.accelerator.device, "max")
        if not n_prompts:
            return False
        prompts = [[*episode.prompt_ids, *episode.ids] for episode in playing]
        prompts += [episodes[0].prompt_ids] * (int(n_prompts) - len(prompts))
        rest = max([self._max_tokens - len(episode.ids) for episode in playing], default=1)
        with limited(trainer, rest):
            ids, logprobs = trainer._generate_single_turn(prompts, None, {}, group)
        for index, episode in enumerate(playing):
            room = self._max_tokens - len(episode.ids)
            turn = list(ids[index])[:room]
            episode.add(turn, list(logprobs[index])[:room] if logprobs else None, own=True)
            episode.turns.append(Turn("model", self._chat.read(turn)))
            episode.is_over = not turn or turn[-1] not in trainer.eos_token_ids
        return True

    def _reply(self, playing: Sequence[Episode]) -> None:
        """The environments' replies to the last turns, as many at a time as this process has cores."""
        with ThreadPoolExecutor(self._callers.qsize()) as threads:
            replies = list(threads.map(self._said, playing))
        for episode, reply in zip(playing, replies, strict=True):
            ids = self._replies.ids(reply) if reply is not None else []
            # A turn after it needs room for one token at least.
            if reply is None or len(episode.ids) + len(ids) >= self._max_tokens:
                episode.is_over = True
                continue
            episode.add(ids, [0.0] * len(ids) if episode.logprobs else None, own=False)
            episode.turns.append(Turn("environment", self._replies.shown(reply)))

    def _said(self, episode: Episode) -> str | None:
        """The environment's reply to the last turn, or what went wrong."""
        caller = self._callers.get()
        try:
            return caller(episode)
        except Exception as error:  # noqa: BLE001 # the user's code may raise anything: the model reads what went wrong
            episode.n_failed += 1
            return f"error: {type(error).__name__}: {one_line(error)}"
        finally:
            self._callers.put(caller)

    def _numbers(self, trainer: Any, episodes: Sequence[Episode]) -> dict[str, float]:
        """Means over the rollouts of all ranks."""
        turns = [sum(turn.speaker == "model" for turn in episode.turns) for episode in episodes]
        calls = [getattr(episode.environment, "n_calls", 0) for episode in episodes]
        failed = [episode.n_failed + getattr(episode.environment, "n_failed", 0) for episode in episodes]
        foreign = [len(episode.ids) - sum(episode.mask) for episode in episodes]
        numbers = [len(episodes), *map(sum, (turns, calls, failed, foreign))]
        n_episodes, *totals = processes.combined(numbers, trainer.accelerator.device, "sum")
        names = ("turns", "calls", "failures", "reply_tokens")
        return {f"environment/{name}": total / n_episodes for name, total in zip(names, totals, strict=True)}


def rollout_function(config: RlConfig, chat: ChatFormat, prompts: Mapping[str, RolloutPrompt]) -> Episodes | None:
    """What TRL calls for rollouts; None without an environment. Raises BadConfig if the environment cannot be loaded."""
    if config.environment is None:
        return None
    # TRL warns that its seam may change; the version is pinned, and a test holds what is used of it.
    warnings.filterwarnings("ignore", message="You are using 'rollout_func'", category=UserWarning)
    return Episodes(config.environment, config.max_tokens, chat, prompts)


@contextmanager
def limited(trainer: GRPOTrainer, max_tokens: int) -> Iterator[None]:
    """While the block runs, the rollout engine writes at most so many tokens."""
    holder, name = (
        (trainer.vllm_generation, "max_completion_length") if trainer.use_vllm else (trainer.generation_config, "max_new_tokens")
    )
    before = getattr(holder, name)
    setattr(holder, name, max_tokens)
    try:
        yield
    finally:
        setattr(holder, name, before)


def _answered(episode: Episode) -> str | None:
    return episode.environment.reply(episode.turns[-1].text)
