"""Questions -> selected: what several teachers answer, verified, screened, graded and selected; then a student learns from it.

Stage I trains on what Algorithm 1 selects, annealing on what is most challenging (DeepDistill §3, §4). A profile without recipes
for training ends in the data.
"""

from airflow.sdk import TaskGroup

from operators.events import CHECKPOINT, QUESTIONS, SELECTED
from operators.profile_dag import ProfileDag, profiles

for profile in profiles("distill"):
    with ProfileDag(profile, __doc__) as path:
        stage = path.stage

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

        with TaskGroup("train", prefix_group_id=False, tooltip="Stage I, then annealing"):
            checkpoints, last = {}, path.model("student")
            for name, recipe in {"sft": "sft-1", "anneal": "sft-anneal"}.items():
                if path.has(recipe):
                    checkpoints[name] = last = stage(recipe, selected=selected, checkpoint=last, outlets=[CHECKPOINT])

            for recipe in path.matching("sft-1"):  # Stage I with other settings, to compare with
                if recipe not in checkpoints and recipe != "sft-1":
                    checkpoints[recipe] = stage(recipe, selected=selected, checkpoint=path.model("student"), outlets=[CHECKPOINT])

        with TaskGroup("reports", prefix_group_id=False, tooltip="Every checkpoint on every benchmark"):
            reports = path.reports(checkpoints)

        path.register(checkpoint=last, reports=reports)
