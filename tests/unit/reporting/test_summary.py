from io import StringIO

import pytest
from rich.console import Console

from stillhouse import stages
from stillhouse.benchmarks.intervals import Interval
from stillhouse.benchmarks.outcomes import Score
from stillhouse.benchmarks.paired import ComparisonRecord, PairedDifference
from stillhouse.errors import BadRows, MissingInput
from stillhouse.grading.difficulty import DifficultyRecord, added
from stillhouse.reporting.summary import collect, print_summary
from stillhouse.vocabulary.stage_names import STAGE_NAMES
from tests.unit.reporting.published import publish, publish_report, publish_run


def test_collect_hops_in_the_order_of_the_path_with_rows_and_drops(tmp_path):
    last, trained, others = publish_run(tmp_path)
    summary = collect([last, trained, *others])
    assert [hop.label for hop in summary.hops] == [
        "questions toy", "graded toy", "selected toy", "sft toy-base", "sft toy-1", "report toy-1", "report toy-base"
    ]  # fmt: skip
    assert (summary.hops[0].rows, summary.hops[0].dropped, summary.hops[0].seconds) == (
        100,
        {"duplicate": 7, "contaminated": 2},
        60,
    )


def test_collect_difficulty_by_model_even_where_its_name_has_a_slash(tmp_path):
    last, _, _ = publish_run(tmp_path)
    summary = collect([last])
    assert summary.pass_rates == {"small": {"0": 40, "0.5": 20, "1": 40}, "hub/Large-7B": {"0.25": 10, "1": 90}}
    assert summary.levels == {"1": 60, "2": 30, "3": 10}


def test_collect_scores_in_the_order_of_training_not_of_reporting(tmp_path):
    last, trained, others = publish_run(tmp_path)
    summary = collect([last, trained, *others])
    assert [(score.label, score.number) for score in summary.scores] == [("toy-base", 1), ("toy-1", 1), ("toy-1", 2)]
    assert summary.scores[2] == Score("toy-1", "arithmetic", 2, Interval(0.65, 0.55, 0.75), 25, 12.5, 0.75, "0a1b2c3d")


def test_collect_report_of_a_model_on_the_hub_has_no_checkpoint(tmp_path):
    uri = publish_report(tmp_path, "hub", 1, None, [(0.5, 0.4, 0.6)])
    assert [score.label for score in collect([uri]).scores] == ["hub"]


def test_collect_artifact_met_twice_counts_once(tmp_path):
    last, trained, others = publish_run(tmp_path)
    assert collect([last, last, trained, *others]) == collect([last, trained, *others])


def test_collect_goes_on_where_an_early_artifact_is_gone(tmp_path):
    last, trained, _ = publish_run(tmp_path)
    (tmp_path / "questions" / "toy" / "demo" / "manifest.json").unlink()
    assert collect([last, trained]).hops[0].label == "graded toy"


def test_collect_leaves_out_what_an_earlier_run_verified(tmp_path):
    earlier = publish(tmp_path, "responses", "last-night", 1)
    before = publish(tmp_path, "verified", "last-night", 2, [("responses", earlier)])
    responses = publish(tmp_path, "responses", "tonight", 3)
    verified = publish(tmp_path, "verified", "tonight", 4, [("responses", responses), ("previous", before)])
    assert [hop.label for hop in collect([verified]).hops] == ["responses tonight", "verified tonight"]


def test_collect_graded_in_shards_adds_their_counts(tmp_path):
    shards = [
        DifficultyRecord(pass_rates={"small": {"0": 1}}, levels={"1": 2, "none": 1}),
        DifficultyRecord(pass_rates={"small": {"0": 2, "1": 3}, "large": {"1": 4}}, levels={"1": 5}),
    ]
    uri = publish(tmp_path, "graded", "toy", 1, files={f"shards/{index}-of-2/difficulty.json": None for index in (0, 1)})
    for index, record in enumerate(shards):
        directory = tmp_path / "graded" / "toy" / "demo" / "shards" / f"{index}-of-2"
        directory.mkdir(parents=True)
        record.write(directory)
    summary = collect([uri])
    assert summary.pass_rates == {"small": {"0": 3, "1": 3}, "large": {"1": 4}} == added(shards).pass_rates
    assert summary.levels == {"1": 7, "none": 1}


def test_collect_difficulty_is_that_of_the_questions_graded_last(tmp_path):
    before = DifficultyRecord(pass_rates={"small": {"0": 9}, "gone": {"1": 1}}, levels={"1": 9})
    after = DifficultyRecord(pass_rates={"small": {"0": 2}}, levels={"1": 2})
    uris = [
        publish(tmp_path, "graded", name, minute, records=[record]) for name, minute, record in (("b", 2, after), ("a", 1, before))
    ]
    summary = collect(uris)
    assert (summary.pass_rates, summary.levels) == ({"small": {"0": 2}, "gone": {"1": 1}}, {"1": 2})


def test_collect_graded_without_a_record_has_no_difficulty(tmp_path):
    summary = collect([publish(tmp_path, "graded", "old", 1)])
    assert (summary.pass_rates, summary.levels) == ({}, {})


def test_collect_report_of_another_release_is_one_clear_error(tmp_path):
    last, _, _ = publish_run(tmp_path)
    (tmp_path / "report" / "toy-1" / "demo" / "outcomes.json").write_text('{"arithmetic": {}}')
    with pytest.raises(BadRows, match="toy-1/demo/outcomes.json has no record version, this release reads 1"):
        collect([last])


def test_stage_names_are_in_the_order_of_the_path():
    assert STAGE_NAMES == stages.DATA_PATH


def test_print_summary_shows_rows_difficulty_and_scores(tmp_path):
    last, trained, others = publish_run(tmp_path)
    inputs = [("report", last), ("checkpoint", trained), *(("others", each) for each in others)]
    console = Console(record=True, width=160, file=StringIO())
    print_summary(console, publish(tmp_path, "registry", "toy", 10, inputs))
    lines = [line.split() for line in console.export_text().splitlines()]
    assert any(line[:4] == ["questions", "toy", "100", "9"] and "duplicate" in line for line in lines)
    assert any({"level", "1:", "60"} <= set(line) for line in lines)
    assert any(line[:1] == ["0.25"] and line[-1] == "10" for line in lines)
    scored = [line for line in lines if line[1:2] == ["arithmetic"]]
    assert [tuple(line[place] for place in (0, 2, 3, 4)) for line in scored] == [
        ("toy-base", "1", "0.100", "0.050–0.200"),
        ("toy-1", "1", "0.600", "0.500–0.700"),
        ("toy-1", "2", "0.650", "0.550–0.750"),
    ]


def test_print_summary_of_a_comparison_shows_paired_differences(tmp_path):
    last, _, others = publish_run(tmp_path)
    record = ComparisonRecord(
        against="original", differences={"answer": [PairedDifference("arithmetic", 2, Interval(0.2, 0.1, 0.3))]}
    )  # fmt: skip
    inputs = [("reports", each) for each in (*others, last)]
    console = Console(record=True, width=160, file=StringIO())
    print_summary(console, publish(tmp_path, "comparison", "toy-study", 10, inputs, records=[record]))
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["answer", "arithmetic", "2", "+0.200", "+0.100", "–", "+0.300"] in lines


def test_print_summary_of_nothing_published_is_missing(tmp_path):
    with pytest.raises(MissingInput, match="nothing is published there"):
        print_summary(Console(), tmp_path.as_uri())


def test_print_summary_of_a_report_alone_shows_its_score(tmp_path):
    base = publish(tmp_path, "sft", "toy-base", 1, files={"model.safetensors": None})
    console = Console(record=True, width=160, file=StringIO())
    print_summary(console, publish_report(tmp_path, "toy-base", 2, base, [(0.25, 0.1, 0.4)]))
    assert "0.250" in console.export_text()
