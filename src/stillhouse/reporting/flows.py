"""What became of a run's rows: questions from their sources to levels, and responses from models to examples."""

from collections.abc import Mapping

from markupsafe import Markup

from stillhouse.artifacts.manifest import Manifest
from stillhouse.artifacts.store import artifact_name
from stillhouse.reporting.sankey import Flow, Node, sankey
from stillhouse.reporting.summary import Hop, Summary
from stillhouse.vocabulary.rows import KINDS

MOST_REASONS = 8
"""Reasons, or sources, that a chart names; the others are one."""


def questions(summary: Summary) -> Markup:
    """From what the sources gave to the difficulty levels, with the reasons of those that were dropped."""
    graded, asked = _last(summary, "graded"), _asked(summary)
    if asked is None:
        return Markup("")
    read, kept = Node(0, "read"), Node(2, "kept")
    flows = []
    for source, count in (_largest(_counts(asked.manifest, "n_kept/"), "other sources") or {"sources": asked.rows or 0}).items():
        flows += [Flow(read, Node(1, source), count), Flow(Node(1, source), kept, count)]
    dropped = _largest(asked.dropped, "other reasons")
    flows += [Flow(read, Node(1, reason, lost=True), count) for reason, count in dropped.items()]
    if graded is not None:
        flows += [Flow(kept, level, count) for level, count in _levels(graded).items()]
    return sankey(flows, "questions from sources to levels")


def responses(summary: Summary) -> Markup:
    """From the models' responses by verdict to the examples of the largest split."""
    verified = _last(summary, "verified")
    if verified is None:
        return Markup("")
    sampled = {hop.uri: hop for hop in summary.of_stage("responses")}
    judged, correct = Node(1, "responses"), Node(2, "correct")
    flows = [
        Flow(Node(0, artifact_name(link.uri)), judged, sampled[link.uri].rows or 0)
        for link in verified.manifest.inputs.get("responses", [])
        if link.uri in sampled
    ]
    counts = {kind: verified.manifest.metrics.get(f"n_{kind}", 0.0) for kind in KINDS}
    flows += [Flow(judged, correct if kind == "correct" else Node(2, kind, lost=True), count) for kind, count in counts.items()]
    split, examples = _largest_split(summary, verified)
    if used := min(examples, counts["correct"]):
        rest = Node(3, f"not in {split}", lost=True)
        flows += [Flow(correct, Node(3, f"in {split}"), used), Flow(correct, rest, counts["correct"] - used)]
    return sankey(flows, "responses from models to examples")


def _levels(graded: Hop) -> dict[Node, float]:
    counts = _counts(graded.manifest, "n_level_")
    levels = {Node(3, f"level {name}"): count for name, count in counts.items() if name != "none"}
    levels[Node(3, "no level")] = counts.get("none", 0.0)
    levels[Node(3, "never solved", lost=True)] = graded.manifest.metrics.get("n_never_solved", 0.0)
    rest = (graded.rows or 0) - sum(levels.values())
    return levels | {Node(3, "not graded", lost=True): max(rest, 0.0)}


def _largest_split(summary: Summary, verified: Hop) -> tuple[str, float]:
    """The split that was given most of these verdicts' responses, and its examples; those of RL hold no response."""
    selections = [
        hop.manifest
        for hop in summary.of_stage("selected")
        if any(link.uri == verified.uri for link in hop.manifest.inputs.get("verified", []))
    ]
    splits = {split: n for manifest in selections for split, n in _counts(manifest, "n_examples/").items() if split[:2] != "rl"}
    return max(splits.items(), key=lambda item: item[1], default=("", 0.0))


def _asked(summary: Summary) -> Hop | None:
    """The questions that were graded, or else verified, or else the last ones."""
    asked = {hop.uri: hop for hop in summary.of_stage("questions")}
    for stage in ("graded", "verified"):
        hop = _last(summary, stage)
        for link in hop.manifest.inputs.get("questions", []) if hop else ():
            if link.uri in asked:
                return asked[link.uri]
    return _last(summary, "questions")


def _last(summary: Summary, stage: str) -> Hop | None:
    hops = summary.of_stage(stage)
    return hops[-1] if hops else None


def _counts(manifest: Manifest, prefix: str) -> dict[str, float]:
    return {name.removeprefix(prefix): value for name, value in manifest.metrics.items() if name.startswith(prefix)}


def _largest(counts: Mapping[str, float], others: str) -> dict[str, float]:
    """The largest counts; the rest added up under one name."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = dict(ordered[:MOST_REASONS])
    rest = sum(count for _, count in ordered[MOST_REASONS:])
    return shown | ({others: rest} if rest else {})
