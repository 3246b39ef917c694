"""A teacher as a service: vLLM for several stages of a run, created before the first and deleted after the last.

    teacher = serve("qwq-32b", model="hf://Qwen/QwQ-32B", gpus=2, replicas=4)
    teacher.ready >> [responses, report] >> teacher.stop

Pass ``endpoints=teacher.endpoints`` to stages with ``engine: openai``. The teacher is deleted after a failure too, and by the
reaper if its run is gone. If stages are processes no teacher is created: ``STILLHOUSE_ENDPOINTS`` names what they ask.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from airflow.sdk import PokeReturnValue, get_current_context, task

from operators.placement import gpu, pending_s
from operators.templates import Template, as_template
from stillhouse.execution.profiles import ServedModel

ASK_EVERY_S, PORT = 20, 8000


class Served(NamedTuple):
    """A teacher's tasks and address, for a DAG."""

    start: Any
    """The task that creates the teacher."""
    ready: Any
    """The task that ends once every replica answers: stages come after it."""
    stop: Any
    """The teardown: stages come before it, it runs whether or not they succeeded."""
    endpoints: Template
    """A template of ``name=http://…/v1``."""


def serve(
    name: str, model: str, *, gpus: int = 1, nodes: int = 1, replicas: int = 1, arguments: Sequence[str] = (),
    where: Mapping[str, Any] | None = None, run: str | Template = "",
) -> Served:  # fmt: skip
    """The tasks around a teacher that serves ``model``, a reference of any kind, as ``name``.

    Each replica takes ``gpus`` GPUs on each of ``nodes`` nodes, which no pool counts while the teacher runs: the chart's
    ``capacity.teacherGpus`` keeps them out of the pool. ``arguments`` are vLLM's own. ``where`` is another placement than
    ``placement.gpu``'s. ``run``: an output of the run, whose pin of a branch or alias holds.
    """
    word = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
    ready_id, stop_id = f"ready-{word}", f"stop-{word}"
    chosen = {"gpus": gpus, "nodes": nodes, "replicas": replicas, "where": _pods(where or gpu(gpus, "vllm"))}
    settings = _as_data({"name": name, "model": model, "arguments": list(arguments), **chosen}) | {"run": as_template(run)}
    # Decorated anew for every teacher: a decorated teardown cannot be used twice in one process.
    start = task(task_id=f"start-{word}")(_start)(word, settings, stop_id)
    wait = task.sensor(task_id=ready_id, mode="reschedule", poke_interval=ASK_EVERY_S, timeout=pending_s())
    ready = wait(_ready)(word, name)
    stop = task(task_id=stop_id)(_stop)(word).as_teardown(setups=start)
    start >> ready >> stop
    return Served(start, ready, stop, Template(f"{{{{ ti.xcom_pull(task_ids='{ready_id}') or '' }}}}"))


def serve_role(model: ServedModel, where: Mapping[str, Any], run: Template) -> Served:
    """The tasks around a model that a profile has served."""
    return serve(
        model.served_as, model=model.serve, gpus=model.gpus, nodes=model.nodes, replicas=model.replicas,
        arguments=model.arguments, where=where, run=run,
    )  # fmt: skip


def _pods(where: Mapping[str, Any]) -> dict[str, Any]:
    """Of a placement, what a teacher's pods take."""
    return {name: where[name] for name in ("resources_needed", "image", "node_selector", "pod", "variables") if name in where}


def _as_data(value: Any) -> Any:
    """Nested values of which Airflow renders nothing."""
    if isinstance(value, str):
        return as_template(value)
    if isinstance(value, Mapping):
        return {key: _as_data(item) for key, item in value.items()}
    return [_as_data(item) for item in value] if isinstance(value, list | tuple) else value


def _start(word: str, settings: dict[str, Any], stop_id: str) -> None:
    """Create the teacher; a second try finds it."""
    if served_elsewhere():
        return
    from operators import serving

    ti: Any = get_current_context()["ti"]
    serving.make(serving.in_run(word, ti), settings, serving.owned_by(ti, stop_id))


def _ready(word: str, name: str) -> PokeReturnValue:
    """Whether every replica answers and, if so, where."""
    if served_elsewhere():
        return PokeReturnValue(is_done=True, xcom_value=os.environ.get("STILLHOUSE_ENDPOINTS", ""))
    from operators import serving

    unique = serving.in_run(word, get_current_context()["ti"])
    return PokeReturnValue(is_done=serving.ready(unique), xcom_value=f"{name}=http://{unique}:{PORT}/v1")


def _stop(word: str) -> None:
    """Delete it, if it exists."""
    if served_elsewhere():
        return
    from operators import serving

    serving.delete(serving.in_run(word, get_current_context()["ti"]))


def served_elsewhere() -> bool:
    """Whether stages are processes, so that no teacher is created here."""
    return os.environ.get("STILLHOUSE_RUNNER") == "process"
