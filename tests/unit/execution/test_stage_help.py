from types import SimpleNamespace

from pydantic import Field

from stillhouse.execution.contract import StageInputs
from stillhouse.execution.stage_help import stage_help
from stillhouse.vocabulary.settings import StageConfig
from tests.unit import toy_stage


class Config(StageConfig):
    names: tuple[str, ...] = ()
    """Names, such as ``[a]``."""
    limit: int | None = Field(None)
    """A limit."""
    model: str
    """A model."""


def test_stage_help_shows_inputs_and_defaults_as_set_takes_them():
    stage = SimpleNamespace(__doc__="a -> b: what.\n\nMore.", Config=Config, Inputs=toy_stage.Inputs)
    text = stage_help(stage)
    assert text.startswith("a -> b: what.\n")
    assert "questions (one)" in text
    assert "previous (optional: an earlier version" in text
    assert "Names, such as `\\[a]`. (default [])" in text
    assert "A limit. (default null)" in text
    assert "A model. (required)" in text


def test_stage_help_of_a_stage_without_inputs_says_none():
    stage = SimpleNamespace(__doc__="a -> b: what.", Config=Config, Inputs=StageInputs)
    assert "[bold]Inputs[/bold]\n\nnone\n" in stage_help(stage)
