"""Questions -> the prompts of rollouts, and which of them the model has room for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stillhouse.artifacts import tables
from stillhouse.errors import NothingToDo
from stillhouse.training.rl import curriculum
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.prompts import asked
from stillhouse.vocabulary.rows import Dropped, Message, Question

if TYPE_CHECKING:
    from stillhouse.stages.rl import Config, Inputs


@dataclass(frozen=True)
class Prompt:
    """What is asked of the model, and its length in tokens."""

    question: Question
    messages: list[Message]
    n_tokens: int


def prompts(
    config: "Config", inputs: "Inputs", questions: Mapping[str, Question], model: Any, tokenizer: Any
) -> tuple[dict[str, Prompt], dict[str, int]]:
    """The prompts by question id, and the counts of those dropped: a rollout of ``max_tokens`` would not fit the model after them.

    Raises NothingToDo where none is left.
    """
    context = getattr(model.config, "max_position_embeddings", None)
    made = {each: _prompt(config, question, tokenizer) for each, question in questions.items()}
    fits = {each: prompt for each, prompt in made.items() if context is None or prompt.n_tokens + config.max_tokens <= context}
    if not fits:
        msg = f"rl: after none of {len(made)} questions {config.max_tokens} tokens fit the model's {context}; lower max_tokens"
        raise NothingToDo(msg)
    long = [prompt for each, prompt in made.items() if each not in fits]
    if not long:
        return fits, {}
    tables.write(inputs.dropped, [rows.dropped(each.question, "too_long", f"{each.n_tokens} tokens") for each in long], Dropped)
    return fits, {"too_long": len(long)}


def order(config: "Config", prompts: Mapping[str, Prompt], asked_before: Mapping[str, int]) -> list[str]:
    """The question ids of every step, one step after the other."""
    by_category: dict[str, list[str]] = {}
    for each, prompt in prompts.items():
        by_category.setdefault(prompt.question.category, []).append(each)
    return curriculum.order(by_category, config.mix, config.prompts_per_step, config.steps, config.seed, asked_before)


def _prompt(config: "Config", question: Question, tokenizer: Any) -> Prompt:
    messages = asked(question.messages, question.category, config.system_prompt, config.suffix, config.suffixes)
    return Prompt(question, messages, len(tokens(tokenizer, messages)))


def tokens(tokenizer: Any, messages: list[Message]) -> list[int]:
    """The prompt as the model reads it."""
    return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"])
