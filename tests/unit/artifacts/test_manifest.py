import json
import sys
from datetime import UTC, datetime

import pytest

from stillhouse import testing
from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import store
from stillhouse.artifacts.manifest import File, Link, Manifest, Provenance
from stillhouse.errors import DamagedArtifact, MissingInput, StaleOutput, StoreFailed
from stillhouse.vocabulary.rows import Question

THEN = datetime(2026, 11, 23, tzinfo=UTC)


def made(uri: str, fingerprint: str = "f1", **changes) -> Manifest:
    provenance = Provenance(commit="c", image="", argv=[], started=THEN, finished=THEN, host="h")
    whole = {
        "stage": "questions", "version": uri.rsplit("/", 1)[-1], "fingerprint": fingerprint, "config": {}, "files": {},
        "metrics": {}, "provenance": provenance,
    }  # fmt: skip
    return Manifest(**{**whole, **changes})


@pytest.mark.parametrize(
    ("arguments", "golden"),
    [
        (("verified", 1, {"timeout_s": 5.0}, {"responses": ["abc"]}), "7dd96921e67781e6"),
        (("questions", 1, {}, {}), "b607256ebe071065"),
        (("sft", 2, {"rate": 1e-5, "name": "é", "nested": {"b": None, "a": [1]}}, {"selected": ["a", "b"]}), "066d660cda21f471"),
    ],
)
def test_fingerprint_golden_values_stand(arguments, golden):
    """A change here makes every published artifact stale: it must be meant."""
    assert manifests.fingerprint(*arguments) == golden


def test_fingerprint_order_of_keys_does_not_matter():
    one = manifests.fingerprint("sft", 1, {"a": 1, "b": {"c": 2, "d": 3}}, {"x": ["1"], "y": ["2"]})
    other = manifests.fingerprint("sft", 1, {"b": {"d": 3, "c": 2}, "a": 1}, {"y": ["2"], "x": ["1"]})
    assert one == other


@pytest.mark.parametrize(
    "other",
    [
        ("rl", 1, {"a": 1}, {"x": ["1", "2"]}),
        ("sft", 2, {"a": 1}, {"x": ["1", "2"]}),
        ("sft", 1, {"a": 2}, {"x": ["1", "2"]}),
        ("sft", 1, {"a": 1}, {"x": ["2", "1"]}),
        ("sft", 1, {"a": 1}, {"y": ["1", "2"]}),
    ],
)
def test_fingerprint_anything_that_decides_differs_it_differs(other):
    assert manifests.fingerprint("sft", 1, {"a": 1}, {"x": ["1", "2"]}) != manifests.fingerprint(*other)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_fingerprint_value_without_json_form_is_refused(value):
    with pytest.raises(ValueError, match="JSON"):
        manifests.fingerprint("sft", 1, {"a": value}, {})


def test_fingerprint_object_without_json_form_is_refused():
    with pytest.raises(TypeError):
        manifests.fingerprint("sft", 1, {"a": object()}, {})


def test_publish_then_find_gives_it_back_and_moves_the_pointer(tmp_path):
    uri = f"{tmp_path.as_uri()}/questions/x/1"
    manifests.publish(uri, made(uri))
    assert manifests.find(uri) == made(uri)
    pointer = json.loads((tmp_path / "questions" / "x" / "latest.json").read_text())
    assert (pointer["uri"], pointer["fingerprint"]) == (uri, "f1")


def test_publish_second_writer_fails_and_first_stands(tmp_path):
    uri = f"{tmp_path.as_uri()}/questions/x/1"
    manifests.publish(uri, made(uri))
    with pytest.raises(store.AlreadyThere):
        manifests.publish(uri, made(uri, "f2"))
    assert manifests.load(uri).fingerprint == "f1"


def test_published_other_fingerprint_names_both_and_what_to_do(tmp_path):
    uri = f"{tmp_path.as_uri()}/questions/x/1"
    manifests.publish(uri, made(uri))
    with pytest.raises(StaleOutput, match=r"holds fingerprint f1.*make f2.*choose another version in --output"):
        manifests.published(uri, "f2")


def test_load_nothing_there_says_what_to_do(tmp_path):
    with pytest.raises(MissingInput, match=r"input responses .*has no manifest.json.*run the stage that makes it"):
        manifests.load(tmp_path.as_uri(), "input responses")


@pytest.mark.parametrize("text", ["{", "{}", '{"stage": 1}', "\x00"])
def test_find_not_a_manifest_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DamagedArtifact, match="is not a manifest"):
        manifests.find(tmp_path.as_uri())


def document(**changes) -> dict:
    return json.loads(manifests.serialised(made("file:///questions/x/1", files={"a": File(sha256="0", bytes=1)}))) | changes


@pytest.mark.parametrize(
    "change",
    [{"fingerprint": "f2"}, {"metrics": {"n": 1.0}}, {"files": {}}, {"files": {"a": {"sha256": "0", "bytes": 2}}}, {"digest": "0"}],
)
def test_find_edited_field_is_refused(tmp_path, change):
    (tmp_path / "manifest.json").write_text(json.dumps(document(**change)))
    with pytest.raises(DamagedArtifact, match="was edited or damaged: its digest is"):
        manifests.find(tmp_path.as_uri())


def test_find_other_spacing_and_order_of_the_same_content_is_no_edit(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps(dict(reversed(document().items()))))
    assert manifests.load(tmp_path.as_uri()).fingerprint == "f1"


def test_find_file_listed_twice_is_refused(tmp_path):
    text = json.dumps(document()).replace('"a":', '"a": {"sha256": "1", "bytes": 1}, "a":')
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(DamagedArtifact, match="duplicate name 'a'"):
        manifests.find(tmp_path.as_uri())


def test_find_manifest_of_an_earlier_version_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text(made("file:///questions/x/1").model_dump_json())
    with pytest.raises(DamagedArtifact, match="has no digest: an earlier release wrote it; make .* another version or root"):
        manifests.find(tmp_path.as_uri())


@pytest.mark.parametrize(
    "names",
    [
        ["../x"], ["/etc/passwd"], ["a//b"], ["1//path"], ["a/../../b"], ["C:x"], ["a\\b"], ["a\x00b"], ["a\n"], [""], ["."],
        ["Part", "part"], ["caf\u00e9", "cafe\u0301"], ["a", "a/b"],
    ],
)  # fmt: skip
def test_find_names_that_leave_the_artifact_or_meet_are_refused(tmp_path, names):
    files = {name: File(sha256="0", bytes=1) for name in names}
    (tmp_path / "manifest.json").write_bytes(manifests.serialised(made("file:///questions/x/1", files=files)))
    with pytest.raises(DamagedArtifact):
        manifests.find(tmp_path.as_uri())
    stored = {f"f{number}": File(sha256="0", bytes=1, stored=name or "..") for number, name in enumerate(names)}
    (tmp_path / "manifest.json").write_bytes(manifests.serialised(made("file:///questions/x/1", files=stored)))
    with pytest.raises(DamagedArtifact):
        manifests.find(tmp_path.as_uri())


def test_publish_of_a_version_made_earlier_leaves_the_pointer_at_the_later(tmp_path):
    first, second = (f"{tmp_path.as_uri()}/questions/x/{version}" for version in (1, 2))
    manifests.publish(second, made(second))
    manifests.point(first, made(first))
    assert manifests.latest(first) == second


def test_rows_dropped_and_sharded_dropped_rows_do_not_count():
    names = {
        "part-0.parquet": 3,
        "shards/0-of-2/part-0.parquet": 4,
        "dropped/part-0.parquet": 5,
        "shards/0-of-2/dropped/p.parquet": 6,
    }
    files = {name: File(sha256="", bytes=1, rows=rows) for name, rows in names.items()} | {"model.bin": File(sha256="", bytes=1)}
    assert made("x", files=files).rows == 7


def test_lineage_shared_input_is_yielded_twice_and_walked_once(tmp_path):
    root = tmp_path.as_uri()
    a, b, c = f"{root}/a/x/1", f"{root}/b/x/1", f"{root}/c/x/1"
    gone = f"{root}/gone/x/1"
    manifests.publish(a, made(a, inputs={"source": [Link(uri=gone, fingerprint="g")]}))
    manifests.publish(b, made(b, inputs={"questions": [Link(uri=a, fingerprint="f1")]}))
    manifests.publish(
        c, made(c, inputs={"questions": [Link(uri=a, fingerprint="f1")], "responses": [Link(uri=b, fingerprint="f1")]})
    )
    walked = [(depth, name, uri, found is not None) for depth, name, uri, found in manifests.lineage(c)]
    assert walked == [
        (0, "", c, True),
        (1, "questions", a, True),
        (2, "source", gone, False),
        (1, "responses", b, True),
        (2, "questions", a, True),
    ]


@pytest.mark.parametrize("published", ["2020-01-01T00:00:00", "2020-01-01", "9999-12-31T23:59:59", "0001-01-01", "soon", 7])
def test_point_pointer_written_by_hand_or_by_a_wrong_clock_is_replaced(tmp_path, published):
    (tmp_path / "latest.json").write_text(json.dumps({"uri": "x", "published": published}))
    manifests.publish(f"{tmp_path.as_uri()}/1", made("file:///questions/x/1"))
    assert manifests.latest(f"{tmp_path.as_uri()}/1") == f"{tmp_path.as_uri()}/1"


def test_find_manifest_of_200_000_brackets_is_refused_in_one_line(tmp_path):
    (tmp_path / "manifest.json").write_text("[" * 200_000)
    with pytest.raises(DamagedArtifact, match="is not a manifest"):
        manifests.find(tmp_path.as_uri())


def test_provenance_secrets_of_the_command_line_are_masked(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stillhouse", "-s", "endpoint=http://svc:hunter2@host/v1", "Bearer abcdef123"])
    told = manifests.provenance(datetime.now(UTC), None).argv
    assert told == ["stillhouse", "-s", "endpoint=http://***@host/v1", "Bearer ***"]


@pytest.mark.parametrize("pointer", ["[" * 100_000, "[]", "{}", '{"uri": ', "\x00"])
def test_latest_pointer_that_cannot_be_read_is_told_in_one_line_and_written_again(tmp_path, pointer):
    version, record = f"{tmp_path.as_uri()}/questions/toy/1", tmp_path / "questions" / "toy" / "latest.json"
    testing.publish(testing.questions(2), Question, version)
    record.write_text(pointer)
    with pytest.raises(StoreFailed, match="does not point to a version"):
        manifests.latest(version)
    manifests.point(version, manifests.load(version))
    assert manifests.latest(version) == version


def test_latest_pointer_leads_to_no_other_place(tmp_path):
    (tmp_path / "latest.json").write_text(json.dumps({"uri": "s3://evil/questions/toy/7"}))
    assert manifests.latest(f"{tmp_path.as_uri()}/1") == f"{tmp_path.as_uri()}/7"


def forged(tmp_path, change):
    """The URI of an artifact whose manifest is changed as a stranger may write it."""
    uri = f"{tmp_path.as_uri()}/questions/toy/1"
    testing.publish(testing.questions(2), Question, uri)
    (tmp_path / "questions" / "toy" / "1" / "manifest.json").write_bytes(manifests.serialised(change(manifests.load(uri))))
    return uri


@pytest.mark.parametrize(
    "change", [{"stage": "x\x1b[2J"}, {"version": "1\nfile:///etc: sound"}, {"fingerprint": "\u202e"}, {"same_as": "a/\x00"}],
)  # fmt: skip
def test_find_manifest_whose_identity_is_more_than_a_line_is_refused(tmp_path, change):
    uri = forged(tmp_path, lambda manifest: manifest.model_copy(update=change))
    with pytest.raises(DamagedArtifact, match="control character"):
        manifests.find(uri)


def test_find_manifest_with_a_time_of_no_zone_is_refused(tmp_path):
    def without_zone(manifest):
        origin = manifest.provenance.model_copy(update={"finished": datetime(2026, 1, 1)})
        return manifest.model_copy(update={"provenance": origin})

    uri = forged(tmp_path, without_zone)
    with pytest.raises(DamagedArtifact, match="is not a manifest"):
        manifests.find(uri)


def test_lineage_of_a_chain_of_nights_ends(tmp_path):
    """Questions that read the night before, for three years."""
    uri = f"{tmp_path.as_uri()}/questions/toy/0"
    testing.publish(testing.questions(2), Question, uri)
    first = manifests.load(uri)
    for night in range(1, 1100):
        before, uri = uri, f"{tmp_path.as_uri()}/questions/toy/{night}"
        manifest = first.model_copy(update={"files": {}, "inputs": {"previous": [Link(uri=before, fingerprint="f")]}})
        place = tmp_path / "questions" / "toy" / str(night)
        place.mkdir()
        (place / "manifest.json").write_bytes(manifests.serialised(manifest))
    assert [depth for depth, *_ in manifests.lineage(uri)] == list(range(1100))
