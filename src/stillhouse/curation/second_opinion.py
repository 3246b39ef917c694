"""Ask a language model whether two questions are the same task (llm-decontaminator, Yang et al. 2023).

The prompt is ours. It is asked only of pairs that no other method decided on, and only of the nearest ones: see ``SecondOpinion``.
"""

import hashlib
import heapq
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from stillhouse.curation.config import SecondOpinion
from stillhouse.curation.kept_opinions import KeptOpinions
from stillhouse.errors import TooManyErrors
from stillhouse.models.references import name_of
from stillhouse.models.resolving import identity
from stillhouse.sampling.engine import Engine, Request
from stillhouse.vocabulary.rows import PromptKind, ResponseKey
from stillhouse.vocabulary.seeds import row_seed
from stillhouse.vocabulary.transcript import END_THINK

PROMPT = (
    "Below are two tasks. Do not solve them. Say whether they are the same task: whether somebody who has seen the solution of one "
    "has thereby seen the solution of the other. The wording, the order, the names and the language may differ, and one may be a "
    "part of the other; tasks with other numbers or another question are different.\n\n<first>\n{first}\n</first>\n\n<second>\n"
    "{second}\n</second>\n\nAnswer with one of these words alone: same, different."
)
BATCH = 1024
"""Pairs whose texts are held in memory."""

Pair = tuple[int, int]
"""Numbers of a question and of the question that it may be the same as."""
Texts = tuple[str, str]


class NearestPairs:
    """The most similar pairs, at most ``most``."""

    def __init__(self, most: int) -> None:
        self.n_left_out = 0
        self._most = most
        self._heap: list[tuple[float, int, int]] = []

    def add(self, row: int, other: int, similarity: float) -> None:
        """Add a pair; of equally similar ones the first in order stay."""
        entry = similarity, -row, -other
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)
            self.n_left_out += 1

    def similarities(self) -> dict[Pair, float]:
        """The pairs in order, each with its similarity."""
        return dict(sorted(((-row, -other), similarity) for similarity, row, other in self._heap))


@dataclass
class Opinions:
    """A model that is asked, and what its answers were."""

    config: SecondOpinion
    engine: Engine
    metric: str
    """The first part of the names of the counts."""
    counts: Counter[str]
    kept: KeptOpinions
    """What was said before, by this try and others: benchmarks share questions."""

    def same_tasks(
        self, nearest: NearestPairs, texts_of: Callable[[Sequence[Pair]], Mapping[Pair, Texts]]
    ) -> Iterator[tuple[Pair, float]]:  # fmt: skip
        """The pairs that the model calls the same task, in order, with their similarities.

        ``texts_of`` reads the texts of some pairs. Raises TooManyErrors if more answers decide nothing than ``max_undecided`` says.
        """
        self.counts[f"{self.metric}/over_max_pairs"] += nearest.n_left_out
        pairs = list(nearest.similarities().items())
        for start in range(0, len(pairs), BATCH):
            batch = pairs[start : start + BATCH]
            texts = texts_of([pair for pair, _ in batch])
            digests = {pair: self._digest(own) for pair, own in texts.items()}
            said = self._said({digests[pair]: (pair, own) for pair, own in texts.items()})
            for pair, similarity in batch:
                if said.get(digests[pair]):
                    self.counts[f"{self.metric}/same"] += 1
                    yield pair, similarity
        self._refuse_undecided()

    def _digest(self, texts: Texts) -> str:
        """What an opinion is kept under: all that decides it."""
        model, sampling = identity(self.config.model), self.config.sampling.model_dump(mode="json")
        return hashlib.sha256(json.dumps([model, sampling, PROMPT, *texts], sort_keys=True).encode()).hexdigest()

    def _said(self, asked: Mapping[str, tuple[Pair, Texts]]) -> dict[str, bool | None]:
        """What the model says of these pairs, or said before, by digest. A pair whose request failed has no opinion."""
        said = self.kept.known(asked)
        self.counts[f"{self.metric}/reused"] += len(said)
        new = {self._key(pair): (digest, texts) for digest, (pair, texts) in asked.items() if digest not in said}
        try:
            for request, completion in self.engine.sample(self._request(key, texts) for key, (_, texts) in new.items()):
                self.counts[f"{self.metric}/asked"] += 1
                if completion.finish_reason == "error":
                    self.counts[f"{self.metric}/failed/{completion.failure or 'error'}"] += 1
                    self.counts[f"{self.metric}/undecided"] += 1
                else:
                    said[new[request.key][0]] = parse(completion.text)
        finally:
            self.kept.keep(said)
        self.counts[f"{self.metric}/undecided"] += sum(same is None for same in said.values())
        return said

    def _refuse_undecided(self) -> None:
        n_asked = self.counts[f"{self.metric}/asked"] + self.counts[f"{self.metric}/reused"]
        n_failed = self.counts[f"{self.metric}/undecided"]
        if n_failed > self.config.max_undecided * n_asked:
            start = f"{self.metric}/failed/"
            failures = [f"{name.removeprefix(start)}: {n}" for name, n in sorted(self.counts.items()) if name.startswith(start)]
            msg = (
                f"{self.config.model} said neither same nor different of {n_failed} of {n_asked} pairs"
                f"{' (requests failed: ' + ', '.join(failures) + ')' if failures else ''}, max_undecided is "
                f"{self.config.max_undecided:g}; take a model that follows instructions, or raise max_undecided"
            )
            raise TooManyErrors(msg)

    def _key(self, pair: Pair) -> ResponseKey:
        # A prompt kind of our own: no row is made of these completions.
        return f"{pair[0]}", name_of(self.config.model), cast("PromptKind", "second_opinion"), 1, pair[1]

    def _request(self, key: ResponseKey, texts: Texts) -> Request:
        content = PROMPT.format(first=texts[0], second=texts[1])
        return Request(key, [{"role": "user", "content": content}], row_seed(self.config.sampling.seed, ("second_opinion", *texts)))


def parse(text: str) -> bool | None:
    """Whether the answer after any thinking says ``same``; None if it says neither word, or both."""
    named = set(re.findall(r"\b(same|different)\b", text.rpartition(END_THINK)[2].lower()))
    return named.pop() == "same" if len(named) == 1 else None
