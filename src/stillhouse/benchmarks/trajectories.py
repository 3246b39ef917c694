"""From round to round: flips, tokens to a point gained, hesitation words and length by how a chain's correctness went.

The analyses of Think Twice §3.2. A chain's trajectory is its correctness in two rounds after each other: C for correct, I for not.
The paper does not say how it counts words: here as whole words in any case, in the whole response.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from stillhouse.benchmarks.evaluation import Evaluation
from stillhouse.benchmarks.intervals import Interval, paired_difference
from stillhouse.vocabulary.rows import Keyed, Response

WORDS = ("but", "wait", "maybe", "therefore")
TRAJECTORIES = ("C-C", "C-I", "I-C", "I-I")

_WORD = re.compile(rf"\b({'|'.join(WORDS)})\b", re.IGNORECASE)

Chain = tuple[str, int]
"""Question id and sample index."""
K = TypeVar("K", bound=Keyed)


@dataclass(frozen=True)
class Group:
    """Chains of one trajectory, or all: the mean of a response in the round before and in this one."""

    name: str
    chains: int
    tokens: tuple[float, float]
    words: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Step:
    """What a round changed against the round before it."""

    number: int
    gain: Interval
    """Difference in pass@1 on the same questions, paired."""
    wrong_to_correct: int
    correct_to_wrong: int
    tokens: float
    """Mean tokens of a response in this round: what the round costs a chain."""
    tokens_per_point: float | None
    """Tokens of a chain for each percentage point gained; None where nothing was gained."""
    groups: tuple[Group, ...]
    """All chains, then those of each trajectory that occurs."""


def step(evaluation: Evaluation, number: int) -> Step | None:
    """Round ``number`` against the one before; None where no question was verified in both."""
    before, after = evaluation.outcomes(number - 1), evaluation.outcomes(number)
    shared = sorted(before.keys() & after.keys())
    if not shared:
        return None
    gain = paired_difference([after[each] for each in shared], [before[each] for each in shared])
    groups = _groups(evaluation, number)
    chains = {group.name: group.chains for group in groups}
    tokens = evaluation.tokens(number)
    per_point = tokens / (100 * gain.mean) if gain.mean > 0 else None
    return Step(number, gain, chains.get("I-C", 0), chains.get("C-I", 0), tokens, per_point, groups)


def words(text: str) -> Counter[str]:
    """How often each of ``WORDS`` occurs in a text."""
    return Counter(found.lower() for found in _WORD.findall(text))


def _groups(evaluation: Evaluation, number: int) -> tuple[Group, ...]:
    responses = [_by_chain(evaluation.responses, each) for each in (number - 1, number)]
    passed = [_by_chain(evaluation.verified, each) for each in (number - 1, number)]
    trajectories: dict[Chain, str] = {}
    for chain in responses[0].keys() & responses[1].keys():
        pair = [verdicts[chain].passed for verdicts in passed]
        if None not in pair:
            trajectories[chain] = "-".join("C" if each else "I" for each in pair)
    counted = [{chain: words(row.text) for chain, row in rows.items() if chain in trajectories} for rows in responses]
    found = []
    for name in ("all", *TRAJECTORIES):
        chains = sorted(chain for chain, trajectory in trajectories.items() if name in {"all", trajectory})
        if chains:
            found.append(_group(name, chains, responses, counted))
    return tuple(found)


def _group(
    name: str, chains: Sequence[Chain], responses: Sequence[Mapping[Chain, Response]],
    counted: Sequence[Mapping[Chain, Counter[str]]],
) -> Group:  # fmt: skip
    def mean(values: Callable[[int], Iterable[float]]) -> tuple[float, float]:
        return sum(values(0)) / len(chains), sum(values(1)) / len(chains)

    tokens = mean(lambda place: (responses[place][chain].completion_tokens for chain in chains))
    used = {word: mean(partial(_counts, word, chains, counted)) for word in WORDS}
    return Group(name, len(chains), tokens, used)


def _counts(word: str, chains: Sequence[Chain], counted: Sequence[Mapping[Chain, Counter[str]]], place: int) -> Iterator[float]:
    return (counted[place][chain][word] for chain in chains)


def _by_chain(rows: Sequence[K], number: int) -> dict[Chain, K]:
    return {(row.question_id, row.sample_index): row for row in rows if row.round == number}
