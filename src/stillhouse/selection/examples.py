"""Splits -> training examples: fetch the texts of the chosen rows batch by batch, and make rows of ``selected``."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from stillhouse.artifacts import frames
from stillhouse.errors import BadRows
from stillhouse.selection.config import SelectedConfig, SelectedInputs
from stillhouse.selection.splits import Split
from stillhouse.vocabulary import seeds
from stillhouse.vocabulary.rows import Mode, Question, Response, Selected

TOKENS = ("prompt_tokens", "completion_tokens")
TEXTS: dict[Mode, str] = {"full": "text", "answer": "answer", "summary": "answer"}
"""The column of a response that each mode takes."""
LENGTH, MISSING = "length", "missing"
"""Columns beside those of selected: tokens of the response if all of it is trained on, else its words; whether it has no text."""
NUMBERS = {
    "model": pl.String(), "verify_score": pl.Float64(), "cv": pl.Float64(), "pass_rate": pl.Float64(), "threshold": pl.Float64(),
}  # fmt: skip
"""Columns of selected that are null where a split's rows do not have them."""


def from_split(split: Split, config: SelectedConfig, inputs: SelectedInputs) -> Iterator[pl.DataFrame]:
    """The examples of one split: one per response, or one per question; none where a shard has no row of it."""
    if not split.rows.height:
        return iter(())
    if "row" in split.rows.columns and split.mode != "original":
        return _from_responses(split, config, inputs)
    return _from_questions(split, inputs)


def _from_responses(split: Split, config: SelectedConfig, inputs: SelectedInputs) -> Iterator[pl.DataFrame]:
    """One example per chosen response, in the order of the responses."""
    chosen = split.rows.sort("row")
    if split.mode == "summary":
        chosen = chosen.with_columns(summary=_summaries(chosen, config, inputs))
    questions = chosen["question"].unique().sort()
    messages = pl.concat(batch["messages"] for batch in frames.fetch(inputs.questions, questions, ("messages",)))
    chosen = chosen.with_columns(message_index=questions.search_sorted(chosen["question"]))
    done = 0
    for texts in frames.fetch(inputs.responses, chosen["row"], (TEXTS[split.mode], *TOKENS)):
        batch = chosen.slice(done, texts.height).hstack(texts)
        done += texts.height
        batch = batch.with_columns(messages=messages[batch["message_index"]], reply=_reply(split.mode, config.summary_separator))
        yield _rows(split, batch, Response.KEY)


def _reply(mode: Mode, separator: str) -> pl.Expr:
    text = pl.col(TEXTS[mode])
    return pl.concat_str("summary", text, separator=separator) if mode == "summary" else text


def _summaries(chosen: pl.DataFrame, config: SelectedConfig, inputs: SelectedInputs) -> pl.Series:
    """The summary of each response's thinking: the one with its question and sample index; null without a summary.

    Raises BadRows where several summaries, or several teachers' responses, share question and sample index.
    """
    shared = ["question_id", "sample_index"]
    summaries = frames.scan(inputs.responses, Response, Response.KEY, row_number="summary_row").filter(prompt_kind="summary")
    if config.summariser is not None:
        summaries = summaries.filter(model=config.summariser)
    wanted = summaries.select(*shared, "summary_row").join(chosen.lazy().select(shared), on=shared, how="semi")
    matched = wanted.collect().sort("summary_row")
    for name, keys in (("summaries", matched), ("teachers", chosen)):
        if (twice := keys.filter(pl.struct(shared).is_duplicated())).height:
            where = "/".join(str(part) for part in twice.select(shared).row(0))
            msg = f"mode summary: several {name} for response {where}; name the one to take in `summariser` or `teacher`"
            raise BadRows(msg)
    batches = frames.fetch(inputs.responses, matched["summary_row"], ("answer", "text"))
    texts = [batch.select(pl.coalesce("answer", "text")) for batch in batches]
    summary = pl.concat(texts).to_series() if texts else pl.Series(dtype=pl.String)
    return chosen.join(matched.with_columns(summary=summary), on=shared, how="left", maintain_order="left")["summary"]


def _from_questions(split: Split, inputs: SelectedInputs) -> Iterator[pl.DataFrame]:
    """One example per chosen question: its messages, for RL to answer (Staged RL §3.3); in mode original its response too."""
    columns = ("question", "question_id", "category", "cv", "pass_rate", "threshold")
    rows = split.rows.select(name for name in columns if name in split.rows.columns)
    chosen = rows.unique("question", keep="first", maintain_order=True).sort("question")
    done = 0
    for texts in frames.fetch(inputs.questions, chosen["question"], ("messages", "original_response")):
        batch = chosen.slice(done, texts.height).hstack(texts)
        done += texts.height
        original = pl.col("original_response") if split.mode == "original" else pl.lit(None, pl.String)
        yield _rows(split, batch.with_columns(reply=original), Question.KEY)


def _rows(split: Split, batch: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Rows of selected, and the columns MISSING, LENGTH, ``question`` and ``key``."""
    has_tokens = TOKENS[0] in batch.columns
    has_reply, whole = split.mode != "full" or has_tokens, split.mode == "full" and has_tokens
    ids = seeds.names(f"{split.name}/{split.mode}", batch.select(key).get_columns())
    messages = _with_reply(batch["messages"], batch["reply"]) if has_reply else batch["messages"]
    return batch.select(
        ids.alias("example_id"), "question_id", pl.lit(split.name).alias("split"), pl.lit(split.mode).alias("mode"),
        messages.alias("messages"), "category",
        *((pl.col(name) if name in batch.columns else pl.lit(None, dtype).alias(name)) for name, dtype in NUMBERS.items()),
        (pl.col(TOKENS[0]) + pl.col(TOKENS[1]) if whole else pl.lit(None, pl.Int32)).alias("n_tokens"),
        (pl.col(TOKENS[1]) if whole else pl.col("reply").str.count_matches(r"\S+")).cast(pl.Int64).fill_null(0).alias(LENGTH),
        (pl.col("reply").fill_null("") == "").and_(has_reply).alias(MISSING), "question",
        pl.concat_str(key, separator="/").alias("key"),
    )  # fmt: skip


def _with_reply(messages: pl.Series, replies: pl.Series) -> pl.Series:
    """Each conversation followed by the assistant's turn. Arrays: polars' concat_list takes 15 times as long."""
    list_type = Selected.SCHEMA.field("messages").type
    lists = messages.to_arrow().cast(list_type)
    earlier, turns = lists.flatten(), np.diff(lists.offsets.to_numpy())
    role = pa.array(["assistant"], pa.string()).take(pa.array(np.zeros(len(replies), np.int64)))
    last = pa.StructArray.from_arrays([role, replies.to_arrow().cast(pa.string())], fields=list(list_type.value_type))
    ends = np.cumsum(turns + 1)
    order = np.full(len(earlier) + len(last), -1)
    order[ends - 1] = np.arange(len(earlier), len(order))
    order[order < 0] = np.arange(len(earlier))
    flat = pa.concat_arrays([earlier, last]).take(pa.array(order))
    return pl.Series(pa.ListArray.from_arrays(np.concatenate([[0], ends]).astype(np.int32), flat, type=list_type))
