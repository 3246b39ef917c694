from stillhouse.execution.metric_history import POINTS, curves, thinned


def test_thinned_keeps_the_mean_of_neighbours():
    points = [(float(step), float(step)) for step in range(2 * POINTS)]
    assert thinned(points)[:2] == [(0.5, 0.5), (2.5, 2.5)]
    assert len(thinned(points)) == POINTS


def test_thinned_short_curve_stays():
    assert thinned([(0.0, 1.0), (1.0, 2.0)]) == [(0.0, 1.0), (1.0, 2.0)]


def test_curves_of_a_server_that_does_not_answer_are_none(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert curves("0" * 32, ["train/loss"]) == {}
