"""Registered on a real MLflow server, and asked again from there."""

import shutil

import pytest
import transformers
from mlflow.artifacts import download_artifacts

from stillhouse import testing
from stillhouse.artifacts.store import local_path
from stillhouse.benchmarks.intervals import Interval
from stillhouse.benchmarks.outcomes import BenchmarkOutcome, EvaluationProtocol, Outcomes, RoundOutcome
from stillhouse.errors import MissingInput
from stillhouse.execution import tracking
from stillhouse.execution.execute import execute
from stillhouse.models import resolving
from stillhouse.models.references import parse
from stillhouse.registry.promotion import set_aliases
from stillhouse.stages import registry, sft

RESULT = RoundOutcome(passed={"q": [True, False]}, pass_at_1=Interval(0.5, 0.1, 0.9), tokens=3, stop_ratio=1)
PROTOCOL = EvaluationProtocol(
    benchmark="arithmetic", samples=2, prompts="p", verifier="v", engine="e",
    sampling={"temperature": 0.6, "top_p": 0.95, "max_tokens": 8, "system_prompt": "none", "suffix": "none"},
)  # fmt: skip
OUTCOME = BenchmarkOutcome(protocol=PROTOCOL.id, settings=PROTOCOL, n_questions=1, n_unverified=0, rounds={1: RESULT})


@pytest.fixture
def registered(mlflow, checkpoint, tmp_path, monkeypatch):
    """The name of a model that the stage registered from a directory, by way of sft; and the checkpoint's URI."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    root, name = f"{tmp_path.as_uri()}/store", f"m-{tmp_path.name}"
    with pytest.MonkeyPatch.context() as untracked:
        untracked.delenv("MLFLOW_TRACKING_URI")
        execute(sft, sft.Config(max_steps=0), {"checkpoint": str(checkpoint)}, f"{root}/sft/mine/1", models=resolving)
    record = Outcomes(benchmarks={"arithmetic": OUTCOME}).model_dump_json().encode()
    testing.publish_files({"outcomes.json": record}, "report", f"{root}/report/mine/1")
    inputs = {"report": f"{root}/report/mine/1", "checkpoint": f"{root}/sft/mine/1"}
    execute(registry, registry.Config(model_name=name), inputs, f"{root}/registry/mine/1", models=resolving)
    return name, f"{root}/sft/mine/1"


def test_registered_model_is_a_directory_that_transformers_loads_and_asks(registered, tmp_path):
    directory = download_artifacts(artifact_uri=f"models:/{registered[0]}@champion", dst_path=str(tmp_path / "downloaded"))
    ask = transformers.pipeline("text-generation", model=directory)
    messages = [{"role": "user", "content": "What is 1 + 1?"}]
    assert ask(messages, max_new_tokens=4, do_sample=False)[0]["generated_text"][-1]["role"] == "assistant"
    card = (tmp_path / "downloaded" / "README.md").read_text()
    assert "| arithmetic | 1 | 0.500 | 0.100–0.900 | 1 | 3.0 |" in card
    assert "checkpoint: " in card


def test_registered_model_by_its_alias_is_its_artifact_and_once_that_is_gone_mlflows_copy(registered):
    name, uri = registered
    before = resolving.pin(parse(f"models:/{name}@champion"))
    assert (before.kind, before.reference) == ("artifact", uri)
    shutil.rmtree(local_path(uri))
    pinned = resolving.pin(parse(f"models:/{name}@champion"))
    assert (pinned.kind, pinned.reference, pinned.fingerprint) == ("registry", f"models:/{name}/1", before.fingerprint)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in resolving.materialise(pinned).iterdir()}


def test_alias_that_moves_between_two_tasks_of_a_run_is_the_same_version_for_both(mlflow, tmp_path):
    name, root = f"m-{tmp_path.name}", tmp_path.as_uri()
    for number in (1, 2):
        testing.publish_files({"model.safetensors": b"%d" % number}, "sft", f"{root}/sft/toy/{number}")
        with tracking.run("registry", f"{root}/registry/toy/{number}", {}, {}, "f") as run:
            tags = {"checkpoint": f"{root}/sft/toy/{number}", "fingerprint": "none"}
            tracking.register(name, tmp_path / "sft" / "toy" / str(number), tags["checkpoint"], run.id, tags, {})
    set_aliases(name, "1", "champion")
    first = resolving.pin_input(f"models:/{name}@champion", f"{root}/sft/x/night")
    set_aliases(name, "2", "champion")
    assert resolving.pin_input(f"models:/{name}@champion", f"{root}/rl/x/night").uri == first.uri == f"models:/{name}/1"
    assert resolving.pin_input(f"models:/{name}@champion", f"{root}/sft/x/next").uri == f"models:/{name}/2"


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("models:/{}@nobody", r"no version of .* has the alias nobody; its aliases: champion \(version 1\)"),
        ("models:/{}/99", "has no version 99 of"),
        ("models:/nothing@champion", "has no registered model nothing"),
    ],
)
def test_model_that_nobody_registered_is_refused_in_one_line(mlflow, tmp_path, form, line):
    name = f"m-{tmp_path.name}"
    testing.publish_files({"model.safetensors": b"w"}, "sft", f"{tmp_path.as_uri()}/sft/toy/1")
    with tracking.run("registry", f"{tmp_path.as_uri()}/registry/toy/1", {}, {}, "f") as run:
        tracking.register(name, tmp_path / "sft" / "toy" / "1", f"{tmp_path.as_uri()}/sft/toy/1", run.id, {"a": "b"}, {})
    tracking.set_alias(name, "champion", "1")
    with pytest.raises(MissingInput, match=line) as caught:
        resolving.pin(parse(form.format(name)))
    assert "\n" not in str(caught.value)
