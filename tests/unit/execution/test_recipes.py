from typing import Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from stillhouse.errors import BadConfig
from stillhouse.execution import recipes as configs
from stillhouse.vocabulary.settings import StageConfig


class Optimiser(BaseModel):
    learning_rate: float = Field(1e-4, gt=0)
    betas: list[float] = [0.9, 0.999]


class Config(StageConfig):
    timeout_s: float = Field(10, gt=0)
    name: str = "x"
    optimiser: Optimiser = Optimiser()
    limit: int | None = 5


class Tagged(StageConfig):
    kind: str
    path: int = 0

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        msg = f"no kind {kind!r}; kinds: file"
        raise ValueError(msg)


class Sources(StageConfig):
    sources: tuple[Tagged, ...] = Field((), min_length=1)
    shares: dict[Literal["math", "code"], float] = Field({})


class Required(StageConfig):
    model: str


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Packaged recipes of a temporary directory."""
    (tmp_path / "laptop").mkdir()
    monkeypatch.setattr(configs, "RECIPES", tmp_path)

    def write(name: str, text: str) -> str:
        (tmp_path / f"{name}.yaml").write_text(text)
        return f"@{name}"

    return write


def test_resolve_layers_last_wins_and_nested_fields_merge(recipe):
    layer = recipe("laptop/sft-1", "timeout_s: 3\noptimiser: {learning_rate: 0.5, betas: [0.1, 0.2]}\n")
    resolved = configs.resolve(Config, [layer, '{"optimiser": {"betas": [0.3]}}'], ["timeout_s=4"])
    assert resolved == Config(timeout_s=4, optimiser=Optimiser(learning_rate=0.5, betas=[0.3]))


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [("limit=null", "limit", None), ("limit=7", "limit", 7), ("timeout_s=1e-5", "timeout_s", 1e-5),
     ("timeout_s=1e5", "timeout_s", 1e5), ("name=a=b", "name", "a=b"), ('name="1"', "name", "1")],
)  # fmt: skip
def test_resolve_set_value_means_what_it_looks_like(setting, field, value):
    assert getattr(configs.resolve(Config, [], [setting]), field) == value


def test_resolve_set_nested_reaches_in_and_keeps_siblings():
    resolved = configs.resolve(Config, ['{"optimiser": {"betas": [0.5]}}'], ["optimiser.learning_rate=1e-3"])
    assert resolved.optimiser == Optimiser(learning_rate=1e-3, betas=[0.5])


def test_resolve_file_layer_outside_the_package(tmp_path):
    (tmp_path / "mine.yaml").write_text("timeout_s: 2\n")
    assert configs.resolve(Config, [f"@{tmp_path}/mine.yaml"]).timeout_s == 2


def test_resolve_empty_recipe_is_the_defaults(recipe):
    assert configs.resolve(Config, [recipe("laptop/sft-1", "# nothing\n")]) == Config()


@pytest.mark.parametrize(
    ("layers", "settings", "says"),
    [
        (['{"timeout": 5}'], [], r"timeout: no such field \(did you mean timeout_s\?\)"),
        (['{"zzz": 5}'], [], r"zzz: no such field \(fields: timeout_s, name, optimiser, limit\)"),
        (['{"timeout_s": 0}'], [], "timeout_s: input should be greater than 0, got 0"),
        (['{"timeout_s": "soon"}'], [], "timeout_s: .*number.*, got 'soon'"),
        (['{"timeout_s": 0, "limit": "x"}'], [], r"timeout_s: .*; limit: "),
        (['{"optimiser": {"learning_rate": -1}}'], [], r"optimiser\.learning_rate: .* got -1"),
        (["[1]"], [], "a config is a mapping of fields to values, got list"),
        (["timeout_s: 5"], [], r"not JSON .*; write @RECIPE, @FILE\.yaml or JSON"),
        ([], ["timeout_s"], "--set timeout_s: not of the form field=value"),
        ([], ["=5"], "--set =5: not of the form field=value"),
        ([], ["timeout_s=[1"], r"--set timeout_s=\[1: not YAML"),
        ([], ["name.first=x"], "name: .*string"),
        (["@nowhere/to-be-found"], [], "no such recipe and no such file"),
    ],
)
def test_resolve_wrong_value_names_field_got_and_remedy(layers, settings, says):
    with pytest.raises(BadConfig, match=says):
        configs.resolve(Config, layers, settings)


def test_resolve_unknown_kind_is_one_problem_without_those_that_follow_from_it():
    with pytest.raises(BadConfig) as raised:
        configs.resolve(Sources, ['{"sources": [{"kind": "fil", "paths": 1}]}'])
    assert str(raised.value) == "config: sources.0.kind: no kind 'fil'; kinds: file"


def test_resolve_unknown_key_of_a_mapping_names_the_field_and_the_known_keys():
    with pytest.raises(BadConfig, match=r"^config: shares\.mth: input should be 'math' or 'code', got 'mth'$"):
        configs.resolve(Sources, [], ["shares.mth=1"])


def test_resolve_recipe_without_its_at_sign_says_what_to_write(recipe):
    recipe("laptop/sft-1", "{}")
    with pytest.raises(BadConfig, match="write @laptop/sft-1$"):
        configs.resolve(Config, ["laptop/sft-1"])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("laptop/zzzz", "recipes of laptop: @laptop/sft-1, @laptop/verified"),
        ("verified", "choose one: @laptop/verified"),
        ("mine.yaml", "packaged profiles: laptop"),
    ],
)
def test_resolve_unknown_recipe_lists_only_what_is_near(recipe, name, says):
    recipe("laptop/sft-1", "{}")
    recipe("laptop/verified", "{}")
    with pytest.raises(BadConfig, match=f"{says}$"):
        configs.resolve(Config, [f"@{name}"])


def test_resolve_required_field_missing_is_named():
    with pytest.raises(BadConfig, match="model: required, got nothing"):
        configs.resolve(Required, [])


def test_resolve_typo_in_recipe_name_suggests_the_nearest(recipe):
    recipe("laptop/sft-anneal", "{}")
    with pytest.raises(BadConfig, match=r"@laptop/sft-aneal: .*did you mean @laptop/sft-anneal\?"):
        configs.resolve(Config, ["@laptop/sft-aneal"])


def test_resolve_error_in_a_recipe_names_the_recipe(recipe):
    with pytest.raises(BadConfig, match="^@laptop/sft-1: timeout_s"):
        configs.resolve(Config, [recipe("laptop/sft-1", "timeout_s: -1\n")])


@pytest.mark.parametrize("text", ["a: [1\nb: 2\n", "a: b: c\n", "\tx: 1\n", "a: \x01\n"])
def test_resolve_bad_yaml_names_recipe(recipe, text):
    with pytest.raises(BadConfig, match="@laptop/sft-1: not YAML"):
        configs.resolve(Config, [recipe("laptop/sft-1", text)])


def test_resolve_yaml_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(BadConfig, match="cannot be read as UTF-8 text"):
        configs.resolve(Config, [f"@{tmp_path}/x.yaml"])


def test_resolve_directory_as_a_file_is_refused(tmp_path):
    with pytest.raises(BadConfig, match="no such recipe and no such file"):
        configs.resolve(Config, [f"@{tmp_path}"])


def test_resolve_key_that_is_not_text_is_refused(recipe):
    with pytest.raises(BadConfig, match="no such field|string"):
        configs.resolve(Config, [recipe("laptop/sft-1", "1: 2\n")])


def test_resolve_words_that_yaml_1_1_takes_for_booleans_are_words(tmp_path):
    class Words(StageConfig):
        filters: dict[str, list[str]] = Field(default_factory=dict)
        language: str = "en"
        packing: bool = True

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("filters: {off: [missing_reference]}\nlanguage: no\npacking: off\n")
    config = configs.resolve(Words, [f"@{recipe}"], ["filters.on=[x]"])
    assert (config.filters, config.language, config.packing) == ({"off": ["missing_reference"], "on": ["x"]}, "no", False)
    assert configs.resolve(Words, [], ["packing=True"]).packing is True


@pytest.mark.parametrize(
    "text", ["timeout_s: 3\nname: a\ntimeout_s: 4\n", "optimiser:\n  learning_rate: 0.5\n  learning_rate: 0.1\n"]
)
def test_recipe_with_a_key_twice_is_refused_with_its_line(recipe, text):
    line, key = text.count("\n"), text.splitlines()[-1].split(":")[0].strip()
    with pytest.raises(BadConfig, match=f"@laptop/sft-1: not YAML at line {line}: '{key}' stands twice; leave one"):
        configs.resolve(Config, [recipe("laptop/sft-1", text)])


def test_recipe_that_merges_a_mapping_may_change_its_keys(recipe):
    layer = recipe("laptop/sft-1", "optimiser:\n  <<: {learning_rate: 0.5, betas: [0.1, 0.2]}\n  learning_rate: 0.1\n")
    assert configs.resolve(Config, [layer]).optimiser == Optimiser(learning_rate=0.1, betas=[0.1, 0.2])
