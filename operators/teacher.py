"""A teacher as a service: one vLLM deployment for several stages of a run, created before the first and deleted after the last.

    teacher = serve("qwq-32b", model="Qwen/QwQ-32B", gpus=2, replicas=4)
    teacher.ready >> [responses, report] >> teacher.stop

Pass ``endpoints=teacher.endpoints`` to stages with ``engine: openai``. The teacher is deleted after a failure too, and by the
reaper if its run is gone. If stages are processes no teacher is created: ``STILLHOUSE_ENDPOINTS`` names what they ask.
"""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from airflow.sdk import PokeReturnValue, get_current_context, task

from operators.placement import pending_s
from operators.templates import Template

ASK_EVERY_S = 20


class Served(NamedTuple):
    """A teacher's tasks and address, for a DAG."""

    start: Any
    """The task that creates the deployment."""
    ready: Any
    """The task that ends once every replica answers: stages come after it."""
    stop: Any
    """The teardown: stages come before it, it runs whether or not they succeeded."""
    endpoints: Template
    """A template of ``name=http://…/v1``."""


def serve(name: str, model: str, *, gpus: int = 1, replicas: int = 1, arguments: Sequence[str] = ()) -> Served:
    """The tasks around a teacher that serves ``model``, a name on a hub or a path below the model cache, as ``name``.

    Each replica takes ``gpus`` GPUs, which no pool counts while the teacher runs: the chart's ``capacity.teacherGpus`` keeps them
    out of the pool. ``arguments`` are vLLM's own.
    """
    word = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
    ready_id, stop_id = f"ready-{word}", f"stop-{word}"
    settings = {"name": name, "model": model, "gpus": gpus, "replicas": replicas, "arguments": list(arguments)}
    # Decorated anew for every teacher: a decorated teardown cannot be used twice in one process.
    start = task(task_id=f"start-{word}")(_start)(word, settings, stop_id)
    wait = task.sensor(task_id=ready_id, mode="reschedule", poke_interval=ASK_EVERY_S, timeout=pending_s())
    ready = wait(_ready)(word, name)
    stop = task(task_id=stop_id)(_stop)(word).as_teardown(setups=start)
    start >> ready >> stop
    return Served(start, ready, stop, Template(f"{{{{ ti.xcom_pull(task_ids='{ready_id}') or '' }}}}"))


def _start(word: str, settings: dict[str, Any], stop_id: str) -> None:
    """Create the deployment and its service; a second try finds them."""
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
    return PokeReturnValue(is_done=serving.ready(unique), xcom_value=f"{name}=http://{unique}:{serving.PORT}/v1")


def _stop(word: str) -> None:
    """Delete both, if they exist."""
    if served_elsewhere():
        return
    from operators import serving

    serving.delete(serving.in_run(word, get_current_context()["ti"]))


def served_elsewhere() -> bool:
    """Whether stages are processes, so that no teacher is created here."""
    return os.environ.get("STILLHOUSE_RUNNER") == "process"
