"""Models -> reports over rounds of thinking: each round shows the model its last answer and asks again (Think Twice §2).

Every role of the profile but ``student`` and ``teacher`` is measured on every benchmark. If the profile has recipes for it, the
teacher then thinks again about hard questions until its answer is verified, and the student learns from that (§3.3).
"""

from airflow.sdk import TaskGroup

from operators.events import CHECKPOINT
from operators.profile_dag import ProfileDag, profiles

for profile in profiles("think_twice"):
    with ProfileDag(profile, __doc__) as path:
        stage = path.stage

        with TaskGroup("rounds", prefix_group_id=False, tooltip="Every model on every benchmark, round by round"):
            measured = {role: path.model(role) for role in path.roles if role not in {"student", "teacher", "judge", "reward"}}
            path.reports(measured)

        if path.has("responses"):
            with TaskGroup(
                "learn", prefix_group_id=False, tooltip="What a teacher came to after several rounds, learnt by the student"
            ):
                questions = stage("questions")
                responses = stage("responses", questions=questions, checkpoint=path.model("teacher"))
                verified = stage("verified", ask=["judge", "reward"], questions=questions, responses=responses)
                selected = stage("selected", questions=questions, responses=responses, verified=verified)
                student = stage("sft-1", selected=selected, checkpoint=path.model("student"), outlets=[CHECKPOINT])
                path.reports({"sft": student})
