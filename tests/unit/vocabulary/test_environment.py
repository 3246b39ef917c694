import math

import pytest

from stillhouse.errors import BadConfig
from stillhouse.vocabulary import environment


@pytest.mark.parametrize(("text", "found"), [("", 7), ("12", 12), ("0", 0)])
def test_whole_unset_or_empty_is_the_default(monkeypatch, text, found):
    monkeypatch.setenv("STILLHOUSE_TOY", text)
    assert environment.whole("STILLHOUSE_TOY", 7, least=0) == found
    assert environment.whole("STILLHOUSE_NOT_SET", 7) == 7


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "ten", " "])
def test_whole_typo_names_the_variable(monkeypatch, text):
    monkeypatch.setenv("STILLHOUSE_TOY", text)
    with pytest.raises(BadConfig, match=f"STILLHOUSE_TOY={text}: not a whole number of at least 1"):
        environment.whole("STILLHOUSE_TOY", 7)


@pytest.mark.parametrize(("text", "found"), [("", True), ("on", True), ("off", False)])
def test_switch_unset_or_empty_is_the_default(monkeypatch, text, found):
    monkeypatch.setenv("STILLHOUSE_TOY", text)
    assert environment.switch("STILLHOUSE_TOY", default=True) is found


def test_switch_typo_names_the_variable(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_TOY", "yes")
    with pytest.raises(BadConfig, match="STILLHOUSE_TOY=yes: not one of on, off"):
        environment.switch("STILLHOUSE_TOY", default=False)


@pytest.mark.parametrize(("text", "found"), [("", 0.5), ("3", 3.0), ("1e-3", 1e-3), ("inf", math.inf)])
def test_number_unset_or_empty_is_the_default(monkeypatch, text, found):
    monkeypatch.setenv("STILLHOUSE_TOY", text)
    assert environment.number("STILLHOUSE_TOY", 0.5) == found


@pytest.mark.parametrize("text", ["0", "-1", "nan", "0,5"])
def test_number_typo_names_the_variable(monkeypatch, text):
    monkeypatch.setenv("STILLHOUSE_TOY", text)
    with pytest.raises(BadConfig, match=f"STILLHOUSE_TOY={text}: not a number above 0"):
        environment.number("STILLHOUSE_TOY", 0.5)


@pytest.mark.parametrize(("value", "text"), [(None, "default"), ("", "default"), ("s3://bucket/exams", "s3://bucket/exams")])
def test_text_is_the_variable_and_the_default_if_it_is_unset_or_empty(monkeypatch, value, text):
    monkeypatch.delenv("X", raising=False)
    if value is not None:
        monkeypatch.setenv("X", value)
    assert environment.text("X", "default") == text
    assert environment.text("STILLHOUSE_NOT_SET") == ""
