"""Files of a data set on the hub; the hub's client is replaced, as no test reaches the network."""

import json
from types import SimpleNamespace

import huggingface_hub
import pytest

from stillhouse.errors import MissingInput
from stillhouse.exchange import files, locations

NAMES = ["README.md", "data/a.jsonl", "data/b.jsonl", "data/test.jsonl", "other.parquet"]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    asked = []

    def download(repository, name, *, revision, repo_type):
        asked.append((repository, name, revision, repo_type))
        (tmp_path / "cache").mkdir(exist_ok=True)
        path = tmp_path / "cache" / name.replace("/", "-")
        path.write_text(json.dumps({"name": name}) + "\n")
        return str(path)

    api = SimpleNamespace(list_repo_files=lambda repository, *, revision, repo_type: NAMES)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: api)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return asked


def read(location):
    with locations.fetched(location) as found:
        return [row["name"] for file in found for _, row in files.objects(file.path)]


@pytest.mark.parametrize(
    ("path", "names"),
    [("data/a.jsonl", ["data/a.jsonl"]), ("data", NAMES[1:4]), ("data/[ab].jsonl", NAMES[1:3]), ("data/*.jsonl", NAMES[1:4])],
)
def test_hub_files_of_a_path_are_fetched_at_the_revision(hub, path, names):
    assert read(f"hf://datasets/org/set@c0ffee/{path}") == names
    assert hub == [("org/set", name, "c0ffee", "dataset") for name in names]


def test_hub_path_that_matches_nothing_is_said(hub):
    with pytest.raises(MissingInput, match="no file of rows there"):
        read("hf://datasets/org/set@c0ffee/nothing")


def test_hub_that_cannot_be_reached_is_one_line(monkeypatch):
    def refused(*_: object, **__: object) -> None:
        msg = "401 Client Error\nfor a token"
        raise ConnectionError(msg)

    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: SimpleNamespace(list_repo_files=refused))
    with pytest.raises(MissingInput, match="hub cannot be read .*401 Client Error.*HF_TOKEN and network") as raised:
        read("hf://datasets/org/set@c0ffee/data")
    assert "\n" not in str(raised.value)
