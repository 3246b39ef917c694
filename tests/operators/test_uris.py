"""Two checkpoints, two URIs of their reports; the same one again, the same URI."""

import re
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from operators.uris import report_uri
from stillhouse.errors import BadConfig

CONTEXT = {
    "params": {"version": "release"},
    "dag_run": SimpleNamespace(dag_id="evaluate", run_after=datetime(2026, 11, 27, tzinfo=UTC)),
}
CHECKPOINTS = [
    "s3://s/sft/laptop-1/v1", "s3://s/sft/laptop-1/v2", "s3://s/sft/mine/v1", "s3://s/rl/mine/v1", "s3://s/sft/mine-2/1",
    "s3://s/sft/mine/2-1", "s3://other/sft/mine/v1", "s3://s/deep/sft/mine/v1", "hf://Qwen/Qwen2.5-7B", "hf://Qwen/Qwen2.5@7B",
    "hf://Qwen/Qwen2.5", "models:/mine@champion", "models:/mine/champion", "models:/mine/1", "/models/mine", "/models/mine/1",
    "mine", "s3://s/sft/mine/v 1", "s3://s/sft/mine/v+1",
]  # fmt: skip


@pytest.fixture(autouse=True)
def store(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_STORE", "s3://house/")


def test_reports_of_different_checkpoints_never_share_a_uri():
    uris = {report_uri(CONTEXT, checkpoint, "toy", "arithmetic") for checkpoint in CHECKPOINTS}
    assert len(uris) == len(CHECKPOINTS)


def test_reports_of_one_checkpoint_differ_by_protocol_and_benchmark():
    pairs = [("toy", "gsm8k"), ("toy-2", "gsm8k"), ("toy", "2-gsm8k"), ("toy", "math")]
    assert len({report_uri(CONTEXT, "hf://a/b", *pair) for pair in pairs}) == len(pairs)


def test_report_of_the_same_checkpoint_has_the_same_uri_that_names_it():
    uri = report_uri(CONTEXT, "s3://s/sft/laptop-1/v1", "toy", "gsm8k")
    assert uri == report_uri(CONTEXT, "s3://s/sft/laptop-1/v1/", "toy", "gsm8k")
    assert re.fullmatch(r"s3://house/report/sft-laptop-1-v1-toy-gsm8k-[0-9a-f]{8}/release", uri)


def test_report_without_a_store_is_refused(monkeypatch):
    monkeypatch.delenv("STILLHOUSE_STORE")
    with pytest.raises(BadConfig, match="STILLHOUSE_STORE is not set"):
        report_uri(CONTEXT, "mine", "toy", "gsm8k")
