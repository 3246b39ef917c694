"""The pipelines that a profile can follow. ``dags/{pipeline}.py`` is the path itself; these are the facts that others need."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class PipelineFacts:
    """What a profile must bring, and where a run ends."""

    help: str
    """One line: from what to what."""
    recipes: tuple[str, ...]
    """Recipes it cannot do without, by stem; ``a|b`` means one of the two, and ``a*`` the stem with any suffix or none."""
    end: str
    """The artifact that a run ends in, by which a run is summed up; empty if it ends in several."""
    roles: tuple[str, ...] = ()
    """Roles in ``models`` that it cannot do without."""
    copies: Mapping[str, int] = field(default_factory=dict)
    """How many tasks follow one recipe, where they are more than one."""


PIPELINES: Mapping[str, PipelineFacts] = MappingProxyType({
    "retrain": PipelineFacts(
        "questions -> … -> a registered model",
        ("questions", "responses*", "verified", "screened", "graded", "selected", "sft*|rl*", "report*", "registry"),
        "registry", ("student",), {"report": 4},
    ),
    "distill": PipelineFacts(
        "questions -> selected, and a student of it",
        ("questions", "responses*", "verified", "screened", "graded", "selected"), "selected",
    ),
    "staged_rl": PipelineFacts(
        "questions -> levels of difficulty -> one RL stage after the other",
        ("questions", "responses*", "verified", "graded", "selected", "rl-1", "rl-2", "report*"), "selected", ("student",),
    ),
    "answer_study": PipelineFacts(
        "one question set, several ways to answer it -> one student each, compared",
        ("questions", "responses-large", "verified", "selected*", "sft-study", "report*", "comparison-study"), "comparison-study",
        ("student",), {"sft-study": 3, "report": 3},
    ),
    "think_twice": PipelineFacts(
        "models -> reports over rounds of thinking; responses thought over until verified -> a student of them", ("report*",), "",
    ),
    "evaluate": PipelineFacts("a checkpoint -> reports", ("report*",), ""),
    "release": PipelineFacts(
        "sources -> labelled, deduplicated, verified -> a release in a public schema",
        ("questions", "verified", "screened", "selected"), "selected",
    ),
})  # fmt: skip
