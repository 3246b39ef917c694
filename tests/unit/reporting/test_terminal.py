import json

import pytest
from rich.console import Console

from stillhouse import testing
from stillhouse.errors import MissingInput
from stillhouse.reporting.terminal import number, show
from stillhouse.vocabulary.rows import Question, dropped


@pytest.fixture
def console() -> Console:
    return Console(highlight=False, soft_wrap=True, record=True, width=60)


@pytest.fixture
def artifact(tmp_path) -> str:
    uri = (tmp_path / "questions" / "toy" / "1").as_uri()
    asked = [testing.question("What is [bold]1[/bold] + 1?", "2", source="x" * 100), *testing.questions(4)]
    testing.publish(asked, Question, uri, [dropped(testing.question("gone"), "duplicate", "of another")])
    return uri


def printed(console: Console) -> list[str]:
    return console.export_text().splitlines()


def test_show_prints_facts_then_rows_as_json_lines(console, artifact):
    show(console, artifact, 2)
    lines = printed(console)
    assert lines[0] == f"questions {artifact}"
    assert any(line.startswith("  rows 5 · files 2") for line in lines)
    assert "  dropped duplicate 1" in lines
    shown = [json.loads(line) for line in lines if line.startswith("{")]
    assert [row["messages"][0]["content"] for row in shown] == ["What is [bold]1[/bold] + 1?", "What is 0 + 7?"]


def test_show_dropped_prints_reasons(console, artifact):
    show(console, artifact, 5, dropped=True)
    shown = [json.loads(line) for line in printed(console) if line.startswith("{")]
    assert [(row["reason"], row["detail"]) for row in shown] == [("duplicate", "of another")]


def test_show_no_rows_asked_prints_facts_alone(console, artifact):
    show(console, artifact, 0)
    assert not [line for line in printed(console) if line.startswith("{")]


def test_show_nothing_there_is_missing(console, tmp_path):
    with pytest.raises(MissingInput, match="nothing is published there"):
        show(console, tmp_path.as_uri(), 1)


def test_show_file_gone_is_missing(console, artifact, tmp_path):
    next((tmp_path / "questions" / "toy" / "1").glob("part-*")).unlink()
    with pytest.raises(MissingInput, match="part-00000.parquet, which is gone"):
        show(console, artifact, 1)


@pytest.mark.parametrize(
    ("value", "text"), [(40_046_123.0, "40,046,123"), (0.0, "0"), (0.123456789, "0.123457"), (float("inf"), "inf")]
)
def test_number_shows_counts_to_the_last_digit(value, text):
    assert number(value) == text
