"""What a training holds on one GPU, in bytes, by arithmetic: from a model's shape and where it is placed.

Parts and their sources:

- weights, gradients and AdamW's moments, whole or in shares: ZeRO (Rajbhandari et al. 2020, §3 and figure 1). Without ZeRO weights
  are fp32, and autocast keeps a bf16 copy of each that a matrix product reads
- activations: what each operation of a Llama-like layer keeps for its backward pass, added up as Korthikanti et al. 2022 (§4.1) do
  for GPT's, with an attention kernel that keeps no scores
- the head: TRL's loss projects tiles of tokens and words, and makes the gradient of the head's weights in fp32 before it is added

Nothing here imports torch: ``stillhouse fit`` needs no GPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

Checkpointing = Literal["off", "selective", "on"]
"""Which layers keep only their input and compute the rest twice: none, every second one, or all."""
Sharding = Literal["none", "zero-1", "zero-2", "zero-3", "zero-2-offload", "zero-3-offload"]

SHARDINGS: tuple[Sharding, ...] = ("none", "zero-1", "zero-2", "zero-3", "zero-2-offload", "zero-3-offload")
ALONE: tuple[Sharding, ...] = ("none", "zero-2-offload", "zero-3-offload")
"""What one GPU can gain from."""
CHECKPOINTINGS: tuple[Checkpointing, ...] = ("off", "selective", "on")
MICRO_BATCHES = (8, 4, 2, 1)
FP32, BF16, INT8 = 4, 2, 1
"""Bytes of a number."""
TILE_TOKENS, TILE_WORDS = 4096, 32_768
"""A tile of TRL's loss (``trl.kernels.chunked_logprob``, ``trl.trainer.utils``)."""
UNFOLDED = 5
"""Copies in fp32 of a tile's logits where torch folds it."""
BUCKET = 500_000_000
"""Numbers that DeepSpeed sums over processes at once (``reduce_bucket_size``)."""
LIVE = 1_000_000_000
"""Numbers of other processes' weights that ZeRO 3 keeps at a time (``stage3_max_live_parameters``)."""
CONTEXT = 1.5 * 2**30
"""CUDA's context, cuBLAS workspaces and what the allocator cannot use, on a GPU."""


@dataclass(frozen=True)
class ModelShape:
    """A decoder-only transformer with gated MLPs, in numbers."""

    n_parameters: int
    layers: int
    hidden: int
    heads: int
    key_heads: int
    head: int
    """Dimensions of a head."""
    intermediate: int
    """Width of the MLP that one token passes, over all experts it is sent to."""
    vocabulary: int
    tied: bool
    """Whether the head's weights are those of the embedding."""
    n_linear: int
    """Parameters of the layers' linear maps, which adapters extend."""
    linear_widths: int
    """Sum of inputs and outputs over these maps."""

    @property
    def n_layer(self) -> int:
        """Parameters of one layer."""
        return self.n_linear // self.layers


@dataclass(frozen=True)
class Placement:
    """How a training is laid over GPUs."""

    gpus: int = 1
    sharding: Sharding = "none"
    checkpointing: Checkpointing = "off"
    micro_batch: int = 1
    length: int = 4096
    """Tokens of a sequence."""
    autocast: bool = True
    """Whether passes are in bf16 while weights are fp32, as on a GPU; matters without sharding alone."""
    weights: Literal["fp32", "bf16"] = "fp32"
    """Of trained weights without sharding."""
    lora_rank: int = 0
    """0 trains all weights."""
    optimizer: Literal["adamw", "adamw_8bit"] = "adamw"
    reference: bool = False
    """Whether a second, frozen model is held, as ``rl`` does for its KL term."""
    rollout_share: float = 0.0
    """Share of the GPU that a vLLM beside the trainer takes."""
    triton: bool = True
    """Whether Triton folds the tiles of logits in place, as on a GPU; without it torch makes ``UNFOLDED`` copies."""
    gradients: bool = True
    """Whether gradients exist when activations are at their peak: from the second pass of a step on."""

    @property
    def tokens(self) -> int:
        """Tokens of one forward pass."""
        return self.micro_batch * self.length


@dataclass(frozen=True)
class Memory:
    """Bytes on one GPU by part."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    head: float
    """Tiles of logits, and the gradient of the head's weights."""
    buffers: float
    """DeepSpeed's."""
    reference: float

    @property
    def total(self) -> float:
        """All parts."""
        return float(sum(getattr(self, field.name) for field in fields(self)))


def shape_of(config: Mapping[str, Any]) -> ModelShape:
    """The shape of a model from its ``config.json``. Raises KeyError if a size is missing."""
    hidden, layers, heads = (int(config[name]) for name in ("hidden_size", "num_hidden_layers", "num_attention_heads"))
    key_heads, head = int(config.get("num_key_value_heads") or heads), int(config.get("head_dim") or hidden // heads)
    experts = int(config.get("num_experts") or config.get("num_local_experts") or 0)
    width = int((experts and config.get("moe_intermediate_size")) or config["intermediate_size"])
    used = int(config.get("num_experts_per_tok") or 1) if experts else 1
    maps = [(hidden, heads * head), (hidden, key_heads * head), (hidden, key_heads * head), (heads * head, hidden)]
    maps += [(hidden, width), (hidden, width), (width, hidden)] * (experts or 1)
    n_linear, widths = layers * sum(a * b for a, b in maps), layers * sum(a + b for a, b in maps)
    tied, vocabulary = bool(config.get("tie_word_embeddings", False)), int(config["vocab_size"])
    norms = hidden * (2 * layers + 1)
    biases = layers * head * (heads + 2 * key_heads) if config.get("model_type") == "qwen2" or config.get("attention_bias") else 0
    routers = layers * hidden * experts
    n_parameters = n_linear + norms + biases + routers + vocabulary * hidden * (1 if tied else 2)
    return ModelShape(
        n_parameters, layers, hidden, heads, key_heads, head, width * used, vocabulary, tied, n_linear, widths
    )  # fmt: skip


def memory(shape: ModelShape, placement: Placement) -> Memory:
    """The peak on one GPU in the backward pass of a step, by part."""
    states = _states(shape, placement)
    return Memory(
        *states, _activations(shape, placement), _head(shape, placement), _buffers(shape, placement), _reference(shape, placement)
    )


def n_trained(shape: ModelShape, placement: Placement) -> int:
    """Parameters that are trained: all, or those of the adapters (Hu et al. 2021: rank × (inputs + outputs) for each map)."""
    return placement.lora_rank * shape.linear_widths if placement.lora_rank else shape.n_parameters


def _states(shape: ModelShape, placement: Placement) -> tuple[float, float, float]:
    """Weights, gradients, optimizer."""
    p, trained, n, moments = shape.n_parameters, n_trained(shape, placement), placement.gpus, _moment_bytes(placement)
    if placement.sharding == "none":
        size = BF16 if placement.weights == "bf16" else FP32
        copies = BF16 * (p - shape.vocabulary * shape.hidden * (not shape.tied)) if _casts(placement) else 0
        added = FP32 * trained if placement.lora_rank else 0
        moments = moments * (size / FP32 if placement.optimizer == "adamw" and not placement.lora_rank else 1)
        trained_size = FP32 if placement.lora_rank else size
        return size * p + copies + added, trained_size * trained * placement.gradients, moments * trained
    masters = FP32 + moments
    if placement.sharding.startswith("zero-3"):
        offloaded = placement.sharding.endswith("offload")
        return (0 if offloaded else BF16 * p / n), BF16 * trained / n, (0 if offloaded else masters * trained / n)
    if placement.sharding == "zero-2-offload":
        return BF16 * p, BF16 * trained / n, 0
    return BF16 * p, BF16 * trained / (1 if placement.sharding == "zero-1" else n), masters * trained / n


def _moment_bytes(placement: Placement) -> float:
    """Both of AdamW's moments of one parameter; in 8 bits with a scale to 256 of them (Dettmers et al. 2022)."""
    return 2 * FP32 if placement.optimizer == "adamw" else 2 * INT8 * (1 + FP32 / 256)


def _casts(placement: Placement) -> bool:
    return placement.autocast and placement.sharding == "none" and placement.weights == "fp32"


def _activations(shape: ModelShape, placement: Placement) -> float:
    """What all layers keep; a layer that computes twice keeps its input, and one at a time all of it."""
    once, per_token = _layer_bytes(shape, placement), shape.hidden * _residual_bytes(placement)
    twice = {"off": 0, "selective": shape.layers // 2, "on": shape.layers}[placement.checkpointing]
    kept = (shape.layers - twice) * once + twice * per_token
    recomputed = once if twice == shape.layers else 0
    embedded = per_token + 3 * shape.hidden * FP32  # the embedding's output, and the last norm with its input
    return placement.tokens * (kept + recomputed + embedded)


def _residual_bytes(placement: Placement) -> int:
    return FP32 if placement.sharding == "none" and placement.weights == "fp32" else BF16


def _layer_bytes(shape: ModelShape, placement: Placement) -> float:
    """Bytes that one layer keeps of one token, by operation.

    A norm keeps its input in fp32, the normed input, and its output for the maps that read it. Attention keeps queries, keys,
    values and its output; the output's transposed copy goes into the last map. The MLP keeps the gate, the gate's activation, the
    other half, and their product.
    """
    queries, keys = shape.heads * shape.head, shape.key_heads * shape.head
    residual, compute = _residual_bytes(placement), (BF16 if _casts(placement) else _residual_bytes(placement))
    norm = shape.hidden * (FP32 + residual + compute)
    attention = compute * (3 * queries + 2 * keys)
    return 2 * norm + attention + compute * 4 * shape.intermediate


def _head(shape: ModelShape, placement: Placement) -> float:
    compute = BF16 if _casts(placement) else _residual_bytes(placement)
    tile = min(placement.tokens, TILE_TOKENS) * TILE_WORDS * compute
    gradient = 0 if placement.lora_rank else FP32 * shape.vocabulary * shape.hidden
    words = min(shape.vocabulary, TILE_WORDS)
    copies = 0 if placement.triton else UNFOLDED * FP32 * min(placement.tokens, TILE_TOKENS) * words
    return tile + copies + gradient + FP32 * placement.tokens * shape.hidden


def _buffers(shape: ModelShape, placement: Placement) -> float:
    if placement.sharding == "none":
        return 0.0
    live = BF16 * min(shape.n_parameters, max(LIVE, 2 * shape.n_layer)) if placement.sharding.startswith("zero-3") else 0
    return live + BF16 * min(n_trained(shape, placement), BUCKET)


def _reference(shape: ModelShape, placement: Placement) -> float:
    if not placement.reference or placement.lora_rank:
        return 0.0  # without its adapters a model is its own reference
    share = placement.gpus if placement.sharding.startswith("zero-3") else 1
    return shape.n_parameters * _residual_bytes(placement) / share


def checkpoint_bytes(shape: ModelShape, placement: Placement) -> float:
    """A resumable checkpoint on disk, of all processes together: weights, masters under ZeRO, and moments."""
    trained, moments = n_trained(shape, placement), _moment_bytes(placement)
    if placement.lora_rank:
        return (FP32 + moments) * trained
    size = BF16 if placement.sharding != "none" or placement.weights == "bf16" else FP32
    masters = FP32 if placement.sharding != "none" else 0
    return (size + masters + moments) * trained


def host_bytes(shape: ModelShape, placement: Placement) -> float:
    """What offload puts into the memory of the nodes, per GPU."""
    if not placement.sharding.endswith("offload"):
        return 0.0
    masters = (FP32 + _moment_bytes(placement)) * n_trained(shape, placement) / placement.gpus
    return masters + (BF16 * shape.n_parameters / placement.gpus if placement.sharding == "zero-3-offload" else 0)


def fits(shape: ModelShape, placement: Placement, gpu_bytes: float, spare: float = 0.1) -> bool:
    """Whether the peak leaves a tenth of the GPU to spare, beside CUDA's context and vLLM's share."""
    room = gpu_bytes * (1 - spare - placement.rollout_share) - CONTEXT
    return memory(shape, placement).total <= room


def slowdown(placement: Placement) -> float:
    """Time of a step over that of the fastest placement, roughly: it only orders placements.

    Computing layers twice costs a third of a step's operations (half of that for every second layer), offload waits for the host,
    shares of weights are gathered twice a pass, and a pass of few tokens leaves a GPU idle between its kernels.
    """
    recomputed = {"off": 1.0, "selective": 1.17, "on": 1.33}[placement.checkpointing]
    shared = {"none": 1.0, "zero-1": 1.02, "zero-2": 1.04, "zero-3": 1.15, "zero-2-offload": 2.0, "zero-3-offload": 3.0}
    return recomputed * shared[placement.sharding] * (1 + 1024 / placement.tokens)


def fastest(shape: ModelShape, base: Placement, gpu_bytes: float) -> Placement | None:
    """The fastest placement that fits, over sharding, checkpointing and micro batches of 1 to 8; None if none does."""
    fitting = [placement for placement in placements(shape, base, gpu_bytes) if fits(shape, placement, gpu_bytes)]
    return min(fitting, key=slowdown, default=None)


def placements(shape: ModelShape, base: Placement, gpu_bytes: float) -> list[Placement]:
    """Every sharding with every checkpointing, each with the largest micro batch that fits, or 1."""
    return [
        _with_rows(shape, replace(base, sharding=sharding, checkpointing=checkpointing), gpu_bytes)
        for sharding in (SHARDINGS if base.gpus > 1 else ALONE)
        for checkpointing in CHECKPOINTINGS
    ]


def _with_rows(shape: ModelShape, placement: Placement, gpu_bytes: float) -> Placement:
    sizes = (replace(placement, micro_batch=rows) for rows in MICRO_BATCHES)
    return next((placement for placement in sizes if fits(shape, placement, gpu_bytes)), replace(placement, micro_batch=1))
