"""What the constraints of M-IFEval ask of an answer: checks of words, letters, marks and forms, by their values."""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

import langdetect
import nltk

Values = Mapping[str, Any]
Check = Callable[[str, Values], bool]

RELATIONS: dict[str, dict[str, bool]] = {
    "es": {"al menos": True, "como máximo": False}, "fr": {"au moins": True, "moins de": False},
    "ja": {"以上": True, "未満": False},
}  # fmt: skip
"""Whether a relation is a lower bound. The upper one of Spanish holds at the number itself, the others below it."""
_INCLUSIVE = frozenset({"como máximo"})
_SENTENCES = {"es": "spanish", "fr": "french"}
_LIST_MARK = re.compile(r"^\s*(?:\d+\.|[-*])\s*", re.MULTILINE)
_QUOTED = re.compile(r"「.*?」|『.*?』")
_FENCE = re.compile(r"\A```(?:json)?|```\Z", re.IGNORECASE)
_TU = re.compile(r"\b(?:tu|te|toi|ton|ta|tes)\b|\bt'", re.IGNORECASE)
KANJI = "[\\u4e00-\\u9faf]"


def holds(count: int, bound: float, relation: str | None = None) -> bool:
    """Whether a count is within a bound; without a relation it must reach it."""
    if relation is None or any(relations.get(relation) for relations in RELATIONS.values()):
        return count >= bound
    return count <= bound if relation in _INCLUSIVE else count < bound


def counted(count: Callable[[str, Values], int], number: str, relation: str = "relation") -> Check:
    """A count of the answer within the bound that the values name."""
    return lambda answer, values: holds(count(answer, values), values[number], values.get(relation))


def is_in(language: str) -> Check:
    """The answer is in this language, or in the one that the values name; a text too short to tell is."""

    def detected(answer: str, values: Values) -> bool:
        try:
            return bool(langdetect.detect(answer.lower()) == (language or values["language"]))
        except langdetect.LangDetectException:
            return True

    return detected


def words(text: str) -> list[str]:
    """The runs of letters and digits, with apostrophes and hyphens inside."""
    return re.findall(r"\w+(?:['’-]\w+)*", text)


def sentences(language: str) -> Callable[[str, Values], int]:
    """The number of sentences, by nltk's data for the language if they are installed."""

    def count(answer: str, _: Values) -> int:
        text = _LIST_MARK.sub("", answer)
        try:
            return len(nltk.tokenize.sent_tokenize(text, language=_SENTENCES[language]))
        except LookupError:
            return len(nltk.tokenize.PunktSentenceTokenizer().tokenize(text))

    return count


def japanese_sentences(answer: str, _: Values) -> int:
    """The number of sentences by full stops and line ends."""
    return sum(bool(part.strip()) for part in re.split(r"[。！？!?\n]", answer))


def has_all(answer: str, values: Values) -> bool:
    """Every keyword is in the text."""
    return all(keyword.lower() in answer.lower() for keyword in values["keywords"])


def has_none(answer: str, values: Values) -> bool:
    """None of the words is in the text as a word."""
    return not any(re.search(rf"\b{re.escape(word)}\b", answer, re.IGNORECASE) for word in values["forbidden_words"])


def has_no_text(answer: str, values: Values) -> bool:
    """None of the words is in the text."""
    return not any(word in answer for word in values["forbidden_words"])


def keyword_count(answer: str, values: Values) -> int:
    """How often the keyword is in the text."""
    return answer.lower().count(str(values["keyword"]).lower())


def letter_count(answer: str, values: Values) -> int:
    """How often the letter is in the text, in either case."""
    return answer.lower().count(str(values["letter"]).lower())


def kana_count(answer: str, values: Values) -> int:
    """A hiragana letter, and the katakana letter of the same sound."""
    letter = str(values["letter"])
    return answer.count(letter) + (answer.count(chr(ord(letter) + 0x60)) if "ぁ" <= letter <= "ゖ" else 0)


def placeholders(answer: str, _: Values) -> int:
    """The number of parts in square brackets."""
    return len(re.findall(r"\[.*?\]", answer))


def paragraphs(answer: str, values: Values) -> bool:
    """Paragraphs between ``***``; an empty one is allowed at either end only."""
    parts = [part.strip() for part in re.split(r"\s?\*\*\*\s?", answer)]
    inner = parts[bool(parts) and not parts[0] : len(parts) - (len(parts) > 1 and not parts[-1])]
    return all(inner) and len(inner) == values["num_paragraphs"]


def first_words(answer: str, values: Values) -> bool:
    """Paragraphs between blank lines, of which one begins with certain words, whatever their case and marks."""
    parts = re.split(r"\n\n", answer)
    filled = [part for part in parts if part.strip()]
    place, expected = int(values["nth_paragraph"]), str(values["first_word"])
    if len(filled) != values["num_paragraphs"] or not 0 < place <= len(parts):
        return False
    paragraph = parts[place - 1].strip().lstrip("「『\"'«")
    if re.search(r"[\u3040-\u9faf]", expected):
        return paragraph.startswith(expected)
    wanted = [plain(word) for word in expected.split()]
    return [plain(word) for word in paragraph.split()[: len(wanted)]] == wanted


def plain(word: str) -> str:
    """A word in lower case without the marks around it."""
    return re.sub(r"[^\w'’-]", "", word).lower().strip("'’")


_SPACED_MARKERS = frozenset({"P.S.", "P.P.S", "P.D.", "P.P.D"})


def postscript(answer: str, values: Values) -> bool:
    """The marker, wherever it stands; as in the published checker only some may have spaces after their dots."""
    text = str(values["postscript_marker"])
    marker = r"\.\s?".join(map(re.escape, text.split("."))) if text in _SPACED_MARKERS else re.escape(text)
    return re.search(marker, answer, re.IGNORECASE) is not None


def sections(before: str = "", after: str = r"\s?\d+") -> Callable[[str, Values], int]:
    """How many sections are marked by the splitter and a number."""
    return lambda answer, values: len(re.findall(rf"{before}{re.escape(values['section_spliter'])}{after}", answer))


def matches(pattern: str) -> Callable[[str, Values], int]:
    """How often a pattern matches with more than marks in it."""
    found = re.compile(pattern, re.MULTILINE)
    return lambda answer, _: sum(bool(re.search(r"\w", match)) for match in found.findall(answer))


def has(pattern: str) -> Check:
    """The pattern matches with more than marks in it."""
    count = matches(pattern)
    return lambda answer, values: count(answer, values) > 0


def lacks(pattern: str) -> Check:
    """The pattern is nowhere in the text."""
    found = re.compile(pattern)
    return lambda answer, _: found.search(answer) is None


def exactly(pattern: str, number: str) -> Check:
    """The pattern matches so many times."""
    found = re.compile(pattern, re.MULTILINE)
    return lambda answer, values: len(found.findall(answer)) == values[number]


def one_of(*responses: str) -> Check:
    """One of the responses is in the text."""
    return lambda answer, _: any(response in answer for response in responses)


def is_json(answer: str, _: Values) -> bool:
    """The text, without a fence, is JSON."""
    try:
        json.loads(_FENCE.sub("", answer.strip()).strip())
    except ValueError:
        return False
    return True


def two_responses(answer: str, _: Values) -> bool:
    """Two different responses between six asterisks."""
    parts = [part.strip() for part in answer.split("******")]
    filled = [part for part in parts if part]
    return all(parts[1:-1]) and len(filled) == 2 and filled[0] != filled[1]


def begins_with(answer: str, values: Values) -> bool:
    """The text begins with the prompt."""
    return answer.strip().lower().startswith(str(values["prompt_to_repeat"]).strip().lower())


def ends_with(answer: str, values: Values) -> bool:
    """The phrase at the end; quotation marks and a full stop after it do not count."""
    ending = str(values["end_phrase"]).strip().strip("」』").lower()
    text = answer.strip().strip('"」』').lower()
    return text.endswith(ending) or text.removesuffix(".").endswith(ending.removesuffix("."))


def quoted(*marks: str) -> Check:
    """The text stands between one of these pairs of marks."""
    return lambda answer, _: len(text := answer.strip()) > 1 and any(text[0] == pair[0] and text[-1] == pair[1] for pair in marks)


def upper(language: str) -> Check:
    """All letters are capital ones, and the language is this."""
    return lambda answer, values: answer.isupper() and is_in(language)(answer, values)


def lower(language: str) -> Check:
    """All letters are small ones, and the language is this."""
    return lambda answer, values: answer.islower() and is_in(language)(answer, values)


def capital_words(answer: str, _: Values) -> int:
    """The number of words in capitals."""
    return sum(word.isupper() for word in words(answer))


def words_with(letters: str) -> Callable[[str, Values], int]:
    """The number of words with one of the letters."""
    return lambda answer, _: sum(
        any(letter in letters for letter in word.lower()) for word in words(unicodedata.normalize("NFC", answer))
    )


def accents(answer: str, values: Values) -> bool:
    """Words that need accents have them: none of their bare forms stands in the text."""
    return not set(values["word_to_accentuate"]) & set(re.findall(r"\b\w+\b", answer.lower()))


def has_tu(answer: str, _: Values) -> bool:
    """Whether the reader is addressed as *tu*."""
    return _TU.search(answer) is not None


def lacks_character(answer: str, values: Values) -> bool:
    """Whether a character is in the text in neither case."""
    return str(values["forbidden_char"]).lower() not in answer.lower()


def exactly_counted(count: Callable[[str, Values], int], number: str) -> Check:
    """Exactly so many."""
    return lambda answer, values: count(answer, values) == values[number]


def runs(answer: str, _: Values) -> int:
    """The number of runs of letters and digits."""
    return len(re.findall(r"\w+", answer))


def word_count(answer: str, _: Values) -> int:
    """Words, without the marks of lists."""
    return len(words(_LIST_MARK.sub("", answer)))


def highlights(answer: str, _: Values) -> int:
    """Parts between single or double asterisks, as IFEval counts them."""
    single = [part for part in re.findall(r"\*[^\n*]*\*", answer) if part.strip("*").strip()]
    double = [part for part in re.findall(r"\*\*[^\n*]*\*\*", answer) if part.strip("*").strip()]
    return len(single) + len(double)


def letters_only(first: str, last: str) -> Check:
    """All letters are of a range; marks, digits and the sign of a long vowel are allowed."""
    return lambda answer, _: all(first <= sign <= last or sign in "ー・" or unicodedata.category(sign)[0] != "L" for sign in answer)


def furigana(answer: str, _: Values) -> bool:
    """Every run of kanji is followed by its reading in brackets."""
    return len(re.findall(f"{KANJI}+", answer)) == len(re.findall(f"{KANJI}+（[ぁ-ん]+）", answer))


def unified_end(answer: str, values: Values) -> bool:
    """Every sentence outside quotation marks ends in the same way."""
    sentences = (part.strip() for part in re.split(r"[。！？]", _QUOTED.sub("", answer)))
    return all(sentence.endswith(values["ending"]) for sentence in sentences if sentence)
