from stillhouse.screening import tokenise as cutting
from stillhouse.screening.tokenise import batches, tokens


def test_tokens_of_several_texts_stand_end_to_end_with_equal_numbers_for_equal_ones():
    made = tokens(["a b a", "", "b"])
    assert made.by_text == [["a", "b", "a"], [], ["b"]]
    assert made.starts.tolist() == [0, 3, 3, 4]
    first, second, third, fourth = made.numbers.tolist()
    assert (first, second) == (third, fourth)
    assert first != second


def test_batches_end_at_a_number_of_texts_and_at_a_number_of_characters(monkeypatch):
    monkeypatch.setattr(cutting, "BATCH", 3)
    monkeypatch.setattr(cutting, "BATCH_CHARACTERS", 10)
    assert list(batches(["a", "b", "c", "long enough", "d", "e"], str)) == [["a", "b", "c"], ["long enough"], ["d", "e"]]
