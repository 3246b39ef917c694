"""Against a real MLflow server."""

import pytest

from stillhouse import testing
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import store
from stillhouse.execution import tracking
from stillhouse.execution.execute import execute
from stillhouse.registry import retention
from stillhouse.vocabulary.rows import Question
from tests.unit import toy_stage

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def root(tmp_path) -> str:
    return (tmp_path / "store").as_uri()


def make(root, version):
    given = f"{root}/questions/toy/{version}"
    testing.publish([testing.question(f"{version} {number}") for number in range(3)], Question, given)
    execute(toy_stage, toy_stage.Config(), {"questions": given}, f"{root}/toy_stage/toy/{version}")
    return f"{root}/toy_stage/toy/{version}"


def test_prune_registered_version_and_its_runs_stay_and_old_runs_of_others_go(mlflow, root, tmp_path, request):
    registered, gone, _ = (make(root, version) for version in "123")
    model = f"m-{abs(hash(request.node.name))}"
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "weights").write_text("w")
    with tracking.run("registry", f"{root}/registry/toy/1", {}, {}, "f") as run:
        tracking.register(model, tmp_path / "checkpoint", registered, run.id, {"checkpoint": registered}, {}, "")
    own = manifests.load(registered).provenance.mlflow_run_id
    other = manifests.load(gone).provenance.mlflow_run_id
    dry = retention.prune(root, 1, 0.0, (), (), delete=False)
    assert dry.plan.kept[registered] == f"registered as {model} version 1"
    assert set(dry.plan.removable) == {gone, gone.replace("toy_stage", "questions")}
    assert dry.removed == []
    assert mlflow.get_run(other).info.lifecycle_stage == "active"
    done = retention.prune(root, 1, 0.0, (), (), delete=True)
    assert set(done.removed) == set(dry.plan.removable)
    assert manifests.find(registered) is not None
    assert store.store_of(root).names(gone) == []
    assert mlflow.get_run(other).info.lifecycle_stage == "deleted"
    assert {mlflow.get_run(run_id).info.lifecycle_stage for run_id in (own, run.id)} == {"active"}


def test_prune_runs_younger_than_the_limit_stay(mlflow, root):
    uri = make(root, "4")  # a name that no model of this server has: registered ones stay in every store
    run_id = manifests.load(uri).provenance.mlflow_run_id
    make(root, "5")
    assert retention.prune(root, 1, 30.0, (), (), delete=True).n_runs == 0
    assert manifests.find(uri) is None
    assert mlflow.get_run(run_id).info.lifecycle_stage == "active"
