import pytest
from pydantic import TypeAdapter, ValidationError

from stillhouse import sources
from stillhouse.sources.config import Spec

STORED = {"name": "n", "license": "MIT", "path": "x.jsonl", "revision": "1"}
MAPPED = {"columns": {"prompt": "q"}, "category": "math"}
SPECS = {
    "arithmetic": {"name": "n", "count": 1, "families": {"add-1": 1}},
    "reasoning_gym": {"name": "n", "count": 1, "dataset": "chain_sum"},
    "worded": {"name": "n", "count": 1},
    "file": STORED | MAPPED,
    "am-1.4m": STORED,
    "am-40m": STORED,
    "conversations": STORED,
    "huggingface": {"name": "n", "license": "MIT", "dataset": "d", "revision": "v1"} | MAPPED,
    "preset": {"name": "gsm8k", "path": "x.jsonl", "revision": "1", "license": "MIT"},
    "human_eval": {"name": "n"},
}


def parsed(given):
    return TypeAdapter(Spec).validate_python(given)


@pytest.mark.parametrize("kind", sources.READERS)
def test_spec_of_every_source_is_told_by_its_kind_and_has_a_license_and_a_weight(kind):
    spec = parsed({"kind": kind, **SPECS[kind]})
    assert (spec.kind, spec.name, spec.weight) == (kind, SPECS[kind]["name"], 1)
    assert spec.license
    assert parsed(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize("kind", ["file", "am-40m", "huggingface"])
def test_spec_of_what_others_wrote_needs_its_license(kind):
    with pytest.raises(ValidationError, match="license"):
        parsed({"kind": kind, **{name: value for name, value in SPECS[kind].items() if name != "license"}})


@pytest.mark.parametrize("kind", sources.READERS)
def test_spec_every_field_says_what_it_is(kind):
    fields = type(parsed({"kind": kind, **SPECS[kind]})).model_fields
    assert [name for name, info in fields.items() if name != "kind" and not info.description] == []


@pytest.mark.parametrize(
    "settings",
    [{"kind": "file", "slice": "[5:2]"}, {"kind": "file", "slice": "[:0]"}, {"kind": "huggingface", "split": "train[3:3]"}],
)
def test_spec_slice_without_a_row_is_refused(settings):
    with pytest.raises(ValidationError, match="holds no row"):
        parsed(SPECS[settings["kind"]] | settings)
