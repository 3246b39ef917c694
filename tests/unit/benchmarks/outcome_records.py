"""Outcomes of reports, made by hand: no model is run."""

from stillhouse.benchmarks.intervals import Interval, pass_at_1
from stillhouse.benchmarks.outcomes import BenchmarkOutcome, EvaluationProtocol, Outcomes, RoundOutcome

SAMPLING = {"temperature": 0.6, "top_p": 0.95, "max_tokens": 64}


def round_outcome(passed: dict[str, list[bool]], interval: Interval | None = None, tokens: float = 5.0) -> RoundOutcome:
    return RoundOutcome(passed=passed, pass_at_1=interval or pass_at_1(list(passed.values())), tokens=tokens, stop_ratio=0.875)


def benchmark_outcome(rounds: dict[int, RoundOutcome], protocol: str = "p1", n_questions: int | None = None) -> BenchmarkOutcome:
    settings = EvaluationProtocol(benchmark="b@1", samples=1, sampling=SAMPLING, prompts="p", verifier="v", engine="e")
    count = len(next(iter(rounds.values())).passed) if n_questions is None else n_questions
    return BenchmarkOutcome(protocol=protocol, settings=settings, n_questions=count, n_unverified=0, rounds=rounds)


def outcomes(passed: int, benchmark: str = "arithmetic", protocol: str = "p1", number: int = 1, n: int = 200) -> Outcomes:
    """Of ``n`` questions with one sample each, the first ``passed`` pass."""
    result = round_outcome({f"q{index:03}": [index < passed] for index in range(n)})
    return Outcomes(benchmarks={benchmark: benchmark_outcome({number: result}, protocol)})


def together(*reports: Outcomes) -> Outcomes:
    """The benchmarks of several reports in one."""
    return Outcomes(benchmarks={name: outcome for report in reports for name, outcome in report.benchmarks.items()})
