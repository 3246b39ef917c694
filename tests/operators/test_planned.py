from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace

import pytest
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from operators import planned


def approve(monkeypatch, hours: float, bound: float):
    """Run the approval of a plan of so many GPU-hours; returns whether a person was asked."""
    asked = []
    monkeypatch.setattr(ApprovalOperator, "execute", lambda self, context: asked.append(self.subject))
    with DAG("d"):
        operator = planned.ApproveAboveBound(task_id="approve", subject="s", bound_gpu_hours=bound)
    operator.execute({"ti": SimpleNamespace(xcom_pull=lambda task_ids: {"gpu_hours": hours})})
    return bool(asked)


@pytest.mark.parametrize(("hours", "bound", "asked"), [(99.9, 100, False), (100, 100, False), (100.1, 100, True), (0, 0, False)])
def test_person_is_asked_above_the_bound_alone(monkeypatch, hours, bound, asked):
    assert approve(monkeypatch, hours, bound) is asked


def test_approval_shows_the_plan():
    with DAG("d") as dag:
        first = planned.plan([])
        planned.approval(first, 10)
    task = dag.get_task("approve")
    assert "xcom_pull(task_ids='plan')['page']" in task.body
    assert task.upstream_task_ids == {"plan"}


@pytest.mark.parametrize(("count", "shares"), [(1, [""]), (3, ["0/3", "1/3", "2/3"])])
def test_shares_are_as_many_as_the_form_says(monkeypatch, count, shares):
    context = {"params": {"placement__responses_large__shards": count}}
    monkeypatch.setattr(planned, "get_current_context", lambda: context)
    assert [one["shard"] for one in planned.shares("responses-large")] == shares
    assert {one["step"] for one in planned.shares("responses-large", "map")} == ({"map"} if count > 1 else {""})


def test_shard_params_are_bounded():
    param = planned.shard_params({"responses": 16})["placement__responses__shards"]
    assert (param.value, param.schema["minimum"], param.schema["section"]) == (16, 1, "placement")


@pytest.mark.parametrize("operator", [planned.Approval, partial(planned.ApproveAboveBound, bound_gpu_hours=1)])
def test_rejection_is_final_and_names_who_rejected_what(operator):
    with DAG("d"):
        approve = operator(task_id="approve", subject="register the model?")
    event = {
        "chosen_options": ["Reject"], "params_input": {}, "responded_at": datetime(2026, 1, 2, tzinfo=UTC),
        "responded_by_user": {"id": "1", "name": "Ada"},
    }  # fmt: skip
    with pytest.raises(AirflowFailException, match=r"^Ada rejected: register the model\?; the run ends here"):
        approve.execute_complete({}, event)
    assert approve.execute_complete({}, event | {"chosen_options": ["Approve"]})["chosen_options"] == ["Approve"]
