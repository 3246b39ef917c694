"""questions + responses -> verified: score every sampled response against its reference, tests, constraints or by a model."""

from collections import ChainMap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from pydantic import Field

from stillhouse.artifacts import tables
from stillhouse.errors import NothingToDo, TooManyErrors
from stillhouse.execution.contract import Outputs, StageInputs
from stillhouse.verification import self_test, stated_thresholds
from stillhouse.verification.counting import cost, counts
from stillhouse.verification.judges import Judges
from stillhouse.verification.judging import JudgeConfig
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.reward_model import RewardModelConfig
from stillhouse.verification.scoring import verdicts
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.categories import PASS_THRESHOLDS, PassThresholds
from stillhouse.vocabulary.rows import FAILED, KINDS, Question, Response, ResponseKey, Verified
from stillhouse.vocabulary.settings import StageConfig

SCHEMA_VERSION = 3
PART_RESPONSES = 4096
"""Responses to a published part: what a killed run loses at most."""


class Config(StageConfig):
    """How responses are scored."""

    timeout_s: float = Field(0.9, gt=0)
    """Seconds one answer may take before its worker is killed: a verdict within a second. Code gets its tests' limits besides."""
    pass_thresholds: PassThresholds = PASS_THRESHOLDS
    """Verify scores above which a response passes, by category. Written into the rows; all later stages go by them."""
    max_failure_rate: float = Field(0.05, ge=0, le=1)
    """Share of responses the verifier may fail on (timeout or error, after one more try); above it the stage fails."""
    judge: JudgeConfig | None = None
    """The language model that scores science, and multi_turn and other where there is no reward model."""
    second_stage: bool = False
    """Ask the judge about math answers the rule says are wrong (DeepDistill §2.4.1 does)."""
    reward_model: RewardModelConfig | None = None
    """The reward model that scores multi_turn and other."""
    self_test: bool = True
    """Before the run, try references, empty and perturbed answers on a sample of every source's questions."""
    max_self_test_failure_rate: float = Field(0.25, ge=0, le=1)
    """Share of a source's references (empty, perturbed answers) that may be judged wrongly; above it the stage fails."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """Responses, the questions with their references, and an earlier output whose verdicts are taken over."""

    questions: Path
    responses: tuple[Path, ...]
    previous: Path | None = None


def run(config: Config, inputs: Inputs) -> Outputs:
    """Verify part by part. Raises BadRows for a response to an unknown question, TooManyErrors above a ceiling."""
    questions = {row.question_id: row for row in tables.read(inputs.questions, Question)}
    categories = {question.category for question in questions.values()}
    stated_thresholds.refuse_others(inputs.uris.get("responses", ()), config.pass_thresholds, categories)
    previous = _verdicts(inputs, stated_thresholds.if_stated(inputs.previous))
    # What an earlier try of this run finished, too; what the verifier failed on is in neither, and is tried again.
    known = ChainMap(_verdicts(inputs, inputs.finished), previous)
    judges = Judges(config.judge, config.reward_model, second_stage=config.second_stage)
    total, done = sum(tables.count(path) for path in inputs.responses), 0
    found = chain.from_iterable(tables.read(path, Response) for path in inputs.responses)
    mine = (row for row in found if inputs.shard.holds(row.question_id))
    with VerifierPool(config.timeout_s) as pool:
        trial = _self_test(config, inputs, pool, questions.values())
        for part, batch in enumerate(iter(lambda: list(islice(mine, PART_RESPONSES)), [])):
            path = inputs.output / f"part-{part:05d}.parquet"
            inputs.progress(done, total, "responses")
            tables.write_part(path, verdicts(pool, questions, batch, config.pass_thresholds, judges, known), Verified)
            inputs.publish_part(path)
            done += len(batch)
    if not done and inputs.shard.count == 1:
        msg = "verified: the responses have no row for this run; nothing to verify"
        raise NothingToDo(msg)
    if not done:
        # A shard that no key fell into: without its part the whole could never be put together.
        tables.write(inputs.output, [], Verified)
    inputs.progress(done, done, "responses")
    metrics = counts(questions, tables.read(inputs.output, Verified), previous)
    _refuse_failures(config, metrics)
    return Outputs(metrics=metrics | trial | cost(inputs.uris.get("responses", ()), metrics["n_correct"]))


def _refuse_failures(config: Config, metrics: Mapping[str, float]) -> None:
    failed, total = (sum(int(metrics[f"n_{kind}"]) for kind in kinds) for kinds in (FAILED, KINDS))
    if failed > config.max_failure_rate * total:
        where = [f"{n:g} {name}" for name, n in metrics.items() if name.startswith("n_by_category") and name.endswith(FAILED)]
        msg = (
            f"verified: the verifier failed on {failed} of {total} responses ({', '.join(where)}), max_failure_rate "
            f"allows {config.max_failure_rate:g}; raise timeout_s, or look at kind and detail of those rows"
        )
        raise TooManyErrors(msg)


def _verdicts(inputs: Inputs, made: Path | None) -> dict[ResponseKey, Verified]:
    found = tables.read(made, Verified) if made else ()
    return {rows.response_key(row): row for row in found if inputs.shard.holds(row.question_id)}


def _self_test(config: Config, inputs: Inputs, pool: VerifierPool, questions: Iterable[Question]) -> dict[str, float]:
    if not config.self_test:
        return {}
    mine = (question for question in questions if inputs.shard.holds(question.question_id))
    return self_test.check(pool, mine, config.pass_thresholds, config.max_self_test_failure_rate)
