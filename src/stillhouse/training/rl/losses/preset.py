"""What an algorithm is to the rl stage: values of the loss's settings, where they differ from GRPO's."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AlgorithmPreset:
    """An algorithm."""

    source: str
    """The paper that defines it."""
    settings: Mapping[str, object]
    """Settings whose default it changes; a recipe's own value goes before it."""
