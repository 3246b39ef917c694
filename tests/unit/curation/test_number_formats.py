import pytest

from stillhouse.curation.number_formats import in_english_form, words_with_english_numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("er kostet 1.234,50 euro", "er kostet 1234.50 euro"),
        ("il vaut 80 000 et 1,5", "il vaut 80000 et 1.5"),
        ("0.025 oder 2,5 prozent", "0.025 oder 2.5 prozent"),
        ("die zahlen 1,2,3", "die zahlen 1,2,3"),
        ("1.5 und 12.34", "1.5 und 12.34"),
        ("1 2 3 und 4 5000", "1 2 3 und 4 5000"),
    ],
)
def test_in_english_form_reads_groups_and_decimal_commas(text, expected):
    assert in_english_form(text) == expected


def test_words_with_english_numbers_reads_a_comma_as_the_language_does():
    german = "Ein Ticket kostet 8,50 Dollar, und die Karte gilt für 12.000 Besucher. Wie viel nimmt das Theater ein?"
    english = "There are 12,000 visitors and the point (3,4) is on the line. How far is it from the origin of the plane?"
    assert {"8.50", "12000"} <= set(words_with_english_numbers(german))
    assert {"12000", "3", "4"} <= set(words_with_english_numbers(english))
