"""rows/s of the stage questions (ingest, filters, exact, MinHash) on 4 million questions, and of rensa and datasketch alone.

Generated questions: 20 to 60 words of a Zipf vocabulary with English at its head, and a sum; 6 % are copies, 6 % copies with one
word changed, 1 % have a URL. STILLHOUSE_BENCH_ROWS sets another number. CPU seconds are printed beside the wall's: on a busy
machine only they compare.
"""

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stillhouse.artifacts import tables
from stillhouse.curation.config import NearDuplicates
from stillhouse.stages import questions
from stillhouse.vocabulary.rows import Question
from tests.perf.measure import peak_gib, table, timed

N_ROWS = int(os.environ.get("STILLHOUSE_BENCH_ROWS", "4_000_000"))
N_RENSA, N_DATASKETCH = 1_000_000, 10_000
"""Rows of the same questions that the libraries alone are measured on: rensa's index lives in memory, datasketch is slow."""
NEAR = NearDuplicates()
FREQUENT = (
    "the", "of", "and", "to", "a", "in", "is", "that", "for", "it", "as", "with", "on", "be", "by", "this", "are", "from", "at",
    "or", "an", "have", "not", "which", "one", "has", "all", "their", "we", "can", "what", "how", "many", "find", "each", "given",
    "if",
)  # fmt: skip
"""The head of the vocabulary."""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="stillhouse-bench-") as directory:
        root = Path(directory)
        tenth = _stage(root, N_ROWS // 10)
        whole = _stage(root, N_ROWS)
        peak = peak_gib()
        rensa = _rate(_rensa, root, min(N_ROWS, N_RENSA))
        datasketch = _rate(_datasketch, root, min(N_ROWS, N_DATASKETCH))
    table(
        ("stage", "rows", "seconds", "CPU s", "rows/s", "CPU µs/row", "kept", "exact", "near"),
        [(*run[:4], run[1] / run[2], run[3] / run[1] * 1e6, *run[4:]) for run in (tenth, whole)],
    )
    print(f"  peak memory {peak:.2f} GiB; CPU per row at {N_ROWS:,} is {_growth(tenth, whole):.2f} × that at {N_ROWS // 10:,}")
    table(
        ("alone, on the same rows", "rows", "rows/CPU s", "stage / alone"),
        [(name, *alone, whole[1] / whole[3] / alone[1]) for name, alone in (("rensa", rensa), ("datasketch", datasketch))],
    )


def _growth(tenth: Sequence[Any], whole: Sequence[Any]) -> float:
    return float(whole[3] / whole[1] / (tenth[3] / tenth[1]))


def _stage(root: Path, n_rows: int) -> tuple[str, int, float, float, int, int, int]:
    """Generate the questions, untimed, and run the stage."""
    source, scratch = root / "source", root / "scratch"
    shutil.rmtree(source, ignore_errors=True)
    _write(source, n_rows)
    scratch.mkdir()
    used = time.process_time()
    with timed() as timing:
        made = questions.run(questions.Config(near_duplicates=NEAR), questions.Inputs(scratch=scratch, imported=(source,)))
    used = time.process_time() - used
    shutil.rmtree(scratch)
    counts = made.dropped
    return "questions", n_rows, timing.seconds, used, int(made.metrics["n_kept"]), counts["duplicate"], counts["near_duplicate"]


def _write(directory: Path, n_rows: int) -> None:
    """An artifact of questions, a part at a time."""
    generated = texts(n_rows)
    for part in range(-(-n_rows // tables.PART_ROWS)):
        contents = list(islice(generated, tables.PART_ROWS))
        n = len(contents)
        message = pa.StructArray.from_arrays([pa.array(["user"] * n), pa.array(contents)], names=["role", "content"])
        given = {
            "question_id": pa.array([""] * n), "category": pa.array(["math"] * n), "source": pa.array(["generated"] * n),
            "messages": pa.ListArray.from_arrays(pa.array(range(n + 1), pa.int32()), message),
            "reference_answer": pa.array([str(len(text)) for text in contents]),
        }  # fmt: skip
        columns = [given.get(field.name, pa.nulls(n, field.type)) for field in Question.SCHEMA]
        tables.write_table(directory / f"part-{part:05d}.parquet", pa.Table.from_arrays(columns, schema=Question.SCHEMA))


def texts(n_rows: int) -> Iterator[str]:
    """The generated questions."""
    rng = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = [*FREQUENT, *("".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(20_000))]
    weights = list(accumulate(1 / (rank + 10) for rank in range(len(vocabulary))))
    recent = [["which", "one", "was", "first"]]
    for _ in range(n_rows):
        kind, old = rng.random(), recent[rng.randrange(len(recent))]
        if kind < 0.06:
            words = old
        elif kind < 0.12:
            place = rng.randrange(len(old))
            words = [*old[:place], rng.choice(vocabulary), *old[place + 1 :]]
        else:
            words = rng.choices(vocabulary, cum_weights=weights, k=rng.randint(20, 60))
            words += ["and", "what", "is", str(rng.randint(1, 999)), "+", str(rng.randint(1, 999))]
            words += ["from", "https://example.org"] if kind > 0.99 else []
            recent = [*recent[-500:], words]
        yield " ".join(words) + "?"


def _rate(run: Callable[[list[str]], None], root: Path, n_rows: int) -> tuple[int, float]:
    """Rows a CPU second of a library alone, on texts that are in memory."""
    parts = (pq.read_table(path, columns=["messages"])["messages"].to_pylist() for path in tables.parts(root / "source"))
    texts = list(islice((messages[0]["content"] for part in parts for messages in part), n_rows))
    used = time.process_time()
    run(texts)
    return len(texts), len(texts) / (time.process_time() - used)


def _shingles(text: str) -> list[str]:
    words = text.split()
    return [" ".join(run) for run in zip(words, words[1:], words[2:], strict=False)]


def _rensa(texts: list[str]) -> None:
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(threshold=NEAR.min_similarity, num_perm=NEAR.permutations, num_bands=NEAR.bands)
    for start in range(0, len(texts), 10_000):
        shingles = [_shingles(text) for text in texts[start : start + 10_000]]
        matrix = RMinHash.digest_matrix_from_token_sets(shingles, num_perm=NEAR.permutations, seed=NEAR.seed)
        index.insert_matrix_and_query_duplicate_flags(matrix, start)


def _datasketch(texts: list[str]) -> None:
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=NEAR.min_similarity, num_perm=NEAR.permutations)
    for number, text in enumerate(texts):
        minhash = MinHash(num_perm=NEAR.permutations)
        minhash.update_batch([shingle.encode() for shingle in _shingles(text)])
        index.query(minhash)
        index.insert(str(number), minhash)
