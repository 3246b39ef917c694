"""Stages as commands, on a real S3 server: what one publishes the next one reads."""

import json
import subprocess
import sys
from functools import partial
from itertools import product
from pathlib import Path

import boto3
import httpx
import pytest

from laptop import services
from laptop.settings import Laptop
from stillhouse.artifacts import manifest, store
from stillhouse.execution.command import command
from tests.conftest import free_port, has_bucket, server

pytestmark = [pytest.mark.integration, pytest.mark.s3, pytest.mark.timeout(240)]

PATH = [
    # artifact, recipe, inputs: the path from nothing to graded training data, without a model
    ("questions/toy-corpus", "questions-corpus", {}),
    ("selected/toy-corpus", "selected-corpus", {"questions": "questions/toy-corpus"}),
    ("questions/toy", "questions", {}),
    ("responses/toy", "", {}),
    ("verified/toy", "verified", {"questions": "questions/toy", "responses": "responses/toy"}),
    ("screened/toy", "screened", {"questions": "questions/toy", "responses": "responses/toy"}),
    ("graded/toy", "graded", {"questions": "questions/toy", "verified": "verified/toy"}),
]


def stillhouse(*arguments: str) -> str:
    """Run the command line; its output. Fails with what it printed."""
    argv = [str(Path(sys.executable).with_name("stillhouse")), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def import_responses(root: str, tmp_path: Path) -> str:
    """Answers to the published questions, as if three models had given them: more of them right, the larger the model."""
    from stillhouse.artifacts import tables
    from stillhouse.vocabulary.rows import Question

    questions = tables.read(store.store_of(root).fetch(f"{root}/questions/toy/v1", tmp_path), Question)
    lines = []
    for (index, question), (size, model) in product(enumerate(questions), enumerate(("small", "medium", "large"))):
        answer = question.reference_answer if index % 4 <= size else "no idea"
        lines.append(
            {
                "question_id": question.question_id, "model": model, "prompt_kind": "question", "round": 1, "sample_index": 0,
                "text": f"<think>so</think>\\boxed{{{answer}}}", "think": "so", "answer": f"\\boxed{{{answer}}}",
                "finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 1, "seed": 0, "sampling_id": "scripted",
            }
        )  # fmt: skip
    file = tmp_path / "responses.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    return stillhouse("import", str(file), "--as", "responses", "--output", f"{root}/responses/toy/v1")


def run_path(root: str, tmp_path: Path) -> list[str]:
    said = []
    for artifact, recipe, inputs in PATH:
        if not recipe:
            if manifest.find(f"{root}/{artifact}/v1") is None:
                import_responses(root, tmp_path)
            continue
        uris = {name: f"{root}/{given}/v1" for name, given in inputs.items()}
        argv = command(recipe.split("-")[0], config=[f"@toy/{recipe}"], inputs=uris, output=f"{root}/{artifact}/v1")
        said.append(stillhouse(*argv[1:]))
    return said


def test_stages_on_s3_publish_and_skip_when_run_again(s3_root, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    first = run_path(s3_root, tmp_path)
    graded = manifest.load(f"{s3_root}/graded/toy/v1")
    again = run_path(s3_root, tmp_path)

    assert all("unchanged, skipped" not in said for said in first)
    assert all("unchanged, skipped" in said for said in again)
    assert graded.rows > 0
    links = {link for _, _, link, found in manifest.lineage(f"{s3_root}/graded/toy/v1") if found is not None}
    assert f"{s3_root}/questions/toy/v1" in links


def free_base() -> int:
    """A port such that it and those of SeaweedFS's other parts above it are free."""
    for _ in range(200):
        base = free_port(max(services.S3_OFFSETS))
        if not any(services._taken(base + offset) for offset in services.S3_OFFSETS):
            return base
    pytest.fail("no free ports")


@pytest.fixture(scope="module")
def closed_store(tmp_path_factory):
    """SeaweedFS as `make up STORE=s3` runs it, with one artifact: its S3 port and a client."""
    laptop = Laptop("s3", tmp_path_factory.mktemp("laptop"), {"AIRFLOW_PORT": 1, "MLFLOW_PORT": 2, "S3_PORT": free_base()})
    (laptop.home / "s3").mkdir()
    service, environment = services.services(laptop)[0], laptop.store_environment()
    ready = partial(has_bucket, laptop.s3_url, environment)
    with server(list(service.argv), environment | dict(service.variables), laptop.home / "log", ready):
        client = boto3.client(
            "s3", endpoint_url=laptop.s3_url, aws_access_key_id=environment["AWS_ACCESS_KEY_ID"], region_name="us-east-1",
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )  # fmt: skip
        client.put_object(Bucket="stillhouse", Key="questions/toy/1/manifest.json", Body=b"ours")
        client.put_object(Bucket="stillhouse", Key="questions/toy/1/part-00000.parquet", Body=b"x" * 9_000_000)
        yield laptop.ports["S3_PORT"], client


ARTIFACT = "/buckets/stillhouse/questions/toy/1"
FILER, MASTER, VOLUME = 3, 1, 2


@pytest.mark.parametrize(
    ("part", "method", "path"),
    [
        (FILER, "GET", f"{ARTIFACT}/manifest.json"), (FILER, "GET", f"{ARTIFACT}/"), (FILER, "GET", "/"),
        (FILER, "POST", f"{ARTIFACT}/manifest.json"), (FILER, "PUT", f"{ARTIFACT}/manifest.json"),
        (FILER, "DELETE", f"{ARTIFACT}/part-00000.parquet"), (FILER, "DELETE", "/buckets/stillhouse?recursive=true"),
        (MASTER, "GET", "/dir/assign"), (MASTER, "POST", "/submit"), (MASTER, "GET", "/dir/lookup?volumeId=1"),
        (MASTER, "GET", "/col/delete?collection=stillhouse"), (MASTER, "GET", "/vol/grow?count=1"),
        (VOLUME, "GET", "/1,01637037d6"), (VOLUME, "PUT", "/1,01637037d6"), (VOLUME, "DELETE", "/1,01637037d6"),
        (0, "GET", "/stillhouse/questions/toy/1/manifest.json"), (0, "PUT", "/stillhouse/questions/toy/1/manifest.json"),
        (0, "DELETE", "/stillhouse/questions/toy/1/manifest.json"),
    ],
)  # fmt: skip
def test_store_of_the_laptop_refuses_what_a_web_page_sends(closed_store, part, method, path):
    port, client = closed_store
    headers = {"Origin": "http://evil.example"}
    answer = httpx.request(method, f"http://127.0.0.1:{port + part}{path}", headers=headers, content=b"hacked", timeout=10)
    assert answer.status_code in {401, 403, 404}, answer.text
    assert b"ours" not in answer.content
    assert b"part-00000" not in answer.content
    # The volume server lets every origin read its refusal.
    assert "access-control-allow-origin" not in answer.headers or (part, answer.status_code) == (VOLUME, 401)
    assert client.get_object(Bucket="stillhouse", Key="questions/toy/1/manifest.json")["Body"].read() == b"ours"
    assert len(client.get_object(Bucket="stillhouse", Key="questions/toy/1/part-00000.parquet")["Body"].read()) == 9_000_000


def test_store_of_the_laptop_allows_no_foreign_origin(closed_store):
    port, _ = closed_store
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "DELETE"}
    for part, path in (
        (0, "/stillhouse/questions/toy/1/manifest.json"),
        (FILER, f"{ARTIFACT}/manifest.json"),
        (MASTER, "/dir/assign"),
    ):
        answer = httpx.options(f"http://127.0.0.1:{port + part}{path}", headers=headers, timeout=10)
        assert "access-control-allow-origin" not in answer.headers, part
