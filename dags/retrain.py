"""The whole path, nightly: questions -> … -> a registered model.

The student is a model of yours or last night's champion; the teachers are models of yours, served ones, or trained here first.
"""

from airflow.sdk import TaskGroup

from operators.events import CHECKPOINT, QUESTIONS, SELECTED
from operators.profile_dag import ProfileDag, profiles

SIZES = ("small", "medium", "large")

for profile in profiles("retrain"):
    with ProfileDag(profile, __doc__) as path:
        stage = path.stage

        with TaskGroup("models", prefix_group_id=False, tooltip="The student and its teachers, before anything is distilled"):
            lessons = stage("selected-corpus", questions=stage("questions-corpus")) if path.trained_roles else None
            student = path.model("student", selected=lessons, priority=150)
            # What takes longest starts first; the student before the smallest teacher, whose responses come soon enough.
            for rank, size in enumerate(SIZES, 1):
                path.model(size, selected=lessons, priority=100 * rank)

        with TaskGroup("distil", prefix_group_id=False, tooltip="Responses, verified, screened, graded by difficulty, selected"):
            questions = stage("questions", outlets=[QUESTIONS])
            responses = path.responses(questions)
            verified = stage("verified", reuse=True, ask=["judge", "reward"], questions=questions, responses=responses)
            screened = stage("screened", questions=questions, responses=responses)
            graded = stage("graded", questions=questions, verified=verified)
            selected = stage(
                "selected", questions=questions, responses=responses, verified=verified, screened=screened, graded=graded,
                outlets=[SELECTED],
            )  # fmt: skip

        with TaskGroup("train", prefix_group_id=False, tooltip="Two stages of fine-tuning, two of reinforcement learning"):
            checkpoints, last = {"base": student}, student
            for name, recipe in {"sft": "sft-1", "anneal": "sft-anneal"}.items():
                if path.has(recipe):
                    checkpoints[name] = last = stage(recipe, selected=selected, checkpoint=last, outlets=[CHECKPOINT])
            rollouts = {"selected": selected, "questions": questions, "graded": graded, "outlets": [CHECKPOINT]}
            for recipe in filter(path.has, ("rl-1", "rl-2")):
                checkpoints["rl"] = last = stage(recipe, checkpoint=last, **rollouts)

        with TaskGroup("reports", prefix_group_id=False, tooltip="Every checkpoint, measured as soon as it is there"):
            reports = path.reports(checkpoints)

        path.register(checkpoint=last, reports=reports)
