import json

import pytest
from pydantic import ValidationError

from stillhouse import sources
from stillhouse.errors import MissingInput, TooManyErrors
from stillhouse.sources import huggingface
from stillhouse.sources.stored import HuggingFace
from stillhouse.vocabulary.rows import Dropped


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data set of two splits, in files, and no cache but the test's."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    made = tmp_path / "made"
    made.mkdir()
    for split, count in (("train", 5), ("test", 2)):
        rows = [{"question": f"{number}+1?", "answer": {"value": number + 1}} for number in range(count)]
        (made / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


def spec(folder, **changes):
    columns = {"prompt": "question", "reference_answer": "answer.value"}
    settings = {
        "name": "hub",
        "license": "MIT",
        "category": "math",
        "columns": columns,
        "dataset": str(folder),
        "revision": "2026-11",
    }
    return HuggingFace(**settings | changes)


def test_huggingface_split_is_read_in_order(folder):
    made = list(sources.read(spec(folder)))
    assert [row.messages[0]["content"] for row in made] == [f"{number}+1?" for number in range(5)]
    assert [row.reference_answer for row in made] == ["1", "2", "3", "4", "5"]
    assert (made[0].source, made[0].license) == ("hub", "MIT")
    assert len(list(sources.read(spec(folder, split="test")))) == 2


def test_huggingface_cap_takes_the_first_questions(folder):
    assert len(list(sources.read(spec(folder, count=3)))) == 3


def test_huggingface_missing_column_is_counted_per_row_and_the_ceiling_is_kept(folder):
    wrong = {"columns": {"prompt": "problem"}}
    found = list(sources.read(spec(folder, max_bad_rate=1, **wrong)))
    assert [row.reason for row in found] == ["bad_column"] * 5
    assert isinstance(found[0], Dropped)
    assert found[0].key == f"{folder}@2026-11/train:1"
    with pytest.raises(TooManyErrors, match="5 of 5 rows are bad"):
        list(sources.read(spec(folder, **wrong)))


@pytest.mark.parametrize("changes", [{"split": "validation"}, {"dataset": "no/such-data-set"}, {"subset": "other"}])
def test_huggingface_what_is_not_there_is_missing(folder, changes):
    with pytest.raises(MissingInput, match="source hub: .*check name, revision, split and network"):
        list(sources.read(spec(folder, **changes)))


def cut(library: str) -> Exception:
    """What the hub's client raises for a reply that ends too early, a reset, or an archive without its end."""
    from datasets.utils import file_utils

    raised = {"client": file_utils.httpx.RemoteProtocolError, "socket": ConnectionError, "archive": EOFError}
    return raised[library]("reset by peer")


@pytest.mark.parametrize("library", ["client", "socket", "archive"])
def test_huggingface_that_breaks_off_is_missing_and_no_shorter_data_set(folder, monkeypatch, library):
    def broken(spec, split):
        yield {"question": "1+1?", "answer": {"value": 2}}
        raise cut(library)

    monkeypatch.setattr(huggingface, "_open", broken)
    with pytest.raises(MissingInput, match="cannot be read after row 1: reset by peer"):
        list(sources.read(spec(folder)))


@pytest.mark.parametrize("revision", [None, "", "main"])
def test_huggingface_revision_is_required_and_a_branch_is_none(folder, revision):
    with pytest.raises(ValidationError, match="revision"):
        spec(folder, revision=revision)
