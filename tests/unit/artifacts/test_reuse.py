import threading

import pytest

from stillhouse import testing
from stillhouse.artifacts import claiming, integrity, reuse, store, tables
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.lease import CLAIM
from stillhouse.errors import DamagedArtifact, StoreFailed
from stillhouse.execution.execute import Result, execute
from stillhouse.vocabulary.rows import Question
from stillhouse.vocabulary.shards import Shard
from tests.unit import toy_stage
from tests.unit.toy_stage import Config


@pytest.fixture
def root(tmp_path) -> str:
    """The tests of S3 in tests/services set another one."""
    return tmp_path.as_uri()


@pytest.fixture
def inputs(root) -> dict[str, str]:
    testing.publish(testing.questions(12), Question, f"{root}/questions/toy/1")
    return {"questions": f"{root}/questions/toy/1"}


def output_of(root: str, version: str, name: str = "toy") -> str:
    return f"{root}/toy_stage/{name}/{version}"


def question_ids(uri: str, tmp_path) -> list[str]:
    return sorted(row.question_id for row in tables.read(integrity.fetch(uri, tmp_path), Question))


EXPECTED = sorted(row.question_id for row in testing.questions(12))


def test_execute_equal_work_under_another_version_points_and_runs_nothing(root, inputs, tmp_path):
    first = execute(toy_stage, Config(), inputs, output_of(root, "monday"))
    second = execute(toy_stage, Config(), inputs, output_of(root, "tuesday", "another"))
    assert second.skipped
    assert len(toy_stage.runs) == 1
    assert (second.manifest.fingerprint, second.manifest.version) == (first.manifest.fingerprint, "tuesday")
    assert second.manifest.same_as == "toy/monday"
    assert store.store_of(root).names(output_of(root, "tuesday", "another")) == ["manifest.json"]
    assert question_ids(output_of(root, "tuesday", "another"), tmp_path) == EXPECTED
    assert second.manifest.metrics == first.manifest.metrics
    assert second.manifest.rows == first.manifest.rows == 12
    assert manifests.latest(output_of(root, "x", "another")) == store.absolute(output_of(root, "tuesday", "another"))


def test_execute_reused_result_is_reused_again_without_a_chain(root, inputs):
    for version in ("monday", "tuesday", "wednesday"):
        result = execute(toy_stage, Config(), inputs, output_of(root, version))
    assert result.manifest.same_as == "toy/monday"
    assert {file.at for file in result.manifest.files.values()} == {"toy/monday"}


def test_execute_other_config_under_another_version_runs(root, inputs):
    execute(toy_stage, Config(), inputs, output_of(root, "monday"))
    assert not execute(toy_stage, Config(text="y"), inputs, output_of(root, "tuesday")).skipped
    assert len(toy_stage.runs) == 2


def test_execute_reused_result_is_an_input_and_changes_no_fingerprint_above(root, inputs, tmp_path):
    for version in ("monday", "tuesday"):
        execute(toy_stage, Config(), inputs, output_of(root, version))
    above = execute(toy_stage, Config(text="above"), {"questions": output_of(root, "monday")}, output_of(root, "monday", "above"))
    again = execute(toy_stage, Config(text="above"), {"questions": output_of(root, "tuesday")}, output_of(root, "tuesday", "above"))
    assert again.skipped
    assert again.manifest.fingerprint == above.manifest.fingerprint
    links = [uri for _, _, uri, manifest in manifests.lineage(output_of(root, "tuesday", "above")) if manifest]
    assert store.absolute(output_of(root, "tuesday")) in links
    assert question_ids(output_of(root, "tuesday", "above"), tmp_path) == EXPECTED


def test_execute_result_whose_version_was_removed_is_made_again(root, inputs, tmp_path):
    execute(toy_stage, Config(), inputs, output_of(root, "monday"))
    for name in store.store_of(root).names(output_of(root, "monday")):
        store.store_of(root).remove(f"{output_of(root, 'monday')}/{name}")
    assert not execute(toy_stage, Config(), inputs, output_of(root, "tuesday")).skipped
    assert execute(toy_stage, Config(), inputs, output_of(root, "wednesday")).manifest.same_as == "toy/tuesday"
    assert question_ids(output_of(root, "wednesday"), tmp_path) == EXPECTED


def test_execute_result_that_lost_a_file_is_made_again(root, inputs, tmp_path):
    first = execute(toy_stage, Config(), inputs, output_of(root, "monday"))
    lost = next(iter(first.manifest.stored.values()))
    store.store_of(root).remove(f"{output_of(root, 'monday')}/{lost}")
    assert not execute(toy_stage, Config(), inputs, output_of(root, "tuesday")).skipped
    assert question_ids(output_of(root, "tuesday"), tmp_path) == EXPECTED


def test_execute_result_with_an_edited_manifest_is_made_again_and_said(root, inputs, capsys):
    execute(toy_stage, Config(), inputs, output_of(root, "monday"))
    place = f"{output_of(root, 'monday')}/manifest.json"
    store.store_of(root).write(place, store.store_of(root).read(place).replace(b'"share": 0.5', b'"share": 0.9'))
    assert not execute(toy_stage, Config(), inputs, output_of(root, "tuesday")).skipped
    assert "its result is not reused" in capsys.readouterr().err


def test_execute_torn_index_entry_is_replaced(root, inputs):
    first = execute(toy_stage, Config(), inputs, output_of(root, "monday"))
    entry = f"{root}/toy_stage/{reuse.INDEX}/{first.manifest.fingerprint}/whole"
    _, version = store.store_of(root).read_versioned(entry)
    store.store_of(root).swap(entry, b"../../../etc", version)
    assert not execute(toy_stage, Config(), inputs, output_of(root, "tuesday")).skipped
    assert reuse.find(store.absolute(output_of(root, "x")), first.manifest.fingerprint) == store.absolute(
        output_of(root, "tuesday")
    )


def test_execute_work_that_another_version_is_doing_is_waited_for(root, inputs, monkeypatch, capsys):
    monkeypatch.setattr(claiming, "LONGEST_POLL_S", 0.01)
    waiting, results = threading.Event(), dict[str, Result]()
    is_free = claiming.Watched.is_free

    def noticed(self, claim) -> bool:
        waiting.set()
        return is_free(self, claim)

    monkeypatch.setattr(claiming.Watched, "is_free", noticed)

    def second() -> None:
        results["tuesday"] = execute(toy_stage, Config(), inputs, output_of(root, "tuesday"))

    thread = threading.Thread(target=second)

    def while_the_first_works() -> None:
        thread.start()
        assert waiting.wait(30)

    toy_stage.before_the_end.append(while_the_first_works)
    execute(toy_stage, Config(), inputs, output_of(root, "monday"))
    thread.join(30)
    assert results["tuesday"].skipped
    assert results["tuesday"].manifest.same_as == "toy/monday"
    assert len(toy_stage.runs) == 1
    assert "toy/monday: waiting for" in capsys.readouterr().err


def test_execute_work_that_another_version_gave_up_is_done(root, inputs):
    def fail() -> None:
        raise StoreFailed("as told")

    toy_stage.before_the_end.append(fail)
    with pytest.raises(StoreFailed):
        execute(toy_stage, Config(), inputs, output_of(root, "monday"))
    assert store.store_of(root).read_versioned(f"{output_of(root, 'monday')}/{CLAIM}") is not None
    assert not execute(toy_stage, Config(), inputs, output_of(root, "tuesday")).skipped
    assert execute(toy_stage, Config(), inputs, output_of(root, "monday")).manifest.same_as == "toy/tuesday"


def test_execute_shards_under_another_version_reuse_the_whole(root, inputs, tmp_path):
    for index in range(3):
        execute(toy_stage, Config(), inputs, output_of(root, "monday"), Shard(index, 3))
    result = execute(toy_stage, Config(), inputs, output_of(root, "tuesday"), Shard(1, 4))
    assert result.skipped
    assert result.manifest.same_as == "toy/monday"
    assert len(toy_stage.runs) == 3
    assert question_ids(output_of(root, "tuesday"), tmp_path) == EXPECTED


def test_execute_shards_that_another_version_has_are_reused_and_the_rest_is_made(root, inputs, tmp_path):
    for index in range(2):
        execute(toy_stage, Config(), inputs, output_of(root, "monday"), Shard(index, 3))
    results = [execute(toy_stage, Config(), inputs, output_of(root, "tuesday"), Shard(index, 3)) for index in range(3)]
    assert [result.skipped for result in results] == [True, True, False]
    whole = manifests.load(output_of(root, "tuesday"))
    assert (whole.rows, whole.shards) == (12, ["0-of-3", "1-of-3", "2-of-3"])
    assert question_ids(output_of(root, "tuesday"), tmp_path) == EXPECTED
    assert [problem for _, problem in integrity.problems(output_of(root, "tuesday"))] == [None]


def test_execute_unsharded_run_reuses_what_shards_made(root, inputs, tmp_path):
    for index in range(2):
        execute(toy_stage, Config(), inputs, output_of(root, "monday"), Shard(index, 2))
    assert execute(toy_stage, Config(), inputs, output_of(root, "tuesday")).skipped
    assert question_ids(output_of(root, "tuesday"), tmp_path) == EXPECTED


def test_execute_version_removed_while_it_is_pointed_to_is_told_and_made_by_the_next_try(root, inputs, monkeypatch):
    execute(toy_stage, Config(), inputs, output_of(root, "monday"))
    publish = manifests.publish

    def removed_meanwhile(uri, manifest) -> None:
        publish(uri, manifest)
        store.store_of(root).remove(f"{output_of(root, 'monday')}/manifest.json")

    monkeypatch.setattr(manifests, "publish", removed_meanwhile)
    with pytest.raises(StoreFailed, match="was removed at this moment; run the same command again"):
        execute(toy_stage, Config(), inputs, output_of(root, "tuesday"))
    monkeypatch.undo()
    assert not execute(toy_stage, Config(), inputs, output_of(root, "tuesday")).skipped


@pytest.mark.parametrize("place", ["../x", "toy/..", "toy", "a/b/c", "toy/%2e%2e", "/toy", "toy/a#b"])
def test_find_manifest_that_points_out_of_its_stage_is_refused(root, inputs, place):
    manifest = execute(toy_stage, Config(), inputs, output_of(root, "monday")).manifest
    files = {name: file.model_copy(update={"at": place}) for name, file in manifest.files.items()}
    uri = output_of(root, "evil")
    store.store_of(root).write(f"{uri}/manifest.json", manifests.serialised(manifest.model_copy(update={"files": files})))
    with pytest.raises(DamagedArtifact, match=r"is not NAME/VERSION; nothing was read"):
        manifests.find(uri)


def test_problems_damaged_file_of_a_reused_result_is_named(root, inputs):
    execute(toy_stage, Config(), inputs, output_of(root, "monday"))
    second = execute(toy_stage, Config(), inputs, output_of(root, "tuesday"))
    name = min(second.manifest.files)
    directory, stored = manifests.location(output_of(root, "tuesday"), second.manifest, name)
    store.store_of(root).write(f"{directory}/{stored}", b"damaged")
    [(_, problem)] = integrity.problems(output_of(root, "tuesday"))
    assert f"{name} is damaged" in problem


def test_execute_version_that_is_a_link_to_a_failed_one_does_not_wait_for_itself(tmp_path):
    """Disks that ignore case give a directory two names as well."""
    testing.publish(testing.questions(12), Question, f"{tmp_path.as_uri()}/questions/toy/1")
    inputs = {"questions": f"{tmp_path.as_uri()}/questions/toy/1"}
    monday, tuesday = (output_of(tmp_path.as_uri(), version) for version in ("monday", "tuesday"))
    toy_stage.before_the_end.append(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        execute(toy_stage, Config(), inputs, monday)
    (tmp_path / "toy_stage" / "toy" / "tuesday").symlink_to("monday")
    assert not execute(toy_stage, Config(), inputs, tuesday).skipped
    assert manifests.find(monday) == manifests.find(tuesday)
