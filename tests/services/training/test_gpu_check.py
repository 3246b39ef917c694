"""The script that checks every path on a GPU, with its tiny models: each part runs here, and holds to its bars."""

import json

import pytest
import torch

from tests.gpu import check, parts
from tests.gpu.rows import at_least, at_most, holds
from tests.gpu.sizes import TINY
from tests.perf import training

TOGETHER = ("imports", "curve", "packing", "liger", "passes", "grpo", "long", "speed")
"""Parts that run in one process; the others start processes of their own."""


@pytest.fixture(autouse=True)
def quiet():
    training.quiet()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", TOGETHER)
def test_gpu_check_part_passes_with_tiny_models(tmp_path, name):
    with torch.compiler.set_stance("force_eager"):
        rows = getattr(parts, name)(tmp_path, TINY)
    assert rows
    assert [row.what for row in rows if row.passed is False] == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["zero", "resume"])
def test_gpu_check_part_with_processes_of_its_own_passes(tmp_path, name):
    if name == "zero":
        pytest.importorskip("deepspeed", reason="no deepspeed: ZeRO is not checked")
    rows = check.run(name, 500, tmp_path, tiny=True)
    assert [row.what for row in rows if row.passed is False] == []
    assert rows[-1].what == "time"


def test_gpu_check_part_that_fails_or_takes_too_long_is_a_row(tmp_path):
    (row,) = check.run("imports", 0.01, tmp_path, tiny=True)
    assert (row.what, row.passed) == ("within its limit", False)
    (tmp_path / "work-curve").write_text("in the way")
    row, _ = check.run("curve", 300, tmp_path, tiny=True)
    assert (row.what, row.passed) == ("ended with 1, see curve.log", False)


def test_gpu_check_has_every_part_it_lists():
    assert all(callable(getattr(parts, name)) for name in check.LIMITS_S)
    assert all(callable(getattr(check.vllm_parts, name)) for name in check.VLLM_LIMITS_S)
    assert sum(check.LIMITS_S.values()) <= 8.5 * 60


def test_gpu_check_table_says_what_was_held_to_what():
    rows = [at_most("long", "peak", 80.0, 79, "GiB"), at_least("speed", "MFU", 0.5, 0.45), holds("imports", "bf16", 1)]
    lines = check.table(rows)
    assert lines[0].endswith(f"TRL {__import__('trl').__version__}")
    assert "FAIL" in lines[1]
    assert "<= 79" in lines[1]
    assert all("pass" in line for line in lines[2:4])
    assert lines[-1] == "1 of 3 rows failed"
    assert at_most("", "", float("nan"), 1).passed is False
    assert json.dumps([row.__dict__ for row in rows])
