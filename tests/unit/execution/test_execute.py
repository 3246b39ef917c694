import json
import math
import os
import pickle
import re
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from torch.distributed import HashStore

from stillhouse import testing
from stillhouse.artifacts import claiming, integrity, store, tables
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts.lease import CLAIM, Lease, Work
from stillhouse.artifacts.publishing import Publisher
from stillhouse.errors import BadConfig, DamagedArtifact, MissingInput, NothingToDo, StaleOutput, StoreFailed, StoreRefused
from stillhouse.execution import processes
from stillhouse.execution.contract import Outputs, input_names, parse_shard
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
def questions(root) -> str:
    uri = f"{root}/questions/toy/1"
    testing.publish(testing.questions(12), Question, uri)
    return uri


def output_of(root: str, version: str = "1") -> str:
    return f"{root}/toy_stage/toy/{version}"


def ids(uri: str, scratch: Path) -> list[str]:
    """The question ids of the files that the manifest lists."""
    directory = integrity.fetch(uri, scratch)
    return [row.question_id for row in tables.read(directory, Question)]


def test_execute_publishes_rows_drops_and_what_they_were_made_of(root, questions, tmp_path):
    result = execute(toy_stage, Config(), {"questions": [questions]}, output_of(root))
    manifest = manifests.load(output_of(root))
    assert result.manifest == manifest
    assert not result.skipped
    assert sorted(ids(output_of(root), tmp_path)) == sorted(row.question_id for row in testing.questions(12))
    assert (manifest.stage, manifest.version, manifest.rows, manifest.dropped) == ("toy_stage", "1", 12, {"toy": 1})
    assert manifest.inputs["questions"][0].fingerprint == manifests.load(questions).fingerprint
    assert claiming.read(store.absolute(output_of(root))) == (None, None)
    assert set(store.store_of(root).names(output_of(root))) == {*manifest.stored.values(), "manifest.json"}


def test_execute_again_skips(root, questions):
    first = execute(toy_stage, Config(), {"questions": [questions]}, output_of(root))
    second = execute(toy_stage, Config(), {"questions": [questions]}, output_of(root))
    assert second.skipped
    assert second.manifest == first.manifest
    assert len(toy_stage.runs) == 1


def test_execute_other_config_same_place_is_refused_and_first_stands(root, questions):
    first = execute(toy_stage, Config(), {"questions": [questions]}, output_of(root))
    with pytest.raises(StaleOutput, match="choose another version in --output"):
        execute(toy_stage, Config(text="y"), {"questions": [questions]}, output_of(root))
    assert manifests.load(output_of(root)) == first.manifest


def test_execute_other_input_same_place_is_refused(root, questions):
    execute(toy_stage, Config(), {"questions": [questions]}, output_of(root))
    testing.publish(testing.questions(3), Question, f"{root}/questions/toy/2")
    with pytest.raises(StaleOutput):
        execute(toy_stage, Config(), {"questions": [f"{root}/questions/toy/2"]}, output_of(root))


def test_execute_fingerprint_does_not_depend_on_where_inputs_lie(root, questions):
    testing.publish(testing.questions(12), Question, f"{root}/elsewhere/questions/toy/1")
    here = execute(toy_stage, Config(), {"questions": [questions]}, output_of(root, "1"))
    there = execute(toy_stage, Config(), {"questions": [f"{root}/elsewhere/questions/toy/1"]}, output_of(root, "2"))
    assert here.manifest.fingerprint == there.manifest.fingerprint


def test_execute_previous_output_is_linked_and_changes_no_fingerprint(root, questions):
    first = execute(toy_stage, Config(), {"questions": [questions]}, output_of(root, "1"))
    inputs = {"questions": [questions], "previous": [output_of(root, "1")]}
    second = execute(toy_stage, Config(), inputs, output_of(f"{root}/another-store", "2"))
    assert second.manifest.fingerprint == first.manifest.fingerprint
    assert [link.fingerprint for link in second.manifest.inputs["previous"]] == [first.manifest.fingerprint]
    assert toy_stage.runs[1].previous is not None


def test_execute_previous_latest_is_the_version_published_last_and_never_the_own(root, questions):
    inputs = {"questions": [questions], "previous": ["latest"]}
    first = execute(toy_stage, Config(), inputs, output_of(root, "1"))
    assert "previous" not in first.manifest.inputs
    second = execute(toy_stage, Config(), inputs, output_of(root, "2"))
    assert [link.uri for link in second.manifest.inputs["previous"]] == [store.absolute(output_of(root, "1"))]
    assert execute(toy_stage, Config(), inputs, output_of(root, "2")).skipped


def test_execute_previous_latest_that_was_removed_is_none(root, questions):
    execute(toy_stage, Config(), {"questions": [questions]}, output_of(root, "1"))
    store.store_of(root).remove(f"{output_of(root, '1')}/manifest.json")
    second = execute(toy_stage, Config(), {"questions": [questions], "previous": ["latest"]}, output_of(root, "2"))
    assert "previous" not in second.manifest.inputs


def test_execute_previous_latest_where_the_pointer_is_torn_is_refused(root, questions):
    execute(toy_stage, Config(), {"questions": [questions]}, output_of(root, "1"))
    pointer = f"{root}/toy_stage/toy/latest.json"
    store.store_of(pointer).write(pointer, b"{")
    with pytest.raises(StoreFailed, match="does not point to a version"):
        execute(toy_stage, Config(), {"questions": [questions], "previous": ["latest"]}, output_of(root, "2"))


def test_execute_input_without_manifest_is_missing(root):
    with pytest.raises(MissingInput, match=r"input questions .*nothing is published there"):
        execute(toy_stage, Config(), {"questions": [f"{root}/nowhere/x/1"]}, output_of(root))


def test_execute_required_input_not_given_is_named(root):
    with pytest.raises(MissingInput, match="toy_stage needs --input questions=URI, got none"):
        execute(toy_stage, Config(), {}, output_of(root))


def test_execute_input_made_by_another_stage_is_refused(root, questions, monkeypatch):
    monkeypatch.setattr("stillhouse.execution.input_links.STAGE_NAMES", ("questions", "toy_stage"))
    made = output_of(root)
    execute(toy_stage, Config(), {"questions": [questions]}, made)
    with pytest.raises(MissingInput, match="--input questions=.*: got a toy_stage artifact; give the URI of a questions artifact"):
        execute(toy_stage, Config(), {"questions": [made]}, output_of(root, version="2"))


def test_execute_unknown_input_lists_the_known(root, questions):
    with pytest.raises(BadConfig, match=r"--input question=…: toy_stage takes no such input; its inputs: questions, more, maybe"):
        execute(toy_stage, Config(), {"question": [questions]}, output_of(root))


def test_execute_one_input_given_twice_is_refused(root, questions):
    with pytest.raises(BadConfig, match="given 2 times; toy_stage takes one"):
        execute(toy_stage, Config(), {"questions": [questions, questions]}, output_of(root))


def test_execute_input_file_gone_is_missing(root, questions):
    store.store_of(questions).remove(store.join(questions, manifests.load(questions).stored["part-00000.parquet"]))
    with pytest.raises(MissingInput, match=r"its manifest lists part-00000.parquet, which is gone \(files gone: 1\)"):
        execute(toy_stage, Config(), {"questions": [questions]}, output_of(root))
    assert manifests.find(output_of(root)) is None


def test_execute_stray_file_beside_an_input_is_not_read(root, questions, tmp_path):
    tables.write_part(tmp_path / "stray.parquet", testing.questions(20), Question)
    store.store_of(questions).upload(tmp_path / "stray.parquet", f"{questions}/part-00009.parquet")
    assert execute(toy_stage, Config(), {"questions": [questions]}, output_of(root)).manifest.rows == 12


def test_execute_many_inputs_keep_their_order(root, questions):
    others = [f"{root}/questions/toy/{version}" for version in ("b", "a")]
    for number, uri in enumerate(others, start=1):
        testing.publish(testing.questions(number), Question, uri)
    execute(toy_stage, Config(), {"questions": [questions], "more": others}, output_of(root))
    assert list(toy_stage.runs[0].uris["more"]) == others
    assert len(toy_stage.runs[0].more) == 2
    assert toy_stage.runs[0].maybe is None


def test_execute_under_torchrun_is_refused_as_every_process_would_publish(root, questions, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(BadConfig, match="WORLD_SIZE is 2: toy_stage is one process; start it without torchrun"):
        execute(toy_stage, Config(), {"questions": [questions]}, output_of(root))


def test_claim_of_what_was_published_meanwhile_removes_nothing(root, questions, tmp_path):
    execute(toy_stage, Config(), {"questions": [questions]}, output_of(root))
    uri = store.absolute(output_of(root))
    with pytest.raises(StaleOutput, match="nothing was overwritten"):
        claiming.take(uri, Work(stage="toy_stage", fingerprint="another", config={}, inputs={}))
    assert set(manifests.load(uri).stored.values()) < set(store.store_of(uri).names(uri))


def test_execute_stage_that_raises_leaves_no_manifest_and_a_later_run_succeeds(root, questions):
    def fail() -> None:
        raise NothingToDo("as told")

    toy_stage.before_the_end.append(fail)
    with pytest.raises(NothingToDo):
        execute(toy_stage, Config(), {"questions": [questions]}, output_of(root))
    assert manifests.find(output_of(root)) is None
    result = execute(toy_stage, Config(), {"questions": [questions]}, output_of(root))
    assert (result.skipped, result.manifest.rows, result.manifest.metrics["n_made"]) == (False, 12, 0)


def test_execute_killed_half_way_next_run_does_only_the_rest(root, questions, tmp_path):
    code = (
        "import sys; from stillhouse.execution.execute import execute; from tests.unit import toy_stage\n"
        "execute(toy_stage, toy_stage.Config(), {'questions': [sys.argv[1]]}, sys.argv[2])"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, questions, output_of(root)],
        env={**os.environ, "KILL_AFTER": "5"},
        cwd=Path(__file__).parents[3],
    )
    assert killed.returncode == -9
    assert manifests.find(output_of(root)) is None
    manifest = execute(toy_stage, Config(), {"questions": [questions]}, output_of(root), resume=True).manifest
    assert manifest.metrics["n_made"] == 7
    made = ids(output_of(root), tmp_path)
    assert (len(made), len(set(made))) == (12, 12)


def test_execute_parts_of_another_config_are_not_carried_on_and_what_changed_is_said(root, questions, capsys):
    def fail() -> None:
        raise NothingToDo("as told")

    toy_stage.before_the_end.append(fail)
    with pytest.raises(NothingToDo):
        execute(toy_stage, Config(text="y"), {"questions": [questions]}, output_of(root))
    with pytest.raises(StaleOutput, match="--resume: the unfinished run at .* is a different one: text was 'y', is 'x'; repeat"):
        execute(toy_stage, Config(), {"questions": [questions]}, output_of(root), resume=True)
    manifest = execute(toy_stage, Config(), {"questions": [questions]}, output_of(root)).manifest
    assert manifest.metrics["n_made"] == 12
    assert re.search("12 files of an unfinished run are not reused .text was 'y', is 'x'.", capsys.readouterr().err)
    assert set(store.store_of(root).names(output_of(root))) == {*manifest.stored.values(), "manifest.json"}


def test_execute_resume_that_finds_nothing_is_refused_and_what_is_done_is_skipped(root, questions):
    with pytest.raises(MissingInput, match="--resume: no earlier try left anything at .*/toy_stage/toy/1; check --output"):
        execute(toy_stage, Config(), {"questions": [questions]}, output_of(root), resume=True)
    execute(toy_stage, Config(), {"questions": [questions]}, output_of(root))
    assert execute(toy_stage, Config(), {"questions": [questions]}, output_of(root), resume=True).skipped


def overtaken_by(root: str, questions: str, config: Config, uri: str) -> None:
    """Have a second writer take over, run and publish while the first one sleeps."""

    def overtake() -> None:
        claim, version = claiming.read(uri)
        asleep = claim.model_copy(update={"released": True}).model_dump_json().encode()
        store.store_of(uri).swap(store.join(uri, CLAIM), asleep, version)
        execute(toy_stage, config, {"questions": [questions]}, uri)

    toy_stage.before_the_end.append(overtake)


def test_execute_overtaken_at_the_same_work_uses_the_winners_result(root, questions, tmp_path, capsys):
    uri = store.absolute(output_of(root))
    overtaken_by(root, questions, Config(), uri)
    result = execute(toy_stage, Config(), {"questions": [questions]}, uri)
    assert result.skipped
    assert "its result is used" in capsys.readouterr().err
    assert len(ids(uri, tmp_path)) == 12
    assert set(store.store_of(uri).names(uri)) == {*manifests.load(uri).stored.values(), "manifest.json"}


@pytest.mark.parametrize("winner", ["x", "y"])
def test_execute_upload_that_lands_after_the_winner_published_is_withdrawn(root, questions, monkeypatch, winner):
    """The loser sleeps between the check of its lease and the upload."""
    uri = store.absolute(output_of(root))
    overtaken_by(root, questions, Config(text=winner), uri)
    overtake = toy_stage.before_the_end.pop()

    def overtake_and_upload() -> None:
        overtake()
        inputs = toy_stage.runs[0]
        late = inputs.output / "part-00099.parquet"
        tables.write_part(late, testing.questions(1), Question)
        with monkeypatch.context() as asleep:
            asleep.setattr(Publisher, "_check", lambda _publisher: None)
            inputs.publish_part(late)
        assert any("part-00099" in name for name in store.store_of(uri).names(uri))

    toy_stage.before_the_end.append(overtake_and_upload)
    with nullcontext() if winner == "x" else pytest.raises(StaleOutput, match="nothing was overwritten"):
        execute(toy_stage, Config(), {"questions": [questions]}, uri)
    assert set(store.store_of(uri).names(uri)) == {*manifests.load(uri).stored.values(), "manifest.json"}


def test_execute_overtaken_at_other_work_is_refused_and_the_winners_result_stands(root, questions, tmp_path):
    uri = store.absolute(output_of(root))
    overtaken_by(root, questions, Config(text="y"), uri)
    with pytest.raises(StaleOutput, match="nothing was overwritten"):
        execute(toy_stage, Config(), {"questions": [questions]}, uri)
    assert manifests.load(uri).config["text"] == "y"
    assert len(ids(uri, tmp_path)) == 12


def test_execute_second_writer_waits_says_for_whom_and_uses_the_result(root, questions, monkeypatch, capsys):
    monkeypatch.setenv("STILLHOUSE_LEASE_S", "2")
    second: list[Result] = []
    waiter = threading.Thread(
        target=lambda: second.append(execute(toy_stage, Config(), {"questions": questions}, output_of(root)))
    )  # fmt: skip

    told, sleep = threading.Event(), time.sleep

    def noted_sleep(seconds: float) -> None:
        if threading.current_thread() is waiter:
            told.set()
        sleep(seconds)

    def start_and_wait_for_its_word() -> None:
        waiter.start()
        assert told.wait(60)
        assert "waiting for" in capsys.readouterr().err

    monkeypatch.setattr(claiming.time, "sleep", noted_sleep)
    toy_stage.before_the_end.append(start_and_wait_for_its_word)
    first = execute(toy_stage, Config(), {"questions": questions}, output_of(root))
    waiter.join()
    assert (first.skipped, second[0].skipped, second[0].manifest) == (False, True, first.manifest)
    assert len(toy_stage.runs) == 1


@pytest.mark.parametrize("output", ["toy_stage/toy", "questions/toy/9", "", "toy_stage/a%25/1", "toy_stage/a%2F1/2"])
def test_execute_output_of_another_form_is_refused_before_a_byte_is_touched(root, questions, output):
    before = store.store_of(root).names(root)
    with pytest.raises(BadConfig, match=r"toy_stage writes to \{root\}/toy_stage/\{name\}/\{version\}"):
        execute(toy_stage, Config(), {"questions": questions}, f"{root}/{output}".rstrip("/"))
    assert store.store_of(root).names(root) == before


@pytest.mark.parametrize(
    "output",
    ["shards/0-of-4", "maps/1-of-2", "read/of-2", "combined/of-2", ".fingerprints/ab", ".pinned/a", "toy/latest.json",
     "toy/manifest.json", "toy/claim.json.1", "claim.json/1", "toy/.x", " /1", "toy /1", "toy/ 1", "a\\b/1", "C:x/1"],
)  # fmt: skip
def test_execute_output_with_a_name_of_the_store_is_refused_before_a_byte_is_touched(root, questions, output):
    before = store.store_of(root).names(root.rsplit("/", 1)[0])
    with pytest.raises(BadConfig, match="nothing was touched: choose another one"):
        execute(toy_stage, Config(), {"questions": questions}, f"{root}/toy_stage/{output}")
    assert store.store_of(root).names(root.rsplit("/", 1)[0]) == before


@pytest.mark.parametrize("below", ["toy_stage/x/1", "a/b/toy_stage/x/1"])
def test_execute_output_inside_an_artifact_is_refused_before_a_byte_is_touched(root, questions, below):
    before = store.store_of(root).names(root)
    with pytest.raises(BadConfig, match=f"lies inside the artifact {questions}; nothing was touched"):
        execute(toy_stage, Config(), {"questions": questions}, f"{questions}/{below}")
    assert store.store_of(root).names(root) == before


@pytest.mark.parametrize("name", ["thesis.tex", "1/manifest.json", ".git/HEAD", "part-00000.parquet", "shards/notes.txt"])
@pytest.mark.parametrize("shard", [Shard(), Shard(0, 2)])
def test_execute_output_with_files_of_others_is_refused_before_a_byte_is_touched(root, questions, name, shard):
    store.store_of(root).write(f"{output_of(root)}/{name}", b"{}")
    with pytest.raises(BadConfig, match=r"which no run of this output wrote; nothing was touched: choose another version"):
        execute(toy_stage, Config(), {"questions": questions}, output_of(root), shard)
    assert store.store_of(root).names(output_of(root)) == [name]


def test_execute_output_with_a_strange_claim_is_refused(root, questions):
    uri = output_of(root)
    store.store_of(root).swap(f"{uri}/claim.json", b"{}", None)
    with pytest.raises(BadConfig, match="is not a claim that stillhouse wrote; nothing was touched"):
        execute(toy_stage, Config(), {"questions": questions}, uri)


def test_execute_killed_after_its_manifest_next_skip_does_the_rest(root, questions, monkeypatch):
    monkeypatch.setattr("stillhouse.artifacts.publishing.complete", lambda uri, manifest: None)
    monkeypatch.setattr("stillhouse.artifacts.manifest.point", lambda uri, manifest: None)
    execute(toy_stage, Config(), {"questions": questions}, output_of(root))
    monkeypatch.undo()
    assert claiming.read(output_of(root))[0] is not None
    assert manifests.latest(output_of(root)) is None
    assert execute(toy_stage, Config(), {"questions": questions}, output_of(root)).skipped
    assert claiming.read(output_of(root)) == (None, None)
    assert manifests.latest(output_of(root)) == output_of(root)


def test_execute_damaged_part_of_an_earlier_attempt_is_made_again(root, questions, tmp_path, capsys):
    def fail() -> None:
        raise NothingToDo("as told")

    toy_stage.before_the_end.append(fail)
    with pytest.raises(NothingToDo):
        execute(toy_stage, Config(), {"questions": questions}, output_of(root))
    there = store.store_of(root)
    part = next(name for name in there.names(output_of(root)) if name.startswith("part-00003"))
    data = bytearray(there.read(f"{output_of(root)}/{part}"))
    data[len(data) // 2] ^= 1
    there.write(f"{output_of(root)}/{part}", bytes(data))
    manifest = execute(toy_stage, Config(), {"questions": questions}, output_of(root)).manifest
    assert manifest.metrics["n_made"] == 1
    assert f"{part} of an earlier attempt is damaged and is made again" in capsys.readouterr().err
    assert sorted(ids(output_of(root), tmp_path)) == sorted(row.question_id for row in testing.questions(12))


@pytest.mark.parametrize("place", ["part", "manifest"])
def test_execute_input_with_a_flipped_bit_is_refused(root, questions, place):
    manifest = manifests.load(questions)
    name = manifest.stored["part-00000.parquet"] if place == "part" else "manifest.json"
    data = bytearray(store.store_of(root).read(f"{questions}/{name}"))
    data[len(data) // 2] ^= 1
    store.store_of(root).write(f"{questions}/{name}", bytes(data))
    with pytest.raises(DamagedArtifact, match="damaged|not a manifest"):
        execute(toy_stage, Config(), {"questions": questions}, output_of(root))


def test_execute_scratch_is_gone_whatever_happens(root, questions, tmp_path, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_SCRATCH", str(tmp_path))
    before = set(tmp_path.iterdir())
    execute(toy_stage, Config(), {"questions": [questions]}, output_of(root, "2"))
    left = {path.name for path in set(tmp_path.iterdir()) - before}
    assert left <= {"toy_stage"}


def test_execute_no_scratch_directory_says_what_to_do(root, questions, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_SCRATCH", "/nonexistent")
    with pytest.raises(StoreFailed, match="set STILLHOUSE_SCRATCH to a directory with room"):
        execute(toy_stage, Config(), {"questions": [questions]}, output_of(root))


def test_execute_three_shards_are_the_same_rows_and_fingerprint_as_one_process(root, questions, tmp_path):
    one = execute(toy_stage, Config(), {"questions": [questions]}, output_of(f"{root}/another-store", "one")).manifest
    results = [
        execute(toy_stage, Config(), {"questions": [questions]}, output_of(root, "3"), Shard(index, 3)) for index in (2, 0, 1)
    ]
    whole = manifests.load(output_of(root, "3"))
    assert results[-1].manifest == whole
    assert sorted(ids(output_of(root, "3"), tmp_path)) == sorted(ids(output_of(f"{root}/another-store", "one"), tmp_path))
    assert (whole.fingerprint, whole.rows, whole.shards) == (one.fingerprint, 12, ["0-of-3", "1-of-3", "2-of-3"])
    assert whole.metrics == {"n_made": 12}
    assert whole.dropped == {"toy": 3}


def test_execute_shards_incomplete_nothing_is_published(root, questions):
    for index in (0, 1):
        execute(toy_stage, Config(), {"questions": [questions]}, output_of(root), Shard(index, 3))
    assert manifests.find(output_of(root)) is None


def test_execute_shard_again_skips_and_assembles_what_was_left_undone(root, questions):
    for index in range(2):
        execute(toy_stage, Config(), {"questions": [questions]}, output_of(root), Shard(index, 2))
    store.store_of(root).remove(f"{output_of(root)}/manifest.json")
    result = execute(toy_stage, Config(), {"questions": [questions]}, output_of(root), Shard(0, 2))
    assert result.skipped
    assert manifests.load(output_of(root)).rows == 12
    assert len(toy_stage.runs) == 2


def test_execute_shards_of_two_counts_in_one_place_rows_are_not_doubled(root, questions, tmp_path):
    execute(toy_stage, Config(), {"questions": [questions]}, output_of(root), Shard(0, 2))
    for index in range(3):
        execute(toy_stage, Config(), {"questions": [questions]}, output_of(root), Shard(index, 3))
    execute(toy_stage, Config(text="next"), {"questions": [output_of(root)]}, output_of(root, "next"))
    assert len(ids(output_of(root, "next"), tmp_path)) == 12


@pytest.mark.parametrize("text", ["3", "3/3", "-1/2", "a/b", "1/", "/2", "1/0"])
def test_shard_wrong_form_is_refused(text):
    with pytest.raises(BadConfig, match="not of the form INDEX/COUNT"):
        parse_shard(text)


def test_shard_every_key_is_held_by_exactly_one():
    shards = [Shard(index, 7) for index in range(7)]
    counts = [sum(shard.holds(f"key-{number}") for shard in shards) for number in range(500)]
    assert counts == [1] * 500
    assert min(sum(shard.holds(f"key-{number}") for number in range(500)) for shard in shards) > 40


def test_input_names_kinds_are_those_of_the_annotations():
    assert input_names(toy_stage.Inputs) == {"questions": "one", "more": "many", "maybe": "optional", "previous": "optional"}


def test_execute_metric_that_is_not_finite_is_published_and_read_again(root, questions, monkeypatch):
    run = toy_stage.run
    monkeypatch.setattr(toy_stage, "run", lambda *given: Outputs(metrics=dict(run(*given).metrics) | {"loss": math.nan}))
    execute(toy_stage, Config(), {"questions": questions}, output_of(root))
    assert math.isnan(manifests.load(output_of(root)).metrics["loss"])
    assert execute(toy_stage, Config(), {"questions": questions}, output_of(root)).skipped


@pytest.mark.parametrize("kind", ["a link to a directory of others", "a link to nothing", "a file", "a link below", "a pipe"])
def test_execute_output_that_is_a_link_a_file_or_holds_a_pipe_is_refused_and_nothing_is_touched(questions, tmp_path, kind):
    others, output = tmp_path / "thesis", tmp_path / "toy_stage" / "toy" / "1"
    others.mkdir()
    (others / "a.tex").write_text("mine")
    (output if kind in {"a link below", "a pipe"} else output.parent).mkdir(parents=True)
    if kind == "a file":
        output.write_text("mine")
    elif kind == "a pipe":
        os.mkfifo(output / "claim.json.1")
    else:
        (output / "dropped" if kind == "a link below" else output).symlink_to(tmp_path / "nowhere" if "nothing" in kind else others)
    before = store.FileStore().names(tmp_path.as_uri())
    refusals = (BadConfig, StoreRefused, StoreFailed)
    with pytest.raises(refusals, match="nothing was touched|File exists|Not a directory|cannot be read"):
        execute(toy_stage, Config(), {"questions": questions}, output.as_uri())
    assert store.FileStore().names(tmp_path.as_uri()) == before
    assert [(path.name, path.read_text()) for path in others.iterdir()] == [("a.tex", "mine")]


def test_execute_previous_latest_of_an_earlier_release_is_left_out_and_said(root, questions, capsys):
    execute(toy_stage, Config(), {"questions": questions}, output_of(root))
    place = store.join(output_of(root), "manifest.json")
    document = json.loads(store.store_of(root).read(place))
    document.pop("digest")
    store.store_of(root).write(place, json.dumps(document).encode())
    given = {"questions": questions, "previous": "latest"}
    assert "previous" not in execute(toy_stage, Config(), given, output_of(root, "2")).manifest.inputs
    assert "previous=latest is left out" in capsys.readouterr().err


def test_execute_tells_in_its_claim_how_far_it_is(root, questions, monkeypatch):
    reached: list[str] = []
    monkeypatch.setattr(Lease, "reach", lambda self, progress: reached.append(progress))
    toy_stage.before_the_end.append(lambda: toy_stage.runs[-1].progress(3, 1200, "questions, 7/s"))
    execute(toy_stage, Config(), {"questions": questions}, output_of(root))
    assert reached == ["3 of 1,200"]


def test_execute_store_that_fails_right_after_the_claim_frees_it(root, questions, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_LEASE_S", "1000")

    def fail(*_: object) -> dict[str, str]:
        raise StoreFailed("away")

    with monkeypatch.context() as patched:
        patched.setattr(claiming, "parts", fail)
        with pytest.raises(StoreFailed, match="away"):
            execute(toy_stage, Config(), {"questions": questions}, output_of(root))
    assert not [thread for thread in threading.enumerate() if thread.name == "lease"]
    assert not execute(toy_stage, Config(), {"questions": questions}, output_of(root)).skipped


def test_execute_rank_that_cannot_fetch_ends_all_before_any_begins_in_its_words(root, questions, monkeypatch):
    talk = HashStore()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(processes, "shared_store", lambda: talk)
    monkeypatch.setattr(processes, "_position", processes._Position())
    talk.set("0/left/1", pickle.dumps(processes._Failure("StoreFailed", "node 1: no room", 1)))
    with pytest.raises(StoreFailed, match="^node 1: no room$"):
        execute(toy_stage, Config(), {"questions": questions}, output_of(root), ranks=True)
    assert toy_stage.runs == []
    assert claiming.read(store.absolute(output_of(root)))[0].released


def test_execute_shard_of_another_config_is_said_and_nothing_is_put_together(root, questions, capsys):
    execute(toy_stage, Config(text="y"), {"questions": questions}, output_of(root), Shard(0, 2))
    execute(toy_stage, Config(), {"questions": questions}, output_of(root), Shard(1, 2))
    assert manifests.find(output_of(root)) is None
    assert "shard 0-of-2 is of another config or other inputs" in capsys.readouterr().err
