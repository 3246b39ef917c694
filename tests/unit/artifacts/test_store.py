import errno
import os
import threading
from pathlib import Path

import pytest

from stillhouse.artifacts import file_store, s3, store
from stillhouse.artifacts.digests import sha256
from stillhouse.errors import BadConfig, DamagedArtifact, StoreFailed, StoreRefused


@pytest.fixture
def root(tmp_path) -> str:
    """The tests of S3 in tests/services set another one."""
    return tmp_path.as_uri()


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


def test_folders_are_those_right_below_alone(root):
    there = store.store_of(root)
    for name in ("x/b", "x/z/c", "x/a/c/d", "x/a/e", "x2/d"):
        there.write(f"{root}/{name}", b"")
    assert there.folders(f"{root}/x") == ["a", "z"]
    assert there.folders(f"{root}/x/z") == there.folders(f"{root}/x/b") == there.folders(f"{root}/nothing") == []


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


@pytest.mark.parametrize(
    "uri",
    [
        "s3://b/questions/h#1/1", "s3://b/questions/h/1?x", "s3://b/questions/../1", "s3://b/a//b", "s3://b/a/./b", "s3://b/a\n/b",
        "file:///a/x#2", "file:///a/%2e%2e/b", "file:///a/%00", "file:///a//b", "file://host/a", "/a/b\x1b[31m",
        "S3://b/questions/h/1", "FILE:///a/b", "s3:/b/questions/h/1", "S3:b/h", "file:/a/b", "file:a/b", "file:///a/%ff/1",
    ],
)  # fmt: skip
def test_absolute_uri_that_stores_read_differently_is_refused(uri):
    with pytest.raises(BadConfig):
        store.absolute(uri)


@pytest.mark.parametrize("uri", ["file:///a/%62%20c", "file:///a/b c", "file://localhost/a/b%20c/", "/a/b c", "/a//x/../b c/."])
def test_absolute_path_has_one_spelling(uri):
    assert store.absolute(uri) == "file:///a/b%20c"


def test_absolute_plain_path_with_dots_and_signs_is_resolved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert store.local_path(store.absolute("a/../b#1?/c")) == tmp_path / "b#1?" / "c"


def test_swap_moves_on_from_its_version_alone(root):
    there, place = store.store_of(root), f"{root}/claim.json"
    first = there.swap(place, b"one", None)
    second = there.swap(place, b"two", first)
    for stale in (None, first):
        with pytest.raises(store.AlreadyThere):
            there.swap(place, b"three", stale)
    assert there.read_versioned(place) == (b"two", second)


def test_swap_after_the_file_was_removed_fails(root):
    there, place = store.store_of(root), f"{root}/claim.json"
    version = there.swap(place, b"one", None)
    for name in there.names(root):
        there.remove(f"{root}/{name}")
    with pytest.raises(store.AlreadyThere):
        there.swap(place, b"two", version)
    assert there.read_versioned(place) is None
    assert there.names(root) == []


def test_swap_eight_at_once_one_wins_every_round(root):
    there, place = store.store_of(root), f"{root}/claim.json"
    version = there.swap(place, b"begin", None)
    for _ in range(5):
        winners: list[tuple[bytes, int]] = []
        barrier = threading.Barrier(8)

        def swap(number: int, version: int = version, winners=winners, barrier=barrier) -> None:
            barrier.wait()
            try:
                winners.append((str(number).encode(), there.swap(place, str(number).encode(), version)))
            except store.AlreadyThere:
                return

        threads = [threading.Thread(target=swap, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert winners == [there.read_versioned(place)]
        version = winners[0][1]


def test_file_writer_that_slept_through_many_versions_loses(tmp_path):
    there, place = store.FileStore(), f"{tmp_path.as_uri()}/claim.json"
    asleep = version = there.swap(place, b"0", None)
    for number in range(5):
        version = there.swap(place, str(number).encode(), version)
    with pytest.raises(store.AlreadyThere):
        there.swap(place, b"late", asleep)
    assert there.read_versioned(place) == (b"4", version)


@pytest.mark.parametrize("size", [5, 40 * 2**20])
def test_upload_only_if_absent_other_content_is_refused_and_the_same_is_fine(root, tmp_path, size):
    there, place = store.store_of(root), f"{root}/x/weights"
    for name, sign in (("one", b"1"), ("two", b"2")):
        (tmp_path / name).write_bytes(sign * size)
    there.upload(tmp_path / "one", place, only_if_absent=True)
    there.upload(tmp_path / "one", place, only_if_absent=True)
    with pytest.raises(store.AlreadyThere):
        there.upload(tmp_path / "two", place, only_if_absent=True)
    fetched = there.fetch(f"{root}/x", tmp_path / "scratch", ["weights"]) / "weights"
    assert sha256(fetched) == sha256(tmp_path / "one")


def test_file_fetch_of_a_link_out_of_the_artifact_is_refused(tmp_path):
    (tmp_path / "secret").write_text("x")
    (tmp_path / "artifact").mkdir()
    (tmp_path / "artifact" / "part-0").symlink_to(tmp_path / "secret")
    with pytest.raises(DamagedArtifact, match=r"part-0 is a link to .*secret, outside the artifact"):
        store.FileStore().fetch((tmp_path / "artifact").as_uri(), tmp_path / "scratch")


def test_file_upload_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    synced: list[tuple[str, bool]] = []
    monkeypatch.setattr(file_store, "_sync", lambda path: synced.append((path.name, (tmp_path / "x" / "a").exists())))
    (tmp_path / "a").write_text("rows")
    store.FileStore().upload(tmp_path / "a", (tmp_path / "x" / "a").as_uri())
    assert [named for _, named in synced] == [False, True]
    assert synced[1][0] == "x"


def test_file_tidy_removes_half_written_copies_and_empty_directories_alone(tmp_path):
    (tmp_path / "resume" / "checkpoint-1").mkdir(parents=True)
    (tmp_path / ".whole.json.abcd1234.unfinished").write_text("")
    (tmp_path / "notes.unfinished").write_text("")
    store.FileStore().tidy(tmp_path.as_uri())
    assert [path.name for path in tmp_path.iterdir()] == ["notes.unfinished"]


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
    with pytest.raises(StoreRefused, match="where no file has the name of a directory"):
        store.FileStore().write((tmp_path / "a" / "b").as_uri(), b"")


@pytest.mark.parametrize("number", sorted(file_store.REFUSALS))
def test_file_error_that_the_next_try_would_meet_again_is_a_refusal(tmp_path, monkeypatch, number):
    def refuse(self: Path, data: bytes) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(StoreRefused, match=f"{os.strerror(number)}; choose a directory that this user may write to"):
        store.FileStore().write((tmp_path / "a").as_uri(), b"data")


def test_file_pipe_is_listed_and_never_waited_for(tmp_path):
    there, uri = store.store_of(tmp_path.as_uri()), tmp_path.as_uri()
    os.mkfifo(tmp_path / "pipe")
    assert (there.names(uri), there.read(f"{uri}/pipe")) == (["pipe"], None)
    with pytest.raises(DamagedArtifact, match="pipe is no file"):
        there.download(uri, "pipe", tmp_path / "scratch" / "pipe")


def test_file_upload_source_moved_afterwards_published_file_stands(tmp_path):
    (tmp_path / "a").write_text("one")
    store.FileStore().upload(tmp_path / "a", (tmp_path / "b").as_uri())
    (tmp_path / "a").rename(tmp_path / "c")
    assert (tmp_path / "b").read_text() == "one"


def test_file_swap_of_a_claim_that_is_listed_and_cannot_be_read_ends(tmp_path):
    (tmp_path / "claim.json.007").write_text("{}")
    with pytest.raises(StoreFailed, match="claim.json.7: is listed and cannot be read"):
        store.store_of(tmp_path.as_uri()).read_versioned(f"{tmp_path.as_uri()}/claim.json")


def test_file_upload_of_a_link_publishes_what_it_points_at(tmp_path):
    (tmp_path / "input").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "input")
    store.store_of(tmp_path.as_uri()).upload(tmp_path / "link", f"{tmp_path.as_uri()}/out/file")
    assert not (tmp_path / "out" / "file").is_symlink()
    assert (tmp_path / "out" / "file").read_text() == "x"


def test_file_names_directory_that_goes_meanwhile_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / "resume" / "checkpoint-1").mkdir(parents=True)
    (tmp_path / "kept").write_text("x")
    scandir = os.scandir

    def going(path):
        if str(path).endswith("resume"):
            (tmp_path / "resume" / "checkpoint-1").rmdir()
            (tmp_path / "resume").rmdir()
        return scandir(path)

    monkeypatch.setattr(os, "scandir", going)
    assert store.store_of(tmp_path.as_uri()).names(tmp_path.as_uri()) == ["kept"]


def test_file_names_directory_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path, monkeypatch):
    def broken(path):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "scandir", broken)
    with pytest.raises(StoreFailed, match="Input/output error"):
        store.store_of(tmp_path.as_uri()).names(tmp_path.as_uri())


def test_absolute_home_of_nobody_is_a_name_like_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert store.absolute("~nobody-here/x") == f"{tmp_path.as_uri()}/~nobody-here/x"


def test_file_holds_is_about_that_very_file(tmp_path):
    (tmp_path / "file").write_text("x")
    there = store.store_of(tmp_path.as_uri())
    assert [there.holds(f"{tmp_path.as_uri()}/{name}") for name in ("file", "fil", "file/x", "")] == [True, False, False, False]
