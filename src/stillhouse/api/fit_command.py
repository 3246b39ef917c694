"""``stillhouse fit``: what a training needs of each GPU, by arithmetic, and the fastest placement that fits."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from stillhouse.errors import BadConfig
from stillhouse.execution.console import PlainConsole

if TYPE_CHECKING:
    from stillhouse.training.machine.memory_model import ModelShape, Placement

GIB = 2**30
PARTS = ("weights", "gradients", "optimizer", "activations", "head", "buffers", "reference")
ROLLOUT_SHARE = 0.3
"""What vLLM takes of a GPU beside the trainer, unless STILLHOUSE_ROLLOUT_MEMORY is set."""


def fit(
    model: Annotated[
        str, typer.Argument(help="a directory, its config.json, hf://ORG/NAME, or a name like Qwen2.5-7B", metavar="MODEL")
    ],
    gpus: Annotated[int, typer.Option(help="GPUs of the training, on all nodes", min=1)] = 1,
    max_length: Annotated[int, typer.Option(help="tokens of the longest sequence, or of a pack", min=8)] = 4096,
    gpu_memory: Annotated[float, typer.Option(help="GiB of one GPU", min=1)] = 79.0,
    stage: Annotated[Literal["sft", "rl"], typer.Option(help="rl also holds a reference model")] = "sft",
    rollouts: Annotated[bool, typer.Option("--rollouts", help="rl's vLLM runs on the same GPUs")] = False,
    lora: Annotated[int, typer.Option(help="rank of adapters; 0 trains all weights", min=0)] = 0,
    optimizer: Annotated[Literal["adamw", "adamw_8bit"], typer.Option(help="adamw_8bit holds its moments in 8 bits")] = "adamw",
) -> None:
    """Print what a training needs of each GPU, by placement, and the fastest placement that fits. Needs no GPU."""
    from stillhouse.models import published_configs
    from stillhouse.training.machine.memory_model import Placement, shape_of
    from stillhouse.vocabulary import environment

    try:
        shape = shape_of(published_configs.read(model))
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        msg = f"model {model}: its config.json does not say {error}; fit knows decoder-only transformers"
        raise BadConfig(msg) from error
    share = environment.number("STILLHOUSE_ROLLOUT_MEMORY", ROLLOUT_SHARE) if rollouts else 0.0
    base = Placement(
        gpus=gpus, length=max_length, lora_rank=lora, optimizer=optimizer, reference=stage == "rl", rollout_share=share
    )  # fmt: skip
    _print(model, shape, base, gpu_memory)


def _print(model: str, shape: "ModelShape", base: "Placement", gpu_memory: float) -> None:
    from stillhouse.training.machine.memory_model import checkpoint_bytes, fastest, memory, placements

    console = PlainConsole(highlight=False, soft_wrap=True, markup=False)
    console.print(
        f"{model}: {shape.n_parameters / 1e9:.2f} billion parameters, {base.gpus} x {gpu_memory:g} GiB, {base.length:,} tokens; "
        "GiB on each GPU"
    )
    console.print(
        f"{'sharding':<15}{'recompute':<10}{'rows':>4}{''.join(f'{name:>12}' for name in (*PARTS, 'total', 'host'))}  fits"
    )
    for placement in placements(shape, base, gpu_memory * GIB):
        console.print(_line(shape, placement, gpu_memory))
    best = fastest(shape, base, gpu_memory * GIB)
    if best is None:
        console.print("nothing fits with a tenth to spare: more GPUs, a shorter max_length, --lora or --optimizer adamw_8bit")
        return
    sharding = "STILLHOUSE_SHARDING unset" if best.sharding == "none" else f"STILLHOUSE_SHARDING={best.sharding}"
    console.print(
        f"fastest that fits: {sharding}, STILLHOUSE_GRADIENT_CHECKPOINTING={best.checkpointing}, "
        f"STILLHOUSE_MICRO_BATCH={best.micro_batch}: {memory(shape, best).total / GIB:.1f} GiB of each GPU; "
        f"a checkpoint is {checkpoint_bytes(shape, best) / 1e9:.1f} GB on disk, two lie there while one is written"
    )


def _line(shape: "ModelShape", placement: "Placement", gpu_memory: float) -> str:
    """One row of the table."""
    from stillhouse.training.machine.memory_model import fits, host_bytes, memory

    parts = memory(shape, placement)
    sizes = [*(getattr(parts, name) for name in PARTS), parts.total, host_bytes(shape, placement)]
    cells = "".join(f"{size / GIB:12.1f}" for size in sizes)
    answer = "yes" if fits(shape, placement, gpu_memory * GIB) else "no"
    return f"{placement.sharding:<15}{placement.checkpointing:<10}{placement.micro_batch:>4}{cells}  {answer}"
