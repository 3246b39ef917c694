"""A run in five sentences: what happened, what it cost, what was promoted and why, what was gained, what to look at."""

from collections.abc import Iterator
from datetime import datetime

from stillhouse.benchmarks.intervals import Interval
from stillhouse.benchmarks.paired import PairedDifference, differences
from stillhouse.registry.gate import Evidence, GateDecision
from stillhouse.reporting.summary import Hop, Summary
from stillhouse.vocabulary.rows import FAILED

PROMOTED = {"champion": "was promoted to champion", "challenger": "is a challenger", "candidate": "was not promoted"}
FAILURE_SHARE, DROP_SHARE, TRUNCATED_SHARE = 0.01, 0.3, 0.1
"""Shares of verifier failures, dropped rows and truncated responses above which they are worth a look."""


def sentences(summary: Summary, model: str, version: str, decision: GateDecision) -> list[str]:
    """The five sentences. Numbers that no stage recorded are not mentioned."""
    return [
        _happened(summary), _cost(summary), _promoted(model, version, decision), _gained(summary), _look_at(summary, decision),
    ]  # fmt: skip


def gains(summary: Summary) -> tuple[str, str, list[PairedDifference]]:
    """The first checkpoint, the last one, and what the last gained on the first, by benchmark and round."""
    labels = list(summary.outcomes)
    if len(labels) < 2:
        return "", labels[0] if labels else "", []
    return labels[0], labels[-1], differences(summary.outcomes[labels[-1]], summary.outcomes[labels[0]])


def _happened(summary: Summary) -> str:
    facts = [*_question_facts(summary), *_response_facts(summary)]
    examples = sum(hop.rows or 0 for hop in summary.of_stage("selected"))
    if examples:
        facts.append(f"{examples:,} examples were selected")
    trained = len(summary.of_stage("sft")) + len(summary.of_stage("rl"))
    if trained:
        facts.append(f"{trained} checkpoint{'s were' if trained > 1 else ' was'} trained")
    if not facts:
        return "No stage of the path is known of this run: only the model and its report were given."
    return _sentence("; ".join(facts))


def _question_facts(summary: Summary) -> Iterator[str]:
    hops = summary.of_stage("questions")
    if hops:
        kept = sum(hop.rows or 0 for hop in hops)
        read = sum(int(hop.manifest.metrics.get("n_read", (hop.rows or 0) + sum(hop.dropped.values()))) for hop in hops)
        yield f"of {read:,} questions read, {kept:,} were kept"


def _response_facts(summary: Summary) -> Iterator[str]:
    responses = sum(hop.rows or 0 for hop in summary.of_stage("responses"))
    verified = summary.of_stage("verified")
    if responses:
        correct = sum(int(hop.manifest.metrics.get("n_correct", 0)) for hop in verified)
        told = f", and {correct:,} of them were correct" if verified else ""
        yield f"{responses:,} responses were sampled{told}"


def _cost(summary: Summary) -> str:
    if not summary.hops:
        return "What it cost is not known: no manifest of a stage was found."
    times = [(hop.manifest.provenance.started, hop.manifest.provenance.finished) for hop in summary.hops]
    spent = duration(sum(hop.seconds for hop in summary.hops))
    facts = [f"The stages took {spent} in all, {duration(_wall(times))} from the first to the last"]
    facts += _token_facts(summary)
    reused = sum(1 for hop in summary.hops if hop.manifest.same_as)
    if reused:
        facts.append(f"{reused} of {len(summary.hops)} results were taken over from earlier runs")
    return _sentence("; ".join(facts))


def _wall(times: list[tuple[datetime, datetime]]) -> float:
    return (max(finished for _, finished in times) - min(started for started, _ in times)).total_seconds()


def _token_facts(summary: Summary) -> Iterator[str]:
    sampled = sum(hop.manifest.metrics.get("n_completion_tokens", 0.0) for hop in summary.of_stage("responses"))
    trained = sum(hop.manifest.metrics.get("train/num_tokens", 0.0) for hop in _trainings(summary))
    per_correct = [hop.manifest.metrics.get("tokens_per_correct", 0.0) for hop in summary.of_stage("verified")]
    if sampled:
        each = f" ({per_correct[-1]:,.0f} per correct response)" if per_correct and per_correct[-1] else ""
        yield f"{sampled:,.0f} tokens were sampled{each}"
    if trained:
        yield f"{trained:,.0f} were trained on"
    gpu_seconds = sum(
        hop.manifest.metrics.get("gpu_seconds_per_response", 0.0) * hop.manifest.metrics.get("n_responses", 0.0)
        for hop in summary.of_stage("responses")
    )
    gpu_hours = {
        "sampling": gpu_seconds / 3600,
        "training": sum(hop.manifest.metrics.get("train/gpu_hours", 0.0) for hop in _trainings(summary)),
    }
    if told := [f"{work} took {hours:,.1f} GPU-hours" for work, hours in gpu_hours.items() if hours]:
        yield " and ".join(told)


def _promoted(model: str, version: str, decision: GateDecision) -> str:
    told = f"{model} version {version} {PROMOTED[decision.rank]}: {decision.why}"
    if decision.evidence:
        worst = min(decision.evidence, key=lambda item: item.difference.low + item.margin)
        told += f"; the closest call was {_evidence(worst)}"
    return _sentence(told)


def _evidence(item: Evidence) -> str:
    return f"{item.name} at {_interval(item.difference)}, margin {item.margin:g})"


def _interval(interval: Interval) -> str:
    """``+0.012 (-0.010 to +0.034``, left open for what follows."""
    return f"{interval.mean:+.3f} ({interval.low:+.3f} to {interval.high:+.3f}"


def _gained(summary: Summary) -> str:
    first, last, paired = gains(summary)
    if paired:
        told = ", ".join(f"{_interval(item.interval)}) on {item.name}" for item in paired[:3])
        more = f", and on {len(paired) - 3} more below" if len(paired) > 3 else ""
        return f"From {first} to {last}, pass@1 changed by {told}{more}; the intervals are paired, 95 %."
    if summary.scores:
        score = summary.scores[-1]
        measured = score.measured
        return (
            f"{score.label} reached a pass@1 of {measured.mean:.3f} ({measured.low:.3f} to {measured.high:.3f}) on "
            f"{score.benchmark}; no other report has the same protocol, so no gain can be told."
        )
    return "No report is known of this run, so no score can be told."


def _look_at(summary: Summary, decision: GateDecision) -> str:
    worries = [*_worse_benchmarks(decision), *_losses(summary), *_failures(summary), *_truncations(summary), *_drops(summary)]
    if not worries:
        return "Nothing stands out; the samples below show what was gained and what was lost."
    return f"Look at {'; '.join(worries[:3])}."


def _worse_benchmarks(decision: GateDecision) -> Iterator[str]:
    for item in decision.evidence:
        if item.finding != "no worse":
            yield f"{_evidence(item)}: {item.finding}"


def _losses(summary: Summary) -> Iterator[str]:
    """Rounds of thinking that turned more answers wrong than right, for the last checkpoint."""
    for label in list(summary.outcomes)[-1:]:
        for name, outcome in summary.outcomes[label].benchmarks.items():
            for step in outcome.steps:
                if step.correct_to_wrong > step.wrong_to_correct:
                    yield (
                        f"round {step.number} on {name}, which turned {step.correct_to_wrong:,} right answers wrong and "
                        f"{step.wrong_to_correct:,} wrong ones right"
                    )


def _failures(summary: Summary) -> Iterator[str]:
    for hop in summary.of_stage("verified"):
        failed = sum(hop.manifest.metrics.get(f"n_{kind}", 0.0) for kind in FAILED)
        if failed > FAILURE_SHARE * (hop.rows or 0):
            yield f"the verifier's own failures on {failed:,.0f} of {hop.rows or 0:,} responses"


def _truncations(summary: Summary) -> Iterator[str]:
    for hop in summary.of_stage("responses"):
        truncated = hop.manifest.metrics.get("n_truncated", 0.0)
        if truncated > TRUNCATED_SHARE * (hop.rows or 0):
            yield f"{truncated:,.0f} responses of {hop.label} that ended at the token limit"


def _drops(summary: Summary) -> Iterator[str]:
    for hop in summary.hops:
        total = sum(hop.dropped.values())
        if hop.rows is not None and total > DROP_SHARE * (total + hop.rows):
            reason, count = max(hop.dropped.items(), key=lambda item: item[1])
            yield f"what {hop.label} dropped: {total:,} rows, {count:,} of them as {reason}"


def _trainings(summary: Summary) -> list[Hop]:
    return [*summary.of_stage("sft"), *summary.of_stage("rl")]


def duration(seconds: float) -> str:
    """``40 s``, ``12 min`` or ``5.5 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _sentence(text: str) -> str:
    """With a capital letter and a full stop. A text that begins with a model's name keeps it."""
    start = text[:1].upper() if text.startswith("of ") else text[:1]
    return f"{start}{text[1:].rstrip('.')}."
