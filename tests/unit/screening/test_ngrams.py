import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stillhouse.errors import EngineFailed
from stillhouse.screening.ngrams import Ngrams, counted, tokenizer
from stillhouse.screening.tokenise import tokens

TEXTS = st.lists(st.lists(st.sampled_from("ab"), max_size=12).map(" ".join), max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TEXTS, st.integers(1, 4), st.integers(1, 3), st.sampled_from([1, 5, 1000]))
def test_ngrams_frequent_agrees_with_counting_by_hand_in_memory_and_in_files(tmp_path, texts, n, max_count, spill):
    def grams(text):
        words = text.split()
        return [" ".join(words[place : place + n]) for place in range(len(words) - n + 1)]

    everything = [gram for text in texts for gram in grams(text)]
    ngrams = counted(texts, Ngrams(n, max_count, str.split, tmp_path, spill))
    expected = [[gram for gram in grams(text) if everything.count(gram) > max_count] for text in texts]
    assert ngrams.frequent(tokens(texts)) == expected
    assert ngrams.texts == {gram: everything.count(gram) for gram in everything if everything.count(gram) > max_count}
    assert list(tmp_path.iterdir()) == []


def test_ngrams_whose_file_is_made_by_the_last_of_the_hashes_are_counted(tmp_path):
    ngrams = Ngrams(1, 1, str.split, tmp_path, spill=3)
    ngrams.add(tokens(["a a a"]))
    ngrams.add(tokens(["b b"]))
    ngrams.count()
    assert ngrams.frequent(tokens(["a b"])) == [["a", "b"]]
    assert list(tmp_path.iterdir()) == []


def test_ngrams_paper_s_rule_needs_more_than_twenty_occurrences(tmp_path):
    text = " ".join(f"w{place}" for place in range(20))
    assert counted([text] * 20, Ngrams(20, 20, str.split, tmp_path)).frequent(tokens([text])) == [[]]
    assert counted([text] * 21, Ngrams(20, 20, str.split, tmp_path)).frequent(tokens([text])) == [[text]]


def test_tokenizer_by_name_cuts_as_it_does(checkpoint):
    assert tokenizer(str(checkpoint))("12 + 3")[:2] == ["1", "2"]


def test_tokenizer_that_is_not_there_is_refused():
    with pytest.raises(EngineFailed, match="ngram_tokenizer nobody/nothing: transformers cannot load it: .*; null takes words"):
        tokenizer("nobody/nothing")
