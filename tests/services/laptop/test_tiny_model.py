import os

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from laptop import tiny_model
from stillhouse.errors import ServiceFailed


def test_tiny_model_is_made_once_and_kept(tmp_path):
    told: list[str] = []
    first = tiny_model.kept(told.append, tmp_path, os.environ)
    # No stage runs the second time: nothing else is in the environment, no program can be found.
    second = tiny_model.kept(told.append, tmp_path, {})
    assert (first, told) == (second, ["the tiny model is made, and kept"])
    assert list(tmp_path.iterdir()) == [first], "what the stages left is removed"
    assert AutoModelForCausalLM.from_pretrained(first).num_parameters() < 50_000
    assert AutoTokenizer.from_pretrained(first).chat_template
    assert not (first / "manifest.json").exists(), "a model of somebody else's, not an artifact"


def test_tiny_model_of_another_config_is_another(tmp_path, monkeypatch):
    before = tiny_model._key()
    monkeypatch.setitem(tiny_model.LAYERS, "sft", "{}")
    assert before != tiny_model._key()


def test_tiny_model_that_a_stage_cannot_make_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(tiny_model.LAYERS, "questions", '{"sources": 3}')
    with pytest.raises(ServiceFailed, match="the tiny model could not be made: questions: error: .*sources"):
        tiny_model.kept(print, tmp_path, os.environ)
    assert list(tmp_path.iterdir()) == []
