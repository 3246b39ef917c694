"""What to learn from: the response a question came with, a teacher's answer alone, or a summary of its thinking and the answer.

One question set, three ways to answer it (Leveraging Reasoning Model Answers §2.2), one SFT each from the same weights with the
same seeds and steps, and one page that compares them. Artifacts that retrain made under the same version are reused.
"""

from airflow.sdk import DAG, Param, TaskGroup

from operators import parent, retries
from operators.events import REPORT
from operators.stage_task import stage
from operators.uris import MACROS

VARIANTS = ("original", "answer", "summary")
PARAMS = {
    "profile": Param("laptop", enum=["laptop", "toy"], description="Whose recipes to run."),
    "version": Param(
        None, type=["null", "string"], pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="The artifacts' version. Empty: the run's time. A version that was run before skips what is unchanged.",
    ),
}  # fmt: skip


with DAG(
    "answer_study",
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    user_defined_macros=MACROS,
    default_args=retries.default_args(),
    doc_md=__doc__,
    tags=["stillhouse"],
):
    opened = parent.open_run()

    with TaskGroup("models", prefix_group_id=False, tooltip="The student, its teacher, and who summarises the teacher's thinking"):
        corpus = stage("questions-corpus")
        lessons = stage("selected-corpus", questions=corpus)
        base = stage("sft-base", selected=lessons)
        teacher = stage("sft-large", selected=lessons)
        summaries = stage("questions-summaries")
        examples = stage("selected-summaries", questions=summaries)
        summariser = stage("sft-summariser", selected=examples)

    with TaskGroup("answers", prefix_group_id=False, tooltip="The teacher's responses, verified, and their summaries"):
        questions = stage("questions")
        responses = stage("responses-large", questions=questions, checkpoint=teacher)
        verified = stage("verified-study", recipe="verified", questions=questions, responses=responses)
        summarised = stage("responses-summary", questions=questions, responses=responses, checkpoint=summariser)

    with TaskGroup("variants", prefix_group_id=False, tooltip="The same questions with other answers: one student each"):
        reports = []
        for variant in VARIANTS:
            answers = [responses, summarised] if variant == "summary" else responses
            selected = stage(f"selected-{variant}", questions=questions, responses=answers, verified=verified)
            student = stage(f"sft-{variant}", recipe="sft-study", selected=selected, checkpoint=base)
            reports.append(stage(f"report-{variant}", recipe="report", checkpoint=student, outlets=[REPORT]))

    compared = stage("comparison-study", reports=reports)

    opened >> [corpus, summaries, questions]
    compared >> parent.close_run(opened)
