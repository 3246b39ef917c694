import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from pydantic import ValidationError

from stillhouse import sources
from stillhouse.errors import BadConfig, MissingInput, TooManyErrors
from stillhouse.sources.stored import FileSource
from stillhouse.vocabulary.ids import question_id
from stillhouse.vocabulary.rows import Dropped, Question

GOOD = {"problem": "1+1?", "info": {"reference_answer": 2, "level": 3}}
COLUMNS = {"prompt": "problem", "reference_answer": "info.reference_answer", "difficulty_label": "info.level"}


def packed(*rows):
    return b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)


def spec(path, **changes):
    settings = {"name": "mine", "license": "MIT", "category": "math", "columns": COLUMNS, "revision": "1", "path": str(path)}
    return FileSource(**settings | changes)


def read(directory, *rows, **changes):
    (directory / "rows.jsonl").write_bytes(packed(*rows))
    return list(sources.read(spec(directory / "rows.jsonl", **changes)))


def test_file_columns_are_found_at_their_paths(tmp_path):
    messages = [{"role": "user", "content": "1+1?"}]
    assert read(tmp_path, GOOD) == [
        Question(question_id(messages, "2"), "math", messages, "2", source="mine", license="MIT", difficulty_label="3")
    ]


@pytest.mark.parametrize("name", ["rows.jsonl.zst", "rows.parquet"])
def test_file_every_format_gives_the_same_questions(tmp_path, name):
    path = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist([GOOD, GOOD]), path)
    else:
        path.write_bytes(zstandard.compress(packed(GOOD, GOOD)))
    assert list(sources.read(spec(path))) == read(tmp_path, GOOD, GOOD)


def test_file_right_digest_is_read_and_another_content_is_refused(tmp_path):
    digest = hashlib.sha256(packed(GOOD)).hexdigest()
    assert len(read(tmp_path, GOOD, revision=None, sha256=digest)) == 1
    with pytest.raises(BadConfig, match=f"rows.jsonl has sha256 [0-9a-f]+, not {digest} as pinned"):
        read(tmp_path, GOOD, GOOD, revision=None, sha256=digest)


def test_file_cap_takes_the_first_questions(tmp_path):
    rows = [{**GOOD, "problem": str(number)} for number in range(5)]
    assert [row.messages[0]["content"] for row in read(tmp_path, *rows, count=3)] == ["0", "1", "2"]


BAD = {
    "bad_json": b"{broken", "bad_utf8": b'{"problem": "\xff"}', "bad_type": {**GOOD, "problem": 7},
    "bad_column": {"info": GOOD["info"]}, "bad_value": {**GOOD, "problem": None},
    "bad_line_length": {**GOOD, "problem": "x" * 50_000_000},
}  # fmt: skip


def test_file_every_kind_of_bad_row_is_dropped_with_file_line_and_reason_and_the_others_come(tmp_path):
    found = read(tmp_path, GOOD, *BAD.values(), GOOD, max_bad_rate=0.75)
    assert [row.reason for row in found if isinstance(row, Dropped)] == list(BAD)
    path = tmp_path / "rows.jsonl"
    assert [row.key for row in found if isinstance(row, Dropped)] == [f"{path}:{line}" for line in range(2, 8)]
    assert sum(isinstance(row, Question) for row in found) == 2
    assert all(len(row.row) < 7000 and row.detail for row in found if isinstance(row, Dropped))


@pytest.mark.parametrize("line", [*BAD.values(), GOOD["info"]], ids=[*BAD, "other columns"])
def test_file_above_the_ceiling_fails_and_says_so(tmp_path, line):
    with pytest.raises(
        TooManyErrors, match=r"rows.jsonl: 1 of 2 rows are bad \(bad_.* 1; first line 2: .*max_bad_rate allows 0.01"
    ):
        read(tmp_path, GOOD, line)


def test_file_empty_fails_and_says_so(tmp_path):
    with pytest.raises(TooManyErrors, match="bad_file_empty 1"):
        read(tmp_path)


def test_file_cut_off_fails_unless_the_ceiling_allows_it(tmp_path):
    path = tmp_path / "rows.jsonl.zst"
    whole = zstandard.compress(packed(*({**GOOD, "problem": f"{n}+{n * 7919}?"} for n in range(20_000))))
    path.write_bytes(whole[: len(whole) // 2])
    found = list(sources.read(spec(path)))
    assert [(row.reason, row.key) for row in found if isinstance(row, Dropped)] == [("bad_file", f"{path}:{len(found)}")]
    with pytest.raises(TooManyErrors, match="bad_file 1; first line .*Truncated"):
        list(sources.read(spec(path, max_bad_rate=0)))


def test_file_missing_is_refused(tmp_path):
    with pytest.raises(MissingInput, match="no such file"):
        list(sources.read(spec(tmp_path / "x.jsonl")))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"revision": None}, "exactly one of sha256 and revision"),
        ({"sha256": "0" * 64}, "exactly one of sha256 and revision"),
        ({"sha256": "abc", "revision": None}, "sha256"),
        ({"category": None}, "exactly one of category and columns.category"),
        ({"columns": {**COLUMNS, "category": "c"}}, "exactly one of category and columns.category"),
        ({"columns": {}}, "exactly one of prompt and messages"),
        ({"columns": {"prompt": "a", "messages": "b"}}, "exactly one of prompt and messages"),
        ({"category": "maths"}, "category"),
        ({"count": 0}, "count"),
    ],
)
def test_file_spec_that_contradicts_itself_is_refused(changes, says):
    with pytest.raises(ValidationError, match=says):
        spec("rows.jsonl", **changes)
