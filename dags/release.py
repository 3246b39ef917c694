"""Sources -> a release: collected, labelled, deduplicated, kept apart from benchmarks, answered, verified, written as one file.

The file has a public schema and a dataset card (``stillhouse export``). A profile with recipes for training then measures what a
student learns from it.
"""

from airflow.sdk import TaskGroup

from operators.events import CHECKPOINT, QUESTIONS, SELECTED
from operators.profile_dag import ProfileDag, profiles

for profile in profiles("release"):
    with ProfileDag(profile, __doc__) as path:
        stage = path.stage

        with TaskGroup("collect", prefix_group_id=False, tooltip="Questions with labels, without duplicates and benchmarks"):
            questions = stage("questions", ask=["labeller"], outlets=[QUESTIONS])

        with TaskGroup("answers", prefix_group_id=False, tooltip="Responses, verified and screened"):
            responses = path.responses(questions)
            verified = stage("verified", reuse=True, ask=["judge", "reward"], questions=questions, responses=responses)
            screened = stage("screened", questions=questions, responses=responses)
            selected = stage(
                "selected", questions=questions, responses=responses, verified=verified, screened=screened, outlets=[SELECTED]
            )

        path.release(selected)

        with TaskGroup("train", prefix_group_id=False, tooltip="A student of the release, measured"):
            if path.has("sft-1"):
                student = stage("sft-1", selected=selected, checkpoint=path.model("student"), outlets=[CHECKPOINT])
                path.reports({"sft": student})
