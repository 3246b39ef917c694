"""Curation in shards: each maps a share of the sources, one process decides over all, each publishes the questions of its keys.

The map step judges rows on their own, and hands every question on to the shard that its id belongs to. The combine step reads
hashes, signatures, cards (``question_cards``) and, where questions are compared by meaning, texts. What it decides holds for all,
so that the number of shards changes nothing.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from stillhouse.artifacts import tables
from stillhouse.curation import curate, kept_opinions, meaning, question_cards
from stillhouse.curation.config import QuestionsConfig, QuestionsInputs
from stillhouse.curation.contamination import Match
from stillhouse.curation.curate import Curated
from stillhouse.curation.drops import Drops
from stillhouse.curation.duplicates import STAY, Decisions
from stillhouse.curation.question_spool import QuestionSpool
from stillhouse.errors import TooManyErrors
from stillhouse.execution.contract import Outputs
from stillhouse.vocabulary.rows import Question
from stillhouse.vocabulary.shards import index_of

COLUMNS, CARDS, COUNTS, ROWS = "summary/columns", "summary/cards", "counts.json", "part-00000.parquet"
DECISIONS, PAIRS = "decisions.parquet", "pairs.parquet"
_DECISION = pa.schema([("map", pa.int32()), ("row", pa.int64()), ("reason", pa.string()), ("detail", pa.string())])
"""One question that does not stay: the shard that read it, and its row among those which that one handed on to this shard."""


def map_share(config: QuestionsConfig, inputs: QuestionsInputs) -> Outputs:
    """Judge this shard's share of the rows; publish what passes by the shard of its id, the drops, and columns to decide by."""
    drops = Drops(inputs.output / "own")
    spool = curate.new_spool(config, inputs)
    read = curate.first_pass(config, inputs, curate.index(config), spool, drops)
    targets = _hand_on(spool, inputs)
    sizes = np.bincount(targets, minlength=inputs.shard.count)
    spool.save(inputs.output / COLUMNS, np.argsort(targets, kind="stable"), sizes)
    drops.close()
    counts: dict[str, Any] = {"read": drops.read, "dropped": drops.dropped, "refused": drops.n_refused}
    counts |= {"good": [share.n_good for share in read.shares], "bad": [share.n_bad for share in read.shares]}
    counts["unmapped"] = read.unmapped
    for directory in (inputs.output / "own", inputs.output / "summary"):
        directory.mkdir(exist_ok=True)
        (directory / COUNTS).write_text(json.dumps(counts), encoding="utf-8")
    return Outputs({"n_read": float(drops.n_read), "n_passed": float(len(targets))}, dict(drops.dropped))


def _hand_on(spool: QuestionSpool, inputs: QuestionsInputs) -> npt.NDArray[np.int64]:
    """Write the questions of each shard to a file of its own, and their cards to another.

    Returns the shard of every question in the spool, (n_questions,).
    """
    count, targets = inputs.shard.count, []
    writers = [_writer(inputs.output / f"to-{index}" / ROWS, Question.SCHEMA) for index in range(count)]
    cards = [_writer(inputs.output / CARDS / f"{index}.parquet", question_cards.SCHEMA) for index in range(count)]
    for _, table in spool.tables():
        of_rows = np.array([index_of(key, count) for key in table["question_id"].to_pylist()], np.int64)
        targets.append(of_rows)
        for index in np.unique(of_rows).tolist():
            of_shard = table.filter(pa.array(of_rows == index))
            writers[index].write_table(of_shard)
            cards[index].write_table(question_cards.as_table(of_shard))
    for writer in (*writers, *cards):
        writer.close()
    return np.concatenate(targets) if targets else np.empty(0, np.int64)


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    path.parent.mkdir(parents=True, exist_ok=True)
    return pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)


def combine(config: QuestionsConfig, inputs: QuestionsInputs) -> Outputs:
    """Decide over the questions of all shards; publish for each shard which of its questions do not stay, and why."""
    benchmark_index, drops = curate.index(config), Drops(inputs.scratch / "found")
    spool, count = curate.new_spool(config, inputs), inputs.shard.count
    texts = [directory / f"to-{index}" / ROWS for directory in inputs.maps for index in range(count)]
    cards = [directory / CARDS / f"{index}.parquet" for directory in inputs.maps for index in range(count)]
    sizes = spool.load([directory / COLUMNS for directory in inputs.maps], cards, texts if reads_texts(config) else ())
    # They are handed on to the first shard.
    opinions = curate.opinions(inputs, inputs.output / "to-0")
    decisions = curate.decide(config, spool, benchmark_index, drops, opinions)
    drops.close()
    matches = [Match(**row) for path in drops.pairs.paths for row in pq.read_table(path).to_pylist()]
    counted = [_counts(directory) for directory in inputs.maps]
    _refuse_bad_sources(config, counted)
    reasons = sorted({reason for counts in counted for reason in counts["dropped"]})
    for index in range(count):
        directory = inputs.output / f"to-{index}"
        tables.write_table(directory / DECISIONS, _decisions_of(decisions, sizes, index))
        own = [match for match in matches if index_of(match.question_id, count) == index]
        tables.write_part(directory / PAIRS, own, Match)
        # What is counted once for all belongs to the first shard.
        further = {"reasons": reasons, "counts": {} if index else drops.counts}
        (directory / COUNTS).write_text(json.dumps(further), encoding="utf-8")
    gone = int(np.count_nonzero(decisions.reasons != STAY))
    return Outputs({"n_compared": float(len(decisions.reasons)), "n_stay": float(len(decisions.reasons) - gone)})


def _refuse_bad_sources(config: QuestionsConfig, counted: Sequence[Mapping[str, Any]]) -> None:
    """Raise TooManyErrors if the share of bad rows of a source, which the maps shared, is above its ``max_bad_rate``."""
    for number, spec in enumerate(config.sources):
        good, bad = (sum(counts[name][number] for counts in counted) for name in ("good", "bad"))
        most = getattr(spec, "max_bad_rate", 1.0)
        if bad > most * (good + bad):
            msg = f"source {spec.name}: {bad} of {good + bad} rows are bad, max_bad_rate allows {most:g}; see dropped/ of the maps"
            raise TooManyErrors(msg)


def reads_texts(config: QuestionsConfig) -> bool:
    """Whether the combine step compares texts, not hashes and signatures alone."""
    by_meaning = bool(config.decontaminate) and meaning.by_meaning(config.decontamination)
    return config.semantic_duplicates is not None or by_meaning or curate.leaves_out_boilerplate(config)


def _decisions_of(decisions: Decisions, sizes: npt.NDArray[np.int64], index: int) -> pa.Table:
    """The questions of one shard that do not stay. ``sizes`` (n_maps, n_shards): how many each map handed to each shard."""
    ends = np.cumsum(sizes.ravel()).reshape(sizes.shape)[:, index]
    columns: dict[str, list[Any]] = {name: [] for name in _DECISION.names}
    for number, (end, size) in enumerate(zip(ends.tolist(), sizes[:, index].tolist(), strict=True)):
        for row in np.flatnonzero(decisions.reasons[end - size : end] != STAY).tolist():
            reason, detail = decisions.reason(end - size + row)
            for column, value in zip(columns.values(), (number, row, reason, detail), strict=True):
                column.append(value)
    return pa.table(columns, schema=_DECISION)


@dataclass(frozen=True)
class HandedOn:
    """The questions that all maps handed on to one shard."""

    paths: Sequence[Path]
    """One file from each map."""

    def tables(self) -> Iterator[tuple[int, pa.Table]]:
        """The questions a part at a time, each with the row number of its first question."""
        start = 0
        for path in self.paths:
            file = pq.ParquetFile(path, page_checksum_verification=True)
            for batch in file.iter_batches(tables.PART_ROWS):
                yield start, pa.Table.from_batches([batch], Question.SCHEMA)
                start += len(batch)


@dataclass(frozen=True)
class DecidedElsewhere:
    """What the combine step decided on the questions handed on to one shard."""

    reasons: npt.NDArray[np.uint8]
    """``STAY``, or 1 for a question that does not stay, (n_questions,)."""
    why: Mapping[int, tuple[str, str]]

    def reason(self, row: int) -> tuple[str, str]:
        """Why the question does not stay, as reason and detail."""
        return self.why[row]


def apply(config: QuestionsConfig, inputs: QuestionsInputs) -> Curated:
    """Publish the questions of this shard's keys that stay, and what its map dropped."""
    index, own = inputs.shard.index, inputs.maps[inputs.shard.index] / "own"
    if inputs.decision is None:
        msg = "questions: a shard needs the decisions of the combine step"
        raise ValueError(msg)
    paths = [directory / f"to-{index}" / ROWS for directory in inputs.maps]
    decided = inputs.decision / f"to-{index}"
    drops = Drops(inputs.output)
    _take_over(drops, own, decided, inputs.output)
    if (decided / kept_opinions.DIRECTORY).exists():
        shutil.copytree(decided / kept_opinions.DIRECTORY, inputs.output / kept_opinions.DIRECTORY)
    unmapped = {name: Counter(columns) for name, columns in _counts(own)["unmapped"].items()}
    return curate.publish(config, inputs, HandedOn(paths), _decided(decided / DECISIONS, paths), drops, unmapped)


def _decided(path: Path, handed_on: Sequence[Path]) -> DecidedElsewhere:
    sizes = [pq.read_metadata(part).num_rows for part in handed_on]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    reasons, why = np.zeros(int(starts[-1]), np.uint8), dict[int, tuple[str, str]]()
    for row in pq.read_table(path).to_pylist():
        number = int(starts[row["map"]]) + row["row"]
        reasons[number], why[number] = 1, (row["reason"], row["detail"])
    return DecidedElsewhere(reasons, why)


def _take_over(drops: Drops, own: Path, decided: Path, output: Path) -> None:
    """Count and copy what this shard's map dropped and matched, and the matches that the combine step found."""
    counts = _counts(own)
    drops.start_from(Counter(counts["read"]), Counter(counts["dropped"]), counts["refused"])
    # Reasons of other shards: the counts of questions left after each rule add up only if all shards have all rules.
    found = _counts(decided)
    drops.dropped.update(dict.fromkeys(found["reasons"], 0))
    drops.counts.update(found["counts"])
    for kind in ("dropped", "contamination"):
        for path in sorted((own / kind).glob("*.parquet")):
            target = output / kind / path.name.replace("-", "-map-", 1)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            if kind == "contamination":
                drops.pairs.paths.append(target)
    for row in pq.read_table(decided / PAIRS).to_pylist():
        drops.add_match(Match(**row))


def _counts(directory: Path) -> dict[str, Any]:
    summary = directory / "summary" / COUNTS
    counts: dict[str, Any] = json.loads((summary if summary.exists() else directory / COUNTS).read_text(encoding="utf-8"))
    return counts
