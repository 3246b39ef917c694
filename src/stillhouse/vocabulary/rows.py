"""The rows that flow from stage to stage, in path order, with their Parquet schema.

Column names and types are the contract between stages and between releases. An artifact keeps its rows in ``part-*.parquet``
(zstd) beside the manifest, and the rows that its stage dropped in ``dropped/`` with the reason.
"""

import json
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Protocol, TypedDict, get_args

import pyarrow as pa

from stillhouse.vocabulary.categories import Category

PromptKind = Literal["question", "previous_answer", "summary"]
FinishReason = Literal["stop", "length", "error"]
Mode = Literal["full", "answer", "summary", "original"]
"""What an example trains on: the whole response, its answer, a summary of its thinking, or the response the question came with."""
PersonalData = Literal["email", "phone", "card", "iban", "ip_address", "us_ssn", "secret_key"]
"""Kinds of personal data that rules look for."""
ScoredKind = Literal["correct", "partial", "wrong", "no_answer", "malformed", "truncated"]
FailedKind = Literal["timeout", "error"]
VerdictKind = ScoredKind | FailedKind

SCORED: tuple[ScoredKind, ...] = get_args(ScoredKind)
"""Kinds of verdict that count towards a pass rate."""
FAILED: tuple[FailedKind, ...] = get_args(FailedKind)
"""The verifier's own failures: they say nothing about the answer."""
KINDS: tuple[VerdictKind, ...] = (*SCORED, *FAILED)


class Message(TypedDict):
    """One turn of a conversation."""

    role: str
    content: str


class Row(Protocol):
    """A row type: a dataclass with a Parquet schema and the names of its key columns."""

    SCHEMA: ClassVar[pa.Schema]
    KEY: ClassVar[tuple[str, ...]]
    __dataclass_fields__: ClassVar[dict[str, Any]]


def _schema(**columns: pa.DataType | tuple[pa.DataType, bool]) -> pa.Schema:
    """A schema; a bare type is required, ``(type, True)`` is nullable."""
    typed = [(name, kind if isinstance(kind, tuple) else (kind, False)) for name, kind in columns.items()]
    return pa.schema([pa.field(name, kind, nullable=nullable) for name, (kind, nullable) in typed])


_TEXT, _MAYBE_TEXT = pa.string(), (pa.string(), True)
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_RESPONSE_KEY = {"question_id": _TEXT, "model": _TEXT, "prompt_kind": _TEXT, "round": pa.int32(), "sample_index": pa.int32()}


@dataclass(frozen=True, slots=True)
class Question:
    """One question, with everything a verifier needs to score an answer."""

    SCHEMA: ClassVar[pa.Schema] = _schema(
        question_id=_TEXT, category=_TEXT, messages=_MESSAGES, reference_answer=_MAYBE_TEXT, test_cases=_MAYBE_TEXT,
        constraints=_MAYBE_TEXT, original_response=_MAYBE_TEXT, source=_MAYBE_TEXT, license=_MAYBE_TEXT,
        language=_MAYBE_TEXT, difficulty_label=_MAYBE_TEXT, n_tokens=(pa.int32(), True),
    )  # fmt: skip
    KEY: ClassVar[tuple[str, ...]] = ("question_id",)

    question_id: str
    category: Category
    messages: list[Message]
    reference_answer: str | None = None
    test_cases: str | None = None
    constraints: str | None = None
    original_response: str | None = None
    source: str | None = None
    license: str | None = None
    language: str | None = None
    difficulty_label: str | None = None
    n_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Keyed:
    """The key that joins a response to its verdict and its screening."""

    KEY: ClassVar[tuple[str, ...]] = tuple(_RESPONSE_KEY)

    question_id: str
    model: str
    prompt_kind: PromptKind
    round: int
    sample_index: int


@dataclass(frozen=True, slots=True)
class Response(Keyed):
    """One sampled response. The first five columns are its key."""

    SCHEMA: ClassVar[pa.Schema] = _schema(
        **_RESPONSE_KEY, text=_TEXT, think=_MAYBE_TEXT, answer=_MAYBE_TEXT, finish_reason=_TEXT,
        prompt_tokens=pa.int32(), completion_tokens=pa.int32(), seed=pa.int64(), sampling_id=_TEXT,
    )  # fmt: skip
    text: str
    think: str | None
    answer: str | None
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    seed: int
    sampling_id: str


@dataclass(frozen=True, slots=True)
class Verified(Keyed):
    """The verdict on one response.

    ``verify_score`` and ``threshold`` are on the category's own scale (DeepDistill §2.4.1); ``passed`` says whether the score is
    above the threshold, and later stages go by it. Score and ``passed`` are null where the verifier failed. ``content_id`` names
    the judged content: a later run takes over the verdict on equal content.
    """

    SCHEMA: ClassVar[pa.Schema] = _schema(
        **_RESPONSE_KEY, kind=_TEXT, verify_score=(pa.float64(), True), passed=(pa.bool_(), True), method=_TEXT,
        detail=_TEXT, seconds=pa.float64(), content_id=_TEXT, threshold=(pa.float64(), True),
    )  # fmt: skip
    kind: VerdictKind
    verify_score: float | None
    passed: bool | None
    method: str
    detail: str
    seconds: float
    content_id: str = ""
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Screened(Keyed):
    """The measurements of the quality rules on one response, and whether training may use it."""

    SCHEMA: ClassVar[pa.Schema] = _schema(
        **_RESPONSE_KEY, perplexity=(pa.float64(), True), longest_repeat=pa.int32(), frequent_ngrams=pa.int32(),
        structure_ok=pa.bool_(), kept=pa.bool_(), reason=_MAYBE_TEXT,
    )  # fmt: skip
    perplexity: float | None
    longest_repeat: int
    frequent_ngrams: int
    structure_ok: bool
    kept: bool
    reason: str | None


_RATES = [(name, pa.float64()) for name in ("pass_rate", "mean_score", "cv", "low", "high")]
_GRADES = pa.list_(pa.struct([("model", pa.string()), ("n", pa.int32()), *_RATES]))


class ModelGrade(TypedDict):
    """One model's results on one question; ``low`` and ``high`` bound the pass rate."""

    model: str
    n: int
    pass_rate: float
    mean_score: float
    cv: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Graded:
    """The difficulty of one question, measured by the models that answered it; ``threshold`` is that of its verdicts."""

    SCHEMA: ClassVar[pa.Schema] = _schema(
        question_id=_TEXT, category=_TEXT, models=_GRADES, level=(pa.int8(), True), discard_reason=_MAYBE_TEXT,
        threshold=(pa.float64(), True),
    )  # fmt: skip
    KEY: ClassVar[tuple[str, ...]] = ("question_id",)

    question_id: str
    category: Category
    models: list[ModelGrade]
    level: int | None = None
    discard_reason: str | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Selected:
    """One training example. ``split`` names its training stage; ``threshold`` is that of the verdicts on its question."""

    SCHEMA: ClassVar[pa.Schema] = _schema(
        example_id=_TEXT, question_id=_TEXT, split=_TEXT, mode=_TEXT, messages=_MESSAGES, category=_TEXT,
        model=_MAYBE_TEXT, verify_score=(pa.float64(), True), cv=(pa.float64(), True), pass_rate=(pa.float64(), True),
        n_tokens=(pa.int32(), True), threshold=(pa.float64(), True),
    )  # fmt: skip
    KEY: ClassVar[tuple[str, ...]] = ("example_id",)

    example_id: str
    question_id: str
    split: str
    mode: Mode
    messages: list[Message]
    category: Category
    model: str | None = None
    verify_score: float | None = None
    cv: float | None = None
    pass_rate: float | None = None
    n_tokens: int | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A row that a stage did not pass on: its key, the reason, and the row as JSON (empty if the stage's input has that key).

    One record may stand for ``n`` rows: ``*`` in its key matches anything, and commas separate sample indices.
    """

    SCHEMA: ClassVar[pa.Schema] = _schema(key=_TEXT, reason=_TEXT, detail=_TEXT, row=_TEXT, n=pa.int32())
    KEY: ClassVar[tuple[str, ...]] = ()

    key: str
    reason: str
    detail: str
    row: str
    n: int = 1


@dataclass(frozen=True, slots=True)
class Mark(Keyed):
    """What a person said of the verdict on one response, with all that a verifier needs to judge the response again."""

    SCHEMA: ClassVar[pa.Schema] = _schema(
        **_RESPONSE_KEY, category=_TEXT, messages=_MESSAGES, reference_answer=_MAYBE_TEXT, test_cases=_MAYBE_TEXT,
        constraints=_MAYBE_TEXT, text=_TEXT, kind=_TEXT, passed=pa.bool_(), right=pa.bool_(), method=_TEXT, marked_by=_TEXT,
        marked_at=_TEXT,
    )  # fmt: skip
    category: Category
    messages: list[Message]
    reference_answer: str | None
    test_cases: str | None
    constraints: str | None
    text: str
    kind: VerdictKind
    passed: bool
    right: bool
    """Whether the verdict is right."""
    method: str
    marked_by: str
    marked_at: str
    """When, in UTC (ISO 8601)."""

    @property
    def should_pass(self) -> bool:
        """Whether the response answers the question, as the person sees it."""
        return self.passed == self.right


UNKNOWN_QUESTION = "unknown_question"
"""Why a stage lets a row go: its question is not among the questions, as curation dropped it."""

ROW_TYPES: dict[str, type[Row]] = {
    "questions": Question, "responses": Response, "verified": Verified, "screened": Screened, "graded": Graded,
    "selected": Selected,
}  # fmt: skip

ResponseKey = tuple[str, str, PromptKind, int, int]


def response_key(row: Keyed) -> ResponseKey:
    """(question_id, model, prompt_kind, round, sample_index): the key that joins a response to its verdict and screening."""
    return row.question_id, row.model, row.prompt_kind, row.round, row.sample_index


def dropped(row: Any, reason: str, detail: str = "") -> Dropped:
    """The record of a dropped row; ``row`` is a row dataclass."""
    values = {column.name: getattr(row, column.name) for column in fields(row)}
    as_json = json.dumps(values, ensure_ascii=False, default=str)
    return Dropped("/".join(str(values[name]) for name in row.KEY), reason, detail, as_json)
