"""A stage as a task of a DAG that follows the path: it is given the stages it reads from, its inputs and its place at once."""

from collections.abc import Sequence
from typing import Any

from operators import parent
from operators.placement import cpu, model
from operators.stage import operator_of

IMAGES = {"responses": "vllm", "sft": "train", "rl": "vllm", "report": "vllm"}
"""Of the stages that run a model. Both have what trains; vLLM writes the rollouts of ``rl``."""
TRAINING = ("sft", "rl")


def stage(
    name: str, *, recipe: str = "", overrides: str = "{}", outlets: Sequence[Any] = (), priority: int = 1, cores: int = 1,
    reuse: bool = False, **inputs: Any,
) -> Any:  # fmt: skip
    """The task that makes the artifact ``name`` by ``{profile}/{recipe}`` of ``inputs``, each one task or a list of them.

    ``reuse``: take over from the version published last what would be made again, such as a response to the same question.
    """
    recipe = recipe or name
    word = recipe.split("-")[0]
    read = {key: given if isinstance(given, list) else [given] for key, given in inputs.items()}
    where = model(IMAGES[word], cores, trains=word in TRAINING) if word in IMAGES else cpu(cores)
    previous = {"previous": "latest"} if reuse else {}
    made = operator_of(where)(
        task_id=name, stage=word, recipe=f"@{{{{ params.profile }}}}/{recipe}", overrides=overrides,
        inputs={key: [each.target for each in given] for key, given in read.items()} | previous,
        target=f"{{{{ artifact('{name}') }}}}", parent_run=parent.RUN_ID, outlets=list(outlets), priority_weight=priority,
        **where,
    )  # fmt: skip
    for given in read.values():
        given >> made
    return made
