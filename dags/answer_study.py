"""What to learn from: the response a question came with, a teacher's answer alone, or a summary of its thinking and the answer.

One question set, several ways to answer it (Leveraging Reasoning Model Answers §2.2), one SFT each from the same weights with the
same seeds and steps, and one page that compares them. What another DAG of the same store has made is not made again.
"""

from airflow.sdk import TaskGroup

from operators.profile_dag import ProfileDag, profiles

for profile in profiles("answer_study"):
    with ProfileDag(profile, __doc__) as path:
        stage = path.stage

        with TaskGroup(
            "models", prefix_group_id=False, tooltip="The student, its teacher, and who summarises the teacher's thinking"
        ):
            lessons = stage("selected-corpus", questions=stage("questions-corpus")) if path.trained_roles else None
            examples = (
                stage("selected-summaries", questions=stage("questions-summaries")) if path.has("selected-summaries") else None
            )
            student, teacher = path.model("student", selected=lessons), path.model("large", selected=lessons)
            summariser = path.model("summariser", selected=examples)

        with TaskGroup("answers", prefix_group_id=False, tooltip="The teacher's responses, verified, and their summaries"):
            questions = stage("questions")
            responses = stage("responses-large", questions=questions, checkpoint=teacher)
            verified = stage("verified-study", recipe="verified", ask=["judge", "reward"], questions=questions, responses=responses)
            answers = {"answer": responses}
            if path.has("selected-original"):
                answers = {"original": responses, **answers}
            if path.has("responses-summary"):
                summaries = stage("responses-summary", questions=questions, responses=responses, checkpoint=summariser)
                answers["summary"] = [responses, summaries]
            if path.has("responses-control"):  # another model's responses to the same questions (§2.2, method 4)
                control = stage("responses-control", questions=questions, checkpoint=path.model("control"))
                answers["control"] = control

        with TaskGroup("variants", prefix_group_id=False, tooltip="The same questions with other answers: one student each"):
            reports = {recipe: [] for recipe in path.matching("report")}
            for variant, learnt in answers.items():
                scores = verified
                if variant == "control":
                    scores = stage(
                        "verified-control", recipe="verified", ask=["judge", "reward"], questions=questions, responses=learnt
                    )
                selected = stage(f"selected-{variant}", questions=questions, responses=learnt, verified=scores)
                trained = stage(f"sft-{variant}", recipe="sft-study", selected=selected, checkpoint=student)
                for recipe, report in zip(reports, path.reports({variant: trained}), strict=True):
                    reports[recipe].append(report)

        for recipe, compared in reports.items():  # one page to each set of benchmarks
            stage(f"comparison-study{recipe.removeprefix('report')}", recipe="comparison-study", reports=compared)
