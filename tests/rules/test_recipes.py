import pytest
import yaml

from stillhouse import stages
from stillhouse.execution import recipes as configs


@pytest.mark.parametrize("name", configs.recipes())
def test_recipe_parses_into_its_stage_config(name):
    stage = stages.load(name.split("/")[1].split("-")[0])
    assert configs.resolve(stage.Config, [f"@{name}"])


def test_recipes_folder_holds_only_recipes():
    """A file that ``recipes()`` does not list (another suffix, another depth) would never be parsed by a test; shardings are."""
    files = {
        path for path in configs.RECIPES.rglob("*") if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    assert files == set(configs.recipes().values()) | set(configs.RECIPES.glob("zero-*.yaml")) | set(
        configs.RECIPES.glob("*/profile.yaml")
    )


@pytest.mark.parametrize("name", configs.recipes())
def test_recipe_no_key_is_given_twice(name):
    """YAML lets the last one win in silence."""

    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict:
        keys = [loader.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), keys
        return {key: loader.construct_object(value, deep=True) for key, (_, value) in zip(keys, node.value, strict=True)}

    Strict.add_constructor("tag:yaml.org,2002:map", mapping)
    yaml.load(configs.recipes()[name].read_text(), Loader=Strict)
