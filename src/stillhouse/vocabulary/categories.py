"""The categories of questions, in one table: scale, pass threshold, verifier, and every other default that differs between them.

A new category is one word in ``Category`` and one line in ``FACTS``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator

Category = Literal["math", "code", "science", "instruction_following", "multi_turn", "other"]
CATEGORIES: tuple[Category, ...] = get_args(Category)

Need = Literal["reference_answer", "test_cases", "constraints"]


@dataclass(frozen=True, slots=True)
class CategoryFacts:
    """What all stages must agree on about one category."""

    verifier: str
    """The module of ``stillhouse.verification`` that scores by rule; ``judge`` where a language or reward model scores."""
    needs: Need | None = None
    """The column of a question that scoring by rule needs."""
    scale: float = 1.0
    """Top of the verify_score (DeepDistill §2.4.1)."""
    pass_threshold: float = 0.99
    """A response passes if its verify_score is strictly greater (DeepDistill §2.4.2)."""
    cv_threshold: float = 0.05
    """A question is challenging if the CV of its scores is greater (DeepDistill §3)."""
    release_words: tuple[str, ...] = ()
    """Words for the category in public releases, in lower case; the first one is exported."""
    easy_kept: bool = False
    """Whether easy questions stay with a probability instead of being dropped (DeepDistill §3)."""
    solved_share: float = 0.5
    """Share of the questions solved by the reference model that stays in level 3 (Staged RL §3.2.1 for math and code)."""


FACTS: dict[Category, CategoryFacts] = {
    "math": CategoryFacts("math", "reference_answer", release_words=("math",)),
    "code": CategoryFacts("code", "test_cases", solved_share=0.1, release_words=("code",)),
    "science": CategoryFacts("judge", "reference_answer", scale=5.0, pass_threshold=4.99, release_words=("science",)),
    "instruction_following": CategoryFacts(
        "instruction_following", "constraints",
        release_words=("instruction follow", "if", "instruction following", "instruction_following"),
    ),
    # The word is ours: the 40M release puts these under ``other``.
    "multi_turn": CategoryFacts(
        "judge", pass_threshold=0.7, easy_kept=True, release_words=("multi-turn", "multi_turn", "multiturn")
    ),
    "other": CategoryFacts("judge", pass_threshold=0.7, easy_kept=True, release_words=("other",)),
}  # fmt: skip

EASY_KEPT: tuple[Category, ...] = tuple(category for category, facts in FACTS.items() if facts.easy_kept)

SCALES: dict[Category, float] = {category: facts.scale for category, facts in FACTS.items()}
PASS_THRESHOLDS: dict[Category, float] = {category: facts.pass_threshold for category, facts in FACTS.items()}
CV_THRESHOLDS: dict[Category, float] = {category: facts.cv_threshold for category, facts in FACTS.items()}
SOLVED_SHARES: dict[Category, float] = {category: facts.solved_share for category, facts in FACTS.items()}


def filled(defaults: Mapping[Category, float]) -> AfterValidator:
    """The validator of a config field by category: it fills in the categories that the config leaves out."""
    return AfterValidator(lambda values: {**defaults, **values})


PassThresholds = Annotated[dict[Category, float], filled(PASS_THRESHOLDS)]
"""A config field: pass thresholds by category, each on the category's own scale."""
