import pytest
import torch

from stillhouse.errors import BadConfig
from stillhouse.training import progress
from stillhouse.training.machine import autocast


def gpu(monkeypatch, *, bf16: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)


@pytest.mark.parametrize(("wanted", "there", "expected"), [
    ("", None, False), ("auto", None, False), ("off", None, False), ("bf16", None, True),
    ("", True, True), ("auto", True, True), ("off", True, False), ("bf16", True, True),
    ("auto", False, False), ("off", False, False),
])  # fmt: skip
def test_is_bf16_follows_the_variable_and_the_gpu(monkeypatch, wanted, there, expected):
    monkeypatch.setenv("STILLHOUSE_AUTOCAST", wanted)
    monkeypatch.delenv("STILLHOUSE_SHARDING", raising=False)
    if there is not None:
        gpu(monkeypatch, bf16=there)
    assert autocast.is_bf16() is expected


def test_is_bf16_another_word_is_refused(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_AUTOCAST", "fp16")
    with pytest.raises(BadConfig, match="STILLHOUSE_AUTOCAST=fp16: not one of auto, bf16, off"):
        autocast.is_bf16()


def test_is_bf16_of_a_gpu_without_it_is_refused(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_AUTOCAST", "bf16")
    gpu(monkeypatch, bf16=False)
    with pytest.raises(BadConfig, match="this GPU does not support bf16; set it to auto or off"):
        autocast.is_bf16()


def test_is_bf16_with_sharding_on_cpus_is_refused(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_AUTOCAST", "bf16")
    monkeypatch.setenv("STILLHOUSE_SHARDING", "zero-2")
    with pytest.raises(BadConfig, match="sharded training on CPUs is in fp32"):
        autocast.is_bf16()


def test_machine_arguments_take_it(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_AUTOCAST", "bf16")
    assert progress.machine_arguments()["bf16"]
    monkeypatch.setenv("STILLHOUSE_AUTOCAST", "off")
    assert not progress.machine_arguments()["bf16"]
