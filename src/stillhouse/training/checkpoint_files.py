"""Which files of an earlier try's checkpoints this node reads: of whole checkpoints, what all ranks or its own ranks need."""

import re
from collections.abc import Iterable

from stillhouse.execution import processes

DIRECTORY = "resume"
"""Where checkpoints lie below the output."""
WHOLE = "whole.json"
"""Written last into a checkpoint: its files with their sizes, how it is partitioned, and what the stage wants to remember."""
_CHECKPOINT = re.compile(rf"{DIRECTORY}/(checkpoint-\d+)/(.+)")
_OF_RANK = re.compile(r"(?:.*/)?(?:(?:bf16_|fp16_)?zero_pp_rank_(\d+)_mp_rank_\d+_(?:model|optim)_states\.pt|rng_state_(\d+)\.pth)")
"""DeepSpeed's names of a rank's share, and transformers' of its random states."""
_WEIGHTS = re.compile(r"model[^/]*\.safetensors")
"""The whole weights beside DeepSpeed's files, which hold them too."""


def needed(names: Iterable[str]) -> list[str]:
    """Of the files that an earlier try left (paths below its output), those that this node reads; other parts are all read."""
    names = list(names)
    checkpoints = complete(names)
    partitioned = {match[1] for name in names if (match := _CHECKPOINT.fullmatch(name)) and _is_deepspeed(match[2])}
    wanted = []
    for name in names:
        match = _CHECKPOINT.fullmatch(name)
        if match is None or (match[1] in checkpoints and is_read(match[2], partitioned=match[1] in partitioned)):
            wanted.append(name)
    return wanted


def complete(names: Iterable[str]) -> set[str]:
    """The names of the checkpoints that have their list."""
    matches = filter(None, map(_CHECKPOINT.fullmatch, names))
    return {match[1] for match in matches if match[2] == WHOLE}


def incomplete(names: Iterable[str]) -> set[str]:
    """The names of the checkpoints that have files, and no list."""
    names = list(names)
    return {match[1] for match in filter(None, map(_CHECKPOINT.fullmatch, names))} - complete(names)


def is_read(name: str, *, partitioned: bool) -> bool:
    """Whether this node reads a file of a checkpoint: not if it is another node's share. ``partitioned``: by DeepSpeed."""
    if partitioned and _WEIGHTS.fullmatch(name):
        return False
    match = _OF_RANK.fullmatch(name)
    return match is None or int(match[1] or match[2]) in processes.ranks_of_node()


def is_partitioned(names: Iterable[str]) -> bool:
    """Whether a checkpoint with these files was written by DeepSpeed."""
    return any(map(_is_deepspeed, names))


def _is_deepspeed(name: str) -> bool:
    return bool(re.match(r"global_step\d+/", name))
