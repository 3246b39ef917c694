from pathlib import Path

import pytest
import yaml

from laptop import own_model
from laptop.settings import Laptop
from stillhouse.errors import BadConfig
from stillhouse.execution import profiles, recipes
from stillhouse.sampling.config import ResponsesConfig


@pytest.fixture
def laptop(tmp_path):
    return Laptop("file", tmp_path / "home", {})


@pytest.fixture
def model(tmp_path):
    (tmp_path / "qwen").mkdir()
    return tmp_path / "qwen"


def written(folder: Path) -> dict:
    return yaml.safe_load((folder / "profile.yaml").read_text())


def test_profile_of_a_directory_has_it_as_student_and_as_its_own_teachers(laptop, model, monkeypatch):
    folder = own_model.write_profile(laptop, str(model))
    assert written(folder)["models"] == dict.fromkeys(("student", "small", "medium", "large"), str(model))
    assert profiles.problems(folder) == []
    monkeypatch.setenv("STILLHOUSE_PROFILES_PATH", laptop.profiles_path())
    assert profiles.load("own").path == folder
    files = profiles.load_folder(folder).recipes
    temperatures = [yaml.safe_load(files[f"responses-{role}"].read_text())["temperature"] for role in own_model.ROLES]
    assert len(set(temperatures)) == 3


def test_profile_of_a_relative_path_names_it_in_full(laptop, model, monkeypatch):
    monkeypatch.chdir(model.parent)
    assert written(own_model.write_profile(laptop, "qwen"))["models"]["student"] == str(model)


def test_profile_with_an_endpoint_asks_it_under_the_names_of_the_roles(laptop, model):
    folder = own_model.write_profile(laptop, str(model), ["r1=http://127.0.0.1:8000/v1"])
    assert written(folder)["models"]["large"] == {"name": "r1", "endpoint": "http://127.0.0.1:8000/v1"}
    assert profiles.problems(folder) == []
    config = recipes.resolve(ResponsesConfig, [f"@{folder / 'responses-large.yaml'}"])
    assert (config.engine, config.sources()) == ("openai", {"large": "r1"})


def test_profile_with_three_teachers_has_each_in_its_role(laptop, model):
    models = written(own_model.write_profile(laptop, str(model), ["hf://a/small", "hf://a/medium@v1", "models:/best@champion"]))[
        "models"
    ]
    assert (models["small"], models["medium"], models["large"]) == ("hf://a/small", "hf://a/medium@v1", "models:/best@champion")


def test_profile_written_again_keeps_nothing_of_the_one_before(laptop, model):
    own_model.write_profile(laptop, str(model), ["r1=http://127.0.0.1:8000/v1"])
    assert [path.name for path in own_model.write_profile(laptop, str(model)).iterdir()] == ["profile.yaml"]


@pytest.mark.parametrize(
    ("name", "teachers", "line"),
    [
        ("/nowhere/qwen", [], "there is no directory /nowhere/qwen"),
        ("Qwen/Qwen2.5-7B", [], "written hf://Qwen/Qwen2.5-7B"),
        ("hf://qwen", [], "not of the form"),
        ("hf://a/b", ["hf://a/b", "hf://a/c"], "2 are named; name one, or three"),
        ("hf://a/b", ["gpt"], "there is no directory"),
    ],
)
def test_profile_of_what_is_no_model_is_refused(laptop, name, teachers, line):
    with pytest.raises(BadConfig, match=line):
        own_model.write_profile(laptop, name, teachers)
    assert not (laptop.profiles / "own" / "profile.yaml").exists()


def test_environment_of_the_services_finds_the_profile_once_it_is_there(laptop, model, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_PROFILES_PATH", "s3://team/profiles")
    assert laptop.profiles_path() == "s3://team/profiles"
    own_model.write_profile(laptop, str(model))
    assert laptop.profiles_path() == f"s3://team/profiles,{laptop.profiles}"
