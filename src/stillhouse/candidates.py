"""Which responses selection may choose from, and why questions and responses are left over."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse import frames
from stillhouse.errors import BadRows
from stillhouse.rows import Question, Response, Screened, Verified

if TYPE_CHECKING:
    import polars as pl

KEY = list(Response.KEY)


@dataclass(frozen=True)
class Pool:
    """The verdicts on first-round responses. All lazy: of tens of millions, only what is chosen is ever held."""

    verdicts: "pl.LazyFrame"
    """Of every response: its key and verify_score."""
    rejected: "pl.LazyFrame | None"
    """The keys of the responses that screening turned down."""
    teacher: str | None
    """The model whose responses are learnt from; None stands for all."""

    @property
    def candidates(self) -> "pl.LazyFrame":
        """Verdicts with a score, on the teacher's responses, that screening kept."""
        import polars as pl

        return self._screened(self._teacher_s(self.verdicts), "anti").filter(pl.col("verify_score").is_not_null())

    def drops(self) -> "Iterator[pl.LazyFrame]":
        """The records of the others: ``other_model``, ``screened_out``, ``no_verdict`` (the verifier failed)."""
        import polars as pl

        if self.teacher is not None:
            yield frames.dropped(self.verdicts.filter(pl.col("model") != self.teacher).select(KEY), Response, "other_model")
        mine = self._teacher_s(self.verdicts)
        if self.rejected is not None:
            yield frames.dropped(self._screened(mine, "semi").select(KEY), Response, "screened_out")
        failed = mine.filter(pl.col("verify_score").is_null())
        yield frames.dropped(self._screened(failed, "anti").select(KEY), Response, "no_verdict")

    def _teacher_s(self, verdicts: "pl.LazyFrame") -> "pl.LazyFrame":
        import polars as pl

        return verdicts if self.teacher is None else verdicts.filter(pl.col("model") == self.teacher)

    def _screened(self, verdicts: "pl.LazyFrame", how: "Any") -> "pl.LazyFrame":
        return verdicts if self.rejected is None else verdicts.join(self.rejected, on=KEY, how=how)


def pool(responses: Sequence[Path], verified: Path, screened: Path | None, teacher: str | None) -> Pool:
    """The candidates among the responses. Raises BadRows for a first-round response without a verdict, or without a screening."""
    import polars as pl

    asked = frames.scan(responses, Response, KEY).filter(prompt_kind="question", round=1)
    verdicts = frames.scan(verified, Verified, [*KEY, "verify_score"]).filter(prompt_kind="question", round=1)
    rejected = None
    if screened is not None:
        screenings = frames.scan(screened, Screened, [*KEY, "kept"]).filter(prompt_kind="question", round=1)
        rejected = _of_responses(screenings, asked, "screened").filter(~pl.col("kept")).select(KEY)
    return Pool(_of_responses(verdicts, asked, "verified"), rejected, teacher)


def _of_responses(found: "pl.LazyFrame", responses: "pl.LazyFrame", name: str) -> "pl.LazyFrame":
    """The rows that belong to the responses, one each; BadRows where one is missing. Rows beyond them are left out.

    Equal sets of keys, which is what a whole run gives, are told by a sum of hashes: a join of two times forty million keys is not
    needed to see it.
    """
    wanted, got = _digest(responses), _digest(found)
    if wanted == got:
        return found
    matching = found.join(responses, on=KEY, how="semi")
    if _digest(matching) == wanted:
        return matching
    missing = responses.join(found, on=KEY, how="anti").sort(KEY).first().collect(engine="streaming")
    if missing.height:
        where = "/".join(str(part) for part in missing.row(0))
        msg = f"response {where} is not in the {name} input; give the {name} artifact that was made of these responses"
    else:
        msg = f"responses or {name}: some key is there twice; give each artifact, and each of its parts, once"
    raise BadRows(msg)


def _digest(keyed: "pl.LazyFrame") -> tuple[int, int]:
    """How many rows, and the sum of their keys' hashes, whatever their order. Within one process alone."""
    import polars as pl

    return keyed.select(pl.len(), pl.struct(KEY).hash().sum()).collect(engine="streaming").row(0)


def further(responses: Sequence[Path], with_summaries: bool) -> "Iterator[pl.LazyFrame]":
    """The records of responses that answer no question for the first time: ``further_round``, and ``summary`` unless in use."""
    import polars as pl

    asked = frames.scan(responses, Response, KEY)
    yield frames.dropped(asked.filter(pl.col("prompt_kind") != "summary", pl.col("round") > 1), Response, "further_round")
    if not with_summaries:
        yield frames.dropped(asked.filter(prompt_kind="summary"), Response, "summary")


def left_over(
    questions: "pl.DataFrame", used: "pl.Series", choices: "pl.DataFrame | None", grades: "pl.DataFrame | None"
) -> "pl.LazyFrame":  # fmt: skip
    """The records of questions no split took: never solved, turned down by Algorithm 1, or in no split's terms."""
    import polars as pl

    rest = questions.filter(~pl.col("question_id").is_in(used.implode()))
    reasons: list[str | pl.Expr] = [pl.lit("not_selected")]
    if choices is not None:
        rest = rest.join(choices.select("question_id", "reason", tried=True), on="question_id", how="left", maintain_order="left")
        reasons = ["reason", pl.when(pl.col("tried").is_null()).then(pl.lit("no_response")), *reasons]
    if grades is not None:
        rest = rest.join(grades.select("question_id", "discard_reason"), on="question_id", how="left", maintain_order="left")
        reasons = ["discard_reason", *reasons]
    return frames.dropped(rest.lazy(), Question, pl.coalesce(reasons))
