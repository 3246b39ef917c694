"""The constraints of M-IFEval (Dussolle et al. 2025): Spanish, French and Japanese ids such as ``es:keywords:existence``.

The ids, their arguments and what counts as met are the published ones. Words and sentences are not split by spaCy and janome, as
there: Spanish and French words are runs of letters and digits, sentences are nltk's, and a Japanese keyword is found wherever it
stands in the text. ``ja:detectable_format:nominal_ending`` needs a tagger and is not here. English ones are IFEval's.
"""

import re
from dataclasses import dataclass
from typing import Any

from stillhouse.verification import language_checks as checks
from stillhouse.verification.language_checks import RELATIONS, Check, Values


class UnknownArgument(ValueError):
    """A constraint was given values that it does not take; the message says which."""


@dataclass(frozen=True)
class LanguageRule:
    """``check``: of an answer and the constraint's values; ``needs``: their names; ``optional``: values that may be missing."""

    check: Check
    needs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


@dataclass(frozen=True)
class LanguageChecker:
    """One constraint with its values."""

    rule: LanguageRule
    values: Values

    def check_following(self, answer: str) -> bool:
        """Whether the answer meets the constraint."""
        return bool(answer.strip()) and self.rule.check(answer, self.values)


def language_checker(name: str, values: Values) -> LanguageChecker | None:
    """The checker of an id such as ``fr:startend:quotation``; None for an id that is not here. Raises UnknownArgument."""
    language, _, bare = name.partition(":")
    rule = _RULES.get(language, {}).get(bare)
    if rule is None:
        return None
    missing, further = set(rule.needs) - set(values), set(values) - {*rule.needs, *rule.optional}
    if missing or further:
        msg = f"constraint {name} takes {', '.join(rule.needs) or 'no values'}; got {', '.join(sorted(values)) or 'none'}"
        raise UnknownArgument(msg)
    for key, value in values.items():
        _require_value(name, language, key, value)
    return LanguageChecker(rule, values)


def _require_value(name: str, language: str, key: str, value: Any) -> None:
    """Raise UnknownArgument for a relation of another language, or a count that is no whole number."""
    if key.endswith("relation") and value not in RELATIONS[language]:
        msg = f"constraint {name}: {key} must be one of {', '.join(RELATIONS[language])}; got {value!r}"
        raise UnknownArgument(msg)
    is_count = key.startswith(("num_", "nth_")) or key in ("frequency", "let_frequency", "capital_frequency", "kanji_limit")
    if is_count and not (isinstance(value, int | float) and value == int(value) >= 0):
        msg = f"constraint {name}: {key} must be a whole number; got {value!r}"
        raise UnknownArgument(msg)
    if key in ("keywords", "forbidden_words") and not (
        isinstance(value, list) and value and all(isinstance(word, str) for word in value)
    ):
        msg = f"constraint {name}: {key} must be a list of words; got {value!r}"
        raise UnknownArgument(msg)


def _of_all(language: str) -> dict[str, LanguageRule]:
    """The constraints that all three languages have."""
    latin = language != "ja"
    sentences = checks.sentences(language) if latin else checks.japanese_sentences
    letters = checks.letter_count if latin else checks.kana_count
    return {
        "keywords:existence": LanguageRule(checks.has_all, ("keywords",)),
        "keywords:forbidden_words": LanguageRule(checks.has_none if latin else checks.has_no_text, ("forbidden_words",)),
        "keywords:frequency": LanguageRule(checks.counted(checks.keyword_count, "frequency"), ("keyword", "frequency", "relation")),
        "keywords:letter_frequency": LanguageRule(
            checks.counted(letters, "let_frequency", "let_relation"), ("letter", "let_frequency", "let_relation")
        ),
        "language:response_language": LanguageRule(checks.is_in(""), ("language",)),
        "length_constraints:number_sentences": LanguageRule(
            checks.counted(sentences, "num_sentences"), ("num_sentences", "relation")
        ),
        "length_constraints:number_paragraphs": LanguageRule(checks.paragraphs, ("num_paragraphs",)),
        "length_constraints:nth_paragraph_first_word": LanguageRule(
            checks.first_words, ("num_paragraphs", "nth_paragraph", "first_word")
        ),
        "detectable_content:number_placeholders": LanguageRule(
            checks.counted(checks.placeholders, "num_placeholders"), ("num_placeholders",), ("relation",)
        ),
        "detectable_content:postscript": LanguageRule(checks.postscript, ("postscript_marker",)),
        "detectable_format:json_format": LanguageRule(checks.is_json),
        "combination:two_responses": LanguageRule(checks.two_responses),
        "combination:repeat_prompt": LanguageRule(checks.begins_with, ("prompt_to_repeat",)),
        "startend:end_checker": LanguageRule(checks.ends_with, ("end_phrase",)),
    }  # fmt: skip


def _spanish() -> dict[str, LanguageRule]:
    return (
        _of_all("es")
        | _of_latin("es", ("Sí.", "No.", "Quizás."), r"^\s*\*[^\*].*$", r"<<[^\n]+>>", ['""'])
        | {
            "change_case:spanish_capital": LanguageRule(checks.upper("es")),
            "change_case:spanish_lowercase": LanguageRule(checks.lower("es")),
            "punctuation:question_marks": LanguageRule(checks.has(r"¿[^?]*\?")),
            "punctuation:exclamation_marks": LanguageRule(checks.has(r"¡[^!]*!")),
            "special_character:enie": LanguageRule(
                checks.exactly_counted(checks.words_with("ñ"), "let_frequency"), ("let_frequency",)
            ),
            "special_character:dieresis": LanguageRule(
                checks.exactly_counted(checks.words_with("ü"), "let_frequency"), ("let_frequency",)
            ),
            "special_character:tildes": LanguageRule(
                checks.counted(checks.words_with("áéíóú"), "num_words"), ("num_words", "relation")
            ),
        }
    )


def _french() -> dict[str, LanguageRule]:
    bullets = r"^\s*(?:\*[^\*\n]|-).*$"
    return (
        _of_all("fr")
        | _of_latin("fr", ("Oui.", "Non.", "Peut-être."), bullets, r"##[^\n]+##", ['""', "''", "«»"])
        | {
            "change_case:french_capital": LanguageRule(checks.upper("fr")),
            "change_case:french_lowercase": LanguageRule(checks.lower("fr")),
            "detectable_content:informal_address": LanguageRule(checks.has_tu),
            "detectable_content:no_digits": LanguageRule(checks.lacks(r"\d")),
            "special_character:no_accents": LanguageRule(checks.lacks("[àáâãäåçèéêëìíîïñòóôõöùúûüýÿÀÁÂÃÄÅÇÈÉÊËÌÍÎÏÑÒÓÔÕÖÙÚÛÜÝ]")),
            "special_character:ethel_or_cedilla": LanguageRule(checks.lacks_character, ("forbidden_char",)),
            "special_character:accents": LanguageRule(checks.accents, ("word_to_accentuate",)),
        }
    )


def _of_latin(language: str, responses: tuple[str, ...], bullets: str, title: str, quotes: list[str]) -> dict[str, LanguageRule]:
    """The constraints that Spanish and French have in forms of their own."""
    return {
        "length_constraints:number_words": LanguageRule(
            checks.counted(checks.word_count if language == "es" else checks.runs, "num_words"), ("num_words", "relation")
        ),
        "change_case:capital_word_frequency": LanguageRule(
            checks.counted(checks.capital_words, "capital_frequency", "capital_relation"), ("capital_frequency", "capital_relation")
        ),
        "punctuation:no_comma": LanguageRule(checks.lacks(",")),
        "startend:quotation": LanguageRule(checks.quoted(*quotes)),
        "detectable_format:constrained_response": LanguageRule(checks.one_of(*responses)),
        "detectable_format:number_bullet_lists": LanguageRule(checks.exactly(bullets, "num_bullets"), ("num_bullets",)),
        "detectable_format:title": LanguageRule(checks.has(title)),
        "detectable_format:number_highlighted_sections": LanguageRule(
            checks.counted(checks.highlights, "num_highlights"), ("num_highlights",), ("relation",)
        ),
        "detectable_format:multiple_sections": LanguageRule(
            checks.counted(checks.sections(), "num_sections"), ("section_spliter", "num_sections"), ("relation",)
        ),
    }


def _japanese() -> dict[str, LanguageRule]:
    responses = ("はい、そうです。", "いいえ、違います。", "どちらとも言えません。")
    return _of_all("ja") | {
        "length_constraints:number_letters": LanguageRule(
            checks.counted(lambda answer, _: len(answer), "num_letters"), ("num_letters", "relation")
        ),
        "punctuation:no_comma": LanguageRule(checks.lacks("、")),
        "punctuation:no_period": LanguageRule(checks.lacks("。")),
        "startend:quotation": LanguageRule(checks.quoted("「」")),
        "startend:sentence_unified_end": LanguageRule(checks.unified_end, ("ending",)),
        "detectable_format:constrained_response": LanguageRule(checks.one_of(*responses)),
        "detectable_format:number_bullet_lists": LanguageRule(checks.exactly(r"^\s*・[^・].*$", "num_bullets"), ("num_bullets",)),
        "detectable_format:number_numbered_lists": LanguageRule(checks.exactly(r"^\s*\d+\.\s.*$", "num_items"), ("num_items",)),
        "detectable_format:number_highlighted_sections": LanguageRule(
            checks.counted(checks.matches(r"《[^\n《》]*》"), "num_highlights"), ("num_highlights",), ("relation",)
        ),
        "detectable_format:title": LanguageRule(checks.has(r"『[^\n]+』")),
        "detectable_format:multiple_sections": LanguageRule(
            checks.counted(checks.sections(r"第[\d\uFF10-\uFF19]+", ""), "num_sections"),
            ("section_spliter", "num_sections"),
            ("relation",),
        ),
        "letters:furigana": LanguageRule(checks.furigana),
        "letters:kanji": LanguageRule(
            checks.counted(lambda answer, _: len(re.findall(checks.KANJI, answer)), "kanji_limit"), ("kanji_limit", "relation")
        ),
        "letters:kansuuji": LanguageRule(checks.lacks(r"\d")),
        "letters:hiragana_only": LanguageRule(checks.letters_only("ぁ", "ん")),
        "letters:katakana_only": LanguageRule(checks.letters_only("ァ", "ン")),
        "letters:no_hiragana": LanguageRule(checks.lacks("[ぁ-ゖ]")),
        "letters:no_katakana": LanguageRule(checks.lacks("[ァ-ヺｦ-ﾟ]")),
    }


_RULES: dict[str, dict[str, LanguageRule]] = {"es": _spanish(), "fr": _french(), "ja": _japanese()}
LANGUAGES = frozenset(_RULES)
"""The languages that have rules of their own."""
