import pytest

from stillhouse import testing
from stillhouse.artifacts import claiming, integrity, pruning, reuse, store
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.lease import Work
from stillhouse.errors import MissingInput
from stillhouse.execution.execute import execute
from stillhouse.vocabulary.rows import Question
from stillhouse.vocabulary.shards import Shard
from tests.unit import toy_stage
from tests.unit.toy_stage import Config


@pytest.fixture
def root(tmp_path) -> str:
    return (tmp_path / "a store").as_uri()


def make(root, version, text="x", questions="base", shard=None):
    """A toy artifact of questions of a version of their own."""
    given = f"{root}/questions/toy/{questions}"
    testing.publish([testing.question(f"{questions} {number}") for number in range(3)], Question, given)
    uri = f"{root}/toy_stage/toy/{version}"
    execute(toy_stage, Config(text=text), {"questions": given}, uri, shard)
    return uri


def removed(root, last=1, registered=None):
    return {uri.removeprefix(f"{root}/") for uri in pruning.remove(root, pruning.plan(root, last, registered or {}).removable)}


def test_prune_versions_beyond_the_last_runs_go_with_all_their_files(root):
    old = make(root, "1", "a", "q1")
    new = make(root, "2", "b", "q2")
    assert removed(root, last=2) == {"toy_stage/toy/1", "questions/toy/q1"}
    assert store.store_of(root).names(old) == []
    assert [problem for _, problem in integrity.problems(new, deep=True)] == [None, None]


def test_prune_plan_touches_nothing_and_says_why_each_is_kept(root):
    make(root, "1", "a", "q1")
    make(root, "2", "b", "q2")
    names = store.store_of(root).names(root)
    plan = pruning.plan(root, 1, {})
    assert plan.kept == {
        f"{root}/toy_stage/toy/2": "of the last 1 runs", f"{root}/questions/toy/q2": f"needed by {root}/toy_stage/toy/2",
    }  # fmt: skip
    assert set(plan.removable) == {f"{root}/toy_stage/toy/1", f"{root}/questions/toy/q1"}
    assert store.store_of(root).names(root) == names


def test_prune_registered_and_pinned_versions_stay_with_what_they_were_made_of(root):
    registered, pinned, _ = make(root, "1", "a", "q1"), make(root, "2", "b", "q2"), make(root, "3", "c", "q3")
    make(root, "4", "d", "q4")
    pruning.pin(pinned)
    assert removed(root, registered={registered: "registered"}) == {"toy_stage/toy/3", "questions/toy/q3"}
    pruning.pin(pinned, remove=True)
    assert removed(root, registered={registered: "registered"}) == {"toy_stage/toy/2", "questions/toy/q2"}


def test_prune_version_whose_files_another_points_to_stays(root):
    first, second = make(root, "1", "same"), make(root, "2", "same")
    assert manifests.load(second).same_as == "toy/1"
    assert removed(root) == set()
    assert [problem for _, problem in integrity.problems(first)] == [None]


def test_prune_pointer_and_what_it_points_to_go_together(root):
    fingerprint = manifests.load(make(root, "1", "same")).fingerprint
    make(root, "2", "same")
    make(root, "3", "other", "q3")
    assert removed(root) == {"toy_stage/toy/1", "toy_stage/toy/2", "questions/toy/base"}
    assert store.store_of(root).names(f"{root}/toy_stage/{reuse.INDEX}/{fingerprint}") == []


def test_prune_result_is_made_again_after_its_version_went(root):
    make(root, "1", "a", "q1")
    make(root, "2", "b", "q2")
    removed(root)
    runs = len(toy_stage.runs)
    assert not manifests.load(make(root, "3", "a", "q1")).same_as
    assert len(toy_stage.runs) == runs + 1


def test_prune_run_that_begins_to_point_meanwhile_keeps_its_target(root, monkeypatch):
    make(root, "1", "a", "q1")
    make(root, "2", "b", "q2")
    plan = pruning.plan(root, 1, {})
    origin = manifests.load(f"{root}/toy_stage/toy/1")
    late = f"{root}/toy_stage/toy/3"
    listings = []
    names = store.FileStore.names

    def publishes_at_the_second_look(self, uri):
        listings.append(uri)
        if listings.count(root) == 2:
            manifests.publish(late, reuse.pointing(origin, f"{root}/toy_stage/toy/1", late, origin.inputs))
        return names(self, uri)

    monkeypatch.setattr(store.FileStore, "names", publishes_at_the_second_look)
    assert pruning.remove(root, plan.removable) == []
    monkeypatch.undo()
    assert [problem for _, problem in integrity.problems(late, deep=True)] == [None, None]


def test_prune_version_that_is_being_written_and_foreign_files_stay(root):
    make(root, "1", "a", "q1")
    make(root, "2", "b", "q2")
    notes = f"{root}/toy_stage/toy/1/notes.txt"
    store.store_of(root).write(notes, b"mine")
    with claiming.take(f"{root}/toy_stage/toy/9", Work(stage="toy_stage", fingerprint="f", config={}, inputs={})):
        removed(root)
        assert claiming.read(f"{root}/toy_stage/toy/9")[0] is not None
    assert store.store_of(root).names(f"{root}/toy_stage/toy/1") == ["notes.txt"]


def test_prune_what_a_run_reads_that_goes_on_stays_until_it_ends(root):
    old = make(root, "1", "a", "q1")
    make(root, "2", "b", "q2")
    reads = {"questions": [manifests.load(f"{root}/questions/toy/q1").fingerprint]}
    work = Work(stage="toy_stage", fingerprint="f", config={}, inputs=reads)
    lease = claiming.take(f"{root}/toy_stage/toy/9/shards/0-of-2", work)
    assert pruning.plan(root, 1, {}).kept[f"{root}/questions/toy/q1"] == "read by a run that goes on"
    assert removed(root) == {"toy_stage/toy/1"}
    assert manifests.find(old) is None
    lease.release()
    assert removed(root) == {"questions/toy/q1"}


def test_prune_run_that_begins_to_read_meanwhile_keeps_its_input(root):
    make(root, "1", "a", "q1")
    make(root, "2", "b", "q2")
    plan = pruning.plan(root, 1, {})
    reads = {"questions": [plan.removable[f"{root}/questions/toy/q1"].fingerprint]}
    with claiming.take(f"{root}/toy_stage/toy/9", Work(stage="toy_stage", fingerprint="f", config={}, inputs=reads)):
        assert pruning.remove(root, plan.removable) == [f"{root}/toy_stage/toy/1"]
    assert manifests.find(f"{root}/questions/toy/q1") == plan.removable[f"{root}/questions/toy/q1"]


def test_prune_model_that_a_kept_version_used_stays(root):
    model, user = make(root, "1", "a", "q1"), make(root, "2", "b", "q2")
    used = manifests.ModelLink(uri=model, fingerprint=manifests.load(model).fingerprint, kind="artifact", named=model)
    manifest = manifests.load(user).model_copy(update={"models": {"judge.model": used}})
    store.store_of(root).write(f"{user}/manifest.json", manifests.serialised(manifest))
    assert removed(root) == set()


def test_prune_latest_pointer_names_the_newest_that_is_left(root):
    first, second = make(root, "1", "a", "q1"), make(root, "2", "b", "q1")
    assert manifests.latest(second) == second
    pruning.pin(first)
    removed(root, last=0)
    assert manifests.latest(second) == first


def test_prune_shards_go_with_their_version(root):
    for index in range(2):
        sharded = make(root, "1", "a", "q1", Shard(index, 2))
    make(root, "2", "b", "q2")
    assert "toy_stage/toy/1" in removed(root)
    assert store.store_of(root).names(sharded) == []


def test_prune_root_without_artifacts_is_refused(root):
    with pytest.raises(MissingInput, match="no artifact below it; give the root of a store"):
        pruning.plan(root, 1, {})


def test_pin_of_no_artifact_is_refused(root):
    with pytest.raises(MissingInput, match="nothing is published there"):
        pruning.pin(f"{root}/toy_stage/toy/typo")


def test_prune_marks_that_people_made_always_stay(root):
    testing.publish_files({"marks.json": b"[]"}, "marks", f"{root}/marks/first/1")
    make(root, "1", "a", "q1")
    assert pruning.plan(root, 0, {}).kept == {f"{root}/marks/first/1": "made by people"}
    assert removed(root, last=0) == {"toy_stage/toy/1", "questions/toy/q1"}


@pytest.mark.parametrize("how", ["moved", "linked"])
def test_prune_of_a_store_that_was_moved_or_is_reached_by_a_link_keeps_what_kept_versions_need(root, tmp_path, how):
    registered, pinned = make(root, "1", "a", "q1"), make(root, "a%20b", "b", "q2")
    make(root, "3", "c", "q3")
    pruning.pin(pinned)
    other = tmp_path / "elsewhere"
    if how == "moved":
        store.local_path(root).rename(other)
    else:
        other.symlink_to(store.local_path(root))
    root = other.as_uri()
    assert removed(root, registered={registered: "registered"}) == set()
    assert manifests.latest(f"{root}/toy_stage/toy/any") == f"{root}/toy_stage/toy/3"
    assert removed(root, last=0, registered={registered: "registered"}) == {"toy_stage/toy/3", "questions/toy/q3"}
    assert manifests.latest(f"{root}/toy_stage/toy/any") == f"{root}/toy_stage/toy/a%20b"
