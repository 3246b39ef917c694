"""Rollouts -> rewards: the weighted sum of the recipe's terms.

A rollout's reward is the sum over the terms for its category, each times its weight. If one of them says nothing of it (None) or
fails, the rollout has no reward, and so no gradient: a sum without that term would not compare with the rest of its group.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from stillhouse.execution import processes
from stillhouse.training.rl.config import RlConfig
from stillhouse.training.rl.reward_terms.config import EndpointTerm, FunctionTerm, JudgeTerm, RewardModelTerm, TermConfig
from stillhouse.training.rl.reward_terms.model_rewards import JudgeReward, RewardModelReward
from stillhouse.training.rl.reward_terms.own_function import FunctionReward
from stillhouse.training.rl.reward_terms.reward_service import EndpointReward
from stillhouse.training.rl.reward_terms.rollout import RewardTerm, Rollout, TermReward
from stillhouse.training.rl.rollout_scorers import RolloutScorer, VerifierScorer
from stillhouse.verification.verdict import Verdict
from stillhouse.vocabulary.categories import SCALES, Category
from stillhouse.vocabulary.rows import Question, VerdictKind


@dataclass(frozen=True)
class ScoredRollout:
    """What a rollout is worth. ``by_term`` has the terms for its category."""

    reward: float | None
    by_term: dict[str, TermReward]
    verdict: Verdict
    """The verifier's; where no rule scores the question, what the reward amounts to, on the category's scale."""


class VerifierReward:
    """The verifier's verdict over its category's scale."""

    def preflight(self) -> None:
        """Nothing to find out: its workers start with the first rollouts."""

    def score(self, rollouts: Sequence[Rollout]) -> list[TermReward]:
        """See RewardTerm."""
        return [_of_verdict(rollout) for rollout in rollouts]


class WeightedTerms:
    """All terms of a recipe; a context manager, since the verifiers hold processes."""

    def __init__(self, configs: Sequence[TermConfig], terms: Sequence[RewardTerm], scorer: RolloutScorer) -> None:
        """``terms``: of the ``configs``, in order. ``scorer``: makes the verdicts that terms are shown."""
        self.configs = list(configs)
        self._terms, self._scorer = list(terms), scorer

    def __enter__(self) -> Self:
        self._scorer.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._scorer.__exit__(kind, error, traceback)

    def preflight(self) -> None:
        """Raise BadConfig or EngineFailed if a term cannot score. All ranks call, the first one tries."""
        processes.from_first(self._preflight)

    def _preflight(self) -> None:
        for term in self._terms:
            term.preflight()

    def warm(self, questions: Iterable[Question]) -> None:
        """Get the verifiers ready for answers to these questions, in the background."""
        self._scorer.warm(questions)

    def score(self, rollouts: Sequence[Rollout]) -> list[ScoredRollout]:
        """What each rollout is worth, in order; the verdicts are made here."""
        verdicts = self._scorer.score([rollout.question for rollout in rollouts], [rollout.text for rollout in rollouts])
        judged = [replace(rollout, verdict=verdict) for rollout, verdict in zip(rollouts, verdicts, strict=True)]
        by_rollout: list[dict[str, TermReward]] = [{} for _ in judged]
        for config, term in zip(self.configs, self._terms, strict=True):
            indices = [index for index, rollout in enumerate(judged) if config.rewards(rollout.question.category)]
            for index, reward in zip(indices, term.score([judged[index] for index in indices]) if indices else (), strict=True):
                by_rollout[index][config.label] = reward.weighed(config.weight)
        return [self._scored(*pair) for pair in zip(judged, by_rollout, strict=True)]

    def _scored(self, rollout: Rollout, by_term: dict[str, TermReward]) -> ScoredRollout:
        weights = {config.label: config.weight for config in self.configs if config.label in by_term}
        values = {name: reward.value for name, reward in by_term.items()}
        known = [weights[name] * value for name, value in values.items() if value is not None]
        reward = sum(known) if len(known) == len(values) else None
        most = sum(weight for weight in weights.values() if weight > 0) or 1.0
        return ScoredRollout(reward, by_term, rollout.verdict or _amounting(rollout.question.category, reward, most, by_term))


def load(config: RlConfig) -> WeightedTerms:
    """The terms of a recipe. Raises BadConfig if one cannot be loaded, or has no address."""
    scorer = VerifierScorer(config.verify_timeout_s, config.libraries, config.response_format)
    return WeightedTerms(config.rewards, [_loaded(term, config) for term in config.rewards], scorer)


def _loaded(term: TermConfig, config: RlConfig) -> RewardTerm:
    if isinstance(term, JudgeTerm):
        return JudgeReward(term, config.response_format)
    if isinstance(term, RewardModelTerm):
        return RewardModelReward(term, config.response_format)
    if isinstance(term, EndpointTerm):
        return EndpointReward(term)
    return FunctionReward(term) if isinstance(term, FunctionTerm) else VerifierReward()


def _of_verdict(rollout: Rollout) -> TermReward:
    verdict = rollout.verdict
    if verdict is None or verdict.verify_score is None:
        is_timeout = verdict is not None and verdict.kind == "timeout"
        return TermReward.failed("timeout" if is_timeout else "error", verdict.detail if verdict else "no rule scores the question")
    return TermReward.of(verdict.verify_score / SCALES[rollout.question.category])


def _amounting(category: Category, reward: float | None, most: float, by_term: dict[str, TermReward]) -> Verdict:
    """The verdict that stands for a reward where no rule scores: its share of ``most``, on the category's scale."""
    method = "+".join(by_term)
    if reward is None:
        return Verdict("error", None, method, "; ".join(f"{name}: {term.detail}" for name, term in by_term.items() if term.detail))
    share = reward / most
    kind: VerdictKind = "correct" if share >= 1 else "partial" if share > 0 else "wrong"
    return Verdict(kind, share * SCALES[category], method)
