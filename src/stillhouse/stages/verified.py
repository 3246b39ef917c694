"""questions + responses -> verified: score every sampled response against its reference, tests, constraints or by a model."""

from collections import ChainMap, Counter
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path

from stillhouse.artifacts import tables
from stillhouse.artifacts.letting_go import LetGo
from stillhouse.artifacts.tables import Parts
from stillhouse.errors import NothingToDo
from stillhouse.execution.contract import Outputs
from stillhouse.verification.config import VerifiedConfig, VerifiedInputs
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.rows import KINDS, Dropped, Question, Response, ResponseKey, Verified

SCHEMA_VERSION = 3
PART_RESPONSES = 4096
"""Responses per published part: the most that a killed run loses."""
Config, Inputs = VerifiedConfig, VerifiedInputs


def run(config: VerifiedConfig, inputs: VerifiedInputs) -> Outputs:
    """Verify part by part. Raises BadRows if no response answers a question that is there, TooManyErrors above a ceiling."""
    from stillhouse.verification import agreement, self_test, stated_thresholds
    from stillhouse.verification.counting import cost, counts, refuse_failures
    from stillhouse.verification.judges import Judges
    from stillhouse.verification.pool import VerifierPool
    from stillhouse.verification.scoring import verdicts
    from stillhouse.verification.verifier import with_libraries

    questions = _questions(config, inputs)
    categories = {question.category for question in questions.values()}
    stated_thresholds.refuse_others(inputs.uris.get("responses", ()), config.pass_thresholds, categories)
    previous = _earlier_verdicts(inputs, stated_thresholds.if_stated(inputs.previous))
    # Verdicts of an earlier attempt are known too; failures of the verifier are in neither map, and are tried again.
    known = ChainMap(_earlier_verdicts(inputs, inputs.finished), previous)
    judges = Judges(config.judge, config.reward_model, second_stage=config.second_stage)
    responses = chain.from_iterable(tables.read(path, Response) for path in inputs.responses)
    drops = Parts(inputs.dropped, Dropped)
    let_go = LetGo("verified", questions, drops)
    of_shard = let_go.known(row for row in responses if inputs.shard.holds(row.question_id))
    with VerifierPool(config.timeout_s, verifiers=with_libraries(config.verifiers, config.libraries)) as pool:
        self_test_metrics = self_test.before_run(config, inputs.shard, pool, judges, questions.values()) if config.self_test else {}
        done = _publish(
            inputs, of_shard, lambda batch: verdicts(pool, questions, batch, config.pass_thresholds, judges, known)
        )  # fmt: skip
        agreement_metrics = agreement.of_run(config, inputs, pool, judges)
    unknown = let_go.reasons(inputs.shard)
    drops.flush()
    if not done:
        _write_no_rows(inputs)
    inputs.progress(done, done, "responses")
    metrics = counts(questions, tables.read(inputs.output, Verified), previous)
    refuse_failures(metrics, config.max_failure_rate)
    metrics |= self_test_metrics | agreement_metrics | cost(inputs.uris.get("responses", ()), metrics["n_correct"])
    return Outputs(metrics=metrics, dropped=unknown)


def _publish(
    inputs: VerifiedInputs, responses: Iterator[Response], verdicts: Callable[[list[Response]], list[Verified]]
) -> int:  # fmt: skip
    """Publish the verdicts part by part, and log their counts by kind as curves. Returns how many there are."""
    total, done = sum(tables.count(path) for path in inputs.responses), 0
    kinds: Counter[str] = Counter()
    for part, batch in enumerate(iter(lambda: list(islice(responses, PART_RESPONSES)), [])):
        path = inputs.output / f"part-{part:05d}.parquet"
        inputs.progress(done, total, "responses")
        judged = verdicts(batch)
        tables.write_part(path, judged, Verified)
        inputs.publish_part(path)
        done += len(batch)
        kinds.update(row.kind for row in judged)
        failures = sum(kinds[kind] for kind in rows.FAILED)
        inputs.log({f"n_{kind}": float(kinds[kind]) for kind in KINDS} | {"verifier_failure_rate": failures / done}, done)
    return done


def _questions(config: VerifiedConfig, inputs: VerifiedInputs) -> dict[str, Question]:
    """The questions by id, with the recipe's rules of comparison."""
    from stillhouse.verification.scoring import with_rules

    read = (with_rules(row, config.answer_rules, config.instruction_mode) for row in tables.read(inputs.questions, Question))
    return {row.question_id: row for row in read}


def _write_no_rows(inputs: VerifiedInputs) -> None:
    """A part for a shard without any key: shards can be joined only if each has one. Raises NothingToDo for a whole run."""
    if inputs.shard.count == 1:
        msg = "verified: the responses have no row for this run; nothing to verify"
        raise NothingToDo(msg)
    tables.write(inputs.output, [], Verified)


def _earlier_verdicts(inputs: VerifiedInputs, directory: Path | None) -> dict[ResponseKey, Verified]:
    verdicts = tables.read(directory, Verified) if directory else ()
    return {rows.response_key(row): row for row in verdicts if inputs.shard.holds(row.question_id)}
