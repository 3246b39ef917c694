"""The categories of questions, in one table: on what scale each is scored, what passes, who verifies it, and what that takes."""

from dataclasses import dataclass
from typing import Literal, get_args

Category = Literal["math", "code", "science", "instruction_following", "multi_turn", "other"]
CATEGORIES: tuple[Category, ...] = get_args(Category)

Need = Literal["reference_answer", "test_cases", "constraints"]


@dataclass(frozen=True, slots=True)
class CategoryFacts:
    """What all stages have to agree on about one category."""

    verifier: str
    """The module of ``stillhouse.verification`` that scores by rule, or ``judge``: a language model or a reward model scores."""
    needs: Need | None = None
    """The column of a question without which no response to it can be scored by rule."""
    scale: float = 1.0
    """Top of the verify_score (DeepDistill §2.4.1)."""
    pass_threshold: float = 0.99
    """A response passes if its verify_score is greater, strictly (DeepDistill §2.4.2)."""
    release_words: tuple[str, ...] = ()
    """Words for the category in public releases, in lower case; the first one is exported."""
    easy_kept: bool = False
    """Whether easy questions stay with a probability instead of being dropped (DeepDistill §3)."""


FACTS: dict[Category, CategoryFacts] = {
    "math": CategoryFacts("math", "reference_answer", release_words=("math",)),
    "code": CategoryFacts("code", "test_cases", release_words=("code",)),
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


def scale(category: str) -> float:
    """Top of the category's verify_score; 1 for a category that is not in the table."""
    facts = FACTS.get(category)  # type: ignore[call-overload]
    return facts.scale if facts else 1.0
