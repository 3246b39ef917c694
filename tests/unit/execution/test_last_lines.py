import io
import sys

import pytest

from stillhouse.errors import NothingToDo
from stillhouse.execution import last_lines
from stillhouse.execution.last_lines import CopiedStream


class Notes:
    """A run that keeps the texts it is given."""

    def __init__(self):
        self.texts = {}

    def text(self, name, text):
        self.texts[name] = text


def test_kept_lines_are_shown_and_recorded(capsys):
    run = Notes()
    with last_lines.kept(run):
        print("loading", file=sys.stderr)
        sys.stderr.write("half ")
        sys.stderr.write("a line\nrest")
    assert run.texts == {"log.txt": "loading\nhalf a line\nrest\n"}
    assert capsys.readouterr().err == "loading\nhalf a line\nrest"


def fail_at_work() -> None:
    print("working", file=sys.stderr)
    raise NothingToDo("no rows to train on")


def test_kept_error_that_ends_the_block_is_the_last_line(capsys):
    run = Notes()
    with pytest.raises(NothingToDo), last_lines.kept(run):
        fail_at_work()
    assert run.texts["log.txt"] == "working\nNothingToDo: no rows to train on\n"


def test_kept_nothing_said_records_nothing(capsys):
    run = Notes()
    with last_lines.kept(run):
        pass
    assert run.texts == {}


def test_copied_line_that_is_drawn_over_is_kept_as_it_ended():
    stream = CopiedStream(io.StringIO())
    stream.write("\r  1 of 3\x1b[K")
    stream.write("\r  3 of 3\x1b[K\n")
    assert stream.text == "  3 of 3\n"


def test_copied_secrets_and_control_characters_are_not_kept(monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "hunter2hunter2")
    stream = CopiedStream(io.StringIO())
    stream.write("token hunter2hunter2 \x07bell \u202eright\n")
    assert "hunter2" not in stream.text
    assert stream.text == "token *** \\x07bell \\u202eright\n"


def test_copied_stream_keeps_the_last_lines_and_their_beginnings_alone():
    stream = CopiedStream(io.StringIO())
    for number in range(5 * last_lines.MOST_LINES):
        stream.write(f"line {number}\n")
    stream.write("x" * 10_000 + "\n")
    lines = stream.text.splitlines()
    assert (len(lines), lines[-2]) == (last_lines.MOST_LINES, f"line {5 * last_lines.MOST_LINES - 1}")
    assert len(lines[-1]) == last_lines.MOST_CHARS


def test_copied_stream_is_a_terminal_where_the_other_is_one():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    assert CopiedStream(Terminal()).isatty()
    assert not CopiedStream(io.StringIO()).isatty()


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("before", [last_lines.MOST_CHARS - 5, 7])
def test_secret_at_the_place_where_a_line_is_cut_is_masked_whole(monkeypatch, before, end):
    monkeypatch.setenv("HF_TOKEN", "S3cretS3cretS3cret")
    copied = last_lines.CopiedStream(io.StringIO())
    copied.write("x" * before + "S3cretS3cretS3cret" + "y" * (last_lines.MOST_CHARS - 5) + end)
    assert "S3" not in copied.text
    assert "cret" not in copied.text
