"""The public names of ``import stillhouse``: what they are, that each is documented, and that importing them is light."""

import inspect
import subprocess
import sys
import typing

import pytest

import stillhouse as sh

FUNCTIONS = ["compare", "grade", "lineage", "load_recipe", "pass_at_1", "read", "run", "verify"]


def test_front_door_all_names_every_public_member_and_no_other():
    public = {name for name in dir(sh) if not name.startswith("_") and not inspect.ismodule(getattr(sh, name))}
    assert public - {"TYPE_CHECKING", "import_module"} == set(sh.__all__) - {"__version__"}
    assert sorted(sh.__all__) == sorted(set(sh.__all__))


@pytest.mark.parametrize("name", [name for name in sh.__all__ if name != "__version__"])
def test_front_door_every_member_is_documented(name):
    assert inspect.getdoc(getattr(sh, name))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_front_door_every_parameter_is_typed_and_documented(name):
    function = getattr(sh, name)
    hints, text = typing.get_type_hints(function), inspect.getdoc(function) or ""
    arguments, _, _ = text.partition("Returns:")
    for parameter in inspect.signature(function).parameters:
        assert parameter in hints
        assert f"{parameter}: " in arguments
    assert "return" in hints
    assert "Raises:" in text


def test_front_door_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert sh.__version__ == version("stillhouse")


def test_front_door_unknown_name_lists_the_public_ones():
    with pytest.raises(AttributeError, match="no attribute 'verfy'; public names: Interval"):
        sh.verfy  # noqa: B018


def test_front_door_import_loads_nothing_else_of_stillhouse_and_no_library():
    code = "import sys; before = set(sys.modules); import stillhouse; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in loaded if name.split(".")[0] not in sys.stdlib_module_names] == ["stillhouse"]
