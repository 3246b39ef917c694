"""The table of stages agrees with the stages."""

import ast
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from stillhouse import stages
from stillhouse.errors import BadConfig
from stillhouse.execution.recipes import recipes
from stillhouse.stages import REGISTRY, StageEntry
from stillhouse.vocabulary.rows import ROW_TYPES

STAGES = Path(stages.__file__).parent
IMAGES = Path(__file__).parents[3] / "images"


def test_registry_has_every_stage_module_and_no_other():
    assert sorted(REGISTRY) == sorted(path.stem for path in STAGES.glob("[a-z]*.py"))


@pytest.mark.parametrize("name", REGISTRY)
def test_registry_help_is_the_first_line_of_the_stage(name):
    docstring = ast.get_docstring(ast.parse((STAGES / f"{name}.py").read_text(encoding="utf-8")))
    assert REGISTRY[name].help == docstring.splitlines()[0]


def test_registry_order_puts_every_stage_after_the_stages_it_reads():
    made: set[str] = set()
    for entry in REGISTRY.values():
        read = entry.help.partition(" -> ")[0].replace("(", "").replace(")", "").replace("+", "").split()
        later = set(REGISTRY) - made - {entry.name}
        assert later & set(read) == set(), entry.name
        made.add(entry.name)


@pytest.mark.parametrize("name", REGISTRY)
def test_registry_config_is_the_stages_own(name):
    assert stages.config_of(name) is stages.load(name).Config


@pytest.mark.parametrize("name", REGISTRY)
def test_registry_fields_kept_out_of_forms_are_fields(name):
    assert set(REGISTRY[name].fixed) <= set(stages.config_of(name).model_fields)


def test_registry_rows_are_those_of_the_vocabulary():
    assert {entry.name: entry.rows for entry in REGISTRY.values() if entry.rows} == {
        name: row_type.__name__ for name, row_type in ROW_TYPES.items()
    }


def test_registry_images_are_directories_of_images():
    assert {entry.image for entry in REGISTRY.values()} <= {path.name for path in IMAGES.iterdir()}


def test_registry_stages_that_train_over_ranks_run_a_model_and_cannot_be_sharded():
    training = [entry for entry in REGISTRY.values() if entry.ranks]
    assert [entry.name for entry in training] == ["sft", "rl"]
    assert all(entry.model and entry.whole for entry in training)


def test_registry_has_every_stage_that_a_recipe_is_of():
    assert {name.split("/")[1].split("-")[0] for name in recipes()} <= set(REGISTRY)


def test_entry_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        REGISTRY["sft"].image = "worker"
    assert {field.name for field in fields(StageEntry)} >= {"name", "config", "image"}


def test_unknown_stage_is_refused_with_the_nearest_name():
    with pytest.raises(BadConfig, match="no stage 'verifid'; did you mean verified"):
        stages.entry_of("verifid")


@pytest.mark.parametrize("name", ["sft", "rl", "report", "comparison", "registry"])
def test_shard_of_a_stage_that_needs_all_rows_is_refused_with_the_reason(name):
    with pytest.raises(BadConfig, match=f"{name} cannot be sharded: {REGISTRY[name].whole}; leave out --shard"):
        stages.refuse_shard(name)


@pytest.mark.parametrize("name", ["questions", "responses", "verified", "screened", "graded"])
def test_shard_of_a_stage_that_works_row_by_row_is_taken(name):
    stages.refuse_shard(name)
    assert not REGISTRY[name].whole


def test_stages_that_combine_have_the_functions_of_the_steps():
    for name, entry in stages.REGISTRY.items():
        module = stages.load(name)
        assert entry.combines == all(hasattr(module, part) for part in ("map_shard", "combine", "needs_steps", "STEP_INPUTS"))
        assert not (entry.combines and entry.whole)
