import pytest

from stillhouse.errors import DamagedArtifact
from stillhouse.models import pins
from stillhouse.models.pins import Pin
from stillhouse.models.references import HubModel

MAIN = HubModel("a/b", "main")


def commit(digit: str) -> Pin:
    return Pin("hub", f"hf://a/b@{digit * 40}", f"a/b@{digit * 40}")


def never() -> Pin:
    pytest.fail("asked again")


def test_once_two_tasks_of_one_version_agree(tmp_path):
    root = tmp_path.as_uri()
    assert pins.once(f"{root}/sft/x/7", MAIN, lambda: commit("1")) == commit("1")
    assert pins.once(f"{root}/report/y/7", MAIN, never) == commit("1")


def test_once_another_version_or_branch_is_resolved_anew(tmp_path):
    root = tmp_path.as_uri()
    pins.once(f"{root}/sft/x/7", MAIN, lambda: commit("1"))
    assert pins.once(f"{root}/sft/x/8", MAIN, lambda: commit("2")) == commit("2")
    assert pins.once(f"{root}/sft/x/7", HubModel("a/b", "dev"), lambda: commit("3")) == commit("3")


def test_once_task_that_was_slower_takes_the_pin_of_the_faster(tmp_path):
    output = f"{tmp_path.as_uri()}/sft/x/7"

    def slow() -> Pin:
        pins.once(output, MAIN, lambda: commit("1"))  # another task, meanwhile
        return commit("2")

    assert pins.once(output, MAIN, slow) == commit("1")


def test_once_edited_record_is_refused(tmp_path):
    output = f"{tmp_path.as_uri()}/sft/x/7"
    pins.once(output, MAIN, lambda: commit("1"))
    [record] = (tmp_path / "pins" / "7").iterdir()
    record.write_text("{}")
    with pytest.raises(DamagedArtifact, match="was it edited"):
        pins.once(output, MAIN, never)
