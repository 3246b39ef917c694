"""``docs/settings.md`` names every variable the code reads, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
INTERNAL = {"STILLHOUSE_SERVICES"}
"""Marks the processes of the laptop's services; nobody sets it."""


def named(paths) -> set[str]:
    return {name for path in paths for name in re.findall(r"STILLHOUSE_[A-Z]+(?:_[A-Z]+)*", path.read_text(encoding="utf-8"))}


def test_settings_page_names_what_the_code_reads():
    sources = [path for top in ("src", "operators", "dags", "laptop") for path in (ROOT / top).rglob("*.py")]
    read = named(sources) - INTERNAL
    assert len(read) > 20
    assert named([ROOT / "docs" / "settings.md"]) == read
