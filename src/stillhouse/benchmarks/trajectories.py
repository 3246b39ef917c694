"""From round to round: flips, tokens per point gained, and hesitation words and length by trajectory.

The analyses of Think Twice §3.2. A chain's trajectory is its correctness in two consecutive rounds: C for correct, I for incorrect.
The paper does not say how it counts words; we count whole words in any case, over the whole response.
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
class TrajectoryGroup:
    """The chains of one trajectory, or all: means of a response in the round before and in this one."""

    name: str
    chains: int
    tokens: tuple[float, float]
    words: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class RoundStep:
    """What a round changed compared with the round before it."""

    number: int
    gain: Interval
    """Difference in pass@1 on the same questions, paired."""
    wrong_to_correct: int
    correct_to_wrong: int
    tokens: float
    """Mean tokens of a response in this round: the round's cost per chain."""
    tokens_per_point: float | None
    """Tokens per chain for each percentage point gained; None without a gain."""
    groups: tuple[TrajectoryGroup, ...]
    """All chains, then the chains of each trajectory that occurs."""


def round_step(evaluation: Evaluation, number: int) -> RoundStep | None:
    """Round ``number`` against the one before; None if no question was verified in both."""
    before, after = evaluation.outcomes(number - 1), evaluation.outcomes(number)
    shared = sorted(before.keys() & after.keys())
    if not shared:
        return None
    gain = paired_difference([after[question] for question in shared], [before[question] for question in shared])
    groups = _groups(evaluation, number)
    chains = {group.name: group.chains for group in groups}
    tokens = evaluation.tokens(number)
    per_point = tokens / (100 * gain.mean) if gain.mean > 0 else None
    return RoundStep(number, gain, chains.get("I-C", 0), chains.get("C-I", 0), tokens, per_point, groups)


def words(text: str) -> Counter[str]:
    """How often each of ``WORDS`` occurs in a text."""
    return Counter(match.lower() for match in _WORD.findall(text))


def _groups(evaluation: Evaluation, number: int) -> tuple[TrajectoryGroup, ...]:
    responses = [_by_chain(evaluation.responses, round_number) for round_number in (number - 1, number)]
    verified = [_by_chain(evaluation.verified, round_number) for round_number in (number - 1, number)]
    trajectories: dict[Chain, str] = {}
    for chain in responses[0].keys() & responses[1].keys():
        pair = [verdicts[chain].passed for verdicts in verified]
        if None not in pair:
            trajectories[chain] = "-".join("C" if passed else "I" for passed in pair)
    counted = [{chain: words(row.text) for chain, row in rows.items() if chain in trajectories} for rows in responses]
    groups = []
    for name in ("all", *TRAJECTORIES):
        chains = sorted(chain for chain, trajectory in trajectories.items() if name in {"all", trajectory})
        if chains:
            groups.append(_group(name, chains, responses, counted))
    return tuple(groups)


def _group(
    name: str, chains: Sequence[Chain], responses: Sequence[Mapping[Chain, Response]],
    counted: Sequence[Mapping[Chain, Counter[str]]],
) -> TrajectoryGroup:  # fmt: skip
    def mean(values: Callable[[int], Iterable[float]]) -> tuple[float, float]:
        return sum(values(0)) / len(chains), sum(values(1)) / len(chains)

    tokens = mean(lambda side: (responses[side][chain].completion_tokens for chain in chains))
    word_means = {word: mean(partial(_counts, word, chains, counted)) for word in WORDS}
    return TrajectoryGroup(name, len(chains), tokens, word_means)


def _counts(word: str, chains: Sequence[Chain], counted: Sequence[Mapping[Chain, Counter[str]]], side: int) -> Iterator[float]:
    return (counted[side][chain][word] for chain in chains)


def _by_chain(rows: Sequence[K], number: int) -> dict[Chain, K]:
    return {(row.question_id, row.sample_index): row for row in rows if row.round == number}
