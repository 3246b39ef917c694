import json
import re

import pytest
from pydantic import ValidationError

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.benchmarks.intervals import Interval
from stillhouse.benchmarks.outcomes import OUTCOMES, Outcomes
from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.execution.execute import execute
from stillhouse.stages import comparison
from stillhouse.vocabulary import rows
from tests.unit.benchmarks.outcome_records import benchmark_outcome, round_outcome

ASKED = testing.questions(50)


def report(tmp_path, name, passed, protocol="p1", n=50):
    """A report of ``n`` questions, the first ``passed`` of which are answered rightly."""
    rate = passed / n
    result = round_outcome({f"q{index:02}": [index < passed] for index in range(n)}, Interval(rate, rate, rate))
    measured = Outcomes(benchmarks={"arithmetic": benchmark_outcome({1: result}, f"{protocol:0<16}")})
    uri = (tmp_path / "report" / name / "1").as_uri()
    files = {OUTCOMES: measured.model_dump_json().encode()}
    answered = [testing.response(each, None if index < passed else "0") for index, each in enumerate(ASKED[:n])]
    judged = [testing.verified(each, passed=index < passed) for index, each in enumerate(answered)]
    for kind, made in (("questions", ASKED[:n]), ("responses", answered), ("verified", judged)):
        tables.write(tmp_path / "rows" / name / kind, made, rows.ROW_TYPES[kind])
        files[f"arithmetic/{kind}/part-00000.parquet"] = (tmp_path / "rows" / name / kind / "part-00000.parquet").read_bytes()
    testing.publish_files(files, "report", uri)
    return uri


def compare(tmp_path, *reports, labels=(), **given):
    output = tmp_path / "comparison" / "toy" / "1"
    return execute(comparison, comparison.Config(labels=labels, **given), {"reports": reports}, output.as_uri()).manifest, output


def test_comparison_is_of_every_report_with_the_first(tmp_path):
    reports = [report(tmp_path, name, passed) for name, passed in (("original", 20), ("answer", 30), ("summary", 10))]
    manifest, output = compare(tmp_path, *reports)
    assert manifest.metrics["answer/arithmetic/round_1/mean"] == pytest.approx(0.2)
    assert manifest.metrics["summary/arithmetic/round_1/high"] < 0
    record = json.loads((output / "comparison.json").read_bytes())
    assert (record["against"], list(record["differences"])) == ("original", ["answer", "summary"])
    page = (output / "comparison.html").read_text(encoding="utf-8")
    assert "Comparison with original" in page
    assert "87.5 %" in page
    assert page.count('<details class="sample"') == 3 * 50, "20 questions that tell the three apart, and the 30 that do not"
    assert page.index('data-label="original"') < page.index('data-label="answer"') < page.index('data-label="summary"')
    assert '<select name="label">' in page


def test_comparison_labels_stand_for_the_reports_in_order(tmp_path):
    manifest, _ = compare(tmp_path, report(tmp_path, "a", 20), report(tmp_path, "b", 30), labels=("before", "after"))
    assert set(manifest.metrics) == {f"after/arithmetic/round_1/{end}" for end in ("mean", "low", "high")}


RAW, ANSWER = "AM-32B-Raw-Answer-SFT", "AM-32B-R1-Answer-SFT"


def test_comparison_sets_the_papers_own_under_ours_as_another_protocol(tmp_path):
    reports = [report(tmp_path, "original", 20), report(tmp_path, "answer", 30)]
    _, output = compare(tmp_path, *reports, beside={"original": RAW, "answer": ANSWER})
    page = (output / "comparison.html").read_text(encoding="utf-8").rpartition("<h2>The same")[2]
    said = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "comparison in Leveraging Reasoning Model Answers, Table 1 Other protocol" in said
    assert f"original {RAW} 34.3 83.7 82.5 80.5 73.4 6.2 7.7" in said
    assert f"answer {ANSWER} 40.3 +6.0 92.2 +8.5 82.5 +0.0 90.9 +10.4 76.9 +3.5 6.9 +0.7 7.6 -0.1" in said


def test_comparison_model_of_no_paper_or_for_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(ValidationError, match=f"did you mean {RAW}"):
        comparison.Config(beside={"original": "AM-32B-Raw-Answers-SFT"})
    with pytest.raises(BadConfig, match="`beside` names other, the checkpoints are a, b"):
        compare(tmp_path, report(tmp_path, "a", 20), report(tmp_path, "b", 30), beside={"other": RAW})


def test_comparison_report_under_another_protocol_is_left_out_and_shown_as_such(tmp_path):
    reports = [report(tmp_path, "a", 20), report(tmp_path, "b", 30), report(tmp_path, "c", 30, protocol="p2")]
    manifest, output = compare(tmp_path, *reports)
    assert not [name for name in manifest.metrics if name.startswith("c/")]
    assert "measured under other protocols: not compared" in (output / "comparison.html").read_text(encoding="utf-8")


def test_comparison_of_reports_without_a_shared_protocol_is_refused(tmp_path):
    with pytest.raises(NothingToDo, match="b and a share no protocol id"):
        compare(tmp_path, report(tmp_path, "a", 20), report(tmp_path, "b", 30, protocol="p2"))


def test_comparison_of_one_report_is_refused(tmp_path):
    with pytest.raises(NothingToDo, match="no other report"):
        compare(tmp_path, report(tmp_path, "a", 20))


def test_comparison_names_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(BadConfig, match="2 reports and the names a"):
        compare(tmp_path, report(tmp_path, "a", 20), report(tmp_path, "b", 20), labels=("a",))
    with pytest.raises(ValidationError, match="give each report its own"):
        comparison.Config(labels=("a", "a"))
