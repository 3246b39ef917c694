"""Files of benchmarks, sources and imports that lie on S3."""

import pytest

from stillhouse import sources
from stillhouse.artifacts import store
from stillhouse.benchmarks import datasets
from stillhouse.errors import MissingInput
from stillhouse.exchange import files, locations
from tests.unit.benchmarks import test_datasets
from tests.unit.exchange import test_files
from tests.unit.sources import test_file

pytestmark = pytest.mark.s3


def test_benchmark_file_on_s3_is_read_as_one_on_disk(s3_root, monkeypatch):
    store.store_of(s3_root).write(f"{s3_root}/benchmarks/aime-2024.jsonl", test_datasets.AIME)
    monkeypatch.setenv("STILLHOUSE_BENCHMARKS", f"{s3_root}/benchmarks")
    assert test_datasets.texts(datasets.questions(f"aime-2024@{test_datasets.digest(test_datasets.AIME)}")) == [
        ("Find x.", "204"),
        ("Find é.", "33"),
    ]


def test_source_file_on_s3_is_read_through_the_store(s3_root, tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(test_file.packed(test_file.GOOD))
    store.store_of(s3_root).upload(tmp_path / "rows.jsonl", f"{s3_root}/raw/rows.jsonl")
    assert list(sources.read(test_file.spec(f"{s3_root}/raw/rows.jsonl"))) == test_file.read(tmp_path, test_file.GOOD)


def test_local_file_on_s3_is_fetched_and_gone_afterwards(s3_root, tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(test_files.GOOD)
    store.store_of(s3_root).upload(tmp_path / "rows.jsonl", f"{s3_root}/raw/rows.jsonl")
    with files.local(f"{s3_root}/raw/rows.jsonl") as path:
        assert list(files.objects(path)) == test_files.ROWS
    assert not path.exists()
    with pytest.raises(MissingInput, match="other.jsonl: no such file"), files.local(f"{s3_root}/raw/other.jsonl"):
        pass


@pytest.fixture
def bucket(s3_root):
    return "/".join(s3_root.split("/")[:3])


def numbers(location):
    with locations.fetched(location) as found:
        return [row["a"] for file in found for _, row in files.objects(file.path)]


def test_fetched_file_at_the_root_of_a_bucket_is_read(bucket):
    store.store_of(bucket).write(f"{bucket}/at-the-root.jsonl", test_files.GOOD)
    assert numbers(f"{bucket}/at-the-root.jsonl") == [1, 2]
    assert numbers(f"{bucket}/at-the-r*.jsonl") == [1, 2]
    with files.local(f"{bucket}/at-the-root.jsonl") as path:
        assert list(files.objects(path)) == test_files.ROWS


def test_fetched_prefix_and_pattern_on_s3_are_read_in_the_order_of_names(s3_root):
    contents = {"b.jsonl": b'{"a": 3}\n', "a.jsonl": test_files.GOOD, "sub/c.jsonl": b'{"a": 4}\n', "README.md": b"no"}
    for name, data in contents.items():
        store.store_of(s3_root).write(f"{s3_root}/folder/{name}", data)
    assert numbers(f"{s3_root}/folder") == [1, 2, 3, 4]
    assert numbers(f"{s3_root}/folder/") == [1, 2, 3, 4]
    assert numbers(f"{s3_root}/folder/[ab].jsonl") == [1, 2, 3]
    with pytest.raises(MissingInput, match="no file of rows there"):
        numbers(f"{s3_root}/folder/x*.jsonl")
