"""Ask a language model whether a question is one of the benchmark questions nearest to it (llm-decontaminator, Yang et al. 2023).

The prompt is ours. It is asked only of pairs that no other method matched, and only of the nearest ones: see ``SecondOpinion``.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

from stillhouse.curation.config import SecondOpinion
from stillhouse.errors import TooManyErrors
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
ASKED, SAME, UNDECIDED = (f"n_second_opinion/{name}" for name in ("asked", "same", "undecided"))
"""Names of the counts in the stage's metrics."""

Pair = tuple[int, int]
"""Numbers of a question and of a benchmark question."""


def same_tasks(
    config: SecondOpinion, engine: Engine, pairs: Mapping[Pair, tuple[str, str]], counts: Counter[str]
) -> list[Pair]:  # fmt: skip
    """The pairs of texts that the model calls the same task, in order; ``counts`` goes on counting."""
    requests = {_key(config, pair): _request(config, pair, texts) for pair, texts in pairs.items()}
    by_key = {_key(config, pair): pair for pair in pairs}
    same = []
    for request, completion in engine.sample(requests.values()):
        counts[ASKED] += 1
        opinion = parse(completion.text)
        if opinion is None:
            counts[UNDECIDED] += 1
        elif opinion:
            counts[SAME] += 1
            same.append(by_key[request.key])
    return sorted(same)


def refuse_undecided(config: SecondOpinion, counts: Mapping[str, int]) -> None:
    """Raise TooManyErrors if more answers decided nothing than ``max_undecided`` allows."""
    n_asked, n_failed = counts.get(ASKED, 0), counts.get(UNDECIDED, 0)
    if n_failed > config.max_undecided * n_asked:
        msg = (
            f"{config.model} said neither same nor different of {n_failed} of {n_asked} pairs, max_undecided is "
            f"{config.max_undecided:g}; take a model that follows instructions, or raise max_undecided"
        )
        raise TooManyErrors(msg)


def parse(text: str) -> bool | None:
    """Whether the answer after any thinking says ``same``; None if it says neither word, or both."""
    named = set(re.findall(r"\b(same|different)\b", text.rpartition(END_THINK)[2].lower()))
    return named.pop() == "same" if len(named) == 1 else None


def _key(config: SecondOpinion, pair: Pair) -> ResponseKey:
    # A prompt kind of our own: no row is made of these completions.
    return f"{pair[0]}", config.model, cast("PromptKind", "second_opinion"), 1, pair[1]


def _request(config: SecondOpinion, pair: Pair, texts: Sequence[str]) -> Request:
    key = _key(config, pair)
    content = PROMPT.format(first=texts[0], second=texts[1])
    return Request(key, [{"role": "user", "content": content}], row_seed(config.sampling.seed, ("second_opinion", *texts)))
