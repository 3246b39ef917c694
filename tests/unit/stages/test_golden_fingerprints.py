"""A changed default is a decision: it makes every artifact anew. It is made here, and told in CHANGELOG.md."""

import json
from pathlib import Path

import pytest

from stillhouse import stages
from stillhouse.artifacts import manifest
from stillhouse.execution import recipes as configs

FILE = Path(__file__).with_name("golden_fingerprints.json")
GOLDEN: dict[str, str] = json.loads(FILE.read_text(encoding="utf-8"))


def fingerprint(recipe: str) -> str:
    stage = stages.load(recipe.rsplit("/", 1)[-1].partition("-")[0])
    config = configs.resolve(stage.Config, [f"@{recipe}"])
    return manifest.fingerprint(
        stage.__name__.rsplit(".", 1)[-1], getattr(stage, "SCHEMA_VERSION", 1), config.model_dump(mode="json"), {}
    )


def test_golden_fingerprints_cover_every_packaged_recipe() -> None:
    assert sorted(GOLDEN) == sorted(configs.recipes())


@pytest.mark.parametrize("recipe", sorted(GOLDEN))
def test_fingerprint_of_a_packaged_recipe_is_the_golden_one(recipe: str) -> None:
    assert fingerprint(recipe) == GOLDEN[recipe]


if __name__ == "__main__":  # after a decision: writes the file anew
    FILE.write_text(json.dumps({recipe: fingerprint(recipe) for recipe in sorted(configs.recipes())}, indent=1) + "\n")
