"""The whole path, nightly: questions -> … -> a registered model.

Each stage is passed the stages it reads: they are its inputs and its upstream tasks.
"""

import os
from typing import Any

from airflow.sdk import DAG, Param, TaskGroup

from operators import parent, retries, stage_task
from operators.events import CHECKPOINT, QUESTIONS, REPORT, SELECTED
from operators.params import form, overrides, profiles
from operators.uris import MACROS

SIZES = ("small", "medium", "large")
FORMS = ("questions", "responses", "sft-1", "sft-anneal", "rl", "report", "registry")
"""The recipes whose settings the trigger form shows, each in a section of its own."""
PARAMS = {
    "profile": Param(profiles()[0], enum=profiles(), description="Whose recipes to run: the name of a folder of recipes."),
    "version": Param(
        None, type=["null", "string"], pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="The artifacts' version. Empty: the run's time. A version that was run before skips what is unchanged.",
    ),
} | {key: param for name in FORMS for key, param in form(name).items()}  # fmt: skip


def stage(name: str, *, recipe: str = "", settings: str = "", **options: Any) -> Any:
    """The task of ``operators.stage_task``, with what the form sets in the section ``settings``, by default the recipe's."""
    settings = settings or recipe or name
    return stage_task.stage(name, recipe=recipe, overrides=overrides(settings) if settings in FORMS else "{}", **options)


with DAG(
    "retrain",
    schedule=os.environ.get("STILLHOUSE_SCHEDULE", "0 2 * * *") or None,  # empty on a laptop: there a person starts it
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    user_defined_macros=MACROS,
    default_args=retries.default_args(),
    doc_md=__doc__,
    tags=["stillhouse"],
):
    opened = parent.open_run()

    with TaskGroup("models", prefix_group_id=False, tooltip="The student and three teachers, before anything is distilled"):
        corpus = stage("questions-corpus")
        lessons = stage("selected-corpus", questions=corpus)
        base = stage("sft-base", selected=lessons, outlets=[CHECKPOINT], priority=150)
        # What takes longest starts first; the student before the smallest teacher, whose responses come soon enough.
        teachers = {size: stage(f"sft-{size}", selected=lessons, priority=100 * rank) for rank, size in enumerate(SIZES, 1)}

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
        rollouts = {
            "settings": "rl", "selected": selected, "questions": questions, "graded": graded, "outlets": [CHECKPOINT], "cores": 2,
        }  # fmt: skip
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
