"""Which responses selection may choose from, and why questions and responses are left over."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.artifacts import frames
from stillhouse.errors import BadRows
from stillhouse.grading.keys import Keys, Part, Seen
from stillhouse.grading.tally import Tally
from stillhouse.vocabulary.rows import Response, Screened, Verified

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    Array = np.ndarray[Any, Any]


KINDS = {"question": "int32", "model": "int32", "sample": "int32", "place": "int64", "value": "float64"}
"""What is held of each of the teacher's rows."""


@dataclass(frozen=True)
class Pool:
    """The teacher's first-round responses by column, in the order of the responses. All are numbers: no string to a row."""

    ids: "pl.Series"
    """Of all questions."""
    models: list[str]
    question: "Array"
    """Place among the questions."""
    model: "Array"
    """Place among the models."""
    sample: "Array"
    place: "Array"
    """Place among all responses."""
    score: "Array"
    """NaN where the verifier failed."""
    rejected: "Array"
    """Whether screening turned the response down."""
    others: Counter[tuple[str, str, int]]
    """All other responses by model, prompt_kind and round."""

    @property
    def candidates(self) -> "Array":
        """Whether a response has a score and was kept by screening."""
        import numpy as np

        return ~self.rejected & ~np.isnan(self.score)

    def tally(self, limits: "Array") -> Tally:
        """The candidates' scores summed up, of all models at once."""
        made, at = Tally(limits), self.candidates
        made.add(self.question[at], self.score[at])
        return made

    def drops(self, *, with_summaries: bool) -> "Iterator[pl.DataFrame]":
        """The records of responses that are no candidates.

        One record to a model for what its name decides: ``other_model``, ``further_round``, and ``summary`` unless in use. By
        question: ``screened_out``, and ``no_verdict`` where the verifier failed.
        """
        import numpy as np
        import polars as pl

        made = [
            (f"*/{model}/{kind}/{number}/*", _reason(kind, number), n) for (model, kind, number), n in sorted(self.others.items())
            if not (kind == "summary" and with_summaries)
        ]  # fmt: skip
        whole = pl.DataFrame(made, {"question_id": pl.String, "reason": pl.String, "n": pl.Int64}, orient="row")
        yield frames.dropped(whole, pl.col("reason"))
        yield self.left(self.rejected, "screened_out")
        yield self.left(~self.rejected & np.isnan(self.score), "no_verdict")

    def left(self, rows: "Array", reason: str) -> "pl.DataFrame":
        """The records of these responses: one to a question and model, with the samples in its key."""
        import polars as pl

        columns = {name: getattr(self, name)[rows] for name in ("question", "model", "sample")}
        samples = pl.col("sample").cast(pl.String).str.join(",")
        found = pl.DataFrame(columns).group_by("question", "model", maintain_order=True).agg(samples, n=pl.len())
        names = pl.Series(self.models, dtype=pl.String)[found["model"]].alias("model")
        found = found.with_columns(self.ids[found["question"]].alias("id"), names)
        return frames.dropped(found.select("n", question_id=pl.format("{}/{}/question/1/{}", "id", "model", "sample")), reason)


def _reason(kind: str, number: int) -> str:
    if kind == "summary":
        return "summary"
    return "other_model" if kind == "question" and number == 1 else "further_round"


def pool(ids: "pl.Series", responses: Sequence[Path], verified: Path, screened: Path | None, teacher: str | None) -> Pool:
    """The candidates among the responses.

    Raises BadRows for a response to a question that is not there, and for a first-round one without a verdict or a screening.
    """
    import numpy as np

    keys, others = Keys(ids), Counter[tuple[str, str, int]]()
    asked, mine = _read(keys, responses, Response, None, teacher, others)
    judged, verdicts = _read(keys, verified, Verified, "verify_score", teacher)
    _refuse_unlike(asked, judged, "verified", keys)
    score, rejected = _beside(mine, verdicts), np.zeros(len(mine["sample"]), bool)
    if screened is not None:
        looked_at, screenings = _read(keys, screened, Screened, "kept", teacher)
        _refuse_unlike(asked, looked_at, "screened", keys)
        rejected = ~_beside(mine, screenings).astype(bool)
    return Pool(ids, keys.models, **mine, score=score, rejected=rejected, others=others)


def _read(
    keys: Keys, directories: Path | Sequence[Path], row_type: type[Any], value: str | None, teacher: str | None,
    others: Counter[tuple[str, str, int]] | None = None,
) -> "tuple[Seen, dict[str, Array]]":  # fmt: skip
    """All keys, and the columns of the teacher's rows. ``others``, of responses, counts the rest and refuses unknown questions."""
    import numpy as np

    names = ("question", "model", "sample", "place" if value is None else "value")
    seen, parts = Seen(len(keys.ids)), [{name: np.empty(0, KINDS[name]) for name in names}]
    for part in keys.read(directories, row_type, value):
        seen.add(part)
        mine = np.full(len(part.model), fill_value=True) if teacher is None else part.model == keys.number(teacher)
        parts.append({name: getattr(part, name)[mine].astype(KINDS[name]) for name in names})
        if others is not None:
            _count_others(part, mine, keys, others)
    return seen, {name: np.concatenate([part[name] for part in parts]) for name in names}


def _count_others(part: Part, mine: "Array", keys: Keys, others: Counter[tuple[str, str, int]]) -> None:
    import numpy as np

    if part.unknown:
        others_too = f" ({len(part.unknown)} such)"
        msg = f"responses: {part.unknown[0]}{others_too} is not in the questions input; give the questions that were answered"
        raise BadRows(msg)
    others.update(part.later)
    for model, n in enumerate(np.bincount(part.model[~mine]).tolist()):
        if n:
            others[keys.models[model], "question", 1] += n


def _refuse_unlike(asked: Seen, found: Seen, name: str, keys: Keys) -> None:
    """Raise BadRows where a response is not among what was found of it, and where a key is there twice."""
    if asked.has_duplicates or found.has_duplicates:
        msg = f"responses or {name}: some key is there twice; give each artifact, and each of its parts, once"
        raise BadRows(msg)
    missing = asked.missing_from(found)
    if missing is not None:
        model, question, sample = missing
        where = f"{keys.ids[question]}/{keys.models[model]}/question/1/{sample}"
        msg = f"response {where} is not in the {name} input; give the {name} artifact that was made of these responses"
        raise BadRows(msg)


def _beside(mine: "dict[str, Array]", found: "dict[str, Array]") -> "Array":
    """The value of each response. Rows mostly come in the responses' order; others are looked up by key."""
    import numpy as np

    if all(np.array_equal(mine[name], found[name]) for name in ("question", "model", "sample")):
        return found["value"]
    n_questions, n_samples = (max(each[name].max(initial=0) for each in (mine, found)) + 1 for name in ("question", "sample"))
    wanted, there = (
        (each["model"].astype(np.int64) * n_questions + each["question"]) * n_samples + each["sample"] for each in (mine, found)
    )
    order = np.argsort(there)
    return found["value"][order[np.searchsorted(there, wanted, sorter=order)]]  # type: ignore[no-any-return]


def left_over(
    questions: "pl.DataFrame", used: "pl.Series", choices: "pl.DataFrame | None", grades: "pl.DataFrame | None"
) -> "pl.DataFrame":  # fmt: skip
    """The records of questions no split took: never solved, turned down by Algorithm 1, or in no split's terms."""
    import polars as pl

    reasons: list[str | pl.Expr] = [pl.lit("not_selected")]
    if choices is not None:
        found = choices.select("question", "reason", tried=True)
        questions = questions.join(found, on="question", how="left", maintain_order="left")
        reasons = ["reason", pl.when(pl.col("tried").is_null()).then(pl.lit("no_response")), *reasons]
    if grades is not None:
        questions = questions.hstack(grades.select("discard_reason"))
        reasons = ["discard_reason", *reasons]
    return frames.dropped(questions.filter(~pl.col("question").is_in(used.implode())), pl.coalesce(reasons))
