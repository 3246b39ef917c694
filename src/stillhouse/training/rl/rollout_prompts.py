"""Questions -> the prompts of rollouts; questions that leave the model no room for a rollout are dropped."""

from collections.abc import Mapping
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stillhouse.artifacts import tables
from stillhouse.errors import NothingToDo
from stillhouse.training.rl import curriculum
from stillhouse.training.rl.config import RlConfig, RlInputs
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.prompts import question_prompt
from stillhouse.vocabulary.rows import Dropped, Message, Question


@dataclass(frozen=True)
class RolloutPrompt:
    """A question, the messages that ask it, and their length in tokens."""

    question: Question
    messages: list[Message]
    n_tokens: int


def prompts(
    config: RlConfig,
    inputs: RlInputs,
    questions: Mapping[str, Question],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
) -> tuple[dict[str, RolloutPrompt], dict[str, int]]:
    """The prompts by question id, and drops by reason: a prompt is dropped if ``max_tokens`` after it exceed the model's context.

    Raises NothingToDo if no prompt remains.
    """
    context = getattr(model.config, "max_position_embeddings", None)
    by_id = {question_id: _prompt(config, question, tokenizer) for question_id, question in questions.items()}
    fitting = {
        question_id: prompt
        for question_id, prompt in by_id.items()
        if context is None or prompt.n_tokens + config.max_tokens <= context
    }
    if not fitting:
        msg = (
            f"rl: no question of {len(by_id)} leaves room for {config.max_tokens} tokens in the model's context of {context}; "
            "lower max_tokens"
        )
        raise NothingToDo(msg)
    too_long = [prompt for question_id, prompt in by_id.items() if question_id not in fitting]
    if not too_long:
        return fitting, {}
    dropped = [rows.dropped(prompt.question, "too_long", f"{prompt.n_tokens} tokens") for prompt in too_long]
    tables.write(inputs.dropped, dropped, Dropped)
    return fitting, {"too_long": len(too_long)}


def question_order(config: RlConfig, prompts: Mapping[str, RolloutPrompt], asked_before: Mapping[str, int]) -> list[str]:
    """The question ids of every step, one step after the other."""
    by_category: dict[str, list[str]] = {}
    for question_id, prompt in prompts.items():
        by_category.setdefault(prompt.question.category, []).append(question_id)
    return curriculum.order(by_category, config.mix, config.prompts_per_step, config.steps, config.seed, asked_before)


def _prompt(config: RlConfig, question: Question, tokenizer: PreTrainedTokenizerBase) -> RolloutPrompt:
    messages = question_prompt(question.messages, question.category, config.system_prompt, config.suffix, config.suffixes)
    return RolloutPrompt(question, messages, len(token_ids(tokenizer, messages)))


def token_ids(tokenizer: PreTrainedTokenizerBase, messages: list[Message]) -> list[int]:
    """The prompt's tokens as the model reads them."""
    return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"])
