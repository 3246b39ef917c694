"""Screening responses: rows a second and memory at N and N/10, beside a bare read and write of the rows, and one text at a time.

``STILLHOUSE_BENCH_RESPONSES`` sets N (40,000, of about 400 words). Rates are by second of a core, which a busy machine changes less
than the clock's; the last column is what 40 million such rows would take one core.
"""

import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.stages import screened
from stillhouse.vocabulary.rows import Question, Response
from tests.perf.measure import measured, table

RESPONSES = int(os.environ.get("STILLHOUSE_BENCH_RESPONSES", 40_000))
SAMPLES, WORDS, VOCABULARY = 4, 400, 20_000
N, MAX_COUNT, MAX_PERIOD = 20, 20, 4
FULL = 40_000_000


def generate(directory: Path, n_responses: int) -> None:
    """Random words by Zipf's law; every fiftieth response has a paragraph that others have too, every hundredth gets stuck."""
    import numpy as np

    rng = np.random.default_rng(0)
    asked = testing.questions(n_responses // SAMPLES)
    shared = " ".join(f"shared{place}" for place in range(30))

    def responses():
        for number in range(n_responses):
            lengths = rng.integers(WORDS // 2, WORDS * 3 // 2)
            think = " ".join(f"w{word}" for word in np.minimum(rng.zipf(1.3, lengths), VOCABULARY))
            think += f" {shared}" * (number % 50 == 0) + " wait" * 12 * (number % 100 == 0)
            text = f"<think>{think}</think><answer>7</answer>"
            yield testing.response(asked[number // SAMPLES], "7", text=text, think=think, sample_index=number % SAMPLES)

    tables.write(directory / "questions", asked, Question)
    tables.write(directory / "responses", responses(), Response)


def bare(directory: Path) -> None:
    """The rows read and written again, which any stage that looks at texts does at the least."""
    for path in tables.parts(directory / "responses"):
        tables.write_table(directory / "again" / path.name, pq.read_table(path))


def one_at_a_time(directory: Path) -> None:
    """The same rules as filters of documents mostly apply them: text by text, with all n-grams counted in memory."""
    counts: Counter[int] = Counter()
    for response in tables.read(directory / "responses", Response):
        counts.update(_grams(response.text.split()))
    frequent = {gram for gram, count in counts.items() if count > MAX_COUNT}
    for response in tables.read(directory / "responses", Response):
        words = response.text.split()
        sum(gram in frequent for gram in _grams(words))
        for period in range(1, MAX_PERIOD + 1):
            longest = run = 0
            for place in range(period, len(words)):
                run = run + 1 if words[place] == words[place - period] else 0
                longest = max(longest, run)


def _grams(words):
    return [hash(tuple(words[place : place + N])) for place in range(len(words) - N + 1)]


def ours(directory: Path) -> None:
    scratch = directory / "scratch"
    scratch.mkdir()
    inputs = screened.Inputs(scratch=scratch, questions=directory / "questions", responses=(directory / "responses",))
    screened.run(screened.Config(), inputs)


STEPS = {"bare read and write": bare, "one text at a time": one_at_a_time, "screened": ours}


def main() -> None:
    made = []
    for n_responses in (RESPONSES // 10, RESPONSES):
        directory = Path(tempfile.mkdtemp(prefix="stillhouse-bench-"))
        try:
            generate(directory, n_responses)
            found = {name: measured(step, directory) for name, step in STEPS.items()}
        finally:
            shutil.rmtree(directory)
        peer = found["one text at a time"].busy
        for name, each in found.items():
            rate = n_responses / each.busy
            made.append((name, n_responses, each.seconds, each.busy, rate, each.peak * 1024, peer / each.busy, FULL / rate / 3600))
    table(("", "responses", "seconds", "core s", "rows/core s", "peak MiB", "x one at a time", "core h for 40 M"), made)
