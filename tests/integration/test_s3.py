"""Stages as commands, on a real S3 server: what one publishes the next one reads."""

import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from stillhouse.artifacts import manifest, store
from stillhouse.execution.command import command

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
