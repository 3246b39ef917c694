"""What would stop an rl stage at its first step, found before the model loads: a step's rollouts are paid for by then."""

from collections.abc import Mapping

from stillhouse.errors import BadConfig
from stillhouse.training.data.batches import passes
from stillhouse.training.rl import rollout_engine
from stillhouse.training.rl.config import RlConfig
from stillhouse.training.rl.environments import rollout_environment
from stillhouse.training.rl.reward_terms.config import JudgeTerm, VerifierTerm
from stillhouse.verification.sandbox.runner import Sandbox
from stillhouse.vocabulary.categories import FACTS, Category
from stillhouse.vocabulary.rows import Question


def require_sizes(config: RlConfig) -> None:
    """Raise BadConfig or EngineFailed if the processes cannot share a step, or cannot run the rollout engine."""
    passes(config.prompts_per_step, "prompts_per_step", config.group_size)
    rollout_engine.arguments(config.engine, config.max_tokens)


def require_environment(config: RlConfig) -> None:
    """Raise BadConfig or EngineFailed if the environment or a tool of it cannot be loaded, or programs cannot be isolated here."""
    if config.environment is not None:
        rollout_environment.load(config.environment)
        if "python" in config.environment.tools:
            Sandbox().close()


def require_rewards(config: RlConfig, questions: Mapping[str, Question]) -> None:
    """Raise BadConfig if no term rewards the answers to a question that may be asked, or a term lacks what it needs of it."""
    unrewarded, incomplete = dict[Category, int](), dict[Category, list[str]]()
    for question_id, question in questions.items():
        category = question.category
        if config.mix is not None and category not in config.mix:
            continue
        terms = [term for term in config.rewards if term.rewards(category)]
        column = FACTS[category].needs
        if not terms:
            unrewarded[category] = unrewarded.get(category, 0) + 1
        elif column and not getattr(question, column) and any(isinstance(term, VerifierTerm | JudgeTerm) for term in terms):
            incomplete.setdefault(category, []).append(question_id)
    if unrewarded:
        counts = ", ".join(f"{count} of {category}" for category, count in sorted(unrewarded.items()))
        names = ", ".join(term.label for term in config.rewards)
        msg = (
            f"rl: nothing rewards the answers to {counts} in split {config.split!r}, got rewards {names}; add a term for them, "
            "such as `{kind: judge, judge: {model: NAME, engine: openai}}`, or leave them out by `mix`"
        )
        raise BadConfig(msg)
    for category, ids in incomplete.items():
        msg = (
            f"rl: {len(ids)} questions of category {category} have no {FACTS[category].needs}, the first is {ids[0]}; without it "
            "no answer can be scored: leave them out of the split, or let only terms of your own reward the category"
        )
        raise BadConfig(msg)
