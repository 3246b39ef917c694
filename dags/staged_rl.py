"""Questions -> levels of difficulty -> reinforcement learning, one level after the other.

Several models answer, their pass rates give each question its level (Difficulty-Aware Staged RL §3.2), and the student is trained
on level 2, then on level 3. Recipes ``rl-level-…`` train on one level alone, ``rl-mixed`` on math and code in one batch, each from
the student; ``rl-single`` carries the first stage on, as a control.
"""

from airflow.sdk import TaskGroup

from operators.events import CHECKPOINT, QUESTIONS, SELECTED
from operators.profile_dag import ProfileDag, profiles

for profile in profiles("staged_rl"):
    with ProfileDag(profile, __doc__) as path:
        stage = path.stage

        with TaskGroup("levels", prefix_group_id=False, tooltip="Pass rates of several models, and the levels that follow"):
            student = path.model("student")
            questions = stage("questions", outlets=[QUESTIONS])
            responses = path.responses(questions)
            verified = stage("verified", reuse=True, ask=["judge", "reward"], questions=questions, responses=responses)
            graded = stage("graded", questions=questions, verified=verified)
            selected = stage("selected", questions=questions, graded=graded, outlets=[SELECTED])

        with TaskGroup("train", prefix_group_id=False, tooltip="Level 2, then level 3; then the ablations"):
            rollouts = {"selected": selected, "questions": questions, "graded": graded, "outlets": [CHECKPOINT]}
            first = stage("rl-1", checkpoint=student, **rollouts)
            checkpoints = {"base": student, "rl-1": first, "rl-2": stage("rl-2", checkpoint=first, **rollouts)}
            if path.has("rl-single"):
                checkpoints["rl-single"] = stage("rl-single", checkpoint=first, **rollouts)
            for recipe in path.matching("rl-level", "rl-mixed"):
                checkpoints[recipe] = stage(recipe, checkpoint=student, **rollouts)

        with TaskGroup("reports", prefix_group_id=False, tooltip="Every checkpoint on every benchmark"):
            reports = path.reports(checkpoints)

        path.register(checkpoint=checkpoints["rl-2"], reports=reports)
