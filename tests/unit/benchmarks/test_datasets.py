import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stillhouse.benchmarks import datasets
from stillhouse.benchmarks.datasets import questions
from stillhouse.benchmarks.definitions import BENCHMARKS, HubDataset
from stillhouse.errors import BadConfig, BadRows, MissingInput

COMMIT = "0123456789" * 4
ROWS = [{"problem": "Find x.", "answer": "204"}, {"problem": "Find é.", "answer": "33"}]
AIME = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in ROWS)


def digest(data):
    return f"sha256-{hashlib.sha256(data).hexdigest()[:12]}"


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_BENCHMARKS", str(tmp_path))
    return tmp_path


def texts(asked):
    return [(each.messages[0]["content"], each.reference_answer) for each in asked]


def test_file_of_json_lines_is_read_by_its_digest(root):
    (root / "aime-2024.jsonl").write_bytes(AIME)
    assert texts(questions(f"aime-2024@{digest(AIME)}")) == [("Find x.", "204"), ("Find é.", "33")]


def test_file_of_parquet_is_read_too(root):
    pq.write_table(pa.Table.from_pylist(ROWS), root / "math-500.parquet")
    name = f"math-500@{digest((root / 'math-500.parquet').read_bytes())}"
    assert texts(questions(name)) == [("Find x.", "204"), ("Find é.", "33")]


def test_file_changed_since_it_was_named_is_refused(root):
    (root / "aime-2024.jsonl").write_bytes(AIME + b"\n")
    with pytest.raises(BadConfig, match=r"aime-2024\.jsonl has sha256 [0-9a-f]{64}, the config pins sha256-[0-9a-f]{12}"):
        questions(f"aime-2024@{digest(AIME)}")


def test_file_that_is_not_there_says_where_it_should_lie(root):
    with pytest.raises(MissingInput, match=r"no aime-2024\.jsonl or aime-2024\.parquet below"):
        questions(f"aime-2024@{digest(AIME)}")


def test_file_without_a_directory_names_the_variable(monkeypatch):
    monkeypatch.delenv("STILLHOUSE_BENCHMARKS", raising=False)
    with pytest.raises(MissingInput, match="STILLHOUSE_BENCHMARKS is not set"):
        questions(f"aime-2024@{digest(AIME)}")


@pytest.mark.parametrize("line", [b"[1, 2]\n", b"nothing\n"])
def test_file_with_a_line_that_is_no_object_names_the_line(root, line):
    data = AIME + line
    (root / "aime-2024.jsonl").write_bytes(data)
    with pytest.raises(BadRows, match=r"aime-2024\.jsonl line 3: not a JSON object"):
        questions(f"aime-2024@{digest(data)}")


def test_file_with_other_columns_names_the_missing_one(root):
    data = b'{"question": "Find x."}\n'
    (root / "aime-2024.jsonl").write_bytes(data)
    with pytest.raises(BadRows, match="no column 'problem' in a published row, got question"):
        questions(f"aime-2024@{digest(data)}")


def test_published_benchmark_without_data_says_what_to_write():
    with pytest.raises(BadConfig, match="gpqa-diamond@COMMIT of Idavidrein/gpqa"):
        questions("gpqa-diamond")


def test_hub_that_cannot_be_reached_says_what_else_there_is(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingInput, match=r"HuggingFaceH4/aime_2024 at 0123.* cannot be read .*aime-2024@sha256-DIGEST"):
        questions(f"aime-2024@{COMMIT}")


def test_hub_data_set_is_read_split_by_split(tmp_path, monkeypatch):
    """By the real library, on a folder in the hub's form."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "set"
    folder.mkdir()
    for split, row in zip(("dev", "test"), ROWS, strict=True):
        (folder / f"{split}.jsonl").write_text(json.dumps(row))
    split_names = {"dev": "validation", "test": "test"}  # as the library calls a file named dev
    source = HubDataset(str(folder), "problems", splits=tuple(split_names.values()))
    assert texts(datasets.read(source, "mine", COMMIT)) == [("Find x.", "204"), ("Find é.", "33")]
    swapped = HubDataset(str(folder), "problems", splits=("test", "validation"))
    assert texts(datasets.read(swapped, "mine", COMMIT)) == [("Find é.", "33"), ("Find x.", "204")]


def test_adapters_are_there_for_every_published_benchmark():
    published = [benchmark.source for benchmark in BENCHMARKS.values() if isinstance(benchmark.source, HubDataset)]
    assert {source.adapter for source in published} | {"livecodebench"} == datasets.ADAPTERS.keys()
