from typing import ClassVar, Literal

import pytest

from stillhouse.artifacts import records
from stillhouse.artifacts.records import VersionedRecord
from stillhouse.artifacts.store import artifact_name
from stillhouse.errors import BadRows, MissingInput


class Counts(VersionedRecord):
    FILE: ClassVar[str] = "counts.json"

    version: Literal[3] = 3
    n: int


def test_record_is_read_as_it_was_written_at_the_root_and_in_a_shard(tmp_path):
    assert Counts(n=4).write(tmp_path) == "counts.json"
    assert records.read(Counts, tmp_path.as_uri()) == Counts(n=4)
    (tmp_path / "shards").mkdir()
    Counts(n=5).write(tmp_path / "shards")
    assert records.read(Counts, tmp_path.as_uri(), "shards/counts.json") == Counts(n=5)


def test_read_without_the_file_is_missing(tmp_path):
    with pytest.raises(MissingInput, match="counts.json does not exist"):
        records.read(Counts, tmp_path.as_uri())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"n": 4}', "has no record version, this release reads 3"),
        (b'{"version": 2, "n": 4}', "has record version 2, this release reads 3"),
        (b'{"version": 3, "n": "four"}', "is not a valid Counts: n: "),
        (b'{"version": 3', "is not JSON"),
    ],
)
def test_parse_of_another_version_or_shape_is_one_clear_error(data, message):
    with pytest.raises(BadRows, match=f"^counts.json {message}"):
        Counts.parse(data, "counts.json")


def test_artifact_name_is_the_folder_above_the_version():
    assert artifact_name("s3://b/root/sft/laptop-anneal/2026-11-24") == "laptop-anneal"
