import json
from typing import Literal

import pytest
from airflow.sdk.exceptions import ParamValidationError
from jinja2 import Environment
from pydantic import BaseModel, ConfigDict, Field

from operators.params import overrides_of, params_of


class Nested(BaseModel):
    inner: int = 1


class Config(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    samples: int = Field(4, ge=1, le=64)
    """Responses to a question."""
    rate: float = Field(0.1, gt=0)
    kind: Literal["a", "b"] = "a"
    limit: int | None = Field(None, ge=0)
    flag: bool = False
    nested: Nested = Nested()
    names: tuple[str, ...] = ()


def test_form_has_a_param_for_every_scalar_field():
    assert set(params_of("rl-1", Config)) == {f"rl_1__{name}" for name in ("samples", "rate", "kind", "limit", "flag")}


def test_form_leaves_out_what_it_is_told():
    assert "rl_1__kind" not in params_of("rl-1", Config, without={"kind"})


def test_form_shows_the_help_text_in_the_section_of_the_task():
    param = params_of("rl-1", Config)["rl_1__samples"]
    assert param.description.startswith("Responses to a question.")
    assert param.schema["section"] == "rl-1"


def test_form_says_the_bounds_in_words():
    assert "Must be ≥ 1 and ≤ 64." in params_of("rl-1", Config)["rl_1__samples"].description
    assert "Must be" not in params_of("rl-1", Config)["rl_1__flag"].description


@pytest.mark.parametrize(
    ("field", "value"), [("samples", 65), ("samples", 0), ("rate", 0), ("kind", "c"), ("limit", -1), ("flag", 3)]
)
def test_form_value_out_of_bounds_is_refused(field, value):
    with pytest.raises(ParamValidationError):
        params_of("t", Config)[f"t__{field}"].resolve(value)


@pytest.mark.parametrize(("field", "value"), [("samples", 64), ("rate", 1e-6), ("kind", "b"), ("limit", 0), ("flag", True)])
def test_form_value_within_bounds_or_none_is_taken(field, value):
    assert params_of("t", Config)[f"t__{field}"].resolve() is None
    assert params_of("t", Config)[f"t__{field}"].resolve(value) == value


def test_overrides_hold_only_what_was_set_with_its_type():
    params = dict.fromkeys(params_of("t", Config)) | {"t__rate": 1e-5, "t__flag": False, "t__kind": "b"}
    rendered = Environment(autoescape=False).from_string(str(overrides_of("t", Config))).render(params=params)
    assert json.loads(rendered) == {"rate": 1e-5, "flag": False, "kind": "b"}


def test_overrides_of_an_untouched_form_are_empty():
    rendered = (
        Environment(autoescape=False)
        .from_string(str(overrides_of("t", Config)))
        .render(params=dict.fromkeys(params_of("t", Config)))
    )
    assert json.loads(rendered) == {}
