from datetime import UTC, datetime

import pytest

from operators import backup
from stillhouse.artifacts import store
from stillhouse.errors import MissingInput


@pytest.fixture
def root(tmp_path) -> str:
    return (tmp_path / "store" / "backups" / "house").as_uri()


@pytest.fixture
def save(tmp_path, root, monkeypatch):
    """Save a backup as of a day of November."""

    def saved(day: int, keep: int = 14) -> str:
        directory = tmp_path / f"dump-{day}"
        directory.mkdir()
        for name in ("airflow", "mlflow"):
            (directory / f"{name}.dump").write_text(f"{name} on day {day}")
        clock = type("Clock", (datetime,), {"now": lambda _zone: datetime(2026, 11, day, tzinfo=UTC)})
        monkeypatch.setattr(backup, "datetime", clock)
        return backup.save(directory, root, keep)

    return saved


def test_backup_comes_back_as_it_was(save, root, tmp_path):
    first = save(1)
    save(2)
    assert backup.fetch(tmp_path / "restored", root, first) == first
    assert (tmp_path / "restored" / "mlflow.dump").read_text() == "mlflow on day 1"
    assert backup.fetch(tmp_path / "newest", root, "latest") == backup.times(root)[-1]
    assert (tmp_path / "newest" / "airflow.dump").read_text() == "airflow on day 2"


def test_backups_beyond_the_number_to_keep_go_oldest_first(save, root):
    saved = [save(day, keep=2) for day in (1, 2, 3, 4)]
    assert backup.times(root) == saved[-2:]
    assert {name.partition("/")[0] for name in store.store_of(root).names(root)} == set(saved[-2:])


def test_backup_that_was_cut_off_does_not_count(save, root, tmp_path):
    cut, whole = save(2), save(1)
    store.store_of(root).remove(f"{root}/{cut}/complete")
    assert backup.fetch(tmp_path / "restored", root, "latest") == whole


def test_backup_that_does_not_exist_is_named_with_those_that_do(save, root, tmp_path):
    time = save(1)
    with pytest.raises(MissingInput, match=f"no backup of 2025-01-01T00-00-00; there are: {time}"):
        backup.fetch(tmp_path / "restored", root, "2025-01-01T00-00-00")


def test_dump_that_made_no_file_is_refused(root, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingInput, match="holds no dump"):
        backup.save(tmp_path / "empty", root, 3)
