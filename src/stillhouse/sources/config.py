"""The specs of the sources of questions: one class per kind, told apart by ``kind``."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from stillhouse.execution import extensions
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.settings import StageConfig

READERS: dict[str, str] = {
    "arithmetic": "stillhouse.sources.arithmetic:questions",
    "reasoning_gym": "stillhouse.sources.reasoning_gym:questions",
    "worded": "stillhouse.sources.worded:questions",
    "file": "stillhouse.sources.file:questions",
    "am-1.4m": "stillhouse.sources.release:questions",
    "am-40m": "stillhouse.sources.release:questions",
    "conversations": "stillhouse.sources.release:questions",
    "huggingface": "stillhouse.sources.huggingface:questions",
    "human_eval": "stillhouse.sources.human_eval:questions",
}
"""Built-in kind of source -> its reader, imported on first use: each needs a library of its own."""
MAX_DIGITS = 9
MAX_LINE_BYTES = 16 * 2**20
"""Longest line read by default: longer than any code question with its tests, shorter than a file without line breaks."""
LARGEST_RESULT = 100
"""No step of a word problem has a larger result."""
BRANCHES = ("main", "master")

Generator = Literal["gsm_symbolic", "basic_arithmetic", "chain_sum", "simple_equations"]
"""Generators of reasoning-gym whose own answers were checked. Some others score nonsense 1.0, or their own answer 0."""


class SourceSpec(StageConfig):
    """A source of questions. A subclass adds ``kind``, ``count``, and whatever decides its questions."""

    name: str
    """Written to the rows' ``source`` column."""
    weight: float = Field(1, gt=0)
    """How often this source is drawn while sources are interleaved, relative to the other sources' weights."""
    license: str
    """Written to the rows' ``license`` column."""


class GeneratedSpec(SourceSpec):
    """A source that generates its questions."""

    count: int = Field(gt=0)
    """How many questions to generate."""
    seed: int = 0
    """Decides which questions; equal seeds give equal questions."""
    license: str = "CC0-1.0 (generated)"
    """Written to the rows' ``license`` column."""


class StoredSpec(SourceSpec):
    """A source that reads stored questions: rows that cannot be read are dropped with their position and reason."""

    count: int | None = Field(None, gt=0)
    """Take only the first ``count`` questions; null takes all."""
    max_bad_rate: float = Field(0.01, ge=0, le=1)
    """Share of the rows that may be broken; above it the stage fails. The papers give no value."""


class PinnedSpec(StoredSpec):
    """A source that is one file, pinned by its content: a path alone does not say whether the content changed."""

    path: str
    """A path, ``file://`` or ``s3://`` URI that ends in .jsonl, .jsonl.zst, .jsonl.gz or .parquet."""
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """The file's digest; a file with another digest is refused."""
    revision: str | None = None
    """Instead of a digest, a version that you raise whenever you change the file: nothing else tells old from new questions."""
    max_line_bytes: int = Field(MAX_LINE_BYTES, ge=1)
    """Longest line of a JSON Lines file; a longer one is dropped without being held in memory."""

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        if (self.sha256 is None) == (self.revision is None):
            msg = "pin the file by exactly one of sha256 and revision"
            raise ValueError(msg)
        return self


class ColumnPaths(StageConfig):
    """Where a row keeps each part of a question: dotted paths such as ``info.reference_answer`` or ``messages.0.content``.

    A column named here must exist in every row, though it may be null; one whose path ends in ``?`` may be missing.
    """

    prompt: str | None = None
    """The question as a text: one user turn."""
    messages: str | None = None
    """The question as turns, ``role`` and ``content`` or ``from`` and ``value``; a final assistant turn is the response."""
    reference_answer: str | None = None
    """The reference; a number is converted to text."""
    test_cases: str | None = None
    """Tests, as JSON or JSON text: ``{"call_type": "std" | "assert", "fn_name", "inputs": […], "outputs": […], …}``."""
    constraints: str | None = None
    """Constraints in IFEval's form, as JSON or JSON text."""
    original_response: str | None = None
    """The response that comes with the question."""
    category: str | None = None
    """The data set's own category, translated by ``categories``."""
    language: str | None = None
    """The language's ISO 639-1 code."""
    difficulty_label: str | None = None
    """The data set's own difficulty."""

    @model_validator(mode="after")
    def _one_prompt(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            msg = "give exactly one of prompt and messages: the path to the question"
            raise ValueError(msg)
        return self


class MappedSpec(StoredSpec):
    """A source whose rows have columns of their own."""

    columns: ColumnPaths
    """Where a row keeps each part of a question."""
    category: Category | None = None
    """The category of all its questions, unless ``columns.category`` names a column."""
    categories: dict[str, Category] = Field(default_factory=dict)
    """Value of ``columns.category`` -> our category; our own names need no entry."""

    @model_validator(mode="after")
    def _one_category(self) -> Self:
        if (self.category is None) == (self.columns.category is None):
            msg = "give exactly one of category and columns.category"
            raise ValueError(msg)
        return self


class Arithmetic(GeneratedSpec):
    """Arithmetic questions with traces that can be made to err."""

    kind: Literal["arithmetic"] = "arithmetic"
    families: dict[str, float] = Field(min_length=1)
    """Weight of each family: add-N, sub-N or mul-N, where N is the number of digits (1 to 9)."""
    slip_rate: float = Field(0, ge=0, le=1)
    """Probability that a step of a trace is off by one, as an unreliable author's would be; later steps build on the slip."""
    reanswer_share: float = Field(0, ge=0, le=1)
    """Share of questions that show a previous answer, right or wrong with equal probability, and ask again (Think Twice §2)."""
    summary_share: float = Field(0, ge=0, le=1)
    """Share of rows that show a trace and are answered by the results of its steps alone: training data for a small summariser."""
    distinct: bool = False
    """Never ask the same question twice. Small families run out: add-1 has 81 questions, sub-1 45, mul-1 72."""

    @field_validator("families")
    @classmethod
    def _known(cls, families: dict[str, float]) -> dict[str, float]:
        for name, weight in families.items():
            if not re.fullmatch(r"(add|sub|mul)-([1-9])", name):
                msg = f"{name}: no such family; use add-N, sub-N or mul-N with N digits, 1 to {MAX_DIGITS}"
                raise ValueError(msg)
            if weight <= 0:
                msg = f"{name}: a weight must be greater than 0, got {weight:g}"
                raise ValueError(msg)
        return families


class ReasoningGym(GeneratedSpec):
    """One generator of reasoning-gym."""

    kind: Literal["reasoning_gym"] = "reasoning_gym"
    dataset: Generator
    """The generator."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """The generator's own settings. gsm_symbolic accepts none: it refuses any difficulty but 1."""
    max_steps: int | None = Field(None, ge=1)
    """Take only problems whose gold chain of thought has at most this many steps. Needs gsm_symbolic."""
    distinct: bool = False
    """Skip questions that were asked before."""
    license: str = "Apache-2.0 (generated)"
    """Written to the rows' ``license`` column."""


class Worded(GeneratedSpec):
    """Word problems of one or two steps, with traces."""

    kind: Literal["worded"] = "worded"
    two_step_share: float = Field(0.5, ge=0, le=1)
    """Share of problems that take two steps; the others take one."""
    largest: int = Field(20, ge=10, le=LARGEST_RESULT)
    """Largest number in a problem; factors are 9 at most."""
    distinct: bool = False
    """Never ask the same question twice."""


class FileSource(PinnedSpec, MappedSpec):
    """A file of your own, its columns mapped."""

    kind: Literal["file"] = "file"


class Release(PinnedSpec):
    """A file of a public release. Its own ``source`` column is replaced by the name given here; ``stillhouse import`` keeps it."""

    kind: Literal["am-1.4m", "am-40m", "conversations"]
    category: Category | None = None
    """Category of all questions; null takes the release's, or, if the schema has none, infers it from references and tests."""


class HuggingFace(MappedSpec):
    """A split of a data set on the Hugging Face hub, or of a folder in the same form."""

    kind: Literal["huggingface"] = "huggingface"
    dataset: str
    """The data set's name on the hub, or a folder."""
    revision: str = Field(min_length=1)
    """The commit or tag to read. For a folder, a version that you raise whenever you change it."""
    subset: str | None = None
    """The data set's configuration, if it has several."""
    split: str = "train"
    """The split to read."""

    @field_validator("revision")
    @classmethod
    def _fixed(cls, revision: str) -> str:
        if revision in BRANCHES:
            msg = f"{revision} is a branch, and branches move; name a commit or a tag"
            raise ValueError(msg)
        return revision


class HumanEval(SourceSpec):
    """The problems of HumanEval, from the package ``human-eval``."""

    kind: Literal["human_eval"] = "human_eval"
    version: str = "1.0.3"
    """The package's version; the installed one must be equal."""
    count: int | None = Field(None, gt=0)
    """Take only the first ``count`` problems; null takes all 164."""
    license: str = "MIT"
    """Written to the rows' ``license`` column."""


class ExtensionSource(SourceSpec):
    """A source of your own: an entry point of the group ``stillhouse.sources``, or ``module:attribute``."""

    kind: str
    """Name of the entry point, or ``module:attribute``; its version is filled in, so that a new version makes new questions."""
    count: int | None = Field(None, gt=0)
    """Take only the first ``count`` questions; null takes all."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Passed on to the source."""

    @field_validator("kind")
    @classmethod
    def _pinned(cls, kind: str) -> str:
        return extensions.pinned("sources", kind, READERS)


def _tag(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    if not isinstance(kind, str):
        return None
    if kind in {"am-1.4m", "am-40m", "conversations"}:
        return "release"
    return kind if kind in READERS else "extension"


Spec = Annotated[
    Annotated[Arithmetic, Tag("arithmetic")]
    | Annotated[ReasoningGym, Tag("reasoning_gym")]
    | Annotated[Worded, Tag("worded")]
    | Annotated[FileSource, Tag("file")]
    | Annotated[Release, Tag("release")]
    | Annotated[HuggingFace, Tag("huggingface")]
    | Annotated[HumanEval, Tag("human_eval")]
    | Annotated[ExtensionSource, Tag("extension")],
    Discriminator(
        _tag,
        custom_error_type="source_kind",
        custom_error_message=f"a source needs a kind: {', '.join(READERS)}, an entry point, or module:attribute",
    ),
]
"""A source in a config: a mapping whose ``kind`` names its reader."""
