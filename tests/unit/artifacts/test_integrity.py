import random
from pathlib import Path

import pytest

from stillhouse import testing
from stillhouse.artifacts import integrity, store, tables
from stillhouse.artifacts import manifest as manifests
from stillhouse.errors import DamagedArtifact, MissingInput
from stillhouse.vocabulary.rows import Question, Response

ASKED = testing.questions(8)


@pytest.fixture
def questions(tmp_path) -> Path:
    directory = tmp_path / "questions" / "toy" / "1"
    testing.publish(ASKED, Question, directory.as_uri())
    return directory


def flipped(data: bytes, bit: int) -> bytes:
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def test_fetch_400_flipped_bits_in_parts_and_manifest_are_400_refusals(questions, tmp_path):
    draw, refused = random.Random(0), 0
    part = next(questions.glob("part-*"))
    for trial in range(400):
        path = part if trial % 2 else questions / "manifest.json"
        whole = path.read_bytes()
        path.write_bytes(flipped(whole, draw.randrange(8 * len(whole))))
        try:
            integrity.fetch(questions.as_uri(), tmp_path / "scratch")
        except (DamagedArtifact, MissingInput) as error:
            refused += "\n" not in str(error)
        path.write_bytes(whole)
    assert refused == 400
    assert list(tables.read(integrity.fetch(questions.as_uri(), tmp_path / "scratch"), Question)) == ASKED


def test_fetch_names_the_damaged_file_and_what_to_do(questions, tmp_path):
    part = next(questions.glob("part-*"))
    part.write_bytes(flipped(part.read_bytes(), 800))
    with pytest.raises(DamagedArtifact, match=r"part-00000.parquet is damaged: its sha256 is \w+, the manifest says \w+; restore"):
        integrity.fetch(questions.as_uri(), tmp_path / "scratch")


@pytest.mark.parametrize("damage", [lambda data: data[:-7], lambda data: b"", lambda data: data + b"x"])
def test_fetch_of_another_length_is_refused(questions, tmp_path, damage):
    part = next(questions.glob("part-*"))
    part.write_bytes(damage(part.read_bytes()))
    with pytest.raises(DamagedArtifact, match=r"bytes, the manifest says"):
        integrity.fetch(questions.as_uri(), tmp_path / "scratch")


def test_fetch_rows_that_the_manifest_does_not_say_are_refused(questions, tmp_path):
    manifest = manifests.load(questions.as_uri())
    file = manifest.files["part-00000.parquet"].model_copy(update={"rows": 3})
    lying = manifest.model_copy(update={"files": {"part-00000.parquet": file}})
    (questions / "manifest.json").write_bytes(manifests.serialised(lying))
    with pytest.raises(DamagedArtifact, match="has 8 rows, the manifest says 3"):
        integrity.fetch(questions.as_uri(), tmp_path / "scratch")


def test_fetch_gives_files_their_names_whatever_they_are_stored_as(questions, tmp_path):
    assert [path.name for path in tables.parts(integrity.fetch(questions.as_uri(), tmp_path / "scratch"))] == ["part-00000.parquet"]
    assert not (questions / "part-00000.parquet").exists()


def test_problems_deep_finds_what_lies_below(questions, tmp_path):
    from stillhouse.execution.execute import execute
    from tests.unit import toy_stage

    uri = f"{tmp_path.as_uri()}/toy_stage/toy/1"
    execute(toy_stage, toy_stage.Config(), {"questions": questions.as_uri()}, uri)
    part = next(questions.glob("part-*"))
    part.write_bytes(flipped(part.read_bytes(), 800))
    assert [problem for _, problem in integrity.problems(uri)] == [None]
    (own, sound), (below, problem) = integrity.problems(uri, deep=True)
    assert (own, sound, below) == (uri, None, questions.as_uri())
    assert "part-00000.parquet is damaged" in str(problem)


def test_problems_deep_finds_a_damaged_model_that_was_used(questions, tmp_path):
    uri = f"{tmp_path.as_uri()}/responses/toy/1"
    testing.publish([testing.response(row) for row in ASKED], Response, uri)
    model = manifests.ModelLink(uri=questions.as_uri(), fingerprint="f", kind="artifact", named="judge")
    data = manifests.serialised(manifests.load(uri).model_copy(update={"models": {"judge": model}}))
    store.store_of(uri).write(f"{uri}/manifest.json", data)
    part = next(questions.glob("part-*"))
    part.write_bytes(flipped(part.read_bytes(), 800))
    assert "part-00000.parquet is damaged" in str(dict(integrity.problems(uri, deep=True))[questions.as_uri()])


def test_problems_of_nothing_is_one(tmp_path):
    ((_, problem),) = integrity.problems(tmp_path.as_uri())
    assert "nothing is published there" in str(problem)


def test_parts_of_other_artifact_under_the_same_name_are_refused(questions, tmp_path):
    testing.publish([testing.response(row) for row in ASKED], Response, f"{tmp_path.as_uri()}/responses/toy/1")
    other = next((tmp_path / "responses" / "toy" / "1").glob("part-*"))
    next(questions.glob("part-*")).write_bytes(other.read_bytes())
    with pytest.raises(DamagedArtifact):
        integrity.fetch(questions.as_uri(), tmp_path / "scratch")
