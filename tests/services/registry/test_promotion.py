"""Against a real MLflow server."""

import pytest

from stillhouse import testing
from stillhouse.errors import MissingInput
from stillhouse.execution import tracking
from stillhouse.registry import promotion


@pytest.fixture
def model(mlflow, tmp_path, request):
    """A registered model of three versions, each champion in its turn; the second one replaced the first, and so on."""
    name = f"m-{abs(hash(request.node.name))}"
    uri = (tmp_path / "sft" / "toy" / "1").as_uri()
    testing.publish_files({"model.safetensors": b"w"}, "sft", uri)
    with tracking.run("registry", f"{tmp_path.as_uri()}/registry/toy/1", {}, {}, "f") as run:
        for number in (1, 2, 3):
            replaces = {"replaces": str(number - 1), "gate/arithmetic/round_1": "+0.1"} if number > 1 else {}
            said = "champion: new\narithmetic/round_1: +0.1"
            identity = {"checkpoint": uri, "report": f"report/toy/{number}"}
            tracking.register(name, tmp_path / "sft" / "toy" / "1", uri, run.id, identity, replaces, said)
            tracking.set_alias(name, "champion", str(number))
    return name, uri


def test_rollback_goes_back_champion_by_champion_and_says_so(mlflow, model):
    name, _ = model
    assert promotion.rollback(name) == ("3", "2")
    assert promotion.rollback(name) == ("2", "1")
    assert mlflow.get_model_version_by_alias(name, "champion").version in {"1", 1}
    assert mlflow.get_model_version(name, "3").tags["rolled_back"].startswith("to version 2 at 2")
    with pytest.raises(MissingInput, match="replaced no other; name one"):
        promotion.rollback(name)


def test_rollback_to_a_named_version(model):
    assert promotion.rollback(model[0], "1") == ("3", "1")


@pytest.mark.parametrize("version", ["99", "3"])
def test_rollback_to_no_other_version_moves_nothing(mlflow, model, version):
    with pytest.raises(MissingInput, match=f"has no other version {version} to go back to, its champion is 3"):
        promotion.rollback(model[0], version)
    assert str(mlflow.get_model_version_by_alias(model[0], "champion").version) == "3"


def test_rollback_of_an_unknown_model_says_so(mlflow):
    with pytest.raises(MissingInput, match="model nobody has no alias champion"):
        promotion.rollback("nobody")


def test_register_keeps_the_evidence(mlflow, model):
    version = mlflow.get_model_version(model[0], "2")
    assert version.description == "champion: new\narithmetic/round_1: +0.1"
    assert version.tags["gate/arithmetic/round_1"] == "+0.1"


def test_register_killed_before_the_alias_next_try_finds_the_version_and_tells_its_own_decision(mlflow, tmp_path):
    uri = (tmp_path / "sft" / "toy" / "1").as_uri()
    testing.publish_files({"model.safetensors": b"w"}, "sft", uri)
    given = ("killed", tmp_path / "sft" / "toy" / "1", uri)
    identity = {"report": "r", "checkpoint": uri, "fingerprint": "f"}
    with tracking.run("registry", f"{tmp_path.as_uri()}/registry/killed/1", {}, {}, "f") as run:
        first = tracking.register(*given, run.id, identity, {"rank": "champion", "decision": "there was no champion"}, "first")
        assert promotion.earlier_try("killed", "r", "f") == (None, None)  # no alias was set
        again = tracking.register(*given, run.id, identity, {"rank": "candidate", "decision": "worse"}, "second")
        other = tracking.register(*given, run.id, identity | {"report": "s"}, {"rank": "candidate"}, "other")
    assert (again, other) == (first, str(int(first) + 1))
    version = mlflow.get_model_version("killed", first)
    assert (version.tags["rank"], version.tags["decision"], version.description) == ("candidate", "worse", "second")
    assert len(mlflow.search_model_versions("name='killed'")) == 2


@pytest.mark.parametrize("form", ["models:/{}@champion", "models:/{}/2"])
def test_artifact_of_a_registered_version_is_its_checkpoint(model, form):
    name, uri = model
    assert promotion.artifact(form.format(name)) == uri


@pytest.mark.parametrize("form", ["models:/{}@nobody", "models:/{}/77", "models:/{}", "models:/nobody/1"])
def test_artifact_of_a_version_that_is_not_there_is_missing(model, form):
    with pytest.raises(MissingInput, match="no such version"):
        promotion.artifact(form.format(model[0]))


def test_artifact_of_any_other_uri_is_the_uri():
    assert promotion.artifact("s3://b/sft/toy/1") == "s3://b/sft/toy/1"
