import pytest
from pydantic import TypeAdapter, ValidationError

from stillhouse import testing
from stillhouse.curation.config import Shares
from stillhouse.curation.downsampling import surplus


def kept(shares, seed, questions):
    return {row.question_id for row in questions if surplus(shares, seed, row) is None}


def test_surplus_keeps_the_share_by_seed_and_id_alone():
    given = [testing.question(f"{n}?", difficulty_label="easy") for n in range(400)]
    some = kept({"difficulty/easy": 0.25}, 1, given)
    assert 70 <= len(some) <= 130
    assert kept({"difficulty/easy": 0.25}, 1, reversed(given)) == some
    assert kept({"difficulty/easy": 0.25}, 2, given) != some
    assert some <= kept({"difficulty/easy": 0.5}, 1, given)


def test_surplus_leaves_other_labels_alone():
    given = [testing.question("a b c", difficulty_label="hard"), testing.question("d e f")]
    assert len(kept({"difficulty/easy": 0}, 0, given)) == 2
    assert kept({"category/math": 0}, 0, given) == set()


@pytest.mark.parametrize(("name", "share"), [("easy", 0.5), ("level/easy", 0.5), ("difficulty/", 0.5), ("difficulty/easy", 1.5)])
def test_shares_of_no_label_or_no_share_are_refused(name, share):
    with pytest.raises(ValidationError):
        TypeAdapter(Shares).validate_python({name: share})
