import threading
from pathlib import Path

import pytest

from stillhouse.artifacts import s3, store
from stillhouse.errors import BadConfig, StoreFailed


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.s3)])
def root(request, tmp_path) -> str:
    return request.getfixturevalue("s3_root") if request.param == "s3" else tmp_path.as_uri()


def test_write_then_read_gives_the_bytes_back(root):
    there = store.store_of(root)
    there.write(f"{root}/a/b.json", b"\x00\xff")
    assert there.read(f"{root}/a/b.json") == b"\x00\xff"


def test_read_nothing_there_is_none(root):
    assert store.store_of(root).read(f"{root}/a/b.json") is None


def test_write_again_replaces(root):
    there = store.store_of(root)
    there.write(f"{root}/a", b"one")
    there.write(f"{root}/a", b"two")
    assert there.read(f"{root}/a") == b"two"


def test_write_only_if_absent_second_is_refused_and_first_stands(root):
    there = store.store_of(root)
    there.write(f"{root}/a", b"one", only_if_absent=True)
    with pytest.raises(store.AlreadyThere):
        there.write(f"{root}/a", b"two", only_if_absent=True)
    assert there.read(f"{root}/a") == b"one"


def test_write_only_if_absent_eight_at_once_one_wins(root):
    there, winners = store.store_of(root), []
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait()
        try:
            there.write(f"{root}/a", str(number).encode(), only_if_absent=True)
        except store.AlreadyThere:
            return
        winners.append(str(number).encode())

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert winners == [there.read(f"{root}/a")]


def test_upload_then_fetch_gives_the_same_tree(root, tmp_path):
    there = store.store_of(root)
    source = tmp_path / "source"
    source.write_bytes(b"rows")
    there.upload(source, f"{root}/x/part-0")
    there.upload(source, f"{root}/x/dropped/part-0")
    directory = there.fetch(f"{root}/x", tmp_path / "scratch")
    assert {path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()} == {
        "part-0": b"rows",
        "dropped/part-0": b"rows",
    }


def test_fetch_named_files_leaves_the_others(root, tmp_path):
    there = store.store_of(root)
    for name in ("a", "b/c", "d"):
        there.write(f"{root}/x/{name}", name.encode())
    directory = there.fetch(f"{root}/x", tmp_path / "scratch", ["a", "b/c"])
    assert sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()) == ["a", "b/c"]


def test_fetch_twice_directories_differ(root, tmp_path):
    there = store.store_of(root)
    there.write(f"{root}/x/a", b"")
    assert there.fetch(f"{root}/x", tmp_path) != there.fetch(f"{root}/x", tmp_path)


def test_upload_over_a_file_replaces(root, tmp_path):
    there = store.store_of(root)
    for text in ("one", "two"):
        (tmp_path / text).write_text(text)
        there.upload(tmp_path / text, f"{root}/x/a")
    assert there.read(f"{root}/x/a") == b"two"


def test_names_sibling_with_the_same_beginning_is_not_listed(root):
    there = store.store_of(root)
    there.write(f"{root}/x/b", b"")
    there.write(f"{root}/x/a/c", b"")
    there.write(f"{root}/x2/d", b"")
    assert there.names(f"{root}/x") == ["a/c", "b"]
    assert there.names(f"{root}/nothing") == []


def test_remove_file_is_gone_and_again_is_no_error(root):
    there = store.store_of(root)
    there.write(f"{root}/a", b"")
    there.remove(f"{root}/a")
    there.remove(f"{root}/a")
    assert there.read(f"{root}/a") is None


def test_absolute_plain_path_becomes_a_file_uri(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert store.absolute("a b/c") == (tmp_path / "a b" / "c").as_uri()
    assert store.local_path(store.absolute("a b/c")) == tmp_path / "a b" / "c"


def test_absolute_trailing_slash_is_cut():
    assert store.absolute("s3://bucket/a/") == "s3://bucket/a"


@pytest.mark.parametrize("uri", ["gs://bucket/a", "http://host/a"])
def test_absolute_other_scheme_is_refused(uri):
    with pytest.raises(BadConfig, match="no store for"):
        store.absolute(uri)


@pytest.mark.parametrize("uri", ["s3://bucket", "s3:///a", "s3://"])
def test_s3_uri_without_bucket_or_key_is_refused(uri):
    with pytest.raises(BadConfig, match="write s3://BUCKET/STAGE/NAME/VERSION"):
        s3.S3Store().read(uri)


def test_file_write_interrupted_leaves_nothing(tmp_path, monkeypatch):
    def full(self: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreFailed, match="No space left on device; check that the path is writable and the disk has room"):
        store.FileStore().write((tmp_path / "a").as_uri(), b"data")
    assert list(tmp_path.iterdir()) == []


def test_file_write_below_a_file_is_refused_in_one_line(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(StoreFailed, match="check that the path is writable"):
        store.FileStore().write((tmp_path / "a" / "b").as_uri(), b"")


def test_file_upload_source_moved_afterwards_published_file_stands(tmp_path):
    (tmp_path / "a").write_text("one")
    store.FileStore().upload(tmp_path / "a", (tmp_path / "b").as_uri())
    (tmp_path / "a").rename(tmp_path / "c")
    assert (tmp_path / "b").read_text() == "one"


@pytest.mark.s3
def test_s3_wrong_secret_is_a_store_failure(s3_root, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    s3._s3.cache_clear()
    with pytest.raises(StoreFailed, match="check AWS_ENDPOINT_URL, the credentials and the bucket"):
        s3.S3Store().write(f"{s3_root}/a", b"")
    s3._s3.cache_clear()


@pytest.mark.s3
def test_s3_no_such_bucket_is_a_store_failure(s3_root):
    with pytest.raises(StoreFailed, match="no-such-bucket"):
        s3.S3Store().read("s3://no-such-bucket/a/b")


def test_s3_no_server_is_a_store_failure(monkeypatch):
    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(name, value)
    s3._s3.cache_clear()
    with pytest.raises(StoreFailed, match="http://127.0.0.1:9"):
        s3.S3Store().read("s3://bucket/a")
    s3._s3.cache_clear()
