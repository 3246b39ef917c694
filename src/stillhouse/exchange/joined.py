"""Artifacts -> the records of a release: every training example, or every response, joined to all that is known of it.

Of responses, those to the questions themselves: a further round answers another prompt. Memory grows with the questions (about a
kilobyte each, tests aside) and with the verdicts (about 200 bytes each), not with the texts of the responses.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import store, tables
from stillhouse.artifacts.manifest import Link
from stillhouse.errors import BadConfig, BadRows, StaleOutput
from stillhouse.exchange.record import IMPORTED, UNNAMED, Record, parsed
from stillhouse.vocabulary.rows import Graded, Question, Response, Screened, Selected, Verified, response_key

STAGES = ("selected", "graded", "screened", "verified", "responses", "questions")
"""The artifacts that have something to say in a release."""
K = TypeVar("K")
V = TypeVar("V")
Directories = Mapping[str, Sequence[Path]]


def artifacts(uris: Sequence[str]) -> dict[str, list[Link]]:
    """The artifacts at the URIs and those they were made of, by stage, nearest first; what questions were made of is left out.

    Raises MissingInput for one that is gone, BadConfig for one that says nothing in a release, StaleOutput for one that was made
    anew since.
    """
    found: dict[str, list[Link]] = {name: [] for name in STAGES}
    pending: list[tuple[str, str | None]] = [(store.absolute(uri), None) for uri in uris]
    while pending:
        uri, expected = pending.pop(0)
        manifest = manifests.load(uri)
        if manifest.stage not in found:
            msg = f"{uri} is a {manifest.stage} artifact; export {', '.join(STAGES[:-1])} or {STAGES[-1]}"
            raise BadConfig(msg)
        if expected not in {None, manifest.fingerprint}:
            msg = f"{uri} has fingerprint {manifest.fingerprint}, what was made of it says {expected}; export what belongs together"
            raise StaleOutput(msg)
        link = Link(uri=uri, fingerprint=manifest.fingerprint)
        if link not in found[manifest.stage]:
            found[manifest.stage].append(link)
            links = {} if manifest.stage == "questions" else manifest.inputs
            pending += [(each.uri, each.fingerprint) for name in STAGES for each in links.get(name, ())]
    return found


@dataclass(frozen=True)
class Known:
    """What is known of questions by id, and of responses by the hash of their key."""

    questions: Mapping[str, Question]
    pass_rates: Mapping[str, Mapping[str, float]]
    scores: Mapping[int, float | None]
    perplexities: Mapping[int, float | None]


def records(directories: Directories, splits: Collection[str] = ()) -> Iterator[Record]:
    """The records: of the examples of these splits (all by default) where there is a ``selected``, else of responses and questions.

    Raises BadRows for an example or a response to a question that is not there.
    """
    asked = {question_id for (question_id,) in _columns(directories["selected"], "question_id")} or None

    def rows_of(stage: str, row_type: type[Any]) -> Iterator[Any]:
        """What is known of the questions asked for."""
        return (row for row in _rows(directories[stage], row_type) if asked is None or row.question_id in asked)

    graded = rows_of("graded", Graded)
    known = Known(
        _first((row.question_id, row) for row in rows_of("questions", Question)),
        _first((row.question_id, {grade["model"]: grade["pass_rate"] for grade in row.models}) for row in graded),
        _first((hash(response_key(row)), row.verify_score) for row in rows_of("verified", Verified)),
        _first((hash(response_key(row)), row.perplexity) for row in rows_of("screened", Screened)),
    )
    return _examples(directories, known, splits) if directories["selected"] else _responses(directories, known)


def _examples(directories: Directories, known: Known, splits: Collection[str]) -> Iterator[Record]:
    """One record for every example; what several splits hold comes once, what one split holds twice comes twice."""
    wanted = {_example_hash(row) for row in _rows(directories["selected"], Selected)}
    facts: dict[int, tuple[str, float | None]] = {}
    for response in _rows(directories["responses"], Response):
        for text in (response.text, response.answer):
            if (found := hash((response.question_id, response.model, text))) in wanted:
                facts[found] = (response.sampling_id, known.perplexities.get(hash(response_key(response))))
    seen, given = Counter[tuple[str, int]](), Counter[int]()
    for row in _rows(directories["selected"], Selected):
        found = _example_hash(row)
        seen[row.split, found] += 1
        if (splits and row.split not in splits) or seen[row.split, found] <= given[found]:
            continue
        given[found] += 1
        sampling_id, perplexity = facts.get(found, (IMPORTED, None))
        text = _text(row)
        think, answer = parsed(text) if text is not None else (None, None)
        yield _record(
            known, row.question_id, messages=row.messages if text is None else row.messages[:-1], text=text, think=think,
            answer=answer, model=row.model or UNNAMED, sampling_id=sampling_id, verify_score=row.verify_score,
            perplexity=perplexity,
        )  # fmt: skip


def _text(row: Selected) -> str | None:
    """What the example teaches to say; None for one that RL is to answer."""
    last = row.messages[-1]
    return last["content"] if last["role"] == "assistant" else None


def _example_hash(row: Selected) -> int:
    return hash((row.question_id, row.model, _text(row)))


def _responses(directories: Directories, known: Known) -> Iterator[Record]:
    """One record for every response, and for a question without one; in the order of the questions where responses follow it."""
    kinds = _columns(directories["responses"], "question_id", "prompt_kind", "round")
    answered = {question_id for question_id, kind, number in kinds if (kind, number) == ("question", 1)}
    order = list(known.questions)
    place = {question_id: number for number, question_id in enumerate(order)}
    passed = 0
    for row in _rows(directories["responses"], Response):
        if (row.prompt_kind, row.round) != ("question", 1):
            continue
        upto = place.get(row.question_id, -1)
        yield from (_record(known, each) for each in order[passed:upto] if each not in answered)
        passed = max(passed, upto + 1)
        key = hash(response_key(row))
        yield _record(
            known, row.question_id, text=row.text, think=row.think, answer=row.answer, model=row.model, sampling_id=row.sampling_id,
            verify_score=known.scores.get(key), perplexity=known.perplexities.get(key),
        )  # fmt: skip
    yield from (_record(known, each) for each in order[passed:] if each not in answered)


def _record(known: Known, question_id: str, **changes: Any) -> Record:
    asked = known.questions.get(question_id)
    if asked is None:
        msg = f"question {question_id} is in no questions artifact; give the one its responses were made of as another URI"
        raise BadRows(msg)
    values = {"messages": asked.messages, **changes}
    return Record(
        category=asked.category, source=asked.source, reference_answer=asked.reference_answer, test_cases=asked.test_cases,
        constraints=asked.constraints, pass_rates=known.pass_rates.get(question_id, {}), license=asked.license,
        language=asked.language, difficulty_label=asked.difficulty_label, original_response=asked.original_response, **values,
    )  # fmt: skip


def _rows(directories: Iterable[Path], row_type: type[Any]) -> Iterator[Any]:
    return chain.from_iterable(tables.read(directory, row_type) for directory in directories)


def _columns(directories: Iterable[Path], *names: str) -> Iterator[tuple[Any, ...]]:
    """Columns of the artifacts, without reading the others."""
    for path in chain.from_iterable(tables.parts(directory) for directory in directories):
        for batch in pq.ParquetFile(path, page_checksum_verification=True).iter_batches(columns=list(names)):
            yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)


def _first(pairs: Iterable[tuple[K, V]]) -> dict[K, V]:
    """A mapping in which the first value of a key stays: artifacts come nearest first."""
    found: dict[K, V] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found
