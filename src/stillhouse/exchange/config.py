"""What decides the result of an import: the files by their digests, and how their rows are mapped to questions and responses."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from stillhouse.execution.contract import StageInputs
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.settings import OMIT_DEFAULT, StageConfig

HUB_PATH = re.compile(r"hf://datasets/(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w.-]+))?(?:/(?P<path>.*))?")
"""A data set on the Hugging Face hub, or a file in it."""
BRANCHES = ("main", "master")
Format = Literal["jsonl", "json", "csv", "parquet", "arrow", "samples"]
"""A format of rows; ``samples`` are files of one stem, in a folder or a tar file."""
Extraction = Literal["hash_answer", "boxed", "letter"]


class ExtractPattern(StageConfig):
    """An answer found by a pattern."""

    regex: str
    """The answer is the last match: its group if it has one, else all of it."""

    @field_validator("regex")
    @classmethod
    def _compiles(cls, regex: str) -> str:
        try:
            n_groups = re.compile(regex).groups
        except re.error as error:
            msg = f"{regex!r}: not a regular expression ({error})"
            raise ValueError(msg) from error
        if n_groups > 1:
            msg = f"{regex!r}: {n_groups} groups; mark the answer with one, and write (?:…) for the others"
            raise ValueError(msg)
        return regex


def _optional(text: str | None = None) -> Any:
    """A field that is no part of the fingerprints of recipes without it."""
    return Field(text, json_schema_extra=OMIT_DEFAULT)


class ColumnPaths(StageConfig):
    """Where a row keeps each part of a question: dotted paths such as ``info.reference_answer`` or ``messages.0.content``.

    A column named here must exist in every row, though it may be null; one whose path ends in ``?`` may be missing. Instead of a
    path, a Jinja template over the columns may stand: ``{{ Body }} {{ Question }}``; it sees ``_file``, the file's name, too.
    """

    prompt: str | None = None
    """The question as a text: one user turn."""
    messages: str | None = None
    """The question as turns: ``role`` and ``content`` (a text, or a list of parts), or ``from`` and ``value``, with tool turns; a
    final assistant turn is the response, and its ``reasoning_content`` the thinking."""
    system: str | None = _optional()
    """The system prompt: a turn before the others; null or empty makes none."""
    question_id: str | None = _optional()
    """An id of the data set's own, kept through curation; null computes one from prompt and reference."""
    choices: str | None = _optional()
    """Options that follow the prompt, lettered from A: a column with a list, or columns with one each, ``A, B, C, D``. A reference
    that is a number counts them from ``first_choice``, one that is an option's text becomes its letter."""
    reference_answer: str | None = None
    """The reference; a number is converted to text."""
    test_cases: str | None = None
    """Tests, as JSON or JSON text: ``{"call_type": "std" | "assert" | "pytest", "fn_name", "inputs": […], "outputs": […], …}``, a
    list of assertions, lists of ``input`` and ``output``, or Python code."""
    function: str | None = _optional()
    """The name of the function that the tests call."""
    test_setup: str | None = _optional()
    """Python code that is put before every assertion."""
    constraints: str | None = None
    """Constraints in IFEval's form, as JSON or JSON text, or the list of their ids."""
    constraint_arguments: str | None = _optional()
    """The arguments of the constraints, one object for each id."""
    original_response: str | None = None
    """The response that comes with the question."""
    responses: str | None = _optional()
    """Several responses, a list; an import makes one response of each, a source of questions keeps the first that is right."""
    thinking: str | None = _optional()
    """The thinking of the response, where a column of its own holds it: a text, or a list beside ``responses``."""
    verdicts: str | None = _optional()
    """Whether each response is right: a list of booleans or scores, or one for a single response."""
    model: str | None = _optional()
    """The model that answered."""
    source: str | None = _optional()
    """The data set's own source; an import writes it to ``source``, and ``categories`` may translate it."""
    category: str | None = None
    """The data set's own category, translated by ``categories``."""
    language: str | None = None
    """The language's ISO 639-1 code."""
    difficulty_label: str | None = None
    """The data set's own difficulty."""
    level: str | None = _optional()
    """The difficulty level, 1 to 3, as RL splits take them; an import writes it to ``graded``."""

    @model_validator(mode="after")
    def _one_prompt(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            msg = "give exactly one of prompt and messages: the path to the question"
            raise ValueError(msg)
        if self.original_response is not None and self.responses is not None:
            msg = "give one of original_response and responses"
            raise ValueError(msg)
        return self


class Mapping(StageConfig):
    """How rows with columns of their own become questions."""

    columns: ColumnPaths
    """Where a row keeps each part of a question."""
    inside: str | None = Field(None, json_schema_extra=OMIT_DEFAULT)
    """The path to an object, or to JSON text, inside each row whose columns count as the row's own: ``row`` for rows such as
    ``{"row_idx": 0, "row": {"question": …}}``."""
    category: Category | None = None
    """The category of all its questions, unless ``columns.category`` or ``columns.source`` names a column."""
    categories: dict[str, Category] = Field(default_factory=dict)
    """Value of ``columns.category`` or ``columns.source`` -> our category; our own names need no entry."""
    extract: Extraction | ExtractPattern | None = Field(None, json_schema_extra=OMIT_DEFAULT)
    """How the reference is found in its column: ``hash_answer`` (after ``####``), ``boxed`` (the last ``\\boxed{}``), ``letter``
    (the option named last), or ``{regex: …}``."""
    first_choice: Literal[0, 1] = Field(0, json_schema_extra=OMIT_DEFAULT)
    """The number of the first option in a reference that is a number."""
    where: str | None = Field(None, json_schema_extra=OMIT_DEFAULT)
    """Rows to take, as a Jinja expression over the columns: ``level >= 3 and answer != "proof"``. Others are dropped as
    ``filtered``."""

    @model_validator(mode="after")
    def _one_category(self) -> Self:
        named = self.columns.category is not None or (self.columns.source is not None and bool(self.categories))
        if (self.category is None) != named:
            msg = "give exactly one of category and columns.category (or columns.source with categories)"
            raise ValueError(msg)
        return self


class ReleaseImportConfig(StageConfig):
    """Which release was imported, and how it was read."""

    imported: tuple[str, ...]
    """sha256 of each file."""
    form: str
    """The schema, the preset, or ``mapped``."""
    category: Category | None = None
    """Category of all questions; null takes the release's, or, if the schema has none, infers it from references and tests."""
    categories: dict[str, Category] = Field(default_factory=dict, json_schema_extra=OMIT_DEFAULT)
    """Source of a question -> its category, before all else: a release of several sources names no other."""
    mapping: Mapping | None = Field(None, json_schema_extra=OMIT_DEFAULT)
    """How rows with columns of their own are read, for ``mapped`` and the presets."""
    license: str | None = None
    """Written to the questions' ``license`` column."""
    max_bad_rate: float = Field(0.01, ge=0, le=1)
    """Share of the lines that may not be rows of the schema; above it nothing is imported."""


@dataclass(frozen=True, kw_only=True)
class ReleaseImportInputs(StageInputs):
    """The artifacts of a release that its other artifacts are derived from."""

    questions: Path | None = None
    responses: Path | None = None


class RowsImportConfig(StageConfig):
    """Which file of rows was imported."""

    imported: str
    """sha256 of the file."""
