"""An evaluation -> what a report says about it: pass@1 and pass@k with intervals, stop ratio and length, by round."""

from dataclasses import dataclass

from stillhouse.benchmarks.evaluation import Evaluation
from stillhouse.benchmarks.intervals import pass_at_1, pass_at_k
from stillhouse.benchmarks.outcomes import BenchmarkOutcome, EvaluationProtocol, RoundOutcome
from stillhouse.benchmarks.trajectories import round_step


@dataclass(frozen=True)
class Measured:
    """One model on one benchmark: its rows, and their outcome."""

    name: str
    evaluation: Evaluation
    outcome: BenchmarkOutcome

    def metrics(self) -> dict[str, float]:
        """Names and values for MLflow. The protocol's id is in the name, so that only equal protocols share a chart."""
        prefix = f"{self.name}/{self.outcome.protocol[:8]}"
        values: dict[str, float] = {}
        for number, result in self.outcome.rounds.items():
            interval = result.pass_at_1
            of_round = {"pass_at_1": interval.mean, "low": interval.low, "high": interval.high}
            of_round |= {"tokens": result.tokens, "stop_ratio": result.stop_ratio}
            of_round |= {f"pass_at_{k}": several.mean for k, several in result.pass_at_k.items()}
            values |= {f"{prefix}/round_{number}/{name}": value for name, value in of_round.items()}
        for step in self.outcome.steps:
            flips = {"wrong_to_correct": float(step.wrong_to_correct), "correct_to_wrong": float(step.correct_to_wrong)}
            values |= {f"{prefix}/round_{step.number}/{name}": value for name, value in flips.items()}
            if step.tokens_per_point is not None:
                values[f"{prefix}/round_{step.number}/tokens_per_point"] = step.tokens_per_point
        values[f"{prefix}/n_unverified"] = self.outcome.n_unverified
        return values


def measure(name: str, protocol: EvaluationProtocol, evaluation: Evaluation) -> Measured:
    """Score every round. Raises NothingToDo if the verifier failed on all responses of a round."""
    numbers = sorted({row.round for row in evaluation.responses})
    outcome = BenchmarkOutcome(
        protocol=protocol.id,
        settings=protocol,
        n_questions=len(evaluation.questions),
        n_unverified=sum(row.passed is None for row in evaluation.verified),
        rounds={number: _round_outcome(evaluation, number) for number in numbers},
        steps=[step for number in numbers[1:] if (step := round_step(evaluation, number))],
    )
    return Measured(name, evaluation, outcome)


def _round_outcome(evaluation: Evaluation, number: int) -> RoundOutcome:
    passed = evaluation.outcomes(number)
    outcomes = list(passed.values())
    fewest = min((len(samples) for samples in outcomes), default=0)
    return RoundOutcome(
        passed=passed,
        pass_at_1=pass_at_1(outcomes),
        pass_at_k={k: pass_at_k(outcomes, k) for k in (2**power for power in range(1, fewest.bit_length())) if k <= fewest},
        tokens=evaluation.tokens(number),
        stop_ratio=evaluation.stop_ratio(number),
    )
