import json

import pytest

pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")

from tests import screenshots

LIMIT = 150_000
"""Bytes of an image."""


def test_screenshots_show_what_the_present_code_draws():
    assert screenshots.stale() == [], "take them again: make demo, then make screenshots"


def test_screenshots_stay_small_and_are_shown_in_the_documentation():
    images = {path.name: path.stat().st_size for path in screenshots.IMAGES.glob("*.webp")}
    assert set(images) == {f"{name}.webp" for name in screenshots.SHOTS}
    assert [name for name, size in images.items() if size > LIMIT] == []
    page = (screenshots.ROOT / "docs" / "pages.md").read_text(encoding="utf-8")
    assert [name for name in images if f"](screenshots/{name})" not in page] == []


def test_screenshots_are_stale_once_a_page_shows_something_else(tmp_path, monkeypatch):
    present = screenshots.fingerprints()
    (tmp_path / screenshots.SHOWN).write_text(json.dumps(present))
    for name in screenshots.SHOTS:
        (tmp_path / f"{name}.webp").touch()
    assert screenshots.stale(tmp_path) == []
    monkeypatch.setattr(screenshots, "CURVES", {})
    assert screenshots.stale(tmp_path) == [name for name, shot in screenshots.SHOTS.items() if shot.page == "run"]
    (tmp_path / "view.webp").unlink()
    assert "view" in screenshots.stale(tmp_path)
