"""questions + responses -> verified: score every sampled response against its reference."""

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from pydantic import Field

from stillhouse import rows
from stillhouse.errors import NothingToDo, TooManyErrors
from stillhouse.grading import PassThresholds
from stillhouse.rows import Question, Response, Verified
from stillhouse.stage import Outputs, StageConfig, StageInputs
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.scoring import request_of, verified_row
from stillhouse.verification.verdict import FAILED, KINDS

PART_RESPONSES = 4096
"""Responses to a published part: what a killed run loses at most."""


class Config(StageConfig):
    """How responses are scored."""

    timeout_s: float = Field(10, gt=0)
    """Seconds one answer may take before its worker is killed."""
    pass_thresholds: PassThresholds = PassThresholds()
    """Verify scores above which a response passes, by category."""
    max_failure_rate: float = Field(0.05, ge=0, le=1)
    """Share of responses the verifier may fail on (timeout or error, after one more try); above it the stage fails."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """Responses, and the questions with their references."""

    questions: Path
    responses: tuple[Path, ...]


def run(config: Config, inputs: Inputs) -> Outputs:
    """Verify part by part. Raises BadRows for a response to an unknown question, TooManyErrors above the ceiling."""
    questions = {row.question_id: row for row in rows.read(inputs.questions, Question)}
    total, done = sum(rows.count(path) for path in inputs.responses), 0
    found = chain.from_iterable(rows.read(path, Response) for path in inputs.responses)
    mine = (row for row in found if inputs.shard.holds(row.question_id))
    with VerifierPool(config.timeout_s) as pool:
        for part, batch in enumerate(iter(lambda: list(islice(mine, PART_RESPONSES)), [])):
            path = inputs.output / f"part-{part:05d}.parquet"
            if not _carried_over(inputs, path):
                inputs.progress(done, total, "responses")
                rows.write_part(path, verdicts(pool, questions, batch, config.pass_thresholds), Verified)
                inputs.publish_part(path)
            done += len(batch)
    if not done and inputs.shard.count == 1:
        msg = "verified: the responses have no row for this run; nothing to verify"
        raise NothingToDo(msg)
    if not done:
        # A shard that no key fell into: without its part the whole could never be put together.
        rows.write(inputs.output, [], Verified)
    inputs.progress(done, done, "responses")
    return _result(config, rows.read(inputs.output, Verified))


def verdicts(
    pool: VerifierPool, questions: Mapping[str, Question], responses: Sequence[Response], thresholds: PassThresholds | None = None
) -> list[Verified]:
    """The verdict on each response, in order; what the verifier failed on is tried once more. Raises BadRows."""
    requests = [request_of(questions, response) for response in responses]
    found = list(pool.verify(requests))
    again = [place for place, verdict in enumerate(found) if verdict.kind in FAILED]
    for place, verdict in zip(again, pool.verify(requests[place] for place in again), strict=True):
        found[place] = verdict
    limits = thresholds or PassThresholds()
    return [verified_row(*each, limits) for each in zip(requests, responses, found, strict=True)]


def _carried_over(inputs: Inputs, path: Path) -> bool:
    """Take a part over from an earlier try: parts are cut at the same places every time."""
    finished = inputs.finished / path.name if inputs.finished else None
    if finished is None or not finished.is_file():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(finished, path)
    return True


def _result(config: Config, made: Iterable[Verified]) -> Outputs:
    """Counts by kind and accuracy by model. Raises TooManyErrors where the verifier itself failed too often."""
    kinds: Counter[str] = Counter()
    passed: Counter[tuple[str, bool]] = Counter()
    for row in made:
        kinds[row.kind] += 1
        if row.passed is not None:
            passed[row.model, row.passed] += 1
    failures = sum(kinds[kind] for kind in FAILED)
    if failures > config.max_failure_rate * kinds.total():
        msg = (
            f"verified: the verifier failed on {failures} of {kinds.total()} responses ({dict(kinds)}), max_failure_rate allows "
            f"{config.max_failure_rate:g}; raise timeout_s, or look at kind and detail of those rows"
        )
        raise TooManyErrors(msg)
    models = sorted({model for model, _ in passed})
    accuracy = {f"accuracy/{model}": passed[model, True] / (passed[model, True] + passed[model, False]) for model in models}
    return Outputs(metrics={**accuracy, **{f"n_{kind}": float(kinds[kind]) for kind in KINDS}})
