"""A checkpoint -> reports: one task per benchmark, side by side, each over all rounds of thinking."""

from airflow.sdk import DAG, Param

from operators import parent, retries
from operators.evaluations import plan
from operators.events import REPORT
from operators.params import profiles
from operators.placement import model
from operators.stage import StageOperator

PAPERS = ("am-1.4m", "am-thinking", "answers-32b", "not-all-correct", "staged-rl-1.5b", "think-twice")
PARAMS = {
    "checkpoint": Param(type="string", minLength=1, description="URI of the checkpoint: an artifact of sft or rl."),
    "profile": Param(
        profiles()[0], enum=[*profiles(), *PAPERS], description="Whose recipes to measure by: a profile, or a paper's protocol."
    ),
    "benchmarks": Param(
        ["arithmetic"], type="array", items={"type": "string", "minLength": 1}, minItems=1,
        description="One to a line: a name; of a published one NAME@COMMIT or NAME@sha256-DIGEST.",
    ),
    "rounds": Param(
        None, type=["null", "integer"], minimum=1, maximum=8, description="Rounds of thinking. Empty: as the recipe says."
    ),
    "version": Param(
        None, type=["null", "string"], pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="The reports' version. Empty: the run's time.",
    ),
}  # fmt: skip

with DAG(
    "evaluate",
    schedule=None,
    catchup=False,
    params=PARAMS,
    default_args=retries.default_args(),
    doc_md=__doc__,
    tags=["stillhouse"],
):
    opened = parent.open_run()
    planned = plan()
    reports = StageOperator.partial(
        task_id="report", stage="report", parent_run=parent.RUN_ID, outlets=[REPORT], **model("vllm")
    ).expand_kwargs(planned)  # fmt: skip

    opened >> planned
    reports >> parent.close_run(opened)
