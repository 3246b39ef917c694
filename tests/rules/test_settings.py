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


def test_settings_of_a_stage_reach_its_pod():
    """Passed on from Airflow, made for the pod, part of its image, or a credential of its secret."""
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    of_a_stage = set(re.findall(r"STILLHOUSE_[A-Z_]+", page.split("## Of Airflow")[0]))
    podspec = (ROOT / "operators" / "podspec.py").read_text(encoding="utf-8").split('"""', 2)[2]
    assert of_a_stage - set(re.findall(r'"(STILLHOUSE_[A-Z_]+)"', podspec)) == {"STILLHOUSE_API_KEY", "STILLHOUSE_COMMIT"}
