import os

import pytest

from stillhouse.artifacts import store
from stillhouse.errors import DamagedArtifact, MissingInput
from stillhouse.models import directories, resolving
from stillhouse.models.directories import HASHES
from stillhouse.models.references import parse
from stillhouse.sampling import planning
from stillhouse.sampling.config import ResponsesConfig, ResponsesInputs

LONG_AGO = 1_000_000_000


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Files that look like a model, written long ago, and a cache of their own."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    directory = tmp_path / "model"
    directory.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (directory / name).write_text(name)
        os.utime(directory / name, (LONG_AGO, LONG_AGO))
    return directory


def test_pin_is_of_the_content_not_of_the_place(model, tmp_path):
    pinned = directories.pin(str(model))
    model.rename(tmp_path / "moved")
    assert directories.pin(str(tmp_path / "moved")).fingerprint == pinned.fingerprint
    assert str(tmp_path) not in pinned.fingerprint


@pytest.mark.parametrize("change", ["content", "name", "more", "gone"])
def test_pin_of_other_files_differs(model, change):
    before = directories.pin(str(model)).fingerprint
    if change == "content":
        (model / "config.json").write_text("config.jsoX")
    elif change == "name":
        (model / "config.json").rename(model / "other.json")
    elif change == "more":
        (model / "generation_config.json").write_text("{}")
    else:
        (model / "tokenizer.json").unlink()
    assert directories.pin(str(model)).fingerprint != before


def test_pin_reads_unchanged_files_once(model, monkeypatch):
    first = directories.pin(str(model))
    monkeypatch.setattr(directories, "sha256", lambda path: pytest.fail(f"{path} is read again"))
    assert directories.pin(str(model)) == first
    assert (model / HASHES).is_file()


def test_pin_of_files_written_just_now_trusts_no_time_stamp(model):
    (model / "config.json").write_text("one")
    status = (model / "config.json").stat()
    first = directories.pin(str(model))
    (model / "config.json").write_text("two")
    os.utime(model / "config.json", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert directories.pin(str(model)) != first


def test_pin_where_nothing_may_be_written_keeps_the_hashes_in_the_cache(model, tmp_path, monkeypatch):
    written = store.FileStore.write

    def refused(self, uri, data, **how):
        if uri.endswith(HASHES):
            msg = "read-only"
            raise store_failed(msg)
        written(self, uri, data, **how)

    from stillhouse.errors import StoreFailed as store_failed

    monkeypatch.setattr(store.FileStore, "write", refused)
    directories.pin(str(model))
    assert not (model / HASHES).exists()
    assert len(list((tmp_path / "hf" / "stillhouse" / "hashes").iterdir())) == 1


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({}, "no such directory, or it is empty"),
        ({"pytorch_model.bin": "x", "config.json": "{}"}, "pickles.*convert them"),
        ({"config.json": "{}"}, "no weights"),
        ({"a.gguf": "x", "b.gguf": "x"}, "2 GGUF files"),
    ],
)
def test_pin_of_what_is_no_model_is_refused(tmp_path, files, line):
    directory = tmp_path / "other"
    directory.mkdir()
    for name, text in files.items():
        (directory / name).write_text(text)
    with pytest.raises(MissingInput, match=line):
        resolving.pin(parse(str(directory)))


def test_pin_of_a_relative_path_that_looks_like_a_hub_name_says_how_to_write_that(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingInput, match="a model on the hub is written hf://Qwen/Qwen2.5-7B"):
        resolving.pin_input("Qwen/Qwen2.5-7B", f"{tmp_path.as_uri()}/sft/x/1")


def test_pin_of_a_mistyped_scheme_does_not_speak_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingInput, match="check the path$"):
        resolving.pin_input("model:/x@y", f"{tmp_path.as_uri()}/sft/x/1")


def test_materialise_files_that_changed_since_they_were_pinned_are_refused(model):
    pinned = resolving.pin(parse(str(model)))
    (model / "config.json").write_text("changed")
    with pytest.raises(DamagedArtifact, match="have changed since it was pinned"):
        resolving.materialise(pinned)


def test_pin_of_a_directory_with_another_digest_is_refused(model):
    pinned = resolving.pin(parse(str(model)))
    assert resolving.pin(parse(f"{model}@{pinned.fingerprint}")) == pinned
    with pytest.raises(DamagedArtifact, match="have changed"):
        resolving.pin(parse(f"{model}@sha256-{'0' * 64}"))


def test_identity_in_rows_is_of_the_content_not_of_the_place(model, tmp_path):
    inputs = ResponsesInputs(scratch=tmp_path, questions=tmp_path)
    config = ResponsesConfig(models={"one": {"model": str(model)}})
    sampling = config.samplings()["one"]
    before = planning.sampling_id(config, sampling, inputs, str(model))
    model.rename(tmp_path / "moved")
    assert planning.sampling_id(config, sampling, inputs, str(tmp_path / "moved")) == before
    assert planning.sampling_id(config, sampling, inputs, "gpt-5") == sampling.sampling_id != before
