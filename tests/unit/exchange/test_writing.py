import pytest

from stillhouse.errors import BadConfig
from stillhouse.exchange import files, writing

MADE = [{"a": "é\u2028\x00"}, {"a": None, "b": [1.5, {"c": "x\ny"}]}]


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.zst", "out.jsonl.gz"])
def test_write_what_was_written_is_read_again_and_bytes_are_the_same_each_time(tmp_path, name):
    assert writing.write(tmp_path / name, MADE) == 2
    first = (tmp_path / name).read_bytes()
    assert [row for _, row in files.objects(tmp_path / name)] == MADE
    writing.write(tmp_path / name, MADE)
    assert (tmp_path / name).read_bytes() == first


@pytest.mark.parametrize(
    ("name", "expected"),
    [("out", True), ("release/v1.0", True), ("out.jsonl/", True), ("out.jsonl.zst", False), ("out.CSV", False)],
)
def test_is_folder_goes_by_the_suffix(name, expected):
    assert writing.is_folder(name) is expected


@pytest.mark.parametrize("name", ["out", "out.parquet", "out.zst", "out.csv.gz", "out/"])
def test_check_name_of_another_format_is_refused(name):
    with pytest.raises(BadConfig, match="name it FILE.jsonl.zst"):
        writing.check_name(name)
