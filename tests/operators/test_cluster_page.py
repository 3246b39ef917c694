"""docs/cluster.md: its numbers follow from its formulas, its names from the chart."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cluster.md").read_text()
VALUES = yaml.safe_load((ROOT / "helm" / "stillhouse" / "values.yaml").read_text())


def table(first: str) -> list[list[str]]:
    """The rows of the table whose header begins with ``first``."""
    rows = PAGE[PAGE.index(f"| {first}") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def number(text: str) -> float:
    return float(re.sub(r"[^0-9.]", "", text))


@pytest.mark.parametrize("row", table("teacher"), ids=lambda row: row[0])
def test_gpu_hours_of_a_teacher_follow_from_the_formula(row):
    questions, samples, tokens, speed, hours, days = map(number, row[1:])
    assert hours == round(questions * samples * tokens / speed / 3600)
    assert days == pytest.approx(hours / 64 / 24, abs=0.06)


@pytest.mark.parametrize(("billions", "hours"), [(32.5, "2,807"), (72.7, "6,279")])
def test_gpu_hours_of_training_follow_from_the_formula(billions, hours):
    made = 6 * billions * 1e9 * 20.5e9 / (0.4 * 989e12) / 3600
    assert number(hours) == pytest.approx(made, abs=1)
    assert hours in PAGE


def test_verifying_and_storage_follow_from_the_counts():
    responses = 3_337_144 * 12
    assert f"{responses / 30 / 3600:.0f} core-hours" in PAGE
    assert f"{responses * 4000 * 4 / 1e9:.0f} GB" in PAGE


@pytest.mark.parametrize("row", table("value"), ids=lambda row: row[0])
def test_value_that_the_page_explains_exists(row):
    named = re.findall(r"`([\w.]+)`", row[0])
    top = named[0].split(".")[0]
    for each in named:
        found = VALUES
        for key in (f"{top}{each}" if each.startswith(".") else each).split("."):
            if key == "replicas" and "replicas" not in found:
                break  # of Airflow's own chart
            found = found[key]


def test_secrets_of_the_page_are_those_of_the_values():
    named = {re.fullmatch(r"`secrets\.(\w+)`", row[0])[1] for row in table("secret")}
    assert named == VALUES["secrets"].keys() - {"generate"}


def test_make_targets_of_the_page_exist():
    targets = set(re.findall(r"(?m)^([\w.-]+):", (ROOT / "Makefile").read_text()))
    assert set(re.findall(r"(?:`|\n)make ([\w-]+)", PAGE)) <= targets
