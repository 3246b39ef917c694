import json

from stillhouse.training import metrics_file


def test_metrics_file_line_that_is_not_finite_is_json(tmp_path):
    metrics_file.append(tmp_path, 1, {"train/loss": 0.5})
    metrics_file.append(tmp_path, 2, {"train/loss": float("nan")})
    text = (tmp_path / metrics_file.METRICS).read_text()
    assert "NaN" not in text
    assert [json.loads(line)["train/loss"] for line in text.splitlines()] == [0.5, None]
    assert [line["step"] for line in metrics_file.read(tmp_path)] == [1, 2]


def test_metrics_file_copy_replaces_what_was_there(tmp_path):
    for name, step in (("checkpoint", 1), ("output", 7)):
        (tmp_path / name).mkdir()
        metrics_file.append(tmp_path / name, step, {})
    metrics_file.copy(tmp_path / "checkpoint", tmp_path / "output")
    assert [line["step"] for line in metrics_file.read(tmp_path / "output")] == [1]
    metrics_file.copy(tmp_path, tmp_path / "output")
    assert [line["step"] for line in metrics_file.read(tmp_path / "output")] == [1], "there is nothing to copy"
