"""Every format of rows, and what each says of damage; ``test_files`` has JSON Lines and Parquet."""

import bz2
import csv
import gzip
import json
import lzma
import os
import tarfile
import zipfile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from stillhouse.errors import BadConfig, BadRows, MissingInput
from stillhouse.exchange import files, locations
from stillhouse.exchange.bad_rows import Bad, shown

ROWS = [{"a": "x", "b": "1"}, {"a": "y\n\"z\", 'é'", "b": "2"}]


def as_csv(path, delimiter=","):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["a", "b"], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)


def as_text(path):
    as_csv(path)
    return path.read_text()


def as_arrow(path, opened):
    table = pa.Table.from_pylist(ROWS)
    with opened(str(path), table.schema) as writer:
        writer.write_table(table)


def as_tar(path):
    with tarfile.open(path, "w") as tar:
        for number, row in enumerate(ROWS):
            for extension, text in (("a", row["a"]), ("json", json.dumps({"b": row["b"]}))):
                source = path.with_name(f"{number:03d}.{extension}")
                source.write_text(text)
                tar.add(source, source.name)
                source.unlink()


WRITERS = {
    "rows.json": lambda path: path.write_text(json.dumps(ROWS)),
    "pretty.json": lambda path: path.write_text(json.dumps(ROWS, indent=2)),
    "array.jsonl": lambda path: path.write_text(json.dumps(ROWS, indent=2)),
    "one-line-array.jsonl": lambda path: path.write_text(json.dumps(ROWS)),
    "lines.json": lambda path: path.write_text("".join(json.dumps(row) + "\n" for row in ROWS)),
    "one-after-the-other.json": lambda path: path.write_text("\n".join(json.dumps(row, indent=1) for row in ROWS)),
    "wrapped.json": lambda path: path.write_text(json.dumps({"version": 1, "data": ROWS}, indent=1)),
    "mark.json": lambda path: path.write_bytes(b"\xef\xbb\xbf" + json.dumps(ROWS).encode()),
    "one-line-wrapped.json": lambda path: path.write_text(json.dumps({"version": 1, "data": ROWS})),
    "wrapped-twice.json": lambda path: path.write_text(json.dumps({"version": 1, "data": {"items": ROWS, "n": 2}})),
    "rows.jsonl.xz": lambda path: path.write_bytes(lzma.compress("".join(json.dumps(row) + "\n" for row in ROWS).encode())),
    "array.json.xz": lambda path: path.write_bytes(lzma.compress(json.dumps(ROWS).encode())),
    "columns.json": lambda path: path.write_text(json.dumps({name: [row[name] for row in ROWS] for name in "ab"})),
    "pandas.json": lambda path: pd.DataFrame(ROWS).to_json(path),
    "pandas-index.json": lambda path: pd.DataFrame(ROWS, ["p1", "p2"]).to_json(path, orient="index"),
    "pandas-split.json": lambda path: pd.DataFrame(ROWS).to_json(path, orient="split"),
    "utf-16.json": lambda path: path.write_text(json.dumps(ROWS, ensure_ascii=False), encoding="utf-16"),
    "utf-16.jsonl": lambda path: path.write_text("".join(json.dumps(row) + "\r\n" for row in ROWS), encoding="utf-16"),
    "rows.jsonl.bz2": lambda path: path.write_bytes(bz2.compress("".join(json.dumps(row) + "\n" for row in ROWS).encode())),
    "rows.json.gz": lambda path: path.write_bytes(gzip.compress(json.dumps(ROWS).encode())),
    "rows.csv": as_csv,
    "semicolons.csv": lambda path: as_csv(path, ";"),
    "tabs.csv": lambda path: as_csv(path, "\t"),
    "bars.csv": lambda path: as_csv(path, "|"),
    "utf-16.csv": lambda path: path.write_bytes(as_text(path).encode("utf-16")),
    "rows.tsv": lambda path: as_csv(path, "\t"),
    "file.arrow": lambda path: as_arrow(path, pa.ipc.new_file),
    "stream.arrow": lambda path: as_arrow(path, pa.ipc.new_stream),
    "rows.parquet": lambda path: pq.write_table(pa.Table.from_pylist(ROWS), path),
}


def objects(path, **settings):
    return [row for _, row in files.objects(path, **settings)]


@pytest.mark.parametrize("name", WRITERS)
def test_objects_of_every_format_are_the_same_rows(tmp_path, name):
    WRITERS[name](tmp_path / name)
    assert objects(tmp_path / name) == ROWS


def test_objects_array_goes_on_after_a_row_with_nan(tmp_path):
    (tmp_path / "nan.json").write_text('[{"a": NaN}, {"a": 1}, {"a": -Infinity}, {"a": 2}]')
    rows = objects(tmp_path / "nan.json")
    assert [row for row in rows if not isinstance(row, Bad)] == [{"a": 1}, {"a": 2}]
    assert [row.detail.split()[0] for row in rows if isinstance(row, Bad)] == ["NaN", "-Infinity"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, 2], "b": [3]}, [{"a": [1, 2], "b": [3]}]),
        ({"question": "x", "choices": ["p", "q"]}, [{"question": "x", "choices": ["p", "q"]}]),
        ({"a": {"0": 1, "1": 2}, "b": {"0": 3, "2": 4}}, [{"a": {"0": 1, "1": 2}, "b": {"0": 3, "2": 4}}]),
    ],
)
def test_objects_an_object_that_is_no_table_is_a_row(tmp_path, value, expected):
    (tmp_path / "one.json").write_text(json.dumps(value))
    assert objects(tmp_path / "one.json") == expected


def test_objects_csv_header_alone_or_text_with_other_delimiters_is_read_by_commas(tmp_path):
    (tmp_path / "rows.csv").write_text('q,a\n"x; y; z | w",1\n')
    assert objects(tmp_path / "rows.csv") == [{"q": "x; y; z | w", "a": "1"}]
    (tmp_path / "one.csv").write_text("q\nx\n")
    assert objects(tmp_path / "one.csv") == [{"q": "x"}]


def test_objects_csv_compressed_is_read_and_an_empty_field_is_null(tmp_path):
    (tmp_path / "rows.csv.zst").write_bytes(zstandard.compress(b"a,b\nx,\n"))
    assert objects(tmp_path / "rows.csv.zst") == [{"a": "x", "b": None}]


def test_objects_tar_of_samples_joins_files_of_one_stem(tmp_path):
    as_tar(tmp_path / "rows.tar")
    assert objects(tmp_path / "rows.tar") == [{"__key__": f"{n:03d}", **row} for n, row in enumerate(ROWS)]


def test_objects_folder_of_folders_has_a_sample_in_each(tmp_path):
    for number in (1, 2):
        (tmp_path / f"000{number}").mkdir()
        (tmp_path / f"000{number}" / "question.txt").write_text(f"Add {number}.")
        (tmp_path / f"000{number}" / "input_output.json").write_text('{"inputs": ["1"], "outputs": ["2"]}')
    with locations.fetched(str(tmp_path)) as (found,):
        rows = objects(found.path, form=found.form)
    assert rows[0] == {"__key__": "0001", "question": "Add 1.", "inputs": ["1"], "outputs": ["2"]}
    assert len(rows) == 2


def test_objects_array_of_many_values_is_read_piece_by_piece(tmp_path):
    many = [{"n": number, "text": "x" * (number % 7000)} for number in range(200)]
    (tmp_path / "rows.json").write_text(json.dumps(many))
    assert objects(tmp_path / "rows.json") == many


@pytest.mark.parametrize(
    ("name", "data", "reason", "says"),
    [
        ("cut.json", b'[{"a": 1}, {"a": ', "bad_json", "the rest could not be read"),
        ("nan.json", b'[{"a": NaN}]', "bad_json", "NaN is no JSON number; write null"),
        ("escaped.csv", b'a,b\n"say \\"hi\\" now",1\n', "bad_file", "line 2: ',' expected after '\"': a quote inside a field"),
        ("twice.json", b'[{"a": 1, "a": 2}]', "bad_key", 'the key "a" stands twice'),
        ("twice.jsonl", b'{"a": 1, "b": {"c": 1, "c": 2}}\n', "bad_key", 'the key "c" stands twice'),
        ("spaced.jsonl", b'{"a" : 1, "a" : 2}\n', "bad_key", 'the key "a" stands twice'),
        ("utf.json", b'[{"a": "\xff"}]', "bad_utf8", "the rest could not be read"),
        ("blank.json", b"[ ", "bad_file", "cut off"), ("none.json", b"[]", "bad_file_empty", "no row"),
        ("comma.json", b'[{"a": 1}, ' + b" " * 70_000, "bad_file", "the array has no end"),
        ("scalar.json", b"[1]", "bad_type", "int, not an object"),
        ("deep.json", b"[" * 100_000, "bad_json", "the rest could not be read"),
        ("twice.csv", b"a,a\n1,2\n", "bad_file", "two columns are called 'a'"),
        ("short.csv", b"a,b\n1\n", "bad_value", "1 fields, the header has 2"),
        ("quote.csv", b'a,b\n"1,2\n', "bad_file", "the rest could not be read"),
        ("lfs.parquet", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "bad_file", "a pointer of Git LFS"),
        ("no.arrow", b"ARROW1\0\0garbage", "bad_file", "the rest could not be read"),
        ("no.tar", b"garbage", "bad_file", "the rest could not be read"),
        ("no.feather", b"", "bad_file", "the rest could not be read"),
    ],
)  # fmt: skip
def test_objects_damage_is_a_bad_row_with_its_reason(tmp_path, name, data, reason, says):
    (tmp_path / name).write_bytes(data)
    bad = [row for row in objects(tmp_path / name) if isinstance(row, Bad)]
    assert [row.reason for row in bad] == [reason]
    assert says in bad[0].detail


@pytest.mark.parametrize("line", [b'{"a": "\\"b\\": \\"c\\":", "d": [{"e": 1}, {"e": 2}]}', b'{"a":"x\\\\","b":1}'])
def test_objects_keys_in_texts_and_in_other_objects_are_no_repetition(tmp_path, line):
    (tmp_path / "rows.jsonl").write_bytes(line + b"\n")
    assert objects(tmp_path / "rows.jsonl") == [json.loads(line)]


def test_objects_parquet_columns_of_one_name_are_refused(tmp_path):
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(table, tmp_path / "rows.parquet")
    (bad,) = objects(tmp_path / "rows.parquet")
    assert (bad.reason, bad.detail) == ("bad_file", "two columns are called 'a': rename one")


def test_objects_parquet_date_that_python_lacks_is_one_bad_row(tmp_path):
    dates = pa.array([0, 2**62, 0], pa.int64()).cast(pa.timestamp("s"))
    with pa.ipc.new_file(str(tmp_path / "rows.arrow"), pa.schema([("a", pa.timestamp("s"))])) as writer:
        writer.write_table(pa.table({"a": dates}))
    assert [isinstance(row, Bad) for row in objects(tmp_path / "rows.arrow")] == [False, True, False]


@pytest.mark.parametrize("row", [{"a": b"\xff"}, {"a": "\ud800"}, {"a": float("nan")}, {"a": object}, {1: {2}}])
def test_shown_of_any_row_is_text(row):
    assert shown(row)
    shown(row).encode()


def write_lines(path, *numbers):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"n": number}) + "\n" for number in numbers))


def read(location, form=None):
    with locations.fetched(str(location), form) as found:
        return [row["n"] for file in found for row in objects(file.path, form=file.form)]


def test_fetched_folder_and_pattern_are_read_in_the_order_of_names(tmp_path):
    write_lines(tmp_path / "data" / "b.jsonl", 3)
    write_lines(tmp_path / "data" / "a.jsonl", 1, 2)
    write_lines(tmp_path / "data" / "sub" / "c.jsonl", 4)
    (tmp_path / "data" / "README.md").write_text("no rows")
    (tmp_path / "data" / "dataset_info.json").write_text("{}")
    assert read(tmp_path / "data") == [1, 2, 3, 4]
    assert read(tmp_path / "data" / "[ab].jsonl") == [1, 2, 3]
    assert read(tmp_path / "data" / "**" / "c.jsonl") == [4]
    assert read(f"file://{tmp_path}/data/*.jsonl") == [1, 2, 3]


def as_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("set/README.md", "# no rows")
        for name, row in zip(("set/1.jsonl", "set/2.jsonl"), ROWS, strict=True):
            archive.writestr(name, json.dumps(row))


def as_tar_of_tables(path):
    with tarfile.open(path, "w:gz") as tar:
        for number, row in enumerate(ROWS):
            source = path.with_name(f"{number}.jsonl")
            source.write_text(json.dumps(row))
            tar.add(source, source.name)
            source.unlink()


@pytest.mark.parametrize(("name", "write"), [("rows.zip", as_zip), ("rows.tar.gz", as_tar_of_tables)])
def test_fetched_archive_of_tables_is_read_like_a_folder(tmp_path, name, write):
    write(tmp_path / name)
    for location in (tmp_path / name, tmp_path):
        with locations.fetched(str(location)) as found:
            assert [row for file in found for row in objects(file.path)] == ROWS


def test_fetched_archive_that_is_damaged_or_a_bomb_is_refused(tmp_path):
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04")
    with pytest.raises(BadRows, match="cut.zip: cannot be unpacked"), locations.fetched(str(tmp_path / "cut.zip")):
        pass
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.jsonl", bytes(70 * 2**20))
    with pytest.raises(BadRows, match="would expand to 73,400,320 bytes"), locations.fetched(str(tmp_path / "bomb.zip")):
        pass


@pytest.mark.parametrize(
    "names", [("train-00000-of-00001.parquet", "test-00000-of-00001.parquet"), ("train/a.jsonl", "test/a.jsonl")]
)
def test_fetched_folder_of_several_splits_is_refused_by_name(tmp_path, names):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    with pytest.raises(BadConfig, match=r"holds several splits \(test, train\); give a pattern"), locations.fetched(str(tmp_path)):
        pass
    with locations.fetched(f"{tmp_path}/train*" + ("/*" if "/" in names[0] else "")) as found:
        assert len(found) == 1


def test_fetched_digest_of_several_files_depends_on_each(tmp_path):
    for name in ("a", "b"):
        write_lines(tmp_path / "data" / f"{name}.jsonl", 1)
    with locations.fetched(str(tmp_path / "data")) as found:
        before = locations.digest(found)
    write_lines(tmp_path / "data" / "b.jsonl", 2)
    with locations.fetched(str(tmp_path / "data")) as found:
        assert locations.digest(found) != before


def test_fetched_format_of_the_recipe_reads_a_name_without_suffix(tmp_path):
    write_lines(tmp_path / "rows", 1)
    assert read(tmp_path / "rows", "jsonl") == [1]
    with pytest.raises(BadConfig, match="the suffix tells no format"):
        read(tmp_path / "rows")


def make_fifo(path):
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("name", "make", "says"),
    [
        ("x.jsonl", lambda path: None, "no such file"), ("x.jsonl", make_fifo, "a pipe or a device"),
        ("x.jsonl", lambda path: path.symlink_to("nowhere"), "a link that leads nowhere"),
        ("folder", lambda path: path.mkdir(), "no file of rows there"), ("*.jsonl", lambda path: None, "no file of rows there"),
    ],
)  # fmt: skip
def test_fetched_what_holds_no_rows_is_said(tmp_path, name, make, says):
    make(tmp_path / name)
    with pytest.raises(MissingInput, match=says):
        read(tmp_path / name)


@pytest.mark.parametrize("location", ["hf://datasets/org", "hf://datasets/org/name@v1", "hf://models/x/y"])
def test_fetched_hub_path_without_a_file_is_refused(location):
    with pytest.raises(BadConfig, match="hf://datasets/ORG/NAME@REVISION/FILE"):
        read(location)


@pytest.mark.parametrize(("content", "reason", "says"), [
    (json.dumps({"train": ROWS, "test": ROWS}), "bad_file", "holds several lists of rows (train, test)"),
    (json.dumps(ROWS[0]).encode("utf-16-le").decode("latin-1"), "bad_utf8", "as UTF-16 or UTF-32 without a mark has them"),
])  # fmt: skip
def test_file_of_several_splits_or_another_encoding_is_named(tmp_path, content, reason, says):
    path = tmp_path / ("rows.json" if content.startswith('{"train') else "rows.jsonl")
    path.write_text(content, encoding="latin-1")
    bad = dict(files.objects(path))[1]
    assert isinstance(bad, Bad)
    assert bad.reason == reason
    assert says in bad.detail


def test_file_of_xz_that_is_cut_off_is_a_bad_file(tmp_path):
    path = tmp_path / "rows.jsonl.xz"
    path.write_bytes(lzma.compress(b"x" * 1000)[:-20])
    assert [row.reason for _, row in files.objects(path)] == ["bad_file"]
