"""The models and runs of ``check.py``: for an H100, and tiny ones with which the script itself is tested."""

from dataclasses import dataclass, replace

from stillhouse.stages import rl, sft
from stillhouse.training.config import FromCheckpoint, FromScratch
from tests.perf import training
from tests.perf.training import PROMPTS, Scale


@dataclass(frozen=True)
class Size:
    """One set of sizes."""

    small: Scale
    """20 M parameters: what is compared number by number."""
    large: Scale
    """1 B: what is timed."""
    long: Scale
    """One pack of 32,768 tokens."""
    tiny: bool = False


_SMALL = Scale(
    FromScratch(kind="scratch", hidden_size=512, intermediate_size=1536, layers=6, heads=8, vocabulary=4096, context=2048),
    sft.Config(init=FromCheckpoint(), max_steps=16, batch_size=8, max_length=512, learning_rate=3e-4, packing=False, **PROMPTS),
    rl.Config(steps=4, group_size=8, prompts_per_step=8, max_tokens=64, learning_rate=1e-5, **PROMPTS),
    thought_words=24,
)
_LONG = Scale(  # Qwen2.5-1.5B's sizes
    FromScratch(kind="scratch", hidden_size=1536, intermediate_size=8960, layers=28, heads=12, vocabulary=32_000, context=32_768),
    sft.Config(init=FromCheckpoint(), max_steps=2, batch_size=1, max_length=32_768, **PROMPTS),
    training.GPU.rl,
    thought_words=1200,
)
_LEAST = FromScratch(kind="scratch", hidden_size=64, intermediate_size=128, layers=2, heads=2, vocabulary=384, context=512)

FULL = Size(_SMALL, training.GPU, _LONG)
TINY = Size(
    replace(
        _SMALL, init=_LEAST, thought_words=8,
        sft=_SMALL.sft.model_copy(update={"max_steps": 4, "max_length": 128, "batch_size": 4}),
        rl=_SMALL.rl.model_copy(update={"steps": 2, "group_size": 4, "prompts_per_step": 2, "max_tokens": 8}),
    ),
    replace(
        training.CPU, init=_LEAST, sft=training.CPU.sft.model_copy(update={"max_steps": 3, "batch_size": 2}),
        rl=training.CPU.rl.model_copy(update={"steps": 2, "group_size": 4, "prompts_per_step": 2, "max_tokens": 8}),
    ),
    replace(_LONG, init=_LEAST, thought_words=8, sft=_LONG.sft.model_copy(update={"max_length": 512})),
    tiny=True,
)  # fmt: skip
