"""Join artifacts into the records of a release: one per training example or response, with everything known about it.

Only responses to the questions themselves are exported: a further round answers another prompt. Memory grows with the questions
(about a kilobyte each, plus tests) and the verdicts (about 200 bytes each), not with the texts of the responses.
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
from stillhouse.errors import BadConfig, BadRows, NothingToDo, StaleOutput
from stillhouse.exchange.record import IMPORTED, UNNAMED, Record, parsed
from stillhouse.execution.input_links import fetch
from stillhouse.vocabulary.rows import Graded, Question, Response, Screened, Selected, Verified, response_key

STAGES = ("selected", "graded", "screened", "verified", "responses", "questions")
"""The artifacts that a release is joined from."""
CURATED = "curated"
"""Names the questions from which curation made those that stand for them."""
K = TypeVar("K")
V = TypeVar("V")
Directories = Mapping[str, Sequence[Path]]


def artifacts(uris: Sequence[str]) -> dict[str, list[Link]]:
    """The artifacts at the URIs and their inputs, by stage, nearest first; the inputs of questions are left out.

    Questions from which curation made others of them are listed apart, as CURATED: what it dropped is in no release. Raises
    MissingInput if one is gone, BadConfig for a stage that a release has no use for, StaleOutput if one was remade since.
    """
    links_by_stage: dict[str, list[Link]] = {name: [] for name in STAGES}
    curated_from: set[str] = set()
    pending: list[tuple[str, str | None]] = [(store.absolute(uri), None) for uri in uris]
    while pending:
        uri, expected = pending.pop(0)
        manifest = manifests.load(uri)
        if manifest.stage not in links_by_stage:
            msg = f"{uri} is a {manifest.stage} artifact; export {', '.join(STAGES[:-1])} or {STAGES[-1]}"
            raise BadConfig(msg)
        if expected not in {None, manifest.fingerprint}:
            msg = f"{uri} has fingerprint {manifest.fingerprint}, but an artifact made of it expects {expected}; export one run"
            raise StaleOutput(msg)
        link = Link(uri=uri, fingerprint=manifest.fingerprint)
        if link not in links_by_stage[manifest.stage]:
            links_by_stage[manifest.stage].append(link)
            links = {} if manifest.stage == "questions" else manifest.inputs
            pending += [(source.uri, source.fingerprint) for name in STAGES for source in links.get(name, ())]
            if manifest.stage == "questions":
                curated_from.update(source.fingerprint for source in manifest.inputs.get("imported", ()))
    of_questions = links_by_stage["questions"]
    links_by_stage[CURATED] = [link for link in of_questions if link.fingerprint in curated_from]
    links_by_stage["questions"] = [link for link in of_questions if link.fingerprint not in curated_from]
    return links_by_stage


def fetched(uris: Sequence[str], scratch: Path, splits: Collection[str] = ()) -> dict[str, list[Path]]:
    """The artifacts at the URIs and their inputs, by stage, on this machine.

    Raises as ``artifacts`` does, and BadConfig for splits without a selected artifact.
    """
    links_by_stage = artifacts(uris)
    if splits and not links_by_stage["selected"]:
        msg = f"--split {next(iter(splits))}: no selected artifact was given; leave --split out"
        raise BadConfig(msg)
    return {stage: [fetch(stage, link, scratch) for link in links] for stage, links in links_by_stage.items()}


def split_names(directories: Directories, wanted: Collection[str] = ()) -> list[str]:
    """The splits of the selected examples, in the order in which they come; only the wanted ones if any are named.

    Raises NothingToDo if a wanted one has no example.
    """
    names = list(dict.fromkeys(name for (name,) in _columns(directories["selected"], "split")))
    if missing := sorted(set(wanted) - set(names)):
        msg = f"--split {missing[0]}: no row to export in split {missing[0]}; splits: {', '.join(names)}"
        raise NothingToDo(msg)
    return [name for name in names if not wanted or name in wanted]


@dataclass(frozen=True)
class Known:
    """Facts about questions by id, and about responses by the hash of their key."""

    questions: Mapping[str, Question]
    pass_rates: Mapping[str, Mapping[str, float]]
    scores: Mapping[int, float | None]
    perplexities: Mapping[int, float | None]


def records(directories: Directories, splits: Collection[str] = ()) -> Iterator[Record]:
    """The records of the examples in these splits (default: all) if there is a ``selected``, else of responses and questions.

    Raises BadRows for an example or a response whose question is missing.
    """
    wanted = {question_id for (question_id,) in _columns(directories["selected"], "question_id")} or None

    def rows_of(stage: str, row_type: type[Any]) -> Iterator[Any]:
        """The rows about the wanted questions."""
        return (row for row in _rows(directories[stage], row_type) if wanted is None or row.question_id in wanted)

    graded = rows_of("graded", Graded)
    known = Known(
        _first((row.question_id, row) for row in rows_of("questions", Question)),
        _first((row.question_id, {grade["model"]: grade["pass_rate"] for grade in row.models}) for row in graded),
        _first((hash(response_key(row)), row.verify_score) for row in rows_of("verified", Verified)),
        _first((hash(response_key(row)), row.perplexity) for row in rows_of("screened", Screened)),
    )
    return _examples(directories, known, splits) if directories["selected"] else _responses(directories, known)


def _examples(directories: Directories, known: Known, splits: Collection[str]) -> Iterator[Record]:
    """One record per example: once if it is in several splits, twice if it is in one split twice."""
    wanted = {_example_hash(row) for row in _rows(directories["selected"], Selected)}
    facts: dict[int, tuple[str, float | None]] = {}
    for response in _rows(directories["responses"], Response):
        for text in (response.text, response.answer):
            if (example := hash((response.question_id, response.model, text))) in wanted:
                facts[example] = (response.sampling_id, known.perplexities.get(hash(response_key(response))))
    seen, yielded = Counter[tuple[str, int]](), Counter[int]()
    for row in _rows(directories["selected"], Selected):
        example = _example_hash(row)
        seen[row.split, example] += 1
        if (splits and row.split not in splits) or seen[row.split, example] <= yielded[example]:
            continue
        yielded[example] += 1
        sampling_id, perplexity = facts.get(example, (IMPORTED, None))
        text = _text(row)
        think, answer = parsed(text) if text is not None else (None, None)
        yield _record(
            known, row.question_id, messages=row.messages if text is None else row.messages[:-1], text=text, think=think,
            answer=answer, model=row.model or UNNAMED, sampling_id=sampling_id, verify_score=row.verify_score,
            perplexity=perplexity, split=row.split,
        )  # fmt: skip


def _text(row: Selected) -> str | None:
    """The response that the example teaches; None for a rollout prompt."""
    last = row.messages[-1]
    return last["content"] if last["role"] == "assistant" else None


def _example_hash(row: Selected) -> int:
    return hash((row.question_id, row.model, _text(row)))


def _responses(directories: Directories, known: Known) -> Iterator[Record]:
    """One record per response and per unanswered question, in the order of the questions if the responses follow it."""
    kinds = _columns(directories["responses"], "question_id", "prompt_kind", "round")
    answered = {question_id for question_id, kind, number in kinds if (kind, number) == ("question", 1)}
    order = list(known.questions)
    position = {question_id: number for number, question_id in enumerate(order)}
    let_go = {question_id for (question_id,) in _columns(directories.get(CURATED, ()), "question_id")} - position.keys()
    passed = 0
    for row in _rows(directories["responses"], Response):
        if (row.prompt_kind, row.round) != ("question", 1) or row.question_id in let_go:
            continue
        upto = position.get(row.question_id, -1)
        yield from (_record(known, other) for other in order[passed:upto] if other not in answered)
        passed = max(passed, upto + 1)
        key = hash(response_key(row))
        yield _record(
            known, row.question_id, text=row.text, think=row.think, answer=row.answer, model=row.model, sampling_id=row.sampling_id,
            verify_score=known.scores.get(key), perplexity=known.perplexities.get(key),
        )  # fmt: skip
    yield from (_record(known, other) for other in order[passed:] if other not in answered)


def _record(known: Known, question_id: str, **changes: Any) -> Record:
    question = known.questions.get(question_id)
    if question is None:
        msg = f"question {question_id} is not in any questions artifact; add the URI of the questions that its responses answer"
        raise BadRows(msg)
    values = {"messages": question.messages, **changes}
    return Record(
        category=question.category, source=question.source, reference_answer=question.reference_answer,
        test_cases=question.test_cases, constraints=question.constraints, pass_rates=known.pass_rates.get(question_id, {}),
        license=question.license, language=question.language, difficulty_label=question.difficulty_label,
        original_response=question.original_response, question_id=question_id, **values,
    )  # fmt: skip


def _rows(directories: Iterable[Path], row_type: type[Any]) -> Iterator[Any]:
    return chain.from_iterable(tables.read(directory, row_type) for directory in directories)


def _columns(directories: Iterable[Path], *names: str) -> Iterator[tuple[Any, ...]]:
    """These columns of the artifacts, row by row; no other column is read."""
    for path in chain.from_iterable(tables.parts(directory) for directory in directories):
        for batch in pq.ParquetFile(path, page_checksum_verification=True).iter_batches(columns=list(names)):
            yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)


def _first(pairs: Iterable[tuple[K, V]]) -> dict[K, V]:
    """A mapping that keeps the first value of each key: artifacts come nearest first."""
    firsts: dict[K, V] = {}
    for key, value in pairs:
        firsts.setdefault(key, value)
    return firsts
