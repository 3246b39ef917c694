"""A registered model, downloaded from MLflow under its alias: served by a real vLLM (CPU build), and loaded by transformers."""

import json
import urllib.request

import pytest
import transformers
from mlflow.artifacts import download_artifacts

from stillhouse import testing
from stillhouse.execution.execute import execute
from stillhouse.models import resolving
from stillhouse.stages import registry
from tests.conftest import answers, free_port, server
from tests.integration.test_vllm import ENVIRONMENT, PLATFORM, PYTHON, START_S
from tests.services.registry.test_registered_models import OUTCOME
from tests.services.stages.test_architectures import fine_tuned

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not PYTHON.exists(), reason=f"no .venv-vllm on {PLATFORM}: make test builds it on Linux x86_64"),
]
ASKED = [row.messages for row in testing.questions(8)]


@pytest.fixture
def downloaded(mlflow, tmp_path, monkeypatch):
    """What MLflow's own client brings for the alias of a model that the stage registered."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    root, name = f"{tmp_path.as_uri()}/store", f"m-{tmp_path.name}"
    trained = fine_tuned(tmp_path, "smollm2", "think_answer")
    files = {path.name: path.read_bytes() for path in trained.iterdir() if path.is_file()}
    testing.publish_files(files, "sft", f"{root}/sft/mine/1")
    record = json.dumps({"version": 1, "benchmarks": {"arithmetic": OUTCOME.model_dump(mode="json")}})
    testing.publish_files({"outcomes.json": record.encode()}, "report", f"{root}/report/mine/1")
    inputs = {"report": f"{root}/report/mine/1", "checkpoint": f"{root}/sft/mine/1"}
    execute(registry, registry.Config(model_name=name), inputs, f"{root}/registry/mine/1", models=resolving)
    return download_artifacts(artifact_uri=f"models:/{name}@champion", dst_path=str(tmp_path / "downloaded"))


def test_registered_model_answers_the_same_in_vllm_and_in_a_pipeline(downloaded, tmp_path):
    ask = transformers.pipeline("text-generation", model=downloaded)
    expected = [ask(messages, max_new_tokens=60, do_sample=False)[0]["generated_text"][-1]["content"] for messages in ASKED]
    assert any("<answer>" in text for text in expected)
    port = free_port()
    command = [
        str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", "--model", downloaded, "--served-model-name", "mine",
        "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--enforce-eager", "--max-model-len", "256",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with server(command, ENVIRONMENT, tmp_path / "vllm.log", lambda: answers(f"{url}/health"), START_S):
        served = [chat(url, messages) for messages in ASKED]
    assert [finish for _, finish in served] == ["stop"] * len(ASKED)
    equal = sum(text == other for (text, _), other in zip(served, expected, strict=True))
    assert equal >= len(ASKED) - 1, f"{served} against {expected}"


def chat(url, messages):
    """The text and finish reason of a greedy completion."""
    body = {"model": "mine", "messages": messages, "temperature": 0, "max_tokens": 60}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=60) as reply:
        choice = json.load(reply)["choices"][0]
    return choice["message"]["content"], choice["finish_reason"]
