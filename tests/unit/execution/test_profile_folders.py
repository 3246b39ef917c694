import pytest

from stillhouse.errors import BadConfig
from stillhouse.execution import profile_folders as folders


@pytest.fixture
def packaged(tmp_path):
    root = tmp_path / "packaged"
    for name, files in {"base": {"sft-1": "a: 1", "report": "b: 1"}, "more": {"sft-1": "a: 2", "profile": "like: base\n"}}.items():
        (root / name).mkdir(parents=True)
        for stem, text in files.items():
            (root / name / f"{stem}.yaml").write_text(text)
    return root


def stems(packaged, name):
    known = folders.folders(packaged)
    return {stem: path.parent.name for stem, path in folders.recipe_files(known[name], known).items()}


def test_recipes_of_a_profile_are_its_own_before_those_it_is_like(packaged):
    assert stems(packaged, "more") == {"sft-1": "more", "report": "base"}


def test_recipes_left_out_are_not_taken(packaged):
    (packaged / "more" / "profile.yaml").write_text("like: base\nwithout: [report]\n")
    assert stems(packaged, "more") == {"sft-1": "more"}


def test_profiles_that_are_like_each_other_are_refused(packaged):
    (packaged / "base" / "profile.yaml").write_text("like: more\n")
    with pytest.raises(BadConfig, match="more is like base is like more"):
        stems(packaged, "more")


def test_folders_of_the_user_follow_the_packaged_ones(packaged, tmp_path, monkeypatch):
    (tmp_path / "mine" / "own").mkdir(parents=True)
    (tmp_path / "mine" / "own" / "sft-1.yaml").write_text("{}")
    monkeypatch.setenv("STILLHOUSE_PROFILES_PATH", f"{tmp_path / 'mine'}, {tmp_path / 'gone'}")
    assert list(folders.folders(packaged)) == ["base", "more", "own"]
    assert folders.problems(packaged) == [
        f"STILLHOUSE_PROFILES_PATH: {tmp_path / 'gone'} is not a directory of profiles that can be read"
    ]


def test_changed_profile_is_read_again(packaged):
    assert "report" in stems(packaged, "more")
    (packaged / "more" / "profile.yaml").write_text("title: like nobody\n")
    assert "report" not in stems(packaged, "more")
