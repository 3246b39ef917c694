import pytest

from stillhouse import testing
from stillhouse.curation.normalised import normaliser
from stillhouse.errors import BadConfig
from stillhouse.vocabulary import ids


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is the sum of all the primes that are less than 20?", "en"),
        ("Quelle est la somme des nombres premiers inférieurs à vingt ?", "fr"),
        ("请问这个方程的解是什么？", "zh"),
        ("2 + 2", None),
        ("Solve for x.", None),
    ],
)
def test_normaliser_language_is_told_where_it_can_be(text, language):
    assert normaliser(None)(testing.question(text, language=None)).question.language == language


def test_normaliser_keeps_the_language_that_the_source_says():
    assert normaliser(None)(testing.question("Was ist das?", language="nl")).question.language == "nl"


def test_normaliser_counts_words_of_all_turns_without_their_roles():
    messages = [{"role": "user", "content": "What is 1,000 + 1?"}, {"role": "assistant", "content": "It is 1001."}]
    normalised = normaliser(None)(testing.question(messages=messages))
    made = normalised.question
    assert made.n_tokens == 5 + 3
    assert (made.question_id, normalised.content_id) == (testing.question().question_id, ids.question_id(messages, "2"))


def test_normaliser_named_tokenizer_counts_its_own_tokens(checkpoint):
    from transformers import AutoTokenizer

    text = "What is 17 + 4?"
    expected = len(AutoTokenizer.from_pretrained(checkpoint).encode(text, add_special_tokens=False))
    assert normaliser(str(checkpoint))(testing.question(text)).question.n_tokens == expected


def test_normaliser_unknown_tokenizer_is_refused(tmp_path):
    with pytest.raises(BadConfig, match="give a hub name or a directory"):
        normaliser(str(tmp_path))
