import json

from stillhouse import testing
from stillhouse.reporting.summary import collect
from stillhouse.reporting.training_curves import POINTS, curves, drawn, thinned


def published(tmp_path, stage, lines):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    uri = f"{tmp_path}/{stage}/toy/1"
    testing.publish_files({"model.safetensors": b"1", "metrics.jsonl": text.encode()}, stage, uri)
    return uri


def test_curves_are_those_of_the_stage_and_a_repeated_step_has_its_last_value(tmp_path):
    lines = [{"step": step, "train/loss": 1 / (step + 1), "train/kl": 1.0} for step in (0, 1, 2)]
    uri = published(tmp_path, "sft", [*lines, {"step": 2, "train/loss": 0.25}, {"step": 3, "train/loss": None}])
    assert curves(collect([uri])) == {"sft toy": {"train/loss": [(0, 1), (1, 0.5), (2, 0.25)]}}


def test_curves_of_a_training_without_its_numbers_are_none(tmp_path):
    testing.publish_files({"model.safetensors": b"1"}, "rl", f"{tmp_path}/rl/toy/1")
    assert curves(collect([f"{tmp_path}/rl/toy/1"])) == {}


def test_drawn_curves_are_one_chart_per_metric(tmp_path):
    uri = published(tmp_path, "rl", [{"step": step, "train/reward": step / 10, "train/kl": 0.1} for step in range(5)])
    charts = drawn(curves(collect([uri])))
    assert [title for title, _ in charts] == ["reward", "KL to the reference"]
    assert charts[0][1].count("<polyline") == 1


def test_thinned_keeps_the_mean_of_neighbours():
    points = [(float(step), float(step)) for step in range(2 * POINTS)]
    assert thinned(points)[:2] == [(0.5, 0.5), (2.5, 2.5)]
    assert len(thinned(points)) == POINTS
