from stillhouse.execution import progress_bar


def test_progress_bar_is_cut_to_the_width_of_the_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    progress_bar.show(3, 6, "steps · loss 0.25 · lr 1e-05 · 12,345 tokens/s · 3 min left")
    drawn = capsys.readouterr().err.removeprefix("\r").removesuffix("\x1b[K")
    assert len(drawn) < 60
    assert drawn.startswith("  " + "█" * 12 + "░" * 12 + " 3 of 6 steps (50%) · loss 0.25")


def test_progress_bar_line_of_a_log_is_whole(capsys):
    progress_bar.show(3, 6, "steps · loss 0.25 · 3 min left")
    assert capsys.readouterr().err == "  3 of 6 steps (50%) · loss 0.25 · 3 min left\n"
