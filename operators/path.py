"""A stage as a task of a DAG that follows the path: it is given the stages it reads from, its inputs and its place at once."""

from collections.abc import Sequence
from typing import Any

from operators import parent
from operators.placement import cpu, model
from operators.stage import StageOperator

IMAGES = {"responses": "vllm", "sft": "train", "rl": "train", "report": "vllm"}
"""Of the stages that run a model."""


def stage(
    name: str, *, recipe: str = "", overrides: str = "{}", outlets: Sequence[Any] = (), priority: int = 1, cores: int = 1,
    **inputs: Any,
) -> Any:  # fmt: skip
    """The task that makes the artifact ``name`` by ``{profile}/{recipe}`` of ``inputs``, each one task or a list of them."""
    recipe = recipe or name
    word = recipe.split("-")[0]
    read = {key: given if isinstance(given, list) else [given] for key, given in inputs.items()}
    made = StageOperator(
        task_id=name, stage=word, recipe=f"@{{{{ params.profile }}}}/{recipe}", overrides=overrides,
        inputs={key: [each.target for each in given] for key, given in read.items()},
        target=f"{{{{ artifact('{name}') }}}}", parent_run=parent.RUN_ID, outlets=list(outlets), priority_weight=priority,
        **(model(IMAGES[word], cores) if word in IMAGES else cpu(cores)),
    )  # fmt: skip
    for given in read.values():
        given >> made
    return made
