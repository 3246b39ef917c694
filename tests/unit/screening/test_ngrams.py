import json
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stillhouse.errors import EngineFailed
from stillhouse.screening.ngrams import Ngrams, add_all, add_counts, save_counts, tokenizer
from stillhouse.screening.tokenise import tokens


def counted(texts, ngrams):
    """The n-grams of all texts, counted."""
    ngrams.add(tokens(texts))
    ngrams.count()
    return ngrams


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


def test_add_counts_of_several_files_is_the_count_of_all_texts(tmp_path):
    shares = [["a b c a b", "c c"], [], ["a b", "c c c"]]
    for number, texts in enumerate(shares):
        scratch = tmp_path / str(number)
        scratch.mkdir()
        share = Ngrams(2, 0, str.split, scratch, spill=3)
        add_all(texts, share, 2, None)
        save_counts(share, tmp_path / f"{number}.counts")
    hashes, counts = add_counts([tmp_path / f"{number}.counts" for number in range(3)], 1, stretches=7)
    together = Ngrams(2, 1, str.split)
    together.take(hashes, counts)
    assert together.frequent(tokens(["a b c c a"])) == [["a b", "c c"]]
    assert together.texts == {"a b": 3, "c c": 3}


def test_tokens_have_the_same_numbers_in_another_process():
    code = "from stillhouse.screening.tokenise import tokens; print(tokens(['a ä 12']).numbers.tolist())"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(printed) == tokens(["a ä 12"]).numbers.tolist()


def test_tokenizer_by_name_cuts_as_it_does(checkpoint):
    assert tokenizer(str(checkpoint))("12 + 3")[:2] == ["1", "2"]


def test_tokenizer_that_is_not_there_is_refused():
    with pytest.raises(EngineFailed, match="ngram_tokenizer nobody/nothing: transformers cannot load it: .*; null takes words"):
        tokenizer("nobody/nothing")
