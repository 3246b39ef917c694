import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.exchange import record

WORDS = st.none() | st.text() | st.sampled_from(["imported", "imported:x", "stillhouse:abc", "stillhouse:imported", "stillhouse:"])


@given(WORDS)
def test_answer_source_survives_as_a_sampling_id(word):
    assert record.answer_source_of(record.sampling_of(word)) == word


@pytest.mark.parametrize(
    ("sampling_id", "word"), [("imported", None), ("imported:am-0309", "am-0309"), ("3fa9", "stillhouse:3fa9")]
)
def test_sampling_id_of_ours_and_of_a_release_comes_back(sampling_id, word):
    assert record.answer_source_of(sampling_id) == word
    assert record.sampling_of(word) == sampling_id


@pytest.mark.parametrize("category", record.CATEGORY_WORDS)
def test_category_every_word_written_is_read(category):
    assert record.category_of(record.CATEGORY_WORDS[category], None) == category
