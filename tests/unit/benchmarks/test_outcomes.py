import json

import pytest

from stillhouse.benchmarks.outcomes import Outcomes, read_outcomes, scores
from stillhouse.errors import BadRows, MissingInput
from tests.unit.benchmarks.outcome_records import outcomes


def test_outcomes_are_read_as_they_were_written(tmp_path):
    written = outcomes(3, n=5)
    written.write(tmp_path)
    read = read_outcomes(tmp_path.as_uri())
    assert read == written
    assert read.benchmarks["arithmetic"].settings.id == written.benchmarks["arithmetic"].settings.id


def test_read_outcomes_of_an_artifact_without_them_is_missing(tmp_path):
    with pytest.raises(MissingInput, match=r"outcomes.json does not exist; make the artifact again"):
        read_outcomes(tmp_path.as_uri())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"arithmetic": {"protocol": "p", "rounds": {}}}, "has no record version, this release reads 1: another release wrote it"),
        ({"version": 2, "benchmarks": {}}, "has record version 2, this release reads 1"),
        (
            {"version": 1, "benchmarks": {"arithmetic": {}}},
            "is not a valid Outcomes: benchmarks/arithmetic/protocol: Field required",
        ),
        ({"version": 1, "benchmarks": {}, "more": 1}, "more: Extra inputs are not permitted"),
        ([], "has no record version"),
    ],
)
def test_read_outcomes_of_another_version_or_shape_is_one_clear_error(tmp_path, content, message):
    (tmp_path / "outcomes.json").write_text(json.dumps(content))
    with pytest.raises(BadRows, match=message):
        read_outcomes(tmp_path.as_uri())


def test_read_outcomes_that_are_cut_off_is_one_clear_error(tmp_path):
    (tmp_path / "outcomes.json").write_text('{"version": 1, "bench')
    with pytest.raises(BadRows, match="is not JSON"):
        read_outcomes(tmp_path.as_uri())


def test_scores_have_each_benchmark_and_round_of_a_checkpoint():
    (score,) = scores("toy", outcomes(100, protocol="0a1b2c3d4e5f6789"))
    assert (score.label, score.benchmark, score.number, score.questions) == ("toy", "arithmetic", 1, 200)
    assert (score.measured.mean, score.stop_ratio, score.protocol) == (0.5, 0.875, "0a1b2c3d")


def test_outcomes_without_benchmarks_have_no_scores():
    assert list(scores("toy", Outcomes(benchmarks={}))) == []
