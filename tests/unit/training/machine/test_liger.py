import pytest

from stillhouse.errors import BadConfig
from stillhouse.training.machine import liger


@pytest.fixture
def gpu(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


def test_liger_without_a_gpu_is_not_taken_unless_asked_for(monkeypatch, capsys):
    assert liger.arguments() == {}
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("STILLHOUSE_LIGER", "on")
    with pytest.raises(BadConfig, match="STILLHOUSE_LIGER=on: there is no GPU"):
        liger.arguments()


def test_liger_that_is_not_installed_is_said_once_or_refused(gpu, monkeypatch, capsys):
    monkeypatch.setattr(liger, "find_spec", lambda name: None)
    assert liger.arguments() == {}
    assert capsys.readouterr().err == "  without liger kernels: liger-kernel is not installed\n"
    monkeypatch.setenv("STILLHOUSE_LIGER", "on")
    with pytest.raises(BadConfig, match=r"liger-kernel is not installed; install `stillhouse\[train,liger\]`"):
        liger.arguments()


@pytest.mark.parametrize(("chosen", "expected"), [("auto", {"use_liger_kernel": True}), ("off", {})])
def test_liger_that_is_there_is_taken_unless_switched_off(gpu, monkeypatch, chosen, expected):
    monkeypatch.setattr(liger, "find_spec", lambda name: name)
    monkeypatch.setenv("STILLHOUSE_LIGER", chosen)
    assert liger.arguments() == expected


def test_liger_word_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_LIGER", "yes")
    with pytest.raises(BadConfig, match="STILLHOUSE_LIGER=yes: not one of auto, on, off"):
        liger.arguments()
