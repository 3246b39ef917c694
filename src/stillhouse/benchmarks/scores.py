"""An evaluation -> what is reported of it: pass@1 and pass@k with intervals, stop ratio and length, by round."""

from dataclasses import asdict, dataclass
from typing import Any

from stillhouse.benchmarks.evaluation import Evaluation
from stillhouse.benchmarks.intervals import Interval, pass_at_1, pass_at_k
from stillhouse.benchmarks.protocol import Protocol
from stillhouse.benchmarks.trajectories import Step, step


@dataclass(frozen=True)
class RoundScore:
    """One round of one model on one benchmark."""

    pass_at_1: Interval
    pass_at_k: dict[int, Interval]
    """For k = 2, 4, 8 … as far as every question has as many verified samples."""
    tokens: float
    stop_ratio: float


@dataclass(frozen=True)
class Measured:
    """One model on one benchmark, and all that is said of it."""

    name: str
    protocol: Protocol
    evaluation: Evaluation
    scores: dict[int, RoundScore]
    """By round."""
    steps: list[Step]
    """From round to round."""

    def metrics(self) -> dict[str, float]:
        """Names and numbers for MLflow. The protocol's id is in the name, so that only equal ones share a chart."""
        prefix = f"{self.name}/{self.protocol.id[:8]}"
        made: dict[str, float] = {}
        for number, score in self.scores.items():
            passed = score.pass_at_1
            numbers = {"pass_at_1": passed.mean, "low": passed.low, "high": passed.high}
            numbers |= {"tokens": score.tokens, "stop_ratio": score.stop_ratio}
            numbers |= {f"pass_at_{k}": interval.mean for k, interval in score.pass_at_k.items()}
            made |= {f"{prefix}/round_{number}/{name}": value for name, value in numbers.items()}
        for each in self.steps:
            flips = {"wrong_to_correct": float(each.wrong_to_correct), "correct_to_wrong": float(each.correct_to_wrong)}
            made |= {f"{prefix}/round_{each.number}/{name}": value for name, value in flips.items()}
            if each.tokens_per_point is not None:
                made[f"{prefix}/round_{each.number}/tokens_per_point"] = each.tokens_per_point
        made[f"{prefix}/n_unverified"] = sum(row.passed is None for row in self.evaluation.verified)
        return made

    def record(self) -> dict[str, Any]:
        """What a comparison needs, ready for JSON: the protocol, which samples of which question passed, the scores."""
        return {
            "protocol": self.protocol.id,
            "settings": self.protocol.model_dump(mode="json"),
            "rounds": {str(number): self.evaluation.outcomes(number) for number in self.scores},
            "scores": {str(number): asdict(score) for number, score in self.scores.items()},
            "steps": [asdict(each) for each in self.steps],
        }


def measure(name: str, protocol: Protocol, evaluation: Evaluation) -> Measured:
    """Score every round. Raises NothingToDo where the verifier failed on all of a round's answers."""
    rounds = sorted({row.round for row in evaluation.responses})
    steps = [found for number in rounds[1:] if (found := step(evaluation, number))]
    return Measured(name, protocol, evaluation, {number: _score(evaluation, number) for number in rounds}, steps)


def _score(evaluation: Evaluation, number: int) -> RoundScore:
    outcomes = list(evaluation.outcomes(number).values())
    fewest = min((len(each) for each in outcomes), default=0)
    several = {k: pass_at_k(outcomes, k) for k in (2**power for power in range(1, fewest.bit_length())) if k <= fewest}
    return RoundScore(pass_at_1(outcomes), several, evaluation.tokens(number), evaluation.stop_ratio(number))
