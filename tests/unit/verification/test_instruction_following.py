import json

import pytest

from stillhouse.verification.instruction_following import InstructionVerifier
from stillhouse.verification.verdict import VerificationRequest


def verdict(answer, *listed, prompt="Say it.", **mode):
    given = {"instruction_id_list": [name for name, _ in listed], "kwargs": [values for _, values in listed], **mode}
    return InstructionVerifier().verify(
        VerificationRequest("instruction_following", answer, None, constraints=json.dumps(given), prompt=prompt)
    )


NO_COMMA = ("punctuation:no_comma", {"num_words": None})
TWO_SENTENCES = ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "at least"})


@pytest.mark.parametrize(
    ("answer", "kind", "score"),
    [("One here. Two there.", "correct", 1.0), ("One, here. Two there.", "partial", 0.5), ("One, two", "wrong", 0.0)],
)
def test_instruction_following_score_is_the_mean_over_constraints(answer, kind, score):
    found = verdict(answer, NO_COMMA, TWO_SENTENCES)
    assert (found.kind, found.verify_score) == (kind, score)


def test_instruction_following_detail_names_what_was_not_met():
    assert verdict("One, here. Two.", NO_COMMA, TWO_SENTENCES).detail == "not met: punctuation:no_comma"


@pytest.mark.parametrize(
    ("answer", "listed", "met"),
    [
        (
            "NASA and ESA agree.",
            ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"}),
            True,
        ),
        ("The cat", ("keywords:existence", {"keywords": ["dog"]}), False),
        ("Say it. Done.", ("combination:repeat_prompt", {"prompt_to_repeat": "Say it."}), True),
        ("Say it. Done.", ("combination:repeat_prompt", {}), True),
        ('{"a": 1}', ("detectable_format:json_format", {}), True),
        ("Dies ist ein deutscher Satz über das Wetter.", ("language:response_language", {"language": "de"}), True),
    ],
)
def test_instruction_following_constraint_is_met_or_not(answer, listed, met):
    assert verdict(answer, listed).kind == ("correct" if met else "wrong")


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        (("no:such", {}), "unknown constraint id 'no:such'"),
        (("length_constraints:number_words", {}), "takes num_words, relation; got none"),
        (("punctuation:no_comma", {"surplus": 1}), "takes no values; got surplus"),
        (("keywords:existence", {"keywords": 5}), "does not take"),
    ],
)
def test_instruction_following_constraint_that_cannot_be_verified_is_an_error_and_no_zero(listed, why):
    found = verdict("x", NO_COMMA, listed)
    assert (found.kind, found.verify_score) == ("error", None)
    assert why in found.detail


@pytest.mark.parametrize(
    "text",
    [None, "", "not json", "[]", "{}", '{"instruction_id_list": ["a"]}', '{"instruction_id_list": ["a"], "kwargs": []}',
     '{"instruction_id_list": [], "kwargs": []}', '{"instruction_id_list": [1], "kwargs": [{}]}',
     '{"instruction_id_list": "a", "kwargs": [{}]}'],
)  # fmt: skip
def test_instruction_following_malformed_constraints_are_errors_without_a_worker(text):
    found = InstructionVerifier().fast_path(VerificationRequest("instruction_following", "x", None, constraints=text))
    assert (found.kind, found.verify_score) == ("error", None)
    assert "constraints" in found.detail


def test_instruction_following_without_answer_scores_0():
    assert verdict("  ", NO_COMMA).kind == "no_answer"


def test_instruction_following_says_where_sentences_are_told_apart_without_nltk_data():
    from nltk.data import find

    try:
        find("tokenizers/punkt_tab/english")
        method = "if-verifiable"
    except LookupError:
        method = "if-verifiable, untrained sentences"
    assert verdict("One.", TWO_SENTENCES).method == method


def test_instruction_following_language_is_the_same_every_time():
    found = {verdict("Alles in Ordnung, ok, si.", ("language:response_language", {"language": "de"})).kind for _ in range(20)}
    assert len(found) == 1


QUOTED = ("startend:quotation", {})


def test_instruction_following_loose_mode_tries_the_answer_without_its_first_line():
    strict, loose = verdict('Sure:\n"Hello"', QUOTED), verdict('Sure:\n"Hello"', QUOTED, mode="loose")
    assert (strict.kind, strict.verify_score) == ("wrong", 0.0)
    assert "loose score 1" in strict.detail
    assert (loose.kind, loose.verify_score) == ("correct", 1.0)
    assert loose.method.endswith("loose")
    assert "strict score 0" in loose.detail


def test_instruction_following_both_modes_over_several_answers_make_the_known_rates():
    """The shape of IFEval's table on rows of our own: prompt-level accuracy, strict and loose."""
    rows = [('"a"', QUOTED), ('Here:\n"a"', QUOTED), ("no", QUOTED), ("**one two**", NO_COMMA), ("a, b", NO_COMMA)]
    met = [[verdict(answer, one, mode=mode).kind == "correct" for answer, one in rows] for mode in ("strict", "loose")]
    rates = [sum(of_mode) / len(rows) for of_mode in met]
    assert rates == [0.4, 0.6]


@pytest.mark.parametrize(
    "listed",
    [
        ("keywords:letter_frequency", {"letter": "ab", "let_frequency": 1, "let_relation": "at least"}),
        ("length_constraints:number_sentences", {"num_sentences": -1, "relation": "at least"}),
        ("length_constraints:number_paragraphs", {"num_paragraphs": -2}),
    ],
)
def test_instruction_following_value_that_would_be_drawn_at_random_is_refused(listed):
    found = verdict("a b", listed)
    assert (found.kind, found.verify_score) == ("error", None)
    assert "at random" in found.detail


def test_instruction_following_sign_that_is_no_letter_is_counted_as_the_question_says():
    sign = {"letter": "#", "let_frequency": 2, "let_relation": "at least"}
    assert [verdict(text, ("keywords:letter_frequency", sign)).kind for text in ("# a #", "# a")] == ["correct", "wrong"]


def test_instruction_following_ids_of_ifbench_are_checked():
    assert [verdict(text, ("count:numbers", {"N": 2})).kind for text in ("one 1 and 2", "one 1")] == ["correct", "wrong"]


@pytest.mark.parametrize(("answer", "kind"), [("El perro duerme", "correct"), ("El perro, dormido", "wrong")])
def test_instruction_following_ids_of_m_ifeval_name_the_language_first(answer, kind):
    assert verdict(answer, ("es:punctuation:no_comma", {})).kind == kind


def test_instruction_following_word_counts_of_languages_without_spaces_are_refused():
    found = verdict("x", ("ja:length_constraints:number_words", {"num_words": 3, "relation": "at least"}))
    assert (found.kind, found.verify_score) == ("error", None)
    assert "without spaces" in found.detail


def test_instruction_following_unknown_mode_is_an_error():
    assert "mode must be strict or loose" in verdict("x", NO_COMMA, mode="lax").detail
