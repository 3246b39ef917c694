"""What would stop an rl stage at its first step, found before the model loads: a step's rollouts are paid for by then."""

from collections.abc import Mapping

from stillhouse.errors import BadConfig
from stillhouse.training.data.batches import passes
from stillhouse.training.rl import rollout_engine
from stillhouse.training.rl.config import REWARDS, RlConfig
from stillhouse.verification.verifier import LoadedVerifiers
from stillhouse.vocabulary.categories import FACTS, Category
from stillhouse.vocabulary.rows import Question


def require_sizes(config: RlConfig) -> None:
    """Raise BadConfig or EngineFailed if the processes cannot share a step, or cannot run the rollout engine."""
    passes(config.prompts_per_step, "prompts_per_step", config.group_size)
    rollout_engine.arguments(config.engine, config.max_tokens)


def require_rewards(config: RlConfig, questions: Mapping[str, Question]) -> None:
    """Raise BadConfig if the verifiers cannot score the answers to a question that may be asked.

    A reward of the user's own may score any category.
    """
    if config.reward not in REWARDS:
        return
    rules, unscored, incomplete = LoadedVerifiers({}), dict[Category, int](), dict[Category, list[str]]()
    for question_id, question in questions.items():
        category = question.category
        if config.mix is not None and category not in config.mix:
            continue
        if category not in rules:
            unscored[category] = unscored.get(category, 0) + 1
        elif (column := FACTS[category].needs) and not getattr(question, column):
            incomplete.setdefault(category, []).append(question_id)
    if unscored:
        counts = ", ".join(f"{count} of {category}" for category, count in sorted(unscored.items()))
        msg = (
            f"rl: no rule scores the answers to {counts} in split {config.split!r}; leave them out by `mix`, or name a reward of "
            "your own in `reward`"
        )
        raise BadConfig(msg)
    for category, ids in incomplete.items():
        msg = (
            f"rl: {len(ids)} questions of category {category} have no {FACTS[category].needs}, the first is {ids[0]}; without it "
            "no answer can be scored: leave them out of the split"
        )
        raise BadConfig(msg)
