"""Grading and selecting 4 and 40 million verdicts: seconds, memory, and the ratio to a bare polars group-by of the same columns.

Seconds are the clock's; core seconds are those of all cores together, which a busy machine changes less. Deciding is shown apart
from writing: the rows that come of it have to be encoded, which takes about as long as the group-by.
``STILLHOUSE_BENCH_QUESTIONS`` sets the larger number of questions (3,340,000, twelve verdicts each: DeepDistill §2.3).
"""

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq

from stillhouse.artifacts import frames, tables
from stillhouse.grading import levels, tally
from stillhouse.grading.keys import Keys, Seen
from stillhouse.grading.thresholds import StatedThresholds
from stillhouse.selection import decision
from stillhouse.vocabulary.categories import PASS_THRESHOLDS, SOLVED_SHARES
from stillhouse.vocabulary.rows import Question, Response, Verified
from tests.perf.measure import Measured, measured, table

QUESTIONS = int(os.environ.get("STILLHOUSE_BENCH_QUESTIONS", 3_340_000))
SAMPLES, CHUNK = 4, 50_000
CATEGORIES = {"math": 828_639, "code": 489_363, "science": 91_637, "instruction_following": 76_520, "other": 1_850_985}
PASS_RATES = {
    "r1": {
        "math": (59.6, 29.3, 24.8, 37.0, 677.9), "code": (114.1, 21.1, 13.5, 27.8, 312.8),
        "science": (7.6, 4.8, 6.5, 11.9, 60.9), "instruction_following": (20.4, 5.5, 4.3, 4.8, 41.4),
    },
    "7b": {
        "math": (72.9, 35.9, 40.3, 74.6, 604.9), "code": (128.1, 59.6, 48.6, 126.3, 126.8),
        "science": (16.3, 11.1, 12.1, 16.1, 36.1), "instruction_following": (20.3, 8.7, 8.1, 10.5, 28.9),
    },
    "1.5b": {
        "math": (93.9, 53.0, 58.6, 98.3, 524.8), "code": (216.6, 79.3, 79.8, 67.8, 45.9),
        "science": (26.8, 15.8, 14.9, 15.3, 18.9), "instruction_following": (27.2, 9.6, 9.1, 10.9, 19.7),
    },
}  # fmt: skip
"""Questions by pass rate 0, 1/4 … 1 (DeepDistill, Fig. 8, in thousands). It shows none for ``other``."""
for _rates in PASS_RATES.values():
    _rates["other"] = _rates["instruction_following"]


def generate(directory: Path, n_questions: int) -> None:
    """Questions, responses and verdicts as the stages write them: model by model, question by question."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(0)
    ids = pl.Series("question_id", [f"{number:016x}" for number in rng.integers(0, 2**64, n_questions, dtype=np.uint64)])
    weights = np.array(list(CATEGORIES.values()), float)
    category = np.repeat(list(CATEGORIES), rng.multinomial(n_questions, weights / weights.sum()))
    rng.shuffle(category)
    asked = pl.DataFrame([ids, pl.Series("category", category)])
    frames.write(directory / "questions", (_questions(asked.slice(at, CHUNK)) for at in range(0, n_questions, CHUNK)), Question)
    for row_type, name in ((Response, "responses"), (Verified, "verified")):
        made = (
            _answers(asked.slice(at, CHUNK // SAMPLES), model, row_type)
            for model in PASS_RATES
            for at in range(0, n_questions, CHUNK // SAMPLES)
        )
        frames.write(directory / name, made, row_type)


def _questions(asked):
    import polars as pl

    unset = set(Question.SCHEMA.names) - {"question_id", "category", "messages", "n_tokens"}
    prompt = pl.concat_list(pl.struct(role=pl.lit("user"), content=pl.format("What is {}?", "question_id")))
    empty = {name: pl.lit(None, pl.String) for name in unset}
    return asked.with_columns(messages=prompt, **empty, n_tokens=pl.lit(None, pl.Int32))


def _answers(asked, model, row_type):
    """Every question's samples: a pass rate is drawn by the category's shares, and which samples pass is shuffled."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng([int(asked["question_id"][0], 16) % 2**32, len(model)])
    passed = np.zeros(asked.height, int)
    for category, counts in PASS_RATES[model].items():
        here = (asked["category"] == category).to_numpy()
        passed[here] = rng.choice(SAMPLES + 1, here.sum(), p=np.array(counts) / sum(counts))
    score = (rng.random((asked.height, SAMPLES)).argsort(axis=1) < passed[:, None]).astype(float)
    score[(asked["category"] == "science").to_numpy()] *= 5
    samples = asked.select(pl.col("question_id").repeat_by(SAMPLES).explode())
    threshold = asked["category"].replace_strict(PASS_THRESHOLDS, return_dtype=pl.Float64).to_numpy().repeat(SAMPLES)
    made = samples.with_columns(
        model=pl.lit(model), prompt_kind=pl.lit("question"), round=pl.lit(1, pl.Int32),
        sample_index=pl.Series(np.tile(np.arange(SAMPLES, dtype=np.int32), asked.height)), verify_score=pl.Series(score.ravel()),
    )  # fmt: skip
    if row_type is Verified:
        unset = {"method": pl.lit("bench"), "detail": pl.lit(""), "seconds": pl.lit(0.0), "content_id": pl.lit("")}
        return made.with_columns(
            kind=pl.lit("correct"), passed=pl.col("verify_score") > 0.5, threshold=pl.Series(threshold), **unset
        )
    text = pl.format("<think>{}</think><answer>{}</answer>", "sample_index", "verify_score")
    numbers = {"prompt_tokens": pl.lit(9, pl.Int32), "completion_tokens": pl.lit(12, pl.Int32), "seed": pl.lit(0, pl.Int64)}
    fixed = {"think": "x", "answer": "y", "finish_reason": "stop", "sampling_id": "bench"}
    return made.with_columns(text=text, **{name: pl.lit(value) for name, value in fixed.items()}, **numbers)


def bare(directory: Path) -> None:
    """The group-by alone, of the columns of a verdict that grading reads."""
    _grouped(directory).collect(engine="streaming")


def _grouped(directory: Path):
    import polars as pl

    score = pl.col("verify_score")
    verdicts = frames.scan(directory / "verified", Verified, (*Verified.KEY, "verify_score")).filter(prompt_kind="question")
    numbers = (pl.len(), score.mean(), score.var().alias("variance"), (score > 0.99).sum().alias("passed"))
    return verdicts.group_by("question_id", "model").agg(*numbers, pl.col("round").max(), pl.col("sample_index").n_unique())


def written(directory: Path) -> list:
    """The tables that both stages wrote, rows and drops, with where to write them again."""
    outputs = (directory / name / "output" for name in ("graded", "selected"))
    paths = [path for output in outputs for path in sorted(output.rglob("part-*.parquet"))]
    return [(directory / "again" / f"{number}.parquet", pq.read_table(path)) for number, path in enumerate(paths)]


def bare_write(made: list) -> None:
    """What no way of deciding spares: encoding them, from memory, as our stages do."""
    with ThreadPoolExecutor(frames.WRITERS) as pool:
        list(pool.map(tables.write_table, *zip(*made, strict=True)))


def our_group_by(directory: Path) -> None:
    """Grading's own group-by, by question and model, with the check for two verdicts under one key."""
    _tallied(directory)


def _tallied(directory: Path):
    asked = tally.question_table(directory / "questions")
    keys = Keys(asked["question_id"])
    verdicts = keys.read(directory / "verified", Verified, tally.VERDICT_COLUMNS)
    found, _ = tally.tally_by_model(verdicts, asked.height, Seen(asked.height), StatedThresholds(asked["category"]))
    return asked, {keys.models[number]: each for number, each in found.items()}


def level(directory: Path) -> None:
    """Grading without its rows: pass rates, CVs, intervals, levels."""
    asked, found = _tallied(directory)
    models = sorted(found)
    columns = [column for place, model in enumerate(models) for column in found[model].columns(place)]
    roles = {"small": "1.5b", "medium": "7b", "reference": "7b", "strongest": "r1"}
    grades = levels.grades_table(asked.with_columns(columns), len(models), "indicator", 1)
    levels.with_levels(grades, {role: models.index(name) for role, name in roles.items()}, SOLVED_SHARES, 0)


def grade(directory: Path) -> None:
    from stillhouse.stages import graded

    scratch = directory / "graded"
    scratch.mkdir()
    config = graded.Config(small="1.5b", medium="7b", reference="7b", strongest="r1")
    graded.run(config, graded.Inputs(scratch=scratch, questions=directory / "questions", verified=directory / "verified"))


def decide(directory: Path) -> None:
    """Selection without its texts: Algorithm 1, annealing and RL levels, checked and joined by key."""
    decision.decide(_selection(), _selected_inputs(directory, directory))


def select(directory: Path) -> None:
    """All of it: the texts of a million examples and more, the records of what was dropped, and the page."""
    from stillhouse.stages import selected

    scratch = directory / "selected"
    scratch.mkdir()
    selected.run(_selection(), _selected_inputs(directory, scratch))


def _selected_inputs(directory: Path, scratch: Path):
    from stillhouse.stages import selected

    return selected.Inputs(
        scratch=scratch, questions=directory / "questions", responses=(directory / "responses",), verified=directory / "verified",
        graded=directory / "graded" / "output",
    )  # fmt: skip


def _selection():
    from stillhouse.stages import selected

    return selected.Config(teacher="r1", rl_splits={"rl_1": (2,), "rl_2": (3,)}, anneal_questions=200_000)


STEPS = {
    "bare group-by": bare, "tally: our group-by": our_group_by, "levels: graded without rows": level, "graded": grade,
    "decided: selected without texts": decide, "selected": select,
}  # fmt: skip
SUMS = {
    "decisions: levels + decided": ("levels: graded without rows", "decided: selected without texts"),
    "graded + selected": ("graded", "selected"), "bare group-by + bare write": ("bare group-by", "bare write of their rows"),
}  # fmt: skip


def main() -> None:
    made = []
    for n_questions in (QUESTIONS // 10, QUESTIONS):
        directory = Path(tempfile.mkdtemp(prefix="stillhouse-bench-"))
        try:
            generate(directory, n_questions)
            found = {name: measured(step, directory) for name, step in STEPS.items()}
            found["bare write of their rows"] = measured(bare_write, directory, written)
        finally:
            shutil.rmtree(directory)
        for name, (first, second) in SUMS.items():
            one, other = found[first], found[second]
            found[name] = Measured(one.seconds + other.seconds, one.busy + other.busy, max(one.peak, other.peak))
        n, unit = n_questions * SAMPLES * len(PASS_RATES), found["bare group-by"]
        for name, each in found.items():
            ratios = each.seconds / unit.seconds, each.busy / unit.busy
            made.append((name, n, each.seconds, each.busy, each.peak, *ratios, each.seconds / n * 1e9))
    table(("", "verdicts", "seconds", "core s", "peak GiB", "x bare group-by", "x in core s", "ns a verdict"), made)
