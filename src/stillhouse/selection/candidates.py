"""The responses that a selection may choose from, and the records of those it may not."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from stillhouse.artifacts import frames
from stillhouse.artifacts.letting_go import refuse_all_unknown
from stillhouse.errors import BadRows
from stillhouse.grading.keys import Keys, Part, Seen
from stillhouse.grading.tally import VERDICT_COLUMNS, ScoreTally
from stillhouse.grading.thresholds import StatedThresholds
from stillhouse.vocabulary.rows import UNKNOWN_QUESTION, Response, Screened, Verified

Arrays = dict[str, npt.NDArray[Any]]
"""Columns by name, all of shape (n_rows,)."""
KEY: dict[str, type[np.generic]] = {"question": np.int32, "model": np.int32, "sample": np.int32}
ROW: dict[str, type[np.generic]] = {"row": np.int64}
VALUES: dict[str, type[np.generic]] = {"verify_score": np.float64, "passed": np.bool_, "kept": np.bool_}
"""The columns that a pool holds, with their dtypes."""


@dataclass(frozen=True)
class ResponsePool:
    """The teacher's first-round responses by column, in the order of the responses; no string is held per row.

    All arrays are (n_responses,).
    """

    ids: pl.Series
    """Of all questions."""
    models: list[str]
    question: npt.NDArray[np.int32]
    """Index in ``ids``."""
    model: npt.NDArray[np.int32]
    """Index in ``models``."""
    sample: npt.NDArray[np.int32]
    row: npt.NDArray[np.int64]
    """Index among all responses."""
    score: npt.NDArray[np.float64]
    """NaN where the verifier failed."""
    passed: npt.NDArray[np.bool_]
    rejected: npt.NDArray[np.bool_]
    """Whether screening rejected the response."""
    others: Counter[tuple[str, str, int]]
    """Numbers of all other responses, by model, prompt_kind and round."""
    let_go: int
    """Number of responses to questions that are not among the questions: curation dropped those."""

    @property
    def is_candidate(self) -> npt.NDArray[np.bool_]:
        """Whether a response has a score and was kept by screening."""
        return ~self.rejected & ~np.isnan(self.score)

    def tally(self) -> ScoreTally:
        """The tally of the candidates, all models together."""
        tally, rows = ScoreTally(len(self.ids)), self.is_candidate
        tally.add(self.question[rows], self.score[rows], self.passed[rows])
        return tally

    def drops(self, *, with_summaries: bool) -> Iterator[pl.DataFrame]:
        """The records of responses that are not candidates.

        One record per model for ``other_model``, ``further_round`` and, unless summaries are used, ``summary``. One record per
        question and model for ``screened_out``, and for ``no_verdict`` where the verifier failed.
        """
        counts = [
            (f"*/{model}/{kind}/{round_number}/*", _reason(kind, round_number), n)
            for (model, kind, round_number), n in sorted(self.others.items())
            if not (kind == "summary" and with_summaries)
        ]
        records = pl.DataFrame(counts, {"question_id": pl.String, "reason": pl.String, "n": pl.Int64}, orient="row")
        yield frames.dropped(records, pl.col("reason"))
        let_go = pl.DataFrame({"question_id": ["*/*/question/1/*"], "n": [self.let_go]}).filter(pl.col("n") > 0)
        yield frames.dropped(let_go, pl.lit(UNKNOWN_QUESTION))
        yield self.dropped(self.rejected, "screened_out")
        yield self.dropped(~self.rejected & np.isnan(self.score), "no_verdict")

    def dropped(self, rows: npt.NDArray[np.bool_], reason: str) -> pl.DataFrame:
        """The records of these responses: one per question and model, with the samples in its key."""
        columns = {"question": self.question[rows], "model": self.model[rows], "sample": self.sample[rows]}
        samples = pl.col("sample").cast(pl.String).str.join(",")
        records = pl.DataFrame(columns).group_by("question", "model", maintain_order=True).agg(samples, n=pl.len())
        names = pl.Series(self.models, dtype=pl.String)[records["model"]].alias("model")
        records = records.with_columns(self.ids[records["question"]].alias("id"), names)
        return frames.dropped(records.select("n", question_id=pl.format("{}/{}/question/1/{}", "id", "model", "sample")), reason)


def _reason(kind: str, round_number: int) -> str:
    if kind == "summary":
        return "summary"
    return "other_model" if kind == "question" and round_number == 1 else "further_round"


def response_pool(
    keys: Keys, responses: Sequence[Path], verified: Path, screened: Path | None, teacher: str | None, stated: StatedThresholds
) -> ResponsePool:  # fmt: skip
    """Read the responses with their verdicts and screenings; ``stated`` collects the thresholds of the verdicts.

    Responses to questions that are not there are let go, and counted. Raises BadRows if that is so of all, for a first-round
    response without a verdict or a screening, and for a second threshold of a category.
    """
    sampled, mine, others, let_go = _read_responses(keys, responses, teacher)
    judged, verdicts = _read_rows(keys, verified, Verified, VERDICT_COLUMNS, teacher, stated)
    _refuse_unlike(sampled, judged, "verified", keys)
    order = _order(mine, verdicts)
    score, passed = verdicts["verify_score"][order], verdicts["passed"][order]
    rejected = np.zeros(len(score), bool)
    if screened is not None:
        looked_at, screenings = _read_rows(keys, screened, Screened, ("kept",), teacher)
        _refuse_unlike(sampled, looked_at, "screened", keys)
        rejected = ~screenings["kept"][_order(mine, screenings)]
    return ResponsePool(keys.ids, keys.models, **mine, score=score, passed=passed, rejected=rejected, others=others, let_go=let_go)


def _read_responses(
    keys: Keys, directories: Sequence[Path], teacher: str | None
) -> tuple[Seen, Arrays, Counter[tuple[str, str, int]], int]:
    """All keys, the columns of the teacher's responses, counts of all others, and how many answer unknown questions.

    Raises BadRows if all of them do, unless this is one shard.
    """
    seen, parts, others = Seen(len(keys.ids)), [_empty(KEY | ROW)], Counter[tuple[str, str, int]]()
    let_go, unknown = 0, ""
    for part in keys.read(directories, Response):
        seen.add(part)
        mine = _is_teacher(part, keys, teacher)
        parts.append({**_key(part, mine), "row": part.row[mine]})
        _count_others(part, mine, keys, others)
        let_go += part.n_unknown
        unknown = unknown or next(iter(part.unknown), "")
    if keys.shard.count == 1:
        refuse_all_unknown("selected", let_go, seen.n_keys, unknown)
    return seen, _joined(parts), others, let_go


def _read_rows(
    keys: Keys, directory: Path, row_type: type[Any], columns: Sequence[str], teacher: str | None,
    stated: StatedThresholds | None = None,
) -> tuple[Seen, Arrays]:  # fmt: skip
    """All keys of verdicts or screenings, and the columns of those on the teacher's responses."""
    value_types = {name: VALUES[name] for name in columns if name in VALUES}
    seen, parts = Seen(len(keys.ids)), [_empty(KEY | value_types)]
    for part in keys.read(directory, row_type, columns):
        seen.add(part)
        if stated is not None:
            stated.add("verified", part.question, part.values["threshold"])
        mine = _is_teacher(part, keys, teacher)
        parts.append({**_key(part, mine), **{name: part.values[name][mine] for name in value_types}})
    return seen, _joined(parts)


def _is_teacher(part: Part, keys: Keys, teacher: str | None) -> npt.NDArray[np.bool_]:
    return np.full(len(part.model), fill_value=True) if teacher is None else part.model == keys.number(teacher)


def _count_others(part: Part, mine: npt.NDArray[np.bool_], keys: Keys, others: Counter[tuple[str, str, int]]) -> None:
    others.update(part.later)
    for model, n in enumerate(np.bincount(part.model[~mine]).tolist()):
        if n:
            others[keys.models[model], "question", 1] += n


def _empty(dtypes: Mapping[str, type[np.generic]]) -> Arrays:
    return {name: np.empty(0, dtype) for name, dtype in dtypes.items()}


def _key(part: Part, rows: npt.NDArray[np.bool_]) -> Arrays:
    return {"question": part.question[rows], "model": part.model[rows], "sample": part.sample[rows]}


def _joined(parts: Sequence[Arrays]) -> Arrays:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _refuse_unlike(sampled: Seen, seen: Seen, name: str, keys: Keys) -> None:
    """Raise BadRows where a response is missing from the artifact with this name, or a key is duplicate."""
    if sampled.has_duplicates or seen.has_duplicates:
        msg = f"responses or {name}: duplicate key; pass each artifact, and each of its parts, once"
        raise BadRows(msg)
    missing = sampled.missing_from(seen)
    if missing is not None:
        model, question, sample = missing
        where = f"{keys.ids[question]}/{keys.models[model]}/question/1/{sample}"
        msg = f"response {where} is not in the {name} input; pass the {name} artifact that was made of these responses"
        raise BadRows(msg)


def _order(mine: Arrays, rows: Arrays) -> slice | npt.NDArray[np.int64]:
    """The index of each response's row among ``rows``. Both are mostly in the same order; otherwise rows are looked up by key."""
    if all(np.array_equal(mine[name], rows[name]) for name in KEY):
        return slice(None)
    n_questions, n_samples = (max(side[name].max(initial=0) for side in (mine, rows)) + 1 for name in ("question", "sample"))
    wanted, present = (
        (side["model"].astype(np.int64) * n_questions + side["question"]) * n_samples + side["sample"] for side in (mine, rows)
    )
    sorter = np.argsort(present)
    order: npt.NDArray[np.int64] = sorter[np.searchsorted(present, wanted, sorter=sorter)]
    return order
