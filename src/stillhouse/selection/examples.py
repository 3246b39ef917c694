"""Splits -> training examples: the texts of what was chosen, fetched batch by batch, as rows of ``selected``."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from stillhouse.artifacts import frames
from stillhouse.errors import BadRows
from stillhouse.selection.splits import Mode, Plan, Split
from stillhouse.vocabulary import seeds
from stillhouse.vocabulary.rows import Question, Response, Selected

if TYPE_CHECKING:
    import polars as pl

TOKENS = ("prompt_tokens", "completion_tokens")
TEXTS = {"full": "text", "answer": "answer", "summary": "answer"}
"""The column of a response that each mode takes."""
LENGTH, MISSING = "length", "missing"
"""Columns beside those of selected: tokens of the response if all of it is trained on, else its words; whether there is no text."""


def from_responses(split: Split, plan: Plan, questions: Path, responses: Sequence[Path]) -> "Iterator[pl.DataFrame]":
    """One example for every chosen response, in the order of the responses."""
    import polars as pl

    given = split.rows.sort("place")
    if split.mode == "summary":
        given = given.with_columns(summary=_summaries(given, plan, responses))
    places = given["question"].unique().sort()
    messages = pl.concat(batch["messages"] for batch in frames.fetch(questions, places, ("messages",)))
    given = given.with_columns(asked=places.search_sorted(given["question"]))
    done = 0
    for texts in frames.fetch(responses, given["place"], (TEXTS[split.mode], *TOKENS)):
        batch = given.slice(done, texts.height).hstack(texts)
        done += texts.height
        batch = batch.with_columns(messages=messages[batch["asked"]], reply=_reply(split.mode, plan.summary_separator))
        yield _rows(split, batch, Response.KEY)


def _reply(mode: Mode, separator: str) -> "pl.Expr":
    import polars as pl

    text = pl.col(TEXTS[mode])
    return pl.concat_str("summary", text, separator=separator) if mode == "summary" else text


def _summaries(given: "pl.DataFrame", plan: Plan, responses: Sequence[Path]) -> "pl.Series":
    """The summary of each response's thinking: the one with its question and sample index. Null where there is none."""
    import polars as pl

    shared = ["question_id", "sample_index"]
    found = frames.scan(responses, Response, Response.KEY, place="found").filter(prompt_kind="summary")
    if plan.summariser is not None:
        found = found.filter(model=plan.summariser)
    matched = found.select(*shared, "found").join(given.lazy().select(shared), on=shared, how="semi").collect().sort("found")
    for name, keys in (("summaries", matched), ("teachers", given)):
        if (twice := keys.filter(pl.struct(shared).is_duplicated())).height:
            where = "/".join(str(part) for part in twice.select(shared).row(0))
            msg = f"mode summary: several {name} for response {where}; name the one to take in `summariser` or `teacher`"
            raise BadRows(msg)
    texts = [batch.select(pl.coalesce("answer", "text")) for batch in frames.fetch(responses, matched["found"], ("answer", "text"))]
    summary = pl.concat(texts).to_series() if texts else pl.Series(dtype=pl.String)
    return given.join(matched.with_columns(summary=summary), on=shared, how="left", maintain_order="left")["summary"]


def from_questions(split: Split, questions: Path) -> "Iterator[pl.DataFrame]":
    """One example for every chosen question: its messages, for RL to answer (Staged RL §3.3); in mode original its response too."""
    import polars as pl

    columns = [name for name in ("question", "question_id", "category", "cv", "pass_rate") if name in split.rows.columns]
    chosen = split.rows.select(columns).unique("question", keep="first", maintain_order=True).sort("question")
    done = 0
    for texts in frames.fetch(questions, chosen["question"], ("messages", "original_response")):
        batch = chosen.slice(done, texts.height).hstack(texts)
        done += texts.height
        original = pl.col("original_response") if split.mode == "original" else pl.lit(None, pl.String)
        yield _rows(split, batch.with_columns(reply=original), Question.KEY)


def _rows(split: Split, batch: "pl.DataFrame", key: Sequence[str]) -> "pl.DataFrame":
    """Rows of selected and the columns MISSING, LENGTH, ``question`` and ``key``. Numbers the batch does not have are null."""
    import polars as pl

    numbers = {"model": pl.String, "verify_score": pl.Float64, "cv": pl.Float64, "pass_rate": pl.Float64}
    answered, whole = split.mode != "full" or TOKENS[0] in batch.columns, split.mode == "full" and TOKENS[0] in batch.columns
    ids = seeds.names(f"{split.name}/{split.mode}", batch.select(key).get_columns())
    messages = _with_reply(batch["messages"], batch["reply"]) if answered else batch["messages"]
    return batch.select(
        ids.alias("example_id"), "question_id", pl.lit(split.name).alias("split"), pl.lit(split.mode).alias("mode"),
        messages.alias("messages"), "category",
        *((pl.col(name) if name in batch.columns else pl.lit(None, kind).alias(name)) for name, kind in numbers.items()),
        (pl.col(TOKENS[0]) + pl.col(TOKENS[1]) if whole else pl.lit(None, pl.Int32)).alias("n_tokens"),
        (pl.col(TOKENS[1]) if whole else pl.col("reply").str.count_matches(r"\S+")).cast(pl.Int64).fill_null(0).alias(LENGTH),
        (pl.col("reply").fill_null("") == "").and_(answered).alias(MISSING), "question",
        pl.concat_str(key, separator="/").alias("key"),
    )  # fmt: skip


def _with_reply(messages: "pl.Series", replies: "pl.Series") -> "pl.Series":
    """Each conversation with the assistant's turn after it. By array: polars' concat_list takes 15 times as long."""
    import numpy as np
    import polars as pl

    kind = Selected.SCHEMA.field("messages").type
    lists = messages.to_arrow().cast(kind)
    earlier, turns = lists.flatten(), np.diff(lists.offsets.to_numpy())
    role = pa.array(["assistant"], pa.string()).take(pa.array(np.zeros(len(replies), np.int64)))
    last = pa.StructArray.from_arrays([role, replies.to_arrow().cast(pa.string())], fields=list(kind.value_type))
    ends = np.cumsum(turns + 1)
    order = np.full(len(earlier) + len(last), -1)
    order[ends - 1] = np.arange(len(earlier), len(order))
    order[order < 0] = np.arange(len(earlier))
    flat = pa.concat_arrays([earlier, last]).take(pa.array(order))
    return pl.Series(pa.ListArray.from_arrays(np.concatenate([[0], ends]).astype(np.int32), flat, type=kind))


def from_split(split: Split, plan: Plan, questions: Path, responses: Sequence[Path]) -> "Iterator[pl.DataFrame]":
    """The examples of one split, whatever it is made of."""
    if "place" in split.rows.columns and split.mode != "original":
        return from_responses(split, plan, questions, responses)
    return from_questions(split, questions)
