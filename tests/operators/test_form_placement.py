"""What the form's section of placement changes: nodes and resources of a task, none of its result."""

import copy
import json
from functools import partial

import pytest
from airflow.sdk.exceptions import ParamValidationError

from operators.form_placement import FormPlacement
from operators.placement import placed
from stillhouse.execution.profiles import TaskPlacement


@pytest.fixture
def form(monkeypatch):
    monkeypatch.delenv("STILLHOUSE_RUNNER", raising=False)
    made = FormPlacement()
    for name, choice, loads_model, trains in (
        ("graded", TaskPlacement(cores=4), False, False),
        ("report", TaskPlacement(), True, False),
        ("sft-1", TaskPlacement(gpus=8, nodes=2, memory="900Gi"), True, True),
    ):
        where = partial(placed, "train", loads_model=loads_model, trains=trains)
        made.add(name, lambda chosen, where=where: where(choice=chosen), choice)
    return made


def placing(form, name, **changes):
    params = {key: param.value for key, param in form.params().items()} | changes
    text = form.macro()({"params": params}, name)
    return json.loads(text) if text else None


def test_form_offers_gpus_where_there_are_some_and_nodes_where_there_are_several(form):
    fields = {key.removeprefix("placement__"): param.value for key, param in form.params().items()}
    assert fields == {
        "graded__cores": 4, "graded__memory": None, "report__gpus": None, "report__cores": None, "report__memory": None,
        "sft_1__gpus": 8, "sft_1__nodes": 2, "sft_1__cores": None, "sft_1__memory": "900Gi",
    }  # fmt: skip


def test_placing_of_an_untouched_form_is_the_profiles(form):
    assert [placing(form, name) for name in ("graded", "report", "sft-1")] == [None, None, None]


def test_placing_follows_the_form_and_leaves_other_tasks_alone(form):
    changes = {"placement__sft_1__nodes": 4, "placement__sft_1__memory": None, "placement__graded__cores": 32}
    assert placing(form, "sft-1", **changes) == {
        "resources": {"nvidia.com/gpu": "8", "cpu": "48", "memory": "192Gi"}, "nodes": 4,
    }  # fmt: skip
    assert placing(form, "graded", **changes) == {"resources": {"cpu": "32", "memory": "128Gi"}, "nodes": 1}
    assert placing(form, "report", **changes) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("report__gpus", 0), ("sft_1__nodes", 1.5), ("graded__cores", "many"), ("graded__memory", "96 GB"), ("graded__memory", 4)],
)
def test_placement_that_no_cluster_takes_is_refused_in_the_form(form, name, value):
    with pytest.raises(ParamValidationError):
        copy.copy(form.params()[f"placement__{name}"]).resolve(value)
