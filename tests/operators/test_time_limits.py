from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from operators import time_limits
from operators.job import StageJob
from operators.placement import gpu
from operators.pod import StagePod
from operators.retries import Outage
from tests.operators.kubernetes_fake import BEGUN, container

WORK = {"stage": "sft", "recipe": "@toy/sft-1", "target": "s3://b/sft/toy/1", "post_execute": None}


def estimate(task: str, gpu_hours: float = 0.0, cpu_hours: float = 0.0, basis: str = "measured") -> SimpleNamespace:
    return SimpleNamespace(task=task, gpu_hours=gpu_hours, cpu_hours=cpu_hours, basis=basis)


def fact(name: str, gpus: int = 0, served_gpus: int = 0) -> dict:
    return {"name": name, "gpus": gpus, "served_gpus": served_gpus}


@pytest.mark.parametrize(
    ("planned", "held", "hours"),
    [
        (estimate("sft", gpu_hours=800), fact("sft", gpus=8), 1000),
        (estimate("responses", gpu_hours=800), fact("responses", served_gpus=16), 500),
        (estimate("verified", cpu_hours=2), fact("verified"), 20),
        (estimate("report", gpu_hours=0.1), fact("report", gpus=1), 6),
    ],
    ids=["on GPUs", "on served GPUs", "on cores", "shorter than the least"],
)
def test_limit_is_ten_times_the_planned_hours_by_gpu(monkeypatch, planned, held, hours):
    monkeypatch.delenv("STILLHOUSE_TIME_LIMIT_FACTOR", raising=False)
    assert time_limits.of_plan([planned], [held]) == {planned.task: hours * 3600}


@pytest.mark.parametrize(
    ("planned", "factor"),
    [
        (estimate("sft", basis="unknown: the number of examples is not known"), "10"),
        (estimate("sft"), "10"),
        (estimate("sft", 5), "0"),
    ],
    ids=["not known", "no estimate", "switched off"],
)
def test_task_without_an_estimate_has_no_limit(monkeypatch, planned, factor):
    monkeypatch.setenv("STILLHOUSE_TIME_LIMIT_FACTOR", factor)
    assert time_limits.of_plan([planned], [fact("sft", gpus=1)]) == {}


@pytest.mark.parametrize("plan", [None, ["an evaluation"], {"limits": {}}, {"limits": {"rl-1": 7200}}])
def test_macro_finds_the_tasks_limit_in_the_plan(plan):
    context = {"ti": SimpleNamespace(xcom_pull=lambda task_ids: plan)}
    assert time_limits.time_limit(context, "rl-1") == ("7200" if isinstance(plan, dict) and plan["limits"] else "")


def test_pod_and_job_end_at_their_limit(cluster, valid, context):
    pod = valid(StagePod(task_id="sft", limit="36000", **WORK, **gpu(1)).build_pod_request_obj(dry_run=True))
    assert pod["spec"]["activeDeadlineSeconds"] == 36000
    job = valid(StageJob(task_id="sft", limit="36000", **WORK, **gpu(8, nodes=2)).build_job_request_obj(context))
    assert job["spec"]["template"]["spec"]["activeDeadlineSeconds"] == 36000
    unlimited = valid(StagePod(task_id="sft", **WORK, **gpu(1)).build_pod_request_obj(dry_run=True))
    assert "activeDeadlineSeconds" not in unlimited["spec"]


def test_pod_beyond_its_limit_says_so_and_is_no_outage(cluster, context, run):
    killed = {"exitCode": 137, "reason": "Error", "startedAt": BEGUN, "finishedAt": BEGUN}
    late = {
        "phase": "Failed",
        "reason": "DeadlineExceeded",
        "message": "Pod was active on the node longer than the specified deadline",
    }
    cluster.lives = [late | {"containerStatuses": [container(terminated=killed)]}]
    with pytest.raises(AirflowException, match=r"ran longer than its limit of 10\.0 hours.*timeLimitFactor") as raised:
        run(StagePod(task_id="sft", limit="36000", startup_check_interval_seconds=1, **WORK, **gpu(1)), context)
    assert not isinstance(raised.value, (Outage, AirflowFailException))
    assert cluster.names("pods") == []
