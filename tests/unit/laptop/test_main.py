import sys

import pytest

from laptop import __main__ as program


def run(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["laptop", *arguments])
    monkeypatch.setattr(program.signal, "signal", lambda number, handler: None)
    with pytest.raises(SystemExit) as ended:
        program.main()
    return ended.value.code


def test_main_bad_port_is_one_line_and_exit_code_1(monkeypatch, capsys):
    monkeypatch.setenv("S3_PORT", "x")
    assert run(monkeypatch, "status") == 1
    assert capsys.readouterr().err == "error: S3_PORT=x: not a port number; set it to one from 1024 to 49151\n"


def test_main_home_that_cannot_be_written_is_one_line_and_exit_code_1(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path / "file"))
    assert run(monkeypatch, "down") == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "set STILLHOUSE_HOME to a directory that can be written" in said
    assert said.count("\n") == 1


def test_main_down_of_nothing_succeeds(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path))
    assert run(monkeypatch, "down") == 0
    assert capsys.readouterr().out == "nothing was running\n"


def test_main_status_names_what_is_stopped(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("STILLHOUSE_HOME", str(tmp_path))
    assert run(monkeypatch, "status") == 1
    said = capsys.readouterr().out
    assert said.count("stopped") == 5
    assert str(tmp_path / "file" / "logs" / "mlflow.log") in said


def test_main_interrupt_says_how_to_go_on(monkeypatch, capsys):
    def interrupted(store):
        raise KeyboardInterrupt

    monkeypatch.setattr(program.services, "here", interrupted)
    assert run(monkeypatch, "up") == 130
    assert "run the same command again to go on" in capsys.readouterr().err
