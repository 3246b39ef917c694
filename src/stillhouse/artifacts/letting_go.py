"""Let the rows of dropped questions go: a stage that joins rows to questions records them and goes on with the others."""

from collections.abc import Container, Iterable, Iterator
from typing import TypeVar

from stillhouse.artifacts.tables import Parts
from stillhouse.errors import BadRows
from stillhouse.vocabulary.rows import UNKNOWN_QUESTION, Dropped, Keyed, response_key
from stillhouse.vocabulary.shards import Shard

K = TypeVar("K", bound=Keyed)


class LetGo:
    """The rows of one stage whose question is not there; they are written to ``drops`` as they come."""

    def __init__(self, stage: str, known: Container[str], drops: Parts[Dropped]) -> None:
        self.count = 0
        self._stage, self._known, self._drops = stage, known, drops
        self._first, self._n_known = "", 0

    def known(self, rows: Iterable[K]) -> Iterator[K]:
        """The rows whose question is there."""
        for row in rows:
            if row.question_id in self._known:
                self._n_known += 1
                yield row
                continue
            self.count += 1
            self._first = self._first or row.question_id
            self._drops.add(Dropped("/".join(map(str, response_key(row))), UNKNOWN_QUESTION, "curation dropped its question", ""))

    def reasons(self, shard: Shard) -> dict[str, int]:
        """The count by reason, for a stage's outputs. Raises BadRows if no row's question was there, unless this is one shard."""
        if shard.count == 1:
            refuse_all_unknown(self._stage, self.count, self._n_known, self._first)
        return {UNKNOWN_QUESTION: self.count} if self.count else {}


def refuse_all_unknown(stage: str, n_unknown: int, n_known: int, first: str) -> None:
    """Raise BadRows if there are rows, and the question of none of them is there: then the wrong questions were given."""
    if n_unknown and not n_known:
        msg = (
            f"{stage}: none of {n_unknown} responses answers a question of the questions input, the first one {first}; pass the "
            "questions that were answered, or those that curation kept of them"
        )
        raise BadRows(msg)
