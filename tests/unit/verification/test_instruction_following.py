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


@pytest.mark.parametrize(
    ("name", "values", "met", "missed"),
    [
        ("es:keywords:existence", {"keywords": ["selección", "ADN"]}, "La Selección del adn.", "La selección."),
        ("es:keywords:frequency", {"keyword": "éxito", "frequency": 1, "relation": "como máximo"}, "Un éxito.", "Éxito y éxito."),
        ("es:keywords:letter_frequency", {"letter": "f", "let_frequency": 2, "let_relation": "al menos"}, "Café fino", "Café"),
        ("es:length_constraints:number_words", {"num_words": 3, "relation": "al menos"}, "1. uno dos tres", "1. uno dos"),
        ("es:length_constraints:number_sentences", {"num_sentences": 2, "relation": "como máximo"}, "Sí. No.", "Sí. No. Sí."),
        ("es:detectable_content:postscript", {"postscript_marker": "P.D."}, "Fin.\nP. D. Adiós", "Fin."),
        ("es:detectable_format:title", {}, "<<Título>>\nHola", "<< >>\nHola"),
        ("es:detectable_format:number_bullet_lists", {"num_bullets": 2}, "* uno\n* dos", "* uno\n- dos"),
        ("es:detectable_format:constrained_response", {}, "Quizás.", "Puede ser."),
        (
            "es:change_case:capital_word_frequency",
            {"capital_relation": "como máximo", "capital_frequency": 1},
            "La ONU",
            "La ONU y la UE",
        ),
        ("es:change_case:spanish_capital", {}, "ESTA ES UNA RESPUESTA EN ESPAÑOL.", "Esta es una respuesta en español."),
        ("es:punctuation:question_marks", {}, "¿Qué tal?", "Qué tal?"),
        ("es:punctuation:exclamation_marks", {}, "¡Hola!", "Hola!"),
        ("es:special_character:enie", {"let_frequency": 2}, "El niño y la niña", "El niño"),
        ("es:special_character:dieresis", {"let_frequency": 1}, "El pingüino", "El pinguino"),
        ("es:special_character:tildes", {"num_words": 2, "relation": "al menos"}, "Más café", "Mas café"),
        ("fr:length_constraints:number_words", {"num_words": 3, "relation": "moins de"}, "un deux", "un deux trois"),
        ("fr:length_constraints:number_paragraphs", {"num_paragraphs": 2}, "Un.\n***\nDeux.", "Un.\n\nDeux."),
        (
            "fr:length_constraints:nth_paragraph_first_word",
            {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Le"},
            "Un.\n\nLe chat.",
            "Un.\n\nUn chat.",
        ),
        ("fr:detectable_content:informal_address", {}, "As-tu faim ?", "Avez-vous faim ?"),
        ("fr:detectable_content:no_digits", {}, "Deux ans", "2 ans"),
        ("fr:detectable_content:number_placeholders", {"num_placeholders": 2}, "[nom] [ville]", "[nom]"),
        (
            "fr:detectable_format:multiple_sections",
            {"section_spliter": "SECTION", "num_sections": 2},
            "SECTION 1\na\nSECTION 2\nb",
            "SECTION 1\na",
        ),
        ("fr:detectable_format:number_highlighted_sections", {"num_highlights": 1}, "Un *mot*.", "Un mot."),
        ("fr:detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "a: 1"),
        ("fr:special_character:accents", {"word_to_accentuate": {"ecole": "école"}}, "Une école", "Une ecole"),
        ("fr:special_character:no_accents", {}, "Un mot", "Un été"),
        ("fr:special_character:ethel_or_cedilla", {"forbidden_char": "ç"}, "Un francais", "Un Français"),
        ("fr:startend:quotation", {}, "« Bonjour »", "Bonjour"),
        (
            "fr:startend:end_checker",
            {"end_phrase": "D'autres questions ?"},
            "Voilà. D'autres questions ?",
            "D'autres questions ? Non.",
        ),
        ("fr:combination:two_responses", {}, "Un\n******\nDeux", "Un\n******\nUn"),
        ("fr:combination:repeat_prompt", {"prompt_to_repeat": "Dis-le."}, "Dis-le. Voilà.", "Voilà."),
        ("fr:language:response_language", {"language": "fr"}, "Ceci est une réponse en français.", "This is an answer in English."),
        ("ja:keywords:forbidden_words", {"forbidden_words": ["健康"]}, "元気です。", "健康です。"),
        ("ja:keywords:letter_frequency", {"let_relation": "以上", "letter": "し", "let_frequency": 2}, "しシ", "し"),
        ("ja:length_constraints:number_letters", {"relation": "未満", "num_letters": 3}, "はい", "いいえ"),
        ("ja:length_constraints:number_sentences", {"relation": "以上", "num_sentences": 2}, "はい。いいえ。", "はい。"),
        ("ja:detectable_format:number_numbered_lists", {"num_items": 2}, "1. 一\n2. 二", "1. 一"),
        ("ja:detectable_format:title", {}, "『題』", "題"),
        ("ja:detectable_format:multiple_sections", {"section_spliter": "章", "num_sections": 2}, "第1章 一\n第２章 二", "第1章 一"),
        ("ja:letters:furigana", {}, "漢字（かんじ）です", "漢字です"),
        ("ja:letters:kanji", {"relation": "以上", "kanji_limit": 2}, "漢字", "字"),
        ("ja:letters:kansuuji", {}, "三つ", "3つ"),
        ("ja:letters:hiragana_only", {}, "ひらがな。", "カタカナ。"),
        ("ja:letters:katakana_only", {}, "カタカナ!", "ひらがな"),
        ("ja:letters:no_hiragana", {}, "漢字", "漢字の"),
        ("ja:letters:no_katakana", {}, "漢字", "カタカナ"),
        ("ja:punctuation:no_comma", {}, "はい", "はい、そう"),
        ("ja:punctuation:no_period", {}, "はい", "はい。"),
        ("ja:startend:quotation", {}, "「はい」", "はい"),
        ("ja:startend:sentence_unified_end", {"ending": "です"}, "猫です。犬です。", "猫です。犬だ。"),
    ],
)
def test_instruction_following_constraint_of_m_ifeval_is_met_and_missed(name, values, met, missed):
    assert [verdict(answer, (name, values)).kind for answer in (met, missed)] == ["correct", "wrong"]


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("ja:length_constraints:number_words", {"num_words": 3, "relation": "at least"}, "this id is none of them"),
        ("de:punctuation:no_comma", {}, "this id is none of them"),
        ("es:keywords:frequency", {"keyword": "a", "frequency": 1, "relation": "at least"}, "relation must be one of al menos"),
        ("fr:length_constraints:number_words", {"num_words": "many", "relation": "moins de"}, "num_words must be a whole number"),
        ("fr:keywords:existence", {"keywords": "mot"}, "keywords must be a list of words"),
        ("es:startend:end_checker", {"end": "x"}, "takes end_phrase; got end"),
    ],
)
def test_instruction_following_value_that_m_ifeval_does_not_take_is_an_error(name, values, why):
    found = verdict("x", (name, values))
    assert (found.kind, found.verify_score) == ("error", None)
    assert why in found.detail


def test_instruction_following_unknown_mode_is_an_error():
    assert "mode must be strict or loose" in verdict("x", NO_COMMA, mode="lax").detail
