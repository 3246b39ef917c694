"""The names of a run's headline metrics, in one place.

A name says benchmark, round and the checkpoint's role in its pipeline (``base``, ``sft``, ``rl``), never the checkpoint's own name:
the charts of several runs line up by name.
"""

import re
from collections.abc import Sequence

ENDS = ("mean", "low", "high")
"""An estimate, and the ends of its 95 % interval."""
GPU_HOURS, TASK_HOURS, WALL_HOURS = "cost/gpu_hours", "cost/task_hours", "cost/wall_hours"
TOKENS, TRAINED_TOKENS = "cost/tokens_sampled", "cost/tokens_trained"
PER_VERIFIED = {"tokens": "cost/tokens_per_verified", "gpu_seconds": "cost/gpu_seconds_per_verified"}
"""The cost of one response that the verifier found correct, by unit."""
REUSED_SHARE, REUSED_TASKS, MADE_TASKS = "reused/share", "reused/tasks", "reused/made_tasks"
_NOT_IN_NAMES = re.compile(r"[^\w./ :-]")


def plain(name: str) -> str:
    """The name with an underscore for each character that MLflow refuses in the name of a metric: models may be called anything."""
    return _NOT_IN_NAMES.sub("_", name)


def score(benchmark: str, number: int, role: str) -> str:
    """pass@1 of a role's checkpoint; one of ``ENDS`` follows."""
    return f"pass_at_1/{benchmark}/round_{number}/{role}"


def gain_over_base(benchmark: str, number: int, role: str) -> str:
    """The paired difference of a role's checkpoint to the base; one of ``ENDS`` follows."""
    return f"gain_over_base/{benchmark}/round_{number}/{role}"


def gain_over_champion(benchmark: str, number: int) -> str:
    """The paired difference of the candidate to the champion before it; one of ``ENDS`` follows."""
    return f"gain_over_champion/{benchmark}/round_{number}"


def rows(task: str) -> str:
    """The rows that a task passed on."""
    return f"rows/{task}"


def dropped(task: str) -> str:
    """The rows that a task dropped."""
    return f"dropped/{task}"


def roles(names: Sequence[str]) -> list[str]:
    """What tells checkpoints of one profile apart: their names without the words that all of them begin with.

    ``laptop-study-answer`` and ``laptop-study-summary`` are ``answer`` and ``summary``. A single name, or one that would have
    nothing left, stays whole.
    """
    words = [name.split("-") for name in names]
    shared = 0
    while len(names) > 1 and all(len(split) > shared + 1 for split in words) and len({split[shared] for split in words}) == 1:
        shared += 1
    return ["-".join(split[shared:]) for split in words]
