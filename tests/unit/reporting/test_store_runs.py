import pytest

from stillhouse.artifacts.file_store import FileStore
from stillhouse.errors import MissingInput
from stillhouse.reporting import run_facts, store_runs
from tests.unit.reporting import nights


def recorded(root, version, night=0, **options):
    run = nights.publish_night(root, version, night, **options)
    run_facts.record(run, run_facts.read(run)).publish(root.as_uri())
    return run


def test_runs_recorded_and_found_are_one_list_in_the_order_of_time(tmp_path):
    recorded(tmp_path, "v2", 1)
    nights.publish_night(tmp_path, "v1", 0)
    found = store_runs.runs(str(tmp_path))
    assert [(run.run, run.dag_run) for run in found.by_profile["toy"]] == [("v1", ""), ("v2", "manual__1")]
    assert found.problems == []


def test_runs_that_no_dag_recorded_have_roles_decision_and_costs_of_their_artifacts(tmp_path):
    nights.publish_night(tmp_path, "v1")
    [run] = store_runs.runs(str(tmp_path)).by_profile["toy"]
    assert [score.role for score in run.scores] == ["base", "sft"]
    assert (run.is_champion, run.final, run.cost.gpu_hours, len(run.made)) == (True, "sft", None, 8)


def test_runs_profile_is_the_longest_known_name_that_fits(tmp_path):
    for name in ("toy-study-answer", "toy-base"):
        nights.publish(f"{tmp_path.as_uri()}/report/{name}/v1", 1, 0, files={"report.html": None}, records=[nights.outcomes(10)])
    found = store_runs.runs(str(tmp_path)).by_profile
    assert {name: [score.role for run in runs for score in run.scores] for name, runs in found.items()} == {
        "toy-study": ["answer"], "toy": ["base"]
    }  # fmt: skip


def test_runs_of_no_known_profile_go_by_the_artifacts_name(tmp_path):
    nights.publish(f"{tmp_path.as_uri()}/report/mine/1", 1, 0, files={"report.html": None}, records=[nights.outcomes(10)])
    found = store_runs.runs(str(tmp_path)).by_profile
    assert {name: [score.role for score in runs[0].scores] for name, runs in found.items()} == {"mine": ["checkpoint"]}


def test_runs_role_has_no_benchmark_in_its_name(tmp_path):
    uri = f"{tmp_path.as_uri()}/report/toy-rl-aime-2024/1"
    nights.publish(uri, 1, 0, files={"report.html": None}, records=[nights.outcomes(10, "aime-2024")])
    path = tmp_path / "report/toy-rl-aime-2024/1/manifest.json"
    from stillhouse.artifacts import manifest as manifests

    manifest = manifests.load(uri).model_copy(update={"config": {"benchmarks": ["aime-2024@1"]}})
    path.write_bytes(manifests.serialised(manifest))
    [run] = store_runs.runs(str(tmp_path)).by_profile["toy"]
    assert [score.role for score in run.scores] == ["rl"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 7}', b'{"version": 1, "profile": "toy"}', b"\xff\xfe"])
def test_runs_one_damaged_record_ends_nothing(tmp_path, content):
    recorded(tmp_path, "v1")
    path = tmp_path / "runs/toy/v0/run.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    found = store_runs.runs(str(tmp_path))
    assert [run.run for run in found.by_profile["toy"]] == ["v1"]
    assert [str(path) in problem for problem in found.problems] == [True]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"stage": "report"}', b"\xff\xfe", b'{"digest": "0"}'])
def test_runs_one_damaged_manifest_ends_nothing(tmp_path, content):
    nights.publish_night(tmp_path, "v1")
    path = tmp_path / "report/toy-base/v1/manifest.json"
    path.write_bytes(content)
    [run] = store_runs.runs(str(tmp_path)).by_profile["toy"]
    assert [score.role for score in run.scores] == ["sft"]
    assert ["report/toy-base/v1" in problem for problem in run.problems] == [True]


def test_runs_with_records_list_no_file_of_an_artifact(tmp_path, monkeypatch):
    for version in ("v1", "v2"):
        recorded(tmp_path, version)
    nights.publish_night(tmp_path, "v3", 1)
    read = []
    monkeypatch.setattr(FileStore, "names", lambda self, uri: pytest.fail(f"{uri} is listed"))
    monkeypatch.setattr(run_facts, "read", lambda run, read_run=run_facts.read: read.append(run.run) or read_run(run))
    assert [run.run for run in store_runs.runs(str(tmp_path)).by_profile["toy"]] == ["v1", "v2", "v3"]
    assert read == ["v3"]


def test_runs_folder_without_a_record_is_passed_over(tmp_path):
    recorded(tmp_path, "v1")
    (tmp_path / "runs/toy/v0").mkdir()
    found = store_runs.runs(str(tmp_path))
    assert ([run.run for run in found.by_profile["toy"]], found.problems) == (["v1"], [])


def test_runs_of_a_pruned_store_are_still_known(tmp_path):
    recorded(tmp_path, "v1")
    for stage in ("report", "registry", "sft"):
        for path in (tmp_path / stage).rglob("*.json"):
            path.unlink()
    [run] = store_runs.runs(str(tmp_path)).by_profile["toy"]
    assert ([score.measured.mean for score in run.scores], run.is_champion) == ([0.4, 0.6], True)


def test_runs_of_an_empty_root_say_what_to_give(tmp_path):
    with pytest.raises(MissingInput, match="no run with a report below it; give the root of a store"):
        store_runs.runs(str(tmp_path))


def test_runs_of_an_unknown_profile_name_those_there_are(tmp_path):
    recorded(tmp_path, "v1")
    with pytest.raises(MissingInput, match="no run of profile tory; it has runs of toy"):
        store_runs.runs(str(tmp_path), "tory")
