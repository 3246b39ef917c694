import json
from typing import Literal

import pytest
from airflow.sdk.exceptions import ParamValidationError
from pydantic import Field

from operators.params import VERSION, Form, Section, layers_of, params_of, unknown_keys
from stillhouse.vocabulary.settings import StageConfig


class Nested(StageConfig):
    inner: int = 1


class Config(StageConfig):
    samples: int = Field(4, ge=1, le=64)
    """Responses to a question."""
    rate: float = Field(0.1, gt=0)
    kind: Literal["a", "b"] = "a"
    limit: int | None = Field(None, ge=0)
    flag: bool = False
    maybe: bool | None = None
    nested: Nested = Nested()
    weights: dict[str, float] = Field(default_factory=dict)
    names: tuple[str, ...] = ()
    model: str = "m"


def section(**values) -> Section:
    return Section("@t/t", Config, Config(**values).model_dump(mode="json"), fixed=("model",))


def form(**values) -> Form:
    return Form({"rl-1": section(**values)})


def test_form_has_a_param_for_every_field_but_those_that_tell_recipes_apart():
    names = ("samples", "rate", "kind", "limit", "flag", "maybe", "nested", "weights", "names")
    assert set(params_of("rl-1", section())) == {f"rl_1__{name}" for name in names}


def test_form_shows_the_values_of_the_recipe():
    params = params_of("rl-1", section(samples=16, flag=True, names=("x",)))
    assert [params[f"rl_1__{name}"].value for name in ("samples", "flag", "names", "limit")] == [16, True, ["x"], None]


def test_form_shows_the_help_text_in_the_section_of_the_recipe():
    param = params_of("rl-1", section())["rl_1__samples"]
    assert param.description == "Responses to a question. Must be ≥ 1 and ≤ 64."
    assert param.schema["section"] == "rl-1"


def test_form_offers_three_values_where_a_switch_has_three():
    assert params_of("rl-1", section())["rl_1__maybe"].schema["enum"] == [True, False, None]
    assert params_of("rl-1", section())["rl_1__flag"].schema["type"] == "boolean"


@pytest.mark.parametrize(
    ("field", "value"),
    [("samples", 65), ("samples", 0), ("samples", None), ("rate", 0), ("kind", "c"), ("limit", -1), ("limit", 10**30),
     ("flag", 3), ("maybe", "x"), ("weights", [1]), ("names", [1])],
)  # fmt: skip
def test_form_value_out_of_bounds_is_refused(field, value):
    with pytest.raises(ParamValidationError):
        params_of("t", section())[f"t__{field}"].resolve(value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("samples", 64),
        ("rate", 1e-6),
        ("kind", "b"),
        ("limit", 0),
        ("limit", None),
        ("flag", True),
        ("maybe", None),
        ("names", ["a"]),
    ],
)
def test_form_value_within_bounds_is_taken(field, value):
    assert params_of("t", section())[f"t__{field}"].resolve(value) == value


def test_layers_of_an_untouched_form_are_the_recipe_and_nothing():
    untouched = {name: param.value for name, param in form(samples=8).params().items()}
    assert form(samples=8).layers("rl-1", untouched) == ("@t/t", "{}")


def test_layers_hold_what_was_changed_with_its_type():
    changed = {"rl_1__rate": 1e-5, "rl_1__flag": False, "rl_1__limit": None, "rl_1__kind": "b"}
    recipe, overrides = form(flag=True, limit=3).layers("rl-1", changed)
    assert (recipe, json.loads(overrides)) == ("@t/t", {"rate": 1e-5, "kind": "b", "limit": None, "flag": False})


def test_layers_with_a_key_taken_away_are_the_whole_config():
    recipe, overrides = form(weights={"a": 1, "b": 2}).layers("rl-1", {"rl_1__weights": {"a": 1.0}})
    assert (recipe, json.loads(overrides)["weights"], json.loads(overrides)["samples"]) == ("{}", {"a": 1.0}, 4)


def test_layers_take_the_empty_editor_of_a_null_mapping_for_null():
    params = {"rl_1__maybe_nested": {}}
    assert Form({"rl-1": Section("@t/t", Config, {"maybe_nested": None})}).layers("rl-1", params) == ("@t/t", "{}")


def test_problems_name_unknown_keys_and_values_that_break_a_recipe():
    plain = Form({"rl-1": Section("{}", Config, Config().model_dump(mode="json"))})
    fields, sample = [*plain.params()], {"rl_1__sample": 3}
    assert plain.problems(sample, sample, fields) == ["rl_1__sample: no such field; did you mean rl_1__samples?"]
    [wrong] = plain.problems({}, {"rl_1__samples": 100}, fields)
    assert wrong.startswith("rl-1: config: samples: input should be less than or equal to 64")


FIELDS = ("version", "sft_1__epochs", "sft_1__seed", "rl_1__seed")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sft_1__epoch", "did you mean sft_1__epochs?"),
        ("sft_1__nothing_like_it", "fields of sft_1: sft_1__epochs, sft_1__seed"),
        ("what", "fields and sections: rl_1, sft_1, version"),
        ("", "fields and sections: rl_1, sft_1, version"),
    ],
)
def test_unknown_key_is_told_from_the_fields_of_its_section_or_from_the_sections(name, words):
    assert unknown_keys({name: 1, "version": "v"}, FIELDS) == [f"{name}: no such field; {words}"]


@pytest.mark.parametrize("text", ["v1\n", "v1\r", "v 1", "", "{{ ds }}"])
def test_version_is_one_word_to_its_very_end(text):
    with pytest.raises(ParamValidationError):
        VERSION.resolve(text)
    assert VERSION.resolve("v1") == "v1"


def test_layers_are_rendered_when_the_task_starts():
    assert [str(layer) for layer in layers_of("sft-1")] == ["{{ layers('sft-1')[0] }}", "{{ layers('sft-1')[1] }}"]
