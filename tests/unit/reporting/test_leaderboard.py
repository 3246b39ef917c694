import re

import pytest

from stillhouse.benchmarks.intervals import Interval
from stillhouse.reporting import leaderboard, run_facts, store_runs
from stillhouse.reporting.run_record import RunScore
from tests.unit.reporting import nights

SETTINGS = {"samples": 16, "temperature": 0.6, "top_p": 0.95, "max_tokens": 32768}
"""As Difficulty-Aware Staged RL measured (Figs 3 and 4)."""


def record(root, version, night=0, **options):
    run = nights.publish_night(root, version, night, **options)
    return run_facts.record(run, run_facts.read(run), mlflow=f"http://m/#/experiments/1/runs/{version}")


def page(tmp_path, records, **options) -> str:
    path = tmp_path / "page.html"
    leaderboard.write(path, "toy", records, **options)
    return path.read_text(encoding="utf-8")


def test_sections_scores_of_two_protocols_are_never_in_one(tmp_path):
    records = [record(tmp_path, "v1"), record(tmp_path, "v2", 1, protocol="p2"), record(tmp_path, "v3", 2)]
    sections = leaderboard.sections(records)
    assert [(one.protocol, [entry.record.run for entry in one.entries]) for one in sections] == [
        ("p1", ["v3", "v3", "v1", "v1"]), ("p2", ["v2", "v2"])
    ]  # fmt: skip


def test_sections_line_of_a_chart_joins_the_runs_of_one_role(tmp_path):
    [section] = leaderboard.sections([record(tmp_path, f"v{night}", night) for night in range(3)])
    lines = re.findall(r'<polyline points="([^"]*)" class="line (c\d)"', section.chart)
    assert [(len(points.split()), colour) for points, colour in lines] == [(3, "c0"), (3, "c1")]
    assert section.chart.count("★") == 3 + 1  # of each run's final checkpoint, and in the legend


def test_sections_champion_is_the_final_checkpoint_of_a_promoted_run(tmp_path):
    records = [record(tmp_path, "v1"), record(tmp_path, "v2", 1, decision=nights.REJECTED)]
    [section] = leaderboard.sections(records)
    assert [(entry.record.run, entry.score.role) for entry in section.entries if entry.is_champion] == [("v1", "sft")]


def test_sections_gain_stands_beside_the_checkpoint_that_it_is_of(tmp_path):
    [section] = leaderboard.sections([record(tmp_path, "v1")])
    assert [(entry.score.role, entry.gain and round(entry.gain.mean, 3)) for entry in section.entries] == [
        ("base", None), ("sft", 0.2)
    ]  # fmt: skip


def scored(tmp_path, settings):
    made = record(tmp_path, "v1")
    score = RunScore("rl", "aime-2024", 1, Interval(0.4, 0.3, 0.5), 30, 9000.0, "p9", settings)
    [section] = leaderboard.sections([made.model_copy(update={"scores": [score]})])
    return section


def test_sections_papers_stand_beside_ours_where_they_state_the_same_protocol(tmp_path):
    published = [(one.model, one.percent) for one in scored(tmp_path, SETTINGS).published]
    assert ("1.5B, two stages of mathematics", 42.3) in published
    assert published == sorted(published, key=lambda one: -one[1])


@pytest.mark.parametrize("changed", [{"samples": 8}, {"temperature": 0.0}, {"max_tokens": 64}])
def test_sections_papers_of_another_protocol_are_left_out(tmp_path, changed):
    assert scored(tmp_path, SETTINGS | changed).published == []


def test_sections_without_a_stated_setting_have_no_paper(tmp_path):
    assert scored(tmp_path, {"samples": 16}).published == []


def test_page_links_to_the_runs_page_beside_it_and_to_mlflow_and_airflow(tmp_path):
    text = page(tmp_path, [record(tmp_path, "v1")], links_from=tmp_path.as_uri())
    assert 'href="../registry/toy/v1/report.html"' in text
    assert 'href="http://m/#/experiments/1/runs/v1"' in text
    assert 'href="http://a/dags/toy/runs/1"' in text


def test_page_in_mlflow_links_to_the_runs_page_there(tmp_path):
    made = record(tmp_path, "v1").model_copy(update={"mlflow": "http://m/#/experiments/1/runs/r1?workflowType=x"})
    text = page(tmp_path, [made], links_from=leaderboard.MLFLOW)
    assert 'href="http://m/#/experiments/1/runs/r1/artifacts/run.html?workflowType=x"' in text
    assert "registry/toy" not in text
    untracked = page(tmp_path, [made.model_copy(update={"mlflow": "", "airflow": ""})], links_from=leaderboard.MLFLOW)
    assert "<a " not in untracked


def test_page_link_of_a_record_that_is_no_address_is_none(tmp_path):
    hostile = {"mlflow": "javascript:alert(1)", "airflow": "data:text/html,x", "page": "javascript:alert(2)"}
    text = page(tmp_path, [record(tmp_path, "v1").model_copy(update=hostile)], links_from=tmp_path.as_uri())
    assert "javascript:" not in text
    assert "data:text" not in text


def test_page_names_with_markup_are_text(tmp_path):
    made = record(tmp_path, "v1")
    hostile = "<script>alert(1)</script>"
    scores = [RunScore(hostile, hostile, 1, Interval(0.4, 0.3, 0.5), 30, 1.0, hostile, {})]
    text = page(tmp_path, [made.model_copy(update={"run": hostile, "scores": scores, "model": hostile, "problems": [hostile]})])
    assert "<script>alert" not in text
    assert text.count("<script>") == 1


def test_page_says_what_could_not_be_read(tmp_path):
    made = record(tmp_path, "v1").model_copy(update={"problems": ["v0 is damaged"]})
    assert "v0 is damaged" in page(tmp_path, [made])


def test_page_of_runs_without_scores_has_their_costs(tmp_path):
    made = record(tmp_path, "v1").model_copy(update={"scores": [], "gains": [], "final": ""})
    text = page(tmp_path, [made])
    assert "0.30" in text  # GPU-hours
    assert 'class="board"' not in text


def test_page_loads_nothing(tmp_path):
    text = page(tmp_path, [record(tmp_path, "v1")])
    assert not re.search(r"<link|<img|<script [^>]*src|@import|url\(", text)


def test_page_of_a_year_of_nights_stays_small_and_names_some_runs(tmp_path):
    made = record(tmp_path, "v1")
    records = [made.model_copy(update={"run": f"v{night:03}"}) for night in range(365)]
    text = page(tmp_path, records)
    assert len(text) < 2_000_000
    assert len(re.findall(r"(?:rotate|text-anchor)[^<>]*>v\d", text)) in range(2, 13)
    assert "rotate(-35" not in text, "names that fit side by side are not tilted"


def test_page_tilts_names_of_runs_that_do_not_fit_side_by_side(tmp_path):
    made = record(tmp_path, "v1")
    records = [made.model_copy(update={"run": f"manual__2026-11-{day:02}T02-00-00"}) for day in range(1, 13)]
    assert len(re.findall(r"rotate\(-35[^>]*>manual", page(tmp_path, records))) == 12


def test_write_all_makes_a_page_for_each_profile_in_the_store(tmp_path):
    record(tmp_path, "v1").publish(tmp_path.as_uri())
    record(tmp_path, "v1").model_copy(update={"profile": "other"}).publish(tmp_path.as_uri())
    written = leaderboard.write_all(str(tmp_path), store_runs.runs(str(tmp_path)))
    assert [(one.profile, one.n_runs) for one in written] == [("other", 1), ("toy", 1)]
    assert "Leaderboard of toy" in (tmp_path / "leaderboard/toy.html").read_text(encoding="utf-8")


def test_write_all_elsewhere_links_to_pages_in_full(tmp_path):
    record(tmp_path / "store", "v1").publish((tmp_path / "store").as_uri())
    leaderboard.write_all(str(tmp_path / "store"), store_runs.runs(str(tmp_path / "store")), str(tmp_path / "out"))
    text = (tmp_path / "out/toy.html").read_text(encoding="utf-8")
    assert f'href="{(tmp_path / "store").as_uri()}/registry/toy/v1/report.html"' in text
