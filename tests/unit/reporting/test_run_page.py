from dataclasses import replace

import pytest

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.benchmarks.intervals import Interval
from stillhouse.registry.gate import DecisionRecord, Evidence, GateDecision
from stillhouse.reporting import run_page
from stillhouse.reporting.run_page import write_run
from stillhouse.reporting.summary import Summary, collect
from stillhouse.reporting.teaching import CASES_SHOWN, Case, cases, champion_first
from stillhouse.vocabulary.rows import Question, Response, Verified
from tests.unit.reporting.published import publish, publish_run
from tests.unit.reporting.test_page import page

WORSE = Evidence("arithmetic", 1, Interval(-0.2, -0.3, -0.1), 0.025, "worse")
REJECTED = GateDecision("candidate", "worse than champion version 3 on arithmetic/round_1", "3", (WORSE,))
FIRST = DecisionRecord(model="toy", model_version="1", decision=GateDecision("champion", "there was no champion"))


def write_rows(report, outcomes, text="plain", **changes):
    """A report's rows on one benchmark; ``outcomes``: by question, whether rounds 1, 2 … passed; None: the verifier failed."""
    questions = testing.questions(len(outcomes))
    responses = [
        testing.response(question, text, round=number)
        for question, rounds in zip(questions, outcomes, strict=True)
        for number, _ in enumerate(rounds, start=1)
    ]
    passed = [outcome for rounds in outcomes for outcome in rounds]
    verdicts = [
        testing.verified(row, passed=outcome)
        if outcome is not None
        else replace(testing.verified(row), kind="timeout", verify_score=None, passed=None)
        for row, outcome in zip(responses, passed, strict=True)
    ]
    for name, rows, kind in (
        ("questions", questions, Question),
        ("responses", responses, Response),
        ("verified", verdicts, Verified),
    ):
        tables.write(report / "toy" / name, [replace(row, **changes) if name == "responses" else row for row in rows], kind)
    return report


def test_run_page_says_in_five_sentences_what_happened(tmp_path):
    last, trained, others = publish_run(tmp_path)
    write_run(
        tmp_path / "run.html", collect([last, trained, *others]), DecisionRecord(model="toy", model_version="4", decision=REJECTED)
    )
    made = page(tmp_path / "run.html")
    assert [link for link in made.fetched if not link.startswith("#")] == []
    for shown in (
        "Run of toy version 4", "Of 109 questions read, 100 were kept; 80 examples were selected; 2 checkpoints were trained.",
        "The stages took 7 min in all, 9 min from the first to the last.",
        "Not promoted. toy version 4 was not promoted: worse than champion version 3 on arithmetic/round_1; the closest call was "
        "arithmetic/round_1 at -0.200 (-0.300 to -0.100, margin 0.025).",
        "toy-1 reached a pass@1 of 0.650 (0.550 to 0.750) on arithmetic",
        "Look at arithmetic/round_1 at -0.200 (-0.300 to -0.100, margin 0.025): worse",
        "level 1: 60 questions", "duplicate 7", "questions toy", "toy-base",
    ):  # fmt: skip
        assert shown in made.text


def test_run_page_says_how_many_gpu_hours_sampling_and_training_took(tmp_path):
    numbers = {
        "responses": {"gpu_seconds_per_response": 36.0, "n_responses": 200.0}, "sft": {"train/gpu_hours": 3.0},
        "rl": {"train/gpu_hours": 4.5},
    }  # fmt: skip
    summary = collect([publish(tmp_path, stage, "toy", 1) for stage in numbers])
    hops = [
        replace(hop, manifest=hop.manifest.model_copy(update={"metrics": numbers[hop.manifest.stage]})) for hop in summary.hops
    ]  # fmt: skip
    write_run(tmp_path / "run.html", Summary(hops=hops), FIRST)
    assert "sampling took 2.0 GPU-hours and training took 7.5 GPU-hours." in page(tmp_path / "run.html").text


def test_run_page_without_reports_or_grades_still_has_its_stages(tmp_path):
    write_run(tmp_path / "run.html", Summary(), FIRST)
    text = page(tmp_path / "run.html").text
    assert "Promoted. toy version 1 was promoted to champion: there was no champion." in text
    assert "What it cost is not known" in text


def test_run_page_draws_where_questions_went(tmp_path):
    questions = publish(tmp_path, "questions", "toy", 1, rows=100, dropped={"duplicate": 7})
    write_run(tmp_path / "run.html", collect([questions]), FIRST)
    text = (tmp_path / "run.html").read_text()
    assert "<title>read → duplicate: 7</title>" in text
    assert "<title>sources → kept: 100</title>" in text


def test_cases_teach_each_kind_in_turn_with_both_responses(tmp_path):
    base = write_rows(tmp_path / "base", [(False, False), (True, True), (True, True), (True, True)])
    last = write_rows(tmp_path / "last", [(True, True), (False, False), (True, False), (None,)])
    taught = cases({"base": base, "last": last})
    assert [case.why for case in taught] == ["gained", "lost", "flipped", "verifier unsure"]
    assert [(sample.label, sample.number, sample.kind) for sample in taught[0].samples] == [
        ("base", 1, "wrong"),
        ("last", 1, "correct"),
    ]
    assert [(sample.label, sample.number, sample.kind) for sample in taught[2].samples] == [
        ("last", 1, "correct"),
        ("last", 2, "wrong"),
    ]
    assert [sample.kind for sample in taught[3].samples] == ["timeout"]


def test_cases_are_at_most_twenty_and_of_one_report_none_is_gained(tmp_path):
    last = write_rows(tmp_path / "last", [(False, True)] * 70)
    assert len(cases({"last": last})) == CASES_SHOWN
    assert {case.why for case in cases({"last": last})} == {"flipped"}
    assert cases({}) == []


def test_run_page_of_forty_million_rows_and_hostile_texts_stays_below_5_mb(tmp_path):
    """Counts are planted: rows enter the page as counts and as 20 cases, each text cut to its length."""
    questions = publish(
        tmp_path, "questions", "toy", 1, rows=40_000_000, dropped={f"reason {n}": n * 1_000_000 for n in range(1, 40)}
    )
    worst = "```python\n" + "a=1;b='x'#\u202e\n" * 4000 + "```"
    base = write_rows(tmp_path / "base", [(False,)] * 60, worst)
    last = write_rows(tmp_path / "last", [(True,)] * 60, worst, think="$x$ " * 9000)
    taught = cases({"base": base, "last": last})
    write_run(
        tmp_path / "run.html",
        collect([questions]),
        FIRST,
        taught * 5,
        {"sft toy": {"train/loss": [(n, 1 / (n + 1)) for n in range(240)]}},
    )
    written = (tmp_path / "run.html").read_text()
    assert len(written.encode()) < 5_000_000
    assert "40,000,000" in written
    assert "katex" in written, "its formulas are rendered"


def test_run_page_leaves_out_cases_beyond_its_size(tmp_path, monkeypatch):
    report = write_rows(tmp_path / "last", [(False, True)] * 3)
    monkeypatch.setattr(run_page, "SAMPLE_BYTES", 700)
    write_run(tmp_path / "run.html", Summary(), FIRST, cases({"last": report}))
    assert page(tmp_path / "run.html").tags.count("details") < 2 * 3


@pytest.mark.parametrize(("outcome", "word"), [("gained", "gained"), ("lost", "lost")])
def test_run_page_shows_why_a_case_is_worth_reading(tmp_path, outcome, word):
    report = write_rows(tmp_path / "last", [(False, True)])
    [case] = cases({"last": report})
    write_run(tmp_path / "run.html", Summary(), FIRST, [Case(outcome, case.samples)])
    assert f"{word} toy · What is 0 + 7?" in page(tmp_path / "run.html").text


def test_champion_comes_first_where_its_rows_are_still_there(tmp_path, capsys):
    reports = {"base": tmp_path / "base"}
    rows = write_rows(tmp_path / "rows", [(True,)])
    files = {path.relative_to(rows).as_posix(): path.read_bytes() for path in rows.rglob("*.parquet")}
    uri = f"{tmp_path}/report/champion/1"
    testing.publish_files({**files, "outcomes.json": b"{}"}, "report", uri)
    found = champion_first(("3", {"report": uri}), reports, tmp_path / "scratch")
    assert list(found) == ["champion version 3", "base"]
    assert (found["champion version 3"] / "toy" / "verified").is_dir()
    gone = champion_first(("3", {"report": f"{tmp_path}/report/gone/1"}), reports, tmp_path / "scratch2")
    assert gone == reports
    assert "samples are compared with the first checkpoint" in capsys.readouterr().err
    assert champion_first(None, reports, tmp_path) == reports
