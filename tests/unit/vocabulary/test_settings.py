from pydantic import Field

from stillhouse.vocabulary.settings import OMIT_DEFAULT, StageConfig


class Cask(StageConfig):
    wood: str = "oak"
    label: str | None = Field(None, json_schema_extra=OMIT_DEFAULT)
    extras: dict[str, str] = Field(default_factory=dict, json_schema_extra=OMIT_DEFAULT)


class Cellar(StageConfig):
    cask: Cask = Cask()


def test_dump_marked_field_at_its_default_is_left_out_in_nested_configs_too():
    assert Cellar().model_dump(mode="json") == {"cask": {"wood": "oak"}}


def test_dump_marked_field_with_a_value_is_there():
    dumped = Cask(label="A", extras={"b": "c"}).model_dump(mode="json")
    assert dumped == {"wood": "oak", "label": "A", "extras": {"b": "c"}}
    assert Cask.model_validate(dumped) == Cask(label="A", extras={"b": "c"})


def test_in_full_has_the_fields_that_a_dump_leaves_out():
    assert Cask().in_full() == {"wood": "oak", "label": None, "extras": {}}


def test_dump_of_some_fields_keeps_to_them():
    assert Cask(label="A").model_dump(include={"label"}) == {"label": "A"}
    assert Cask().model_dump(include={"label"}) == {}
    assert Cask().model_dump_json(include={"wood"}) == '{"wood":"oak"}'
