import gzip
import json
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from stillhouse.errors import BadConfig, BadRows, MissingInput, TooManyErrors
from stillhouse.exchange import bad_rows, files, line_files
from stillhouse.exchange.bad_rows import Bad
from stillhouse.vocabulary.rows import Dropped

GOOD = b'{"a": 1}\n{"a": 2}\n'
ROWS = [(1, {"a": 1}), (2, {"a": 2})]
BIG = b"".join(b'{"a": %d, "b": "%d"}\n' % (n, n * 7919) for n in range(100_000))


def read(directory, data, name="rows.jsonl", **limits):
    path = directory / name
    path.write_bytes(data)
    return list(files.objects(path, **limits))


def bad(directory, data, name="rows.jsonl", **limits):
    """(number, reason) of every bad row, and how many were good."""
    found = read(directory, data, name, **limits)
    return [(number, row.reason) for number, row in found if isinstance(row, Bad)], sum(isinstance(row, dict) for _, row in found)


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("rows.jsonl", bytes), ("rows.json", bytes), ("rows.jsonl.gz", gzip.compress), ("rows.jsonl.zst", zstandard.compress),
        ("rows.ndjson.zst", lambda data: zstandard.compress(data[:9]) + zstandard.compress(data[9:])),
    ],
)  # fmt: skip
def test_objects_every_compression_gives_the_same_rows(tmp_path, name, pack):
    assert read(tmp_path, pack(GOOD), name) == ROWS


def test_objects_blank_lines_windows_ends_and_a_byte_order_mark_are_no_rows(tmp_path):
    assert read(tmp_path, b'\xef\xbb\xbf{"a": 1}\r\n\r\n  \n{"a": 2}') == [(1, {"a": 1}), (4, {"a": 2})]


@pytest.mark.parametrize(
    ("line", "reason", "says"),
    [
        (b"{broken", "bad_json", "column"),
        (b'{"a": "\xff"}', "bad_utf8", "at byte 7"),
        (b'{"a": "\\ud800"}', "bad_json", "escape"),
        (b'{"a": NaN}', "bad_json", "expected value"),
        (b"[" * 100_000, "bad_json", "recursion"),
        (b"[1]", "bad_type", "list, not an object"),
        (b"null", "bad_type", "NoneType"),
    ],
)
def test_objects_bad_line_is_a_value_and_its_neighbours_are_read(tmp_path, line, reason, says):
    first, (number, row), last = read(tmp_path, b'{"a": 1}\n' + line + b'\n{"a": 2}\n')
    assert (first, last, number) == ((1, {"a": 1}), (3, {"a": 2}), 2)
    assert row.reason == reason
    assert says in row.detail
    assert row.text == line[: bad_rows.SHOWN_CHARS].decode(errors="replace")


def test_objects_line_of_50_megabytes_is_dropped_without_being_held(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": "' + b"x" * 50_000_000 + b'"}\n{"a": 2}\n')
    tracemalloc.start()
    first, (number, row), last = files.objects(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (first, last) == ((1, {"a": 1}), (3, {"a": 2}))
    assert (number, row.reason, row.detail) == (2, "bad_line_length", "50,000,009 bytes, 16,777,216 are allowed")
    assert len(row.text) == bad_rows.SHOWN_CHARS
    assert peak < 25_000_000


@pytest.mark.parametrize("limit", [1, 9, 16])
def test_objects_longest_line_is_counted_in_bytes(tmp_path, limit):
    line = b'{"a": "' + b"x" * 7 + b'"}'
    assert bad(tmp_path, line + b"\n", max_line_bytes=16) == ([], 1)
    assert bad(tmp_path, line + b"\n", max_line_bytes=min(limit, 15)) == ([(1, "bad_line_length")], 0)


def test_objects_long_line_at_the_end_without_a_line_end_is_dropped(tmp_path):
    assert bad(tmp_path, GOOD + b"x" * 5_000_000, max_line_bytes=1000) == ([(3, "bad_line_length")], 2)


@pytest.mark.parametrize(("name", "pack"), [("rows.jsonl.zst", zstandard.compress), ("rows.jsonl.gz", gzip.compress)])
def test_objects_file_cut_off_gives_what_was_there_and_says_so(tmp_path, name, pack):
    packed = pack(BIG)
    found, good = bad(tmp_path, packed[: len(packed) // 2], name)
    assert [reason for _, reason in found] == ["bad_file"]
    assert 0 < good < 100_000
    assert found[0][0] == good + 1


@pytest.mark.parametrize("name", ["rows.jsonl.zst", "rows.jsonl.gz", "rows.parquet"])
def test_objects_file_of_another_format_is_one_bad_row(tmp_path, name):
    assert bad(tmp_path, GOOD, name) == ([(1, "bad_file")], 0)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.zst", "rows.jsonl.gz"])
def test_objects_empty_file_is_one_bad_row(tmp_path, name):
    assert bad(tmp_path, b"", name) == ([(1, "bad_file_empty")], 0)


def test_objects_parquet_rows_are_numbered_over_row_groups(tmp_path):
    pq.write_table(pa.table({"a": list(range(1000))}), tmp_path / "rows.parquet", row_group_size=300)
    found = list(files.objects(tmp_path / "rows.parquet"))
    assert found == [(n + 1, {"a": n}) for n in range(1000)]


def test_objects_parquet_text_that_is_not_utf8_is_one_bad_row(tmp_path):
    texts = pa.array([b"a", b"\xff", b"c"]).view(pa.string())
    pq.write_table(pa.table({"a": texts}), tmp_path / "rows.parquet")
    (_, first), (number, row), (_, last) = files.objects(tmp_path / "rows.parquet")
    assert (first, last, number, row.reason) == ({"a": "a"}, {"a": "c"}, 2, "bad_utf8")


def test_objects_parquet_cut_off_is_one_bad_row(tmp_path):
    pq.write_table(pa.table({"a": list(range(1000))}), tmp_path / "whole.parquet")
    assert bad(tmp_path, (tmp_path / "whole.parquet").read_bytes()[:-20], "rows.parquet") == ([(1, "bad_file")], 0)


def test_bounded_bad_rows_keep_their_place_and_the_ceiling_is_kept():
    rows = [(1, "a"), (2, Bad("bad_json", "why", "{")), (3, "b"), (4, "c")]
    found = list(bad_rows.bounded(rows, "x.jsonl", 0.25))
    assert found == ["a", Dropped("x.jsonl:2", "bad_json", "why", json.dumps("{")), "b", "c"]


def test_bounded_above_the_ceiling_fails_and_says_so():
    rows = [(1, "a"), (2, Bad("bad_json", "why")), (3, Bad("bad_utf8", "else"))]
    with pytest.raises(
        TooManyErrors, match=r"x.jsonl: 2 of 3 rows are bad \(bad_json 1, bad_utf8 1; first line 2: why\), .* allows 0.5"
    ):
        list(bad_rows.bounded(rows, "x.jsonl", 0.5))


def test_bounded_count_takes_the_first_good_rows_and_reads_no_further():
    rows = iter([(1, Bad("bad_json", "")), (2, "a"), (3, "b"), (4, Bad("bad_json", ""))])
    assert [row for row in bad_rows.bounded(rows, "x", 0.5, 2) if isinstance(row, str)] == ["a", "b"]
    assert len(list(rows)) == 1


@pytest.mark.parametrize("name", ["rows.xls", "rows", "rows.zst", "rows.parquet.zst", "rows.jsonl.lz4"])
def test_local_name_that_says_no_format_is_refused(name):
    with pytest.raises(BadConfig, match="the suffix tells no format; name it .jsonl"), files.local(name):
        pass


def test_local_missing_file_and_directory_are_refused(tmp_path):
    (tmp_path / "d.jsonl").mkdir()
    for name, says in (("x.jsonl", "no such file"), ("d.jsonl", "a directory")):
        with pytest.raises(MissingInput, match=says), files.local(str(tmp_path / name)):
            pass


@pytest.mark.parametrize(("name", "pack"), [("bomb.jsonl.zst", zstandard.compress), ("bomb.jsonl.gz", gzip.compress)])
def test_lines_of_a_file_that_expands_without_measure_are_refused(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(b" " * 2**27))
    with pytest.raises(BadRows, match=f"{name}: .* over 500 times as many: no file of rows does"):
        list(line_files.lines(tmp_path / name))


def test_lines_of_a_repetitive_file_are_read(tmp_path):
    (tmp_path / "same.jsonl.zst").write_bytes(zstandard.compress(b'{"a": "b"}\n' * 2_000_000))
    assert sum(1 for _ in line_files.lines(tmp_path / "same.jsonl.zst")) == 2_000_000
