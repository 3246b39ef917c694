"""Rules that keep a question out, one function each, in the order they are applied (DeepDistill §2.2, Fig. 6).

DeepDistill names the rules on Unicode, on empty and incomplete questions, on URLs, tables and figures; it gives no threshold.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from functools import cache

from stillhouse.curation.config import Filters, RuleName
from stillhouse.curation.normalised import NormalisedQuestion, user_text
from stillhouse.screening.repetition import longest_repeats
from stillhouse.screening.tokenise import tokens
from stillhouse.verification import code_tests
from stillhouse.verification.math_references import read_reference
from stillhouse.vocabulary.categories import FACTS
from stillhouse.vocabulary.personal_data import personal_data
from stillhouse.vocabulary.rows import Question
from stillhouse.vocabulary.text import shortened

REFERENCE_COLUMNS: dict[str, str] = {category: facts.needs for category, facts in FACTS.items() if facts.needs}
"""Category -> the column that verifying it requires; the others are scored without a reference."""
NO_ANSWERS = {"nan", "none", "null", "n/a", "proof", "notfound", "not found", "[]", "-", "?"}
"""What stands for a missing reference, in lower case."""
_OPTION = re.compile(r"\(?([A-J])\)?\.?")


def _empty_prompt(normalised: NormalisedQuestion, _: Filters) -> str | None:
    return None if user_text(normalised.question.messages).strip() else "no user turn says anything"


def _no_words(normalised: NormalisedQuestion, _: Filters) -> str | None:
    has_words = any(character.isalnum() for character in user_text(normalised.question.messages))
    return None if has_words else "no user turn has a letter or a digit"


def _missing_choices(normalised: NormalisedQuestion, _: Filters) -> str | None:
    question = normalised.question
    option = _OPTION.fullmatch((question.reference_answer or "").strip())
    if option is None or FACTS[question.category].needs != "reference_answer":
        return None
    if re.search(rf"(?:^|[\s(\[{{*$]){option[1]}\s*[).:\]}}]", user_text(question.messages)):
        return None
    return f"the reference {option[1]!r} is the letter of an option, and the question shows none; map choices"


def _missing_reference(normalised: NormalisedQuestion, _: Filters) -> str | None:
    question = normalised.question
    reference = (question.reference_answer or "").strip()
    if FACTS[question.category].needs == "reference_answer" and reference.lower() in NO_ANSWERS:
        return f"the reference {reference!r} is no answer"
    return None if has_reference(question.category, question) else _needs(question.category)


def has_reference(category: str, question: Question) -> bool:
    """Whether the question has the column that verifying the category requires."""
    column = REFERENCE_COLUMNS.get(category)
    return column is None or bool((getattr(question, column) or "").strip())


def _needs(category: str) -> str:
    return f"{category} questions are verified by {REFERENCE_COLUMNS[category]}"


def _length(normalised: NormalisedQuestion, filters: Filters) -> str | None:
    size = len(user_text(normalised.question.messages))
    if filters.min_characters <= size <= filters.max_characters:
        return None
    return f"{size} characters, {filters.min_characters} to {filters.max_characters} are kept"


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def _unicode(normalised: NormalisedQuestion, filters: Filters) -> str | None:
    # Not the normalised prompt: NFKC turns some signs into letters, such as ™ and 🅰.
    text = user_text(normalised.question.messages)
    counted = Counter(_CONTROL.findall(text) if text.isascii() else text)
    signs = sum(count for sign, count in counted.items() if _is_sign(sign))
    share = signs / max(len(text), 1)
    return f"{share:.2f} of the characters belong to no text" if share > filters.max_sign_share else None


@cache
def _is_sign(character: str) -> bool:
    """Whether the character is not text; geometric shapes such as △ and units such as ° are mathematics."""
    if character in "\t\n\r" or character in "°℃℉" or "\u2190" <= character <= "\u23ff" or "\u25a0" <= character <= "\u25ff":
        return False
    return character == "\ufffd" or unicodedata.category(character) in {"Cc", "Cn", "Co", "Cs", "So"}


# No complete question ends with these. A colon or "8 + 3 =" may wait for the answer, "find a" may ask for a variable.
_UNFINISHED = re.compile(r"(?:[,(，、（]|\b(?:an|the|of|and|or|with|for|from|to|such that|if|when|where|such as))\s*$")


def _incomplete(normalised: NormalisedQuestion, _: Filters) -> str | None:
    """Judges by form alone; ``labels.ask`` asks a model."""
    text = normalised.prompt
    if ending := _UNFINISHED.search(text, max(len(text) - 24, 0)):
        return f"ends with {ending[0].strip()!r}"
    if text.count("```") % 2:
        return "a code block is not closed"
    if text.count("\\begin{") != text.count("\\end{"):
        return "a LaTeX environment is not closed"
    return None


_URL = re.compile(r"\b(?:https?|ftp)://|\bwww\.\w")


def _url(normalised: NormalisedQuestion, _: Filters) -> str | None:
    url = _URL.search(normalised.prompt)
    return f"has {normalised.prompt[url.start() : url.start() + 80].split()[0]}" if url else None


_PICTURE = r"(?:table|figure|diagram|graph|chart|picture|image|plot)"
# Bars alone are not a table: |x| + |y| = 1; the row of dashes below a table's head is. "In the graph" is mathematics.
_TABLE_OR_FIGURE = re.compile(
    rf"\|\s*:?-{{3,}}:?\s*\||<(?:table|img|figure|svg)\b|\\begin\{{(?:tabular|table|figure|tikzpicture)|\\includegraphics|\[asy\]"
    rf"|!\[[^\]]*\]\(|\b(?:the|this) {_PICTURE} (?:below|above|shows?|shown)\b|\b(?:following|adjoining|accompanying) {_PICTURE}\b"
    r"|\b(?:in|from|see) the (?:figure|diagram|chart)\b|如图|下图|上图|图所示|图中|下表|上表|表所示"
)


def _table_or_figure(normalised: NormalisedQuestion, _: Filters) -> str | None:
    mention = _TABLE_OR_FIGURE.search(normalised.prompt)
    return f"has {mention[0]!r}" if mention else None


def _language(normalised: NormalisedQuestion, filters: Filters) -> str | None:
    spoken = normalised.question.language
    if not filters.languages or spoken is None or spoken in filters.languages:
        return None
    return f"{spoken}, kept: {', '.join(filters.languages)}"


def _license(normalised: NormalisedQuestion, filters: Filters) -> str | None:
    name = (normalised.question.license or "none").lower()
    if not filters.licenses or name in {kept.lower() for kept in filters.licenses}:
        return None
    return f"{name}, kept: {', '.join(filters.licenses)}"


def _repetition(normalised: NormalisedQuestion, filters: Filters) -> str | None:
    if filters.max_repeat is None:
        return None
    (repeat,) = longest_repeats(tokens([user_text(normalised.question.messages)]))
    return f"{repeat.times} times: {repeat.phrase}" if repeat.times > filters.max_repeat else None


def _personal_data(normalised: NormalisedQuestion, filters: Filters) -> str | None:
    # All turns: what the assistant says is learnt too.
    text = "\n".join(message["content"] for message in normalised.question.messages) if filters.personal_data else ""
    kind = personal_data(text, filters.personal_data)
    return f"has {kind}" if kind else None


def _unread_reference(normalised: NormalisedQuestion, _: Filters) -> str | None:
    question = normalised.question
    if FACTS[question.category].verifier != "math" or not question.reference_answer:
        return None
    reference = read_reference(question.reference_answer)
    return None if reference.readable else f"no rule reads the reference {shortened(reference.text, 80)!r}: {reference.why}"


def _unread_tests(normalised: NormalisedQuestion, _: Filters) -> str | None:
    """Tests that cannot be run, or of which one runs nothing and so would pass any program."""
    question = normalised.question
    if FACTS[question.category].verifier != "code" or not question.test_cases:
        return None
    try:
        code_tests.read(question.test_cases)
    except code_tests.BadTests as error:
        return shortened(str(error), 200)
    return None


RULES: dict[RuleName, Callable[[NormalisedQuestion, Filters], str | None]] = {
    "empty_prompt": _empty_prompt, "no_words": _no_words, "missing_reference": _missing_reference,
    "missing_choices": _missing_choices, "length": _length, "unicode": _unicode, "incomplete": _incomplete, "url": _url,
    "table_or_figure": _table_or_figure, "language": _language, "license": _license, "repetition": _repetition,
    "personal_data": _personal_data, "unread_reference": _unread_reference, "unread_tests": _unread_tests,
}  # fmt: skip
"""By name; each returns why it drops a question, or None."""


def broken_rule(normalised: NormalisedQuestion, filters: Filters) -> tuple[str, str] | None:
    """The first rule that the question breaks, and how; None if it breaks none."""
    for name, rule in RULES.items():
        if name not in filters.off and (detail := rule(normalised, filters)):
            return name, detail
    return None


def rules_off(filters: Filters) -> set[str]:
    """The names of the rules that cannot drop a question: switched off, or without a value to go by."""
    unset = {
        "language": not filters.languages, "license": not filters.licenses, "repetition": filters.max_repeat is None,
        "personal_data": not filters.personal_data,
    }  # fmt: skip
    return {*filters.off, *(name for name, is_unset in unset.items() if is_unset)}
