r"""Multiple choice: the letter that an answer names, for benchmarks and for ``verified`` alike.

Statements count, the last one wins: a box with a letter, *the answer is C*, *C is correct*, JSON. A discussion of the other options
is no statement. An answer that gives an option's text names its letter.
"""

import re
import unicodedata
from collections.abc import Mapping

from stillhouse.verification.exact.extraction import closing_brace
from stillhouse.verification.verdict import Verdict, VerificationRequest, unanswered
from stillhouse.vocabulary.categories import FACTS
from stillhouse.vocabulary.text import shortened

VERSION = "choices 2"
"""Part of the protocol and of verdicts' method: raise it when a change could read an answer differently."""
LETTERS = "ABCDEFGHIJ"
SEVERAL = "several"
"""Stands for an answer that names more than one choice."""

_WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|textsf|textrm|texttt|mathrm|mathbf|mathit|mathsf|boldsymbol|bm|operatorname|underline)\s*\{([^{}]*)\}"
)
_TAG = re.compile(r"</?(?:final_)?(?:answer|b|i|em|strong|p|span)>", re.IGNORECASE)
_PLAIN = str.maketrans(
    {"（": "(", "）": ")", "：": ":", "。": ".", "，": ",", "【": "[", "】": "]", "“": '"', "”": '"', "．": ".", "、": ","}
)
_OPTION = re.compile(r"^\s*(?:[-*]\s*)?(?:\*\*)?\(?([A-J])(?:\)|\.|:|\s*[-–—])(?:\*\*)?\s+(\S.*?)\s*$", re.MULTILINE)
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*\{")
_QUOTES = r"[\s\"'`*_$(\[{<\\]*(?:\(|\[|\{)?\s*"
_BEHIND = r"(?=[\s\"'`*_$)\]}>.,:;!?\\—–-]|$)"
_NAMED = (
    rf"{_QUOTES}(?:(?i:option|choice|letter)\s+)?{_QUOTES}(?P<letter>[A-J]){_BEHIND}(?!['’])(?!\s*=)(?!\s*[/^+])"
    r"(?!\s+(?:think|would|am|have|believe|choose|pick|guess)\b)"
)
_SMALL = rf"{_QUOTES}(?P<small>[a-j])(?=[\"'`*_$)\]}}>]*(?:[.):]|\s*$|\s*\n))"
_VERB = (
    r"(?:\s+(?:to\s+(?:this|the)\s+question|here|choice|option))?[\"'*_\s]*(?:is|are|was|should\s+be|must\s+be|would\s+be|will\s+be|seems\s+to\s+be|"
    r"appears\s+to\s+be|=|:|[-–—]\s|est|ist|es)[*_\s]*(?:(?:therefore|thus|then|hence|simply|clearly|definitely|most\s+likely|probably|I\s+think|"
    r"I\s+believe|option|choice|letter|:)[\s,*_]*)*"
)
_ANSWER = r"(?i:\b(?:answer|answers|choice|option|r[ée]ponse|antwort|respuesta|solution)\b|答案|选项|应选|故选|选择|选)"
_STATEMENTS = (
    re.compile(rf"{_ANSWER}(?i:{_VERB})(?:{_NAMED}|{_SMALL})"),
    re.compile(rf"(?:答案|选项|应选|故选|选择|选)\s*(?:为|是|应为|应该是|:)?\s*{_NAMED.replace('(?P<letter>', '(?P<letter>')}"),
    re.compile(rf"(?i:\"(?:final_?)?(?:answer|choice|option)\"\s*:\s*)\"?{_NAMED}"),
    re.compile(
        r"(?<![A-Za-z])(?:(?i:option|choice|answer)\s+)?[(\[*_\"']*(?P<letter>[A-J])[)\]*_\"']*\s+(?i:is|must\s+be)\s+(?i:(?:therefore|thus|clearly|indeed)\s+)?(?i:the\s+)?"
        r"(?i:correct|right|best|most\s+(?:accurate|appropriate|likely))\b(?!\s*(?:if|only|when|but|unless))"
    ),
)
_WEAK = (
    re.compile(
        rf"(?i:\b(?:choose|chose|pick|select|go\s+with|opt\s+for|going\s+with|conclude|guess)\b)\s+(?:(?i:option|choice|answer)\s+)?{_NAMED}"
    ),
    re.compile(
        rf"(?i:\b(?:therefore|thus|hence|so)\b),?\s+(?:(?i:it\s+is|it's|option|choice|we\s+get|I\s+think\s+it's)\s+)*{_NAMED}"
    ),
    re.compile(rf"(?i:\bI\s+(?:think|believe)(?:\s+(?:it\s+is|it's|that))?)\s+{_NAMED}"),
    re.compile(rf"(?i:\b(?:it's|it\s+is))\s+{_NAMED}(?=[)\]*_.\s]*(?:$|\n))"),
    re.compile(rf"(?i:\b(?:it|this|that)\s+(?:must|has\s+to|should)\s+be)\s+{_NAMED}"),
    re.compile(rf"(?i:\b(?:choice|fit|match|option|one)\s+(?:is|would\s+be|must\s+be|should\s+be))\s*:?\s+{_NAMED}"),
)
_WHOLE = re.compile(
    r"[\s\"'`*_$(\[{<\\]*(?:(?i:option|choice)\s+)?[(\[]?(?P<letter>[A-Ja-j])(?:[\"'`*_$)\]}>\s]*\.?\s*$|[)\].:]+[*_\s]*(?=\s|$)|\*\*|\s+[-–—]\s)"
)
_SEVERAL = re.compile(r"[\s(\[]*[A-J][)\]\s]*(?:(?:,|;|/|&|and|or|和|\\&)[\s(\[]*[A-J][)\]\s]*)+\.?")
_BOXED_LETTER = re.compile(
    r"[\s(\[$]*(?:(?i:option|choice|answer)\s*:?\s*)?[(\[]?(?P<letter>[A-Ja-j])(?:[)\]$\s.]*$|[).:\]]+(?=[\s\\~$]|$|[A-Za-z0-9]).*|\s*[-–—]\s.*)",
    re.DOTALL,
)


def options(prompt: str) -> dict[str, str]:
    """The choices of a question by letter, as its text lists them; those of the last list if there are several."""
    found: dict[str, str] = {}
    for letter, text in _OPTION.findall(prompt):
        if letter == "A":
            found = {}
        if letter == LETTERS[len(found)] if len(found) < len(LETTERS) else False:
            found[letter] = text
    return found if len(found) > 1 else {}


def named(answer: str, choices: Mapping[str, str] | None = None) -> str | None:
    """The letter an answer names, SEVERAL for more than one in its last statement, None for none.

    With ``choices``, letters that are no choice are not read, and an option's text stands for its letter.
    """
    text = _unwrapped(answer)
    known = set(choices or LETTERS)
    for patterns, boxes in ((_STATEMENTS, True), (_WEAK, False)):
        statements = [statement for pattern in patterns for statement in _found(pattern, text, known)]
        statements += _boxed(text, known) if boxes else []
        if statements:
            return max(statements)[1]
    if (whole := _WHOLE.match(text)) and whole["letter"].upper() in known and not _begins_sentence(text, whole):
        return whole["letter"].upper()
    return _by_text(text, choices or {})


def _unwrapped(text: str) -> str:
    text = "".join(unicodedata.normalize("NFKC", character) if "Ａ" <= character <= "ｚ" else character for character in text)
    text = re.sub(r"\s*\n\s*", "\n", re.sub(r"[^\S\n]+", " ", text.translate(_PLAIN))).strip()
    # Runs of marks, which no answer needs, would be matched in too many ways.
    text = re.sub(r"([\s\"'`*_$(\[{<\\]{6})[\s\"'`*_$(\[{<\\]+", r"\1", text)
    text = _TAG.sub(" ", text).strip()
    for _ in range(2):
        text = _WRAPPED.sub(r"\1", text)
    return text.replace("\\(", "(").replace("\\)", ")").replace("\\[", "[").replace("\\]", "]")


def _found(pattern: re.Pattern[str], text: str, known: set[str]) -> list[tuple[int, str]]:
    """(position, letter) of every statement; a second letter that is joined to it makes it SEVERAL."""
    statements = []
    for match in pattern.finditer(text):
        groups = match.groupdict()
        letter = (groups.get("letter") or groups.get("small") or "").upper()
        if letter not in known:
            continue
        start = match.start("letter") if groups.get("letter") else match.start("small")
        several = re.match(
            r"[A-Ja-j][)\]*_\s]*(?:,\s*|\s+and\s+|\s+or\s+|/|、|和)[(\[]?[A-J](?![A-Za-z])(?!\s+(?:is|are|has|was|would|can))",
            text[start:],
        )
        statements.append((start, SEVERAL if several else letter))
    return statements


def _boxed(text: str, known: set[str]) -> list[tuple[int, str]]:
    statements = []
    for match in _BOX.finditer(text):
        end = closing_brace(text, match.end() - 1)
        content = text[match.end() : end].strip() if end else ""
        if _SEVERAL.fullmatch(content):
            statements.append((match.start(), SEVERAL))
        elif (letter := _BOXED_LETTER.fullmatch(content)) and letter["letter"].upper() in known:
            statements.append((match.start(), letter["letter"].upper()))
    return statements


def _begins_sentence(text: str, match: re.Match[str]) -> bool:
    """Whether the letter is the word of a sentence: *A thing of beauty*, *I think*."""
    return bool(re.match(r"[AI]\s+[a-z]", text[match.start("letter") :]))


def _by_text(text: str, choices: Mapping[str, str]) -> str | None:
    """The letter of the only option whose text is the whole answer, or what a box or an answer phrase gives."""
    said = [text]
    said += [text[match.end() : closing_brace(text, match.end() - 1)] for match in _BOX.finditer(text)]
    said += re.split(rf"{_ANSWER}(?i:{_VERB})", text)[1:]
    for part in reversed(said):
        plain = _plain(part.split("\n")[0])
        letters = [
            letter
            for letter, option in choices.items()
            if plain and plain in (_plain(option), f"{_plain(option)} ({letter.lower()})")
        ]
        if len(letters) == 1:
            return letters[0]
    return None


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[\\${}\"'`*_.,;]", " ", text).lower().split())


def is_choice(request: VerificationRequest) -> bool:
    """Whether the reference is the letter of a choice; in categories without references, one that the question lists."""
    reference = _reference(request)
    if len(reference) != 1 or reference not in LETTERS:
        return False
    return FACTS[request.category].needs == "reference_answer" or reference in options(request.prompt or "")


def _reference(request: VerificationRequest) -> str:
    return (request.reference or "").strip().strip("().")


def verdict(request: VerificationRequest) -> Verdict:
    """The verdict on an answer to a multiple-choice question, on its category's scale."""
    if nothing := unanswered(request, VERSION):
        return nothing
    answer, reference = str(request.answer).strip(), _reference(request)
    choices = options(request.prompt or "")
    letter = named(answer, choices if reference in choices else None)
    if letter is None:
        return Verdict("malformed", 0.0, VERSION, f"no choice is named in {shortened(answer, 100)!r}")
    if letter != reference:
        return Verdict("wrong", 0.0, VERSION, f"got {letter}, reference {reference}")
    return Verdict("correct", FACTS[request.category].scale, VERSION)
