"""The config and the inputs of ``screened``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from stillhouse.execution.contract import StageInputs
from stillhouse.vocabulary.rows import PersonalData
from stillhouse.vocabulary.settings import OMIT_DEFAULT, StageConfig

PerplexityEngine = Literal["transformers", "vllm"]


class ScreenedConfig(StageConfig):
    """What makes a response unfit to train on. A rule that is null or false is switched off."""

    require_even_turns: bool = True
    """Refuse conversations that do not end with their answer: question and response together must have an even number of turns."""
    require_think: bool = True
    """Refuse responses without thinking (DeepDistill §2.5)."""
    require_answer: bool = True
    """Refuse responses without an answer (DeepDistill §2.5)."""
    max_repeat: int | None = Field(8, ge=1)
    """How often a phrase of up to 4 words may repeat back to back; the paper gives no value."""
    min_characters: int | None = Field(None, ge=1, json_schema_extra=OMIT_DEFAULT)
    """Shortest response, in characters; null, the default, does not look."""
    max_characters: int | None = Field(None, ge=1, json_schema_extra=OMIT_DEFAULT)
    """Longest response, in characters; null, the default, does not look."""
    languages: tuple[str, ...] = Field((), json_schema_extra=OMIT_DEFAULT)
    """Languages that an answer may be in, as ISO 639-1 codes; empty, the default, allows all. One that cannot be told is kept."""
    personal_data: tuple[PersonalData, ...] = Field((), json_schema_extra=OMIT_DEFAULT)
    """Kinds of personal data with which a response is dropped: email, phone, card, iban, ip_address, us_ssn, secret_key. Empty, the
    default, does not look."""
    ngram_tokens: int = Field(20, ge=1)
    """Length of the strings counted across all responses (DeepDistill §2.5: 20 tokens)."""
    ngram_tokenizer: str | None = None
    """A tokenizer on the Hugging Face hub that cuts texts into tokens; null cuts them into words. The paper names none."""
    max_ngram_count: int | None = Field(20, ge=1)
    """Occurrences of one string above which all responses with it are dropped (DeepDistill §2.5: 20; perhaps the string alone).
    Raise it where a question has more samples than that: each may restate the question in the same words."""
    max_perplexity: float | None = Field(None, gt=1)
    """Perplexity of question and response above which the response is dropped (DeepDistill §2.5: 20)."""
    perplexity_model: str | None = None
    """The scoring model on the Hugging Face hub, if there is no `scorer` input (DeepDistill: AM-Distill-Qwen-32B)."""
    perplexity_engine: PerplexityEngine = "transformers"
    """The engine that runs that model."""
    perplexity_tokens: int = Field(32_768, ge=2)
    """Tokens after which a text is cut before scoring; the paper gives no value."""


@dataclass(frozen=True, kw_only=True)
class ScreenedInputs(StageInputs):
    """Responses, the questions they answer, and a checkpoint that scores perplexity."""

    questions: Path
    responses: tuple[Path, ...]
    scorer: Path | None = None
