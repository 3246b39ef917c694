import json

import pytest

from stillhouse.reporting import training_curves, training_page


def lines(n):
    rewards = {2: None}
    steps = [
        {"step": step, "time": "t", "train/loss": 1 / step, "train/reward": rewards.get(step, 0.0)} for step in range(1, n + 1)
    ]
    return [*steps, {"step": n, "time": "t", "validation/pass_at_1": 0.5, "validation/low": 0.25, "validation/high": 0.75}]


def test_training_page_draws_the_curves_that_there_are(tmp_path):
    assert training_page.write_training(tmp_path, lines(5)) == "training.html"
    page = (tmp_path / "training.html").read_text()
    assert "5 steps." in page
    assert [title for title in training_page.CURVES if f"<h2>{title}</h2>" in page] == ["Validation: pass@1", "Loss", "Reward"]
    assert "training, step 4: 0.25" in page
    assert "pass@1, step 5: 0.5" in page
    assert '<td>train/loss</td><td class="n">0.2</td>' in page
    assert "reward, step 2" not in page, "nothing could be verified in it"


def test_training_page_of_many_steps_is_thinned(tmp_path):
    points = training_page._points(lines(5001), {"training": "train/loss"})["training"]
    assert len(points) <= training_curves.POINTS
    assert points[-1][0] == pytest.approx(5001, rel=0.01)


def test_training_page_of_one_step_of_one_value_is_drawn(tmp_path):
    training_page.write_training(tmp_path, [{"step": 1, "time": "t", "train/loss": 0.0}])
    assert "training, step 1: 0" in (tmp_path / "training.html").read_text()


def test_training_page_shows_the_last_step_s_rollouts_escaped_and_cut(tmp_path):
    rollout = {"question_id": "q-1", "question": "Is 1 < 2 & 3?", "text": "<script>alert(1)</script>" + "x" * 9000, "reward": 0.5}
    failed = {"question_id": "q-2", "question": "\x1b[31m?", "text": "", "reward": None}
    verdicts = [
        {"kind": "wrong", "detail": "", "failures": ""},
        {"kind": "timeout", "detail": "5 s", "failures": "own: error: <b>"},
    ]
    rows = [rollout | verdicts[0], failed | verdicts[1]]
    table = {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}
    (tmp_path / "last.json").write_text(json.dumps(table))
    training_page.write_training(tmp_path, lines(2), "last.json")
    page = (tmp_path / "training.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "characters left out" in page
    assert page.count("x" * 1000) < 5
    assert "reward 0.5, wrong: Is 1 &lt; 2 &amp; 3?" in page
    assert "reward none, timeout: \\x1b[31m?" in page
    assert "own: error: &lt;b&gt;" in page


def test_training_page_without_rollouts_has_no_heading_for_them(tmp_path):
    training_page.write_training(tmp_path, lines(2))
    assert "Rollouts" not in (tmp_path / "training.html").read_text()
