"""How a batch goes through the device: rows to a forward pass, and which activations are computed twice or kept by the host.

Gradients add up to the whole batch however it is cut, so no result beyond rounding depends on it. ``STILLHOUSE_MICRO_BATCH`` and
``STILLHOUSE_GRADIENT_CHECKPOINTING`` fix a part; what they leave open is chosen by ``dry_step``.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from transformers import PreTrainedModel, Trainer

from stillhouse.errors import BadConfig, nearest
from stillhouse.vocabulary import environment

Recompute = Literal["off", "selective", "on", "offload"]
"""Layers whose activations are computed twice: none, every second one, all; or all, and the host keeps their inputs."""
OPTIONS: dict[Recompute, dict[str, Any]] = {"off": {}, "selective": {"every_n_layers": 2}, "on": {}, "offload": {"offload": True}}
"""What ``gradient_checkpointing_enable`` of a model of transformers takes for it."""
TIMES: dict[Recompute, float] = {"off": 1.0, "selective": 1.17, "on": 1.33, "offload": 1.6}
"""Of a step, roughly: they only order settings. A third of its operations is done twice, half of that for every second layer."""
BUSY_TOKENS = 1024
"""A pass of so many tokens takes twice the time per token of a long one."""
MOST_TOKENS = 65_536
"""More tokens in one pass gain nothing."""
AUTO = "auto"


@dataclass(frozen=True)
class PassSetting:
    """One way to put a process's share of a batch through."""

    rows: int
    """In a forward pass."""
    passes: int
    """To the whole share."""
    recompute: Recompute

    def __str__(self) -> str:
        """For the line that says what was chosen."""
        return f"{self.rows} rows a pass, recompute {self.recompute}"

    def time(self, length: int) -> float:
        """Relative time of a step on rows of ``length`` tokens."""
        return TIMES[self.recompute] * (1 + BUSY_TOKENS / (self.rows * length))


def recompute_arguments() -> dict[str, Any]:
    """Trainer arguments: what the environment says, or until a dry step decides everything twice on a GPU, nothing on a CPU."""
    return _arguments(_wanted() or ("on" if torch.cuda.is_available() else "off"))


def _arguments(recompute: Recompute) -> dict[str, Any]:
    options = {"use_reentrant": False} if recompute != "off" else None
    return {"gradient_checkpointing": recompute != "off", "gradient_checkpointing_kwargs": options}


def _wanted() -> Recompute | None:
    """What the environment fixes; None if it leaves it open. Raises BadConfig."""
    wanted = environment.text("STILLHOUSE_GRADIENT_CHECKPOINTING", AUTO)
    if wanted == "offload" and not torch.cuda.is_available():
        msg = "STILLHOUSE_GRADIENT_CHECKPOINTING=offload: there is no GPU whose memory it would spare; set it to auto"
        raise BadConfig(msg)
    for known in OPTIONS:
        if wanted == known:
            return known
    if wanted != AUTO:
        msg = f"STILLHOUSE_GRADIENT_CHECKPOINTING={wanted}: {nearest(wanted, (AUTO, *OPTIONS), 'not one of')}"
        raise BadConfig(msg)
    return None


def current(trainer: Trainer) -> PassSetting:
    """The trainer's setting."""
    args, applied = trainer.args, getattr(trainer, "pass_setting", None)
    recompute: Recompute = applied.recompute if applied else _wanted() or ("on" if args.gradient_checkpointing else "off")
    return PassSetting(args.per_device_train_batch_size, args.gradient_accumulation_steps, recompute)


def choices(trainer: Trainer, length: int) -> list[PassSetting]:
    """The settings that the environment leaves open, the fastest first. ``length``: tokens of the longest row."""
    now, wanted = current(trainer), _wanted()
    share = now.rows * now.passes
    fixed_rows = environment.text("STILLHOUSE_MICRO_BATCH")
    rows = (
        [now.rows] if fixed_rows else [n for n in range(1, share + 1) if share % n == 0 and (n == 1 or n * length <= MOST_TOKENS)]
    )
    settings = [PassSetting(n, share // n, recompute) for n in rows for recompute in ([wanted] if wanted else _possible())]
    return sorted(settings, key=lambda setting: setting.time(length))


def smaller(trainer: Trainer) -> PassSetting | None:
    """The next setting that needs less memory, whatever the environment says: it ran out. None if there is none."""
    now = current(trainer)
    order = list(OPTIONS)
    if now.recompute in {"off", "selective"}:
        return PassSetting(now.rows, now.passes, order[order.index(now.recompute) + 1])
    factor = next((n for n in range(2, now.rows + 1) if now.rows % n == 0), None)
    if factor is not None:
        return PassSetting(now.rows // factor, now.passes * factor, now.recompute)
    return PassSetting(now.rows, now.passes, "offload") if now.recompute == "on" and "offload" in _possible() else None


def _possible() -> list[Recompute]:
    """What this machine can do: without a GPU activations lie on the host anyway."""
    return [recompute for recompute in OPTIONS if recompute != "offload" or torch.cuda.is_available()]


def apply(trainer: Trainer, setting: PassSetting) -> None:
    """Have a trainer that does not train now use the setting from its next start on."""
    args = trainer.args
    args.per_device_train_batch_size, args.gradient_accumulation_steps = setting.rows, setting.passes
    trainer._train_batch_size = args.train_batch_size
    if hasattr(args, "steps_per_generation"):  # GRPO's: its rollouts serve one step
        args.steps_per_generation = setting.passes
    for name, value in _arguments(setting.recompute).items():
        setattr(args, name, value)
    trainer.pass_setting = setting
    if trainer.model.is_gradient_checkpointing:
        trainer.model.gradient_checkpointing_disable()
    trainer.model.gradient_checkpointing_enable = partial(_enable, trainer.model, OPTIONS[setting.recompute])


def _enable(
    model: PreTrainedModel, options: dict[str, Any], gradient_checkpointing_kwargs: dict[str, Any] | None = None, **_: Any
) -> None:
    """Enable the setting's own way: trainers call this again after each generation, and know only torch's arguments."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model  # below peft's adapters
    type(base).gradient_checkpointing_enable(base, gradient_checkpointing_kwargs=gradient_checkpointing_kwargs, **options)
