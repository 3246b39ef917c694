"""The names of the stages."""

from typing import Literal, get_args

StageName = Literal[
    "questions", "responses", "verified", "screened", "graded", "selected", "sft", "rl", "report", "comparison", "registry"
]
STAGE_NAMES: tuple[StageName, ...] = get_args(StageName)
"""In the order of the path: a stage reads only what stages before it made."""
MARKS = "marks"
"""What people made, and no stage makes again: their marks on verdicts."""
