import io

import pytest
from rich.console import Console

from stillhouse.watching import following
from stillhouse.watching.airflow_rest import TaskState
from stillhouse.watching.following import clock, follow, table
from stillhouse.watching.run_lines import Line, line
from stillhouse.watching.tracked_progress import Progress


def printed(lines: list[Line], rows: int) -> list[str]:
    console = Console(file=io.StringIO(), width=110)
    console.print(table(lines, rows))
    return [text.rstrip() for text in console.file.getvalue().splitlines()]


def lines(states: list[str]) -> list[Line]:
    return [Line(TaskState(f"s{index}", state, 30, 1), Progress(3, 12, 0.5)) for index, state in enumerate(states)]


def test_table_that_fits_has_a_row_a_stage_with_its_count_rate_and_time_left():
    rows = printed(lines(["success", "running", "waiting"]), 3)
    assert len(rows) == 5
    assert rows[2].split()[-6:] == ["3", "of", "12", "0.5/s", "0:18", "0:30"]


def test_table_too_high_folds_the_first_done_stages_into_one_row():
    rows = printed(lines(["success"] * 4 + ["running", "waiting"]), 4)
    assert len(rows) == 6
    assert rows[1].split() == ["3", "stages", "done", "1:30"]
    assert rows[2].startswith("s3")


def test_table_too_high_with_nothing_done_keeps_every_stage():
    assert len(printed(lines(["running", "waiting", "waiting"]), 2)) == 5


def test_table_ends_with_what_the_run_cost_so_far():
    teacher = line([TaskState("responses", "success", 3600, 1, n, "gpu", 4) for n in range(2)], {})
    assert printed([teacher], 3)[-1] == "1 of 1 stages ended · 8.00 GPU-hours · 0.00 core-hours so far"


def test_mapped_task_is_one_line_that_counts_its_instances():
    shards = [TaskState("verified", state, 10, 1, n) for n, state in enumerate(["success", "running", "waiting"])]
    shown = line(shards, {"verified": [Progress(10, 40, 1.0), Progress(5, 40, 0.5)]})
    assert shown.task.state == "running"
    assert shown.progress == Progress(15, 80, 1.5)
    assert "verified 1/3" in printed([shown], 3)[1]


def test_mapped_task_with_one_failure_is_failed():
    shards = [TaskState("verified", state, 10, 1, n) for n, state in enumerate(["success", "failed", "running"])]
    assert line(shards, {}).task.state == "failed"


@pytest.mark.parametrize("name", ["\x1b[2Jevil", "[red]evil[/red]", "\u202eevil"])
def test_table_shows_names_and_states_that_terminals_would_obey_as_text(name):
    text = "\n".join(printed([Line(TaskState(name, name, 1, 1), None)], 3))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "evil" in text


def test_plain_progress_is_said_now_and_then(monkeypatch):
    console = Console(file=io.StringIO(), width=100)
    times = iter([0.0, 10.0, 15.0, 20.0])
    monkeypatch.setattr(following.time, "monotonic", lambda: next(times))
    with following._plain(console) as update:
        for done in (0, 4, 5, 6):
            update([Line(TaskState("sft-1", "running", 1, 1), Progress(done, 12, 0.1))])
    said = console.file.getvalue().splitlines()
    assert [text.split() for text in said] == [
        ["sft-1", "running"],
        ["sft-1", "5", "of", "12", "(42%,", "1:10", "left)"],
        ["1", "stage", "not", "reached"],
    ]


def test_follow_plain_on_a_terminal_draws_no_table(monkeypatch):
    monkeypatch.setattr(following, "ASK_EVERY_S", 0)
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    states = iter(["running", "success"])
    assert (
        follow(console, lambda: next(states), lambda: [Line(TaskState("sft-1", "success", 61, 1), None)], plain=True) == "success"
    )
    assert console.file.getvalue() == "sft-1              done in 1:01\n"


def test_clock_has_hours_from_one_hour_on():
    assert [clock(59.6), clock(849), clock(7500)] == ["1:00", "14:09", "2:05:00"]
