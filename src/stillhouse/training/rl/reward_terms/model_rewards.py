"""Terms of the reward that are models: the judge and the reward model of the stage ``verified``, many rollouts at a time."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial

from stillhouse.errors import EngineFailed
from stillhouse.models.chat_formats import ResponseFormat
from stillhouse.sampling import engine
from stillhouse.sampling.engine import Engine, Request
from stillhouse.training.rl.reward_terms.config import JudgeTerm, RewardModelTerm
from stillhouse.training.rl.reward_terms.rollout import Rollout, TermReward
from stillhouse.training.rl.rollout_scorers import request_of_rollout
from stillhouse.verification import reward_model
from stillhouse.verification.judges import task_of
from stillhouse.verification.judging import judged
from stillhouse.verification.reward_model import Rater, rated
from stillhouse.verification.verdict import Verdict, VerificationRequest
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import ResponseKey

Keyed = tuple[ResponseKey, VerificationRequest]
_HELLO = VerificationRequest("other", "Hello!", "Hello!", prompt="Say hello.", messages=[{"role": "user", "content": "Say hello."}])
_KEY: ResponseKey = ("hello", "rollout", "question", 1, 0)
TRIES = 2
"""How often a batch is scored before its rollouts count as failures."""


class JudgeReward:
    """Scores by a language model, from 0 to 1."""

    def __init__(self, config: JudgeTerm, response_format: ResponseFormat) -> None:
        """``response_format``: think_answer needs the answer in its tags."""
        self._config, self._format = config.judge, response_format
        self._engine: Engine | None = None

    def preflight(self) -> None:
        """Load or reach the judge, and have it say something. Raises EngineFailed."""
        self._engine = engine.load(self._config, self._config.model)
        for _, completion in self._engine.sample([Request(_KEY, _HELLO.messages, 0)]):
            if completion.finish_reason == "error":
                msg = f"judge {self._config.model}: it does not answer: {completion.failure}: {completion.detail}; is it served?"
                raise EngineFailed(msg)

    def score(self, rollouts: Sequence[Rollout]) -> list[TermReward]:
        """See RewardTerm."""
        by_category: dict[Category, list[int]] = defaultdict(list)
        for index, rollout in enumerate(rollouts):
            by_category[rollout.question.category].append(index)
        rewards: dict[int, TermReward] = {}
        for category, indices in by_category.items():
            keyed = [_keyed(rollouts[index], index, self._format) for index in indices]
            scores = _scored(partial(self._judged, category, keyed), task_of(category).top, len(keyed))
            rewards.update(zip(indices, scores, strict=True))
        return [rewards[index] for index in range(len(rollouts))]

    def _judged(self, category: Category, keyed: Sequence[Keyed]) -> list[Verdict]:
        self._engine = self._engine or engine.load(self._config, self._config.model)
        return judged(self._engine, self._config, task_of(category), keyed)


class RewardModelReward:
    """Scores by a reward model, from 0 to 1."""

    def __init__(self, config: RewardModelTerm, response_format: ResponseFormat) -> None:
        """``response_format``: think_answer needs the answer in its tags."""
        self._config, self._format = config.reward_model, response_format
        self._rater: Rater | None = None

    def preflight(self) -> None:
        """Load or reach the model, and rate one answer. Raises EngineFailed."""
        self._rated([_HELLO])

    def score(self, rollouts: Sequence[Rollout]) -> list[TermReward]:
        """See RewardTerm."""
        requests = [request_of_rollout(rollout.question, rollout.text, self._format) for rollout in rollouts]
        return _scored(lambda: self._rated(requests), 1.0, len(requests))

    def _rated(self, requests: Sequence[VerificationRequest]) -> list[Verdict]:
        self._rater = self._rater or reward_model.load(self._config)
        return rated(self._rater, self._config, requests)


def _keyed(rollout: Rollout, index: int, response_format: ResponseFormat) -> Keyed:
    """A request under a key of its own: equal questions have several rollouts."""
    question = rollout.question
    return (question.question_id, "rollout", "question", 1, index), request_of_rollout(question, rollout.text, response_format)


def _scored(verdicts: Callable[[], list[Verdict]], top: float, n_rollouts: int) -> list[TermReward]:
    """The rewards for verdicts from 0 to ``top``; a model that cannot be reached fails all rollouts of the batch."""
    problem = ""
    for _ in range(TRIES):
        try:
            return [_reward(verdict, top) for verdict in verdicts()]
        except EngineFailed as error:
            problem = str(error)
    return [TermReward.failed("unreachable", problem)] * n_rollouts


def _reward(verdict: Verdict, top: float) -> TermReward:
    if verdict.verify_score is None:
        return TermReward.failed("timeout" if verdict.kind == "timeout" else "error", verdict.detail)
    return TermReward.of(verdict.verify_score / top)
