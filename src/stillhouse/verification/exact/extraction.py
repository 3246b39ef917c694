r"""A text -> the formulas that may be its answer, the surest first: its last box, else what an answer phrase says, else its end.

A box is the answer whatever it holds: if it cannot be read, nothing before it is read in its place.
"""

import re
from dataclasses import dataclass

from stillhouse.verification.exact.units import FRACTION_WORDS, MULTIPLIERS

TAIL_CHARS = 1_000
"""Characters at the end of a text without a box in which its last sentence is sought."""
LONGEST_BOX = 20_000
LONGEST_CLAUSE = 2_000
"""Characters read after an answer phrase."""
MOST_BOXES = 64
LONGEST_JOIN = 80
"""Characters between two boxes that may be one answer."""
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*(?:\{|(?=[0-9A-Za-z\\]))")
_JOINED = re.compile(
    r"[\s$,;.]*(?:\\text\{)?\s*(?:and|or|和|或|、|，|\\quad|\\qquad|&|\\\]|\\\[|\\\)|\\\()?\s*\}?[\s$,;]*(?:\\\(|\\\[)?[\s$]*"
    r"(?:[A-Za-z](?:_\d)?\s*=\s*)?"
)
_AFTER_BOX = re.compile(
    r"\s*(?:\$\$?|\\\)|\\\])?\s*(\\?%|percent\b|million\b|billion\b|trillion\b|thousand\b|hundred\b|dozen\b|\\(?:times|cdot)\s*10\^(?:\{-?\d+\}|\d))"
)
_PHRASE = re.compile(
    r"(?:\b(?:answers?|result|solution|r[ée]ponse|antwort|respuesta)\b(?:\s+to\s+(?:the|this|your)\s+(?:question|problem))?|最终答案|答案|结论|结果|故答案)"
    r"[*_\s]*(?:(?:is|are|was|equals|est|ist|es|becomes|should\s+be|must\s+be|would\s+be|will\s+be|seems\s+to\s+be)\b"
    r"(?:\s+(?:therefore|thus|then|"
    r"simply|just|indeed|clearly))?|为|是|应为|应该是|[:：=])+[*_\s]*[:：]?[*_\s]*",
    re.IGNORECASE,
)
_FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<!\\)\$((?:\\\$|[^$\n])+?)(?<!\\)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_BETWEEN = re.compile(r"\s*(?:,|;|and|or|和|或|、|，|, ?and|, ?or)\s*")
_SENTENCE_END = re.compile(r"(?<![A-Z])[.!?](?=\s|$)|[。！？]|\n|(?<=\$)\.")
_BECAUSE = re.compile(
    r",?\s*\b(?:because|since|which|so that|that is|where|as\s+(?:we|the|it)|by\s+the|and\s+(?:we|so|not)|not|with)\b"
    r"|[,，]\s*(?:因为|所以)|\("
)
LEADING = re.compile(
    r"^(?:(?:so|therefore|thus|hence|then|and|finally|clearly|consequently|we see that|we get|we have|it follows that|[,\s])+)"
    r"(?=\W|$|(?<=[\s,]))",
    re.IGNORECASE,
)
"""Words with which a conclusion begins."""
_CHINESE = re.compile(r"(?:^|[\s。；])答\s*[:：]|(?:故选|应选|故填|应填)\s*[:：]?")
_HEADING = re.compile(r"^\s*(?:final\s+)?answers?\s*:?\s*\n+", re.IGNORECASE | re.MULTILINE)
_SUBJECT = re.compile(
    r"(?:^|[\s,;])([^\s,;]+)\s+is\s+(?:therefore\s+|thus\s+)?(?:the|our|my)\s+(?:final\s+|correct\s+|right\s+)?(?:answer|solution|result)\b",
    re.IGNORECASE,
)
"""*42 is the answer*."""
_DENIED = re.compile(
    r"(?:\bnot|n't|n’t|\bcannot|\bnever|\bneither|不|没有)(?:\s+(?:be|equal|equal to|the number))?\s*$", re.IGNORECASE
)
"""The end of a text before a formula that is denied."""
_IN_DOUBT = re.compile(
    r"\b(?:not|cannot|never|neither|nor|either|or|wrong|incorrect|mistaken?|instead|rather|unless)\b|n't\b|n’t\b|不是|不能|错",
    re.IGNORECASE,
)
"""Words that may say of a sentence's last number that it is not the answer."""
_AFTERTHOUGHT = re.compile(r",?\s*\(?\b(?:and\s+)?not\b.*|\s+(?:instead of|rather than)\b.*", re.IGNORECASE | re.DOTALL)
_DISPLAY = re.compile(r"\$\$.+?\$\$|\\\[.+?\\\]|(?<!\\)\$[^$]*?\\begin ?\{[^$]+?(?<!\\)\$", re.DOTALL)
"""Formulas that may have line breaks: displays, and those with a matrix."""
_TAGS = re.compile(r"<(b|i|u|em|strong|p|span|div)>(.*?)</\1>", re.DOTALL)
_LED_BOX = re.compile(
    r"\\text(?:bf|rm|it|normal)?\s*\{\s*(?:[A-Za-z ]{1,30}:|(?:the\s+)?(?:final\s+)?answer\s+is)\s*\}\s*(?=\S)", re.IGNORECASE
)
_LETTERED = re.compile(r"^(?:\([A-E]\)|[A-E][.)])\s+(?=\S)")
"""The letter of a choice before its content."""
_REMARK = re.compile(
    r"\\text(?:rm|it|normal)?\s*\{\s*\(?(?:rounded|approx(?:\.|imately)?|simplified)[^{}]*\)?\s*\}\s*$", re.IGNORECASE
)
_COPULA = re.compile(r"(?:\bis|\bare|\bequals|\bwas|=|≈|(?<!\d):|:(?!\d)|：|为|是|有|得|共)\s*", re.IGNORECASE)
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.^/\\(*:-])(?:\d{1,2}:[0-5]\d(?![\d:])|-?[$€£¥]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s*/\s*\d+)?(?![\d/^*_(]|\.\d|:\d))"
)
_MARKS = re.compile(r"\*\*|__|`|^#+\s*|^>\s*|(?<=\n)[ \t]*[-*•] +", re.MULTILINE)
_NO_SENTENCE = re.compile(r"[A-Za-z]{3}|[\u3400-\u9fff]")


_CHANGING = frozenset({
    *MULTIPLIERS, *(f"{word}s" for word in MULTIPLIERS), *FRACTION_WORDS, "%", "percent", "percentage", "pct", "squared", "cubed",
    "pi",
    "factorial", "times", "minus", "plus", "divided", "to", "and", "or", "x", "i", "e", "k", "k+",
})  # fmt: skip
"""Words after a number of a sentence that change it: the number is not read without them."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """``boxed``: the answer for certain. ``prose``: a number in a sentence; ``numbers``: all numbers of that sentence."""

    text: str
    boxed: bool = False
    prose: bool = False


def candidates(text: str) -> list[Candidate]:
    """What may be the answer, the surest first; the first that can be read decides. Empty if nothing is an answer."""
    text = text.strip()
    boxes = _boxes(text)
    if boxes:
        return _of_box(_last_box(text, boxes))
    text = _TAGS.sub(r"\2", _MARKS.sub("", text)).replace("i.e.", "that is")
    text = _DISPLAY.sub(lambda match: match[0].replace("\n", " "), text).strip()
    phrases = [match for pattern in (_PHRASE, _HEADING, _CHINESE) for match in pattern.finditer(text)]
    if phrases:
        said = text[max(phrase.end() for phrase in phrases) :][:LONGEST_CLAUSE]
        return [] if _DENIED.match(said.strip().partition(" ")[0]) else [*_stated(said), *_in_prose(_first_sentence(said))]
    if subjects := list(_SUBJECT.finditer(text)):
        return [Candidate(_bare(subjects[-1][1]))]
    is_whole = (
        len(text) <= TAIL_CHARS and "\n" not in text and (_FORMULA.search(text) is None or _bare(text) != text.removesuffix("."))
    )
    whole = [Candidate(_bare(LEADING.sub("", text)))] if is_whole else []
    last = _last_sentence(text)
    return [*whole, *_ending(last), *_in_prose(last)]


def _of_box(content: str) -> list[Candidate]:
    r"""A box, and what it holds without words such as ``\text{Total: }`` before it or ``\text{ (rounded)}`` after it."""
    bare = _REMARK.sub("", _LED_BOX.sub("", content, count=1)).strip()
    chosen = _LETTERED.sub("", bare)
    return [Candidate(text, boxed=True) for text in dict.fromkeys((content, bare or content, chosen))]


def _boxes(text: str) -> list[tuple[int, int, str]]:
    """(start, end, content) of every outermost box; a box that is never closed has the rest of the text as its content."""
    boxes: list[tuple[int, int, str]] = []
    for match in _BOX.finditer(text):
        if boxes and match.start() < boxes[-1][1]:
            continue
        if not match[0].endswith("{"):
            boxes.append((match.start(), match.end() + 1, text[match.end() : match.end() + 1]))
            continue
        end = closing_brace(text, match.end() - 1)
        stop = len(text) if end is None else end
        boxes.append((match.start(), stop + 1, text[match.end() : stop] if end is not None else text[match.end() - 1 :]))
    return boxes


def _last_box(text: str, boxes: list[tuple[int, int, str]]) -> str:
    """The content of the last box and of those that *and*, *or* or a comma joins to it, with a percent sign or unit after it."""
    boxes = boxes[-MOST_BOXES:]
    contents = [boxes[-1][2]]
    if not contents[0].strip():
        return ""
    for earlier, later in zip(boxes[-2::-1], boxes[:0:-1], strict=False):
        between = text[earlier[1] : later[0]]
        if len(between) > LONGEST_JOIN or not _JOINED.fullmatch(between) or "\n\n" in between:
            break
        if earlier[2].strip() not in ("", *(content.strip() for content in contents)):
            contents.insert(0, earlier[2])
    if len(contents) > 1:
        return " , ".join(contents)
    after = _AFTER_BOX.match(text[boxes[-1][1] : boxes[-1][1] + LONGEST_JOIN])
    return f"{contents[0]} {after[1]}" if after and contents[0].strip() else contents[0].strip()


def _stated(said: str) -> list[Candidate]:
    """What follows an answer phrase: a formula, or the words up to the end of the sentence."""
    said = said.strip().lstrip(":：").strip()
    formulas = _joined_formulas(said)
    if formulas is not None:
        return [Candidate(formulas)]
    sentence = _first_sentence(said)
    cut = _BECAUSE.search(sentence, 1)
    clause = sentence[: cut.start()] if cut else sentence
    return [Candidate(_bare(part)) for part in dict.fromkeys((sentence, clause)) if part.strip()] + _ending(clause)


def _joined_formulas(said: str) -> str | None:
    """The formulas with which a text begins, joined by commas, with the unit or the number word after them."""
    found: list[str] = []
    position = 0
    while (match := _FORMULA.match(said, position)) is not None:
        found.append(next(filter(None, match.groups())))
        position = match.end()
        between = _BETWEEN.match(said, position)
        if between is None or not _FORMULA.match(said, between.end()):
            break
        position = between.end()
    if not found:
        return None
    after = _AFTER_BOX.match(said[position : position + LONGEST_JOIN])
    return " , ".join(found) + (f" {after[1]}" if after else "")


def _first_sentence(text: str) -> str:
    text = text.strip()
    end = _SENTENCE_END.search(text)
    return (text[: end.start()] if end else text).strip()


def _last_sentence(text: str) -> str:
    """The last sentence that is not empty, within the last TAIL_CHARS characters."""
    ending = text[-TAIL_CHARS:]
    sentences = [part.strip() for part in _SENTENCE_END.split(ending) if part and part.strip(" .*$")]
    return sentences[-1] if sentences else ""


def _bare(text: str) -> str:
    """A text without the delimiters and the full stop around it."""
    text = text.strip().rstrip("。").strip()
    if match := _FORMULA.fullmatch(text.removesuffix(".")):
        text = next(filter(None, match.groups()))
    return text.removesuffix(".").strip("\"“”' ") if not text.endswith("..") else text


def _ending(sentence: str) -> list[Candidate]:
    """The formulas between delimiters at a sentence's end, else what comes after its last *is* or equals sign."""
    formulas = list(_FORMULA.finditer(sentence))
    if formulas:
        first = len(formulas) - 1
        while first and _BETWEEN.fullmatch(sentence[formulas[first - 1].end() : formulas[first].start()]):
            first -= 1
        if _DENIED.search(sentence[: formulas[first].start()]):
            return []
        return [Candidate(_joined_formulas(sentence[formulas[first].start() :]) or "")]
    copulas = list(_COPULA.finditer(sentence))
    if not copulas or _DENIED.search(sentence[: copulas[-1].start()]):
        return []
    return [Candidate(_bare(sentence[copulas[-1].end() :]))]


def _in_prose(sentence: str) -> list[Candidate]:
    """The last number of a sentence of words, and all of its numbers as a list."""
    if not _NO_SENTENCE.search(sentence) or "\\" in sentence:
        return []
    sentence = _AFTERTHOUGHT.sub("", sentence) if _NUMBER.search(_AFTERTHOUGHT.sub("", sentence)) else sentence
    numbers = list(_NUMBER.finditer(sentence))
    if not numbers:
        return []
    last = numbers[-1]
    following = re.match(r"\s*(%|[A-Za-z\u3400-\u9fff]+(?:-[a-z]+)?)?", sentence[last.end() :])
    behind = (following[1] or "") if following else ""
    listed = [Candidate(" , ".join(number[0] for number in numbers), prose=True)] if len(numbers) > 1 else []
    if behind.isascii() and behind.lower() not in _CHANGING:
        behind = ""
    return listed if _IN_DOUBT.search(sentence) else [*listed, Candidate(f"{last[0]} {behind}".strip(), prose=True)]


def closing_brace(text: str, opening: int) -> int | None:
    """The position of the brace that closes the one at ``opening``; None if none does. An escaped brace is a character."""
    depth = 0
    for brace in re.compile(r"\\[{}\\]|[{}]").finditer(text, opening):
        if len(brace[0]) == 2:
            continue
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.start()
    return None
