"""Find rows by key without reading a whole table: stages keep the order of their inputs, so begin near the same share of it."""

import time
from collections.abc import Iterator, Sequence

import polars as pl

from stillhouse.browsing.parts import PART, ROW, RowTable

LEAST_PARTS = 3
"""Parts that are looked at whatever time it takes."""

MOST_MODELS = 6
"""Models in one artifact, one after the other, up to which a response's question is looked for where it should lie."""

Share = tuple[float, float]
"""Where in their table rows lie: begin and end, from 0 to 1."""


def located(
    table: RowTable, keys: pl.DataFrame, near: Sequence[Share], columns: Sequence[str] = (), deadline: float = 0.0
) -> pl.DataFrame:  # fmt: skip
    """The key, ``columns``, ``PART`` and ``ROW`` of the rows with these keys, in any order.

    The search begins at the parts that lie where one of ``near`` says, and ends when all keys are found, or at the ``deadline`` (of
    ``time.monotonic``).
    """
    wanted = keys.select(table.key).unique()
    found = [_none(table, columns)]
    for count, part in enumerate(nearest_parts(table, near)):
        if not wanted.height or (count >= LEAST_PARTS * len(near) and time.monotonic() > deadline):
            break
        hits = table.narrow(part, columns).join(wanted, on=table.key, how="semi")
        if hits.height:
            found.append(hits.with_columns(pl.lit(part, pl.Int64).alias(PART)))
            wanted = wanted.join(hits, on=table.key, how="anti")
    return pl.concat(found)


def with_texts(table: RowTable, places: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """The rows of ``located`` with further columns: of each part only the rows that were found."""
    frames = []
    for (part,), of_part in places.partition_by(PART, as_dict=True).items():
        texts = table.rows(int(part), of_part[ROW].to_list(), columns)
        frames.append(of_part.join(texts, on=ROW, how="left"))
    return pl.concat(frames) if frames else places


def _none(table: RowTable, columns: Sequence[str]) -> pl.DataFrame:
    """A frame without rows, with the columns of ``located``."""
    names = (ROW, *table.key, *(name for name in columns if name not in table.key))
    schema = table.parts[0].scan().select(names).collect_schema() if table.parts else dict.fromkeys(names, pl.String)
    return pl.DataFrame(schema={**schema, PART: pl.Int64})


def nearest_parts(table: RowTable, near: Sequence[Share]) -> Iterator[int]:
    """The numbers of the parts, those nearest to one of these shares of the table first."""
    places = [(begin * table.n_rows, end * table.n_rows) for begin, end in near]

    def distance(part: int) -> float:
        first, last = table.start(part), table.ends[part]
        return min(max(first - end, begin - last, 0.0) for begin, end in places)

    return iter(sorted(range(len(table.parts)), key=lambda part: (distance(part), part)))


def shares(listed: RowTable, other: RowTable, responses: RowTable | None, begin: float, end: float) -> list[Share]:
    """Where rows of another table may lie that belong to the listed rows between two shares of theirs.

    Rows with the same key are in the same order. Several responses belong to a question, though, and models answer one after the
    other: in artifacts of their own, whose sizes are known, or in one, in which each takes an equal share.
    """
    if other.key == listed.key or "model" in other.key or "model" not in listed.key:
        return [(begin, end)]
    found = [(begin, end), *((begin * models % 1.0, end * models % 1.0) for models in range(2, MOST_MODELS + 1))]
    if responses is not None and responses.n_rows == listed.n_rows:
        found.insert(0, (_share_of_artifact(responses, begin), _share_of_artifact(responses, end)))
    return [(low, high) if low <= high else (low, 1.0) for low, high in found]


def _share_of_artifact(table: RowTable, share: float) -> float:
    """Where a share of a table lies in the artifact that holds it."""
    number, start, first = share * table.n_rows, 0, 0
    for n_parts in table.artifacts:
        end = table.ends[first + n_parts - 1] if n_parts else start
        if number < end:
            return (number - start) / (end - start)
        start, first = end, first + n_parts
    return 1.0
