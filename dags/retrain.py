"""The whole path, nightly: questions -> … -> a registered model.

A stage is given the stages it reads from: that is at once its inputs and its place in the graph.
"""

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, TaskGroup

from operators import parent
from operators.events import CHECKPOINT, QUESTIONS, REPORT, SELECTED
from operators.params import form, overrides
from operators.placement import cpu, model
from operators.stage import operator_of
from operators.uris import MACROS
from stillhouse import stages

SIZES = ("small", "medium", "large")
IMAGES = {"responses": "vllm", "sft": "train", "rl": "train", "report": "vllm"}  # of the stages that run a model
FORMS = {
    # What the form can set, by recipe: the stage's Config without the fields that tell its uses apart.
    "questions": (stages.load("questions").Config, ()),
    "responses": (stages.load("responses").Config, ("model",)),
    "sft-1": (stages.load("sft").Config, ("split",)),
    "sft-anneal": (stages.load("sft").Config, ("split",)),
    "rl": (stages.load("rl").Config, ("split",)),
    "report": (stages.load("report").Config, ()),
    "registry": (stages.load("registry").Config, ()),
}
PARAMS = {
    "profile": Param("laptop", enum=["laptop", "smollm2", "toy"], description="Whose recipes to run."),
    "version": Param(
        None, type=["null", "string"], pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="The artifacts' version. Empty: the run's time. A version that was run before skips what is unchanged.",
    ),
} | {key: param for name, of in FORMS.items() for key, param in form(name, *of).items()}  # fmt: skip


def stage(
    name: str,
    *,
    recipe: str = "",
    settings: str = "",
    outlets: Sequence[Any] = (),
    priority: int = 1,
    cores: int = 1,
    reuse: bool = False,
    **inputs: Any,
) -> Any:
    """The task that makes the artifact ``name`` of the stages given as ``inputs``, each one task or a list of them.

    ``reuse``: take over from the version published last what would be made again, such as a response to the same question.
    """
    recipe = recipe or name
    settings = settings or recipe
    word = recipe.split("-")[0]
    where = model(IMAGES[word], cores) if word in IMAGES else cpu(cores)
    read = {key: given if isinstance(given, list) else [given] for key, given in inputs.items()}
    made = operator_of(where)(
        task_id=name, stage=word, recipe=f"@{{{{ params.profile }}}}/{recipe}",
        overrides=overrides(settings, *FORMS[settings]) if settings in FORMS else "{}",
        inputs={key: [each.target for each in given] for key, given in read.items()} | ({"previous": "latest"} if reuse else {}),
        target=f"{{{{ artifact('{name}') }}}}", parent_run=parent.RUN_ID, outlets=list(outlets),
        priority_weight=priority, **where,
    )  # fmt: skip
    for given in read.values():
        given >> made
    return made


with DAG(
    "retrain",
    schedule=os.environ.get("STILLHOUSE_SCHEDULE", "0 2 * * *") or None,  # empty on a laptop: there a person starts it
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    user_defined_macros=MACROS,
    default_args={"retries": 1, "retry_delay": timedelta(seconds=30)},
    doc_md=__doc__,
    tags=["stillhouse"],
):
    opened = parent.open_run()

    with TaskGroup("models", prefix_group_id=False, tooltip="The student and three teachers, before anything is distilled"):
        corpus = stage("questions-corpus")
        lessons = stage("selected-corpus", questions=corpus)
        base = stage("sft-base", selected=lessons, outlets=[CHECKPOINT], priority=150)
        # What takes longest starts first; the student before the smallest teacher, whose responses come soon enough.
        teachers = {size: stage(f"sft-{size}", selected=lessons, priority=100 * place) for place, size in enumerate(SIZES, 1)}

    with TaskGroup("distil", prefix_group_id=False, tooltip="Responses, verified, screened, graded by difficulty, selected"):
        questions = stage("questions", outlets=[QUESTIONS])
        responses = [
            stage(f"responses-{size}", settings="responses", reuse=True, questions=questions, checkpoint=teachers[size])
            for size in SIZES
        ]
        verified = stage("verified", reuse=True, questions=questions, responses=responses)
        screened = stage("screened", questions=questions, responses=responses)
        graded = stage("graded", questions=questions, verified=verified)
        selected = stage(
            "selected", questions=questions, responses=responses, verified=verified, screened=screened, graded=graded,
            outlets=[SELECTED],
        )  # fmt: skip

    with TaskGroup("train", prefix_group_id=False, tooltip="Two stages of fine-tuning, two of reinforcement learning"):
        sft = stage("sft-1", selected=selected, checkpoint=base, outlets=[CHECKPOINT])
        annealed = stage("sft-anneal", selected=selected, checkpoint=sft, outlets=[CHECKPOINT])
        rollouts = {"settings": "rl", "selected": selected, "questions": questions, "outlets": [CHECKPOINT], "cores": 2}
        rl_1 = stage("rl-1", checkpoint=annealed, **rollouts)
        rl_2 = stage("rl-2", checkpoint=rl_1, **rollouts)

    with TaskGroup("reports", prefix_group_id=False, tooltip="Every checkpoint, measured as soon as it is there"):
        checkpoints = {"base": base, "sft": sft, "anneal": annealed, "rl": rl_2}
        *earlier, last = [
            stage(f"report-{name}", recipe="report", checkpoint=checkpoint, outlets=[REPORT])
            for name, checkpoint in checkpoints.items()
        ]

    registered = stage("registry", report=last, checkpoint=rl_2, others=earlier)

    opened >> [corpus, questions]
    registered >> parent.close_run(opened)
