import pytest
import yaml

from laptop import shrinking, stand_in_data
from stillhouse.api import profile_checks
from stillhouse.execution import profiles, recipes

NAMES = sorted(path.parent.name for path in recipes.RECIPES.glob("*/profile.yaml"))


@pytest.fixture
def shrunk(tmp_path, monkeypatch):
    """Shrink a profile; returns it as loaded."""
    monkeypatch.setenv("STILLHOUSE_PROFILES_PATH", str(tmp_path / "profiles"))

    def call(name):
        small = shrinking.shrink(profiles.load(name), tmp_path, student="/tiny", endpoint="http://127.0.0.1:1")
        return profiles.load(small)

    return call


@pytest.mark.parametrize("name", NAMES)
def test_miniature_is_a_sound_profile_of_the_same_pipeline_with_nothing_left_to_fill_in(shrunk, name):
    small, whole = shrunk(name), profiles.load(name)
    assert profile_checks.problems(small.path) == []
    assert profile_checks.open_questions(small) == []
    assert (small.profile.pipeline, small.recipes.keys()) == (whole.profile.pipeline, whole.recipes.keys())
    assert small.profile.models.keys() == whole.profile.models.keys()


def test_miniature_changes_models_and_sizes_and_nothing_else(shrunk):
    small = shrunk("deepdistill-32b")
    whole = profiles.load("deepdistill-32b")
    for stem, kept in {"graded": None, "selected": None, "sft-1": {"max_steps", "batch_size", "max_length"}}.items():
        before = profile_checks.config_of(whole, stem).model_dump()
        after = profile_checks.config_of(small, stem).model_dump()
        assert {name for name in before if before[name] != after[name]} <= (kept or set()), stem
    assert profile_checks.config_of(small, "responses") == profile_checks.config_of(whole, "responses")


def test_miniature_has_rows_of_every_source_in_its_category(shrunk):
    small = profile_checks.config_of(shrunk("deepdistill-32b"), "questions")
    whole = profile_checks.config_of(profiles.load("deepdistill-32b"), "questions")
    assert [(one.name, one.category) for one in small.sources] == [(one.name, one.category) for one in whole.sources]


def test_stand_in_rows_differ_between_sources(tmp_path):
    for name, first in (("a", 0), ("b", 1000)):
        stand_in_data.questions(tmp_path / name, "math", 30, first)
    rows = [line for name in "ab" for line in (tmp_path / name).read_text().splitlines()]
    assert len(set(rows)) == 60


def test_miniature_is_written_as_any_profile_is(shrunk):
    small = shrunk("staged-rl-1.5b")
    facts = yaml.safe_load((small.path / "profile.yaml").read_text())
    assert facts["models"]["student"] == "/tiny"
    assert facts["models"]["small"] == {"name": "DeepSeek-R1-Distill-Qwen-1.5B", "endpoint": "http://127.0.0.1:1/v1"}
    assert all(choice["shards"] == 2 for choice in facts["placement"].values())
