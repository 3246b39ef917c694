"""Questions -> the prompts of rollouts; questions that leave the model no room for a rollout are dropped."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from transformers import PreTrainedModel

from stillhouse.artifacts import tables
from stillhouse.errors import EngineFailed, NothingToDo
from stillhouse.models.chat_formats import ChatFormat
from stillhouse.training.rl import curriculum
from stillhouse.training.rl.config import RlConfig, RlInputs
from stillhouse.training.rl.environments import rollout_environment
from stillhouse.training.rl.question_choice import ByPassRate, InOrder, QuestionChooser
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.prompts import question_prompt
from stillhouse.vocabulary.rows import Dropped, Message, Question


@dataclass(frozen=True)
class RolloutPrompt:
    """A question, the messages that ask it, and their tokens as the model reads them."""

    question: Question
    messages: list[Message]
    ids: list[int]


def prompts(
    config: RlConfig, inputs: RlInputs, questions: Mapping[str, Question], model: PreTrainedModel, chat: ChatFormat
) -> tuple[dict[str, RolloutPrompt], dict[str, int]]:
    """The prompts by question id, and drops by reason.

    A question is dropped if ``max_tokens`` after its prompt exceed the model's context, or if the chat template refuses it. Raises
    NothingToDo if no prompt remains.
    """
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    told = rollout_environment.instructions(config.environment) if config.environment else ""
    fitting, dropped = dict[str, RolloutPrompt](), list[Dropped]()
    for question_id, question in questions.items():
        messages = question_prompt(question.messages, question.category, config.system_prompt, config.suffix, config.suffixes)
        messages = with_instructions(messages, told)
        try:
            prompt = RolloutPrompt(question, messages, chat.ids(chat.prompt(messages)))
        except EngineFailed as error:
            dropped.append(rows.dropped(question, "template_refuses", str(error)))
            continue
        if context is not None and len(prompt.ids) + config.max_tokens > context:
            dropped.append(rows.dropped(question, "too_long", f"{len(prompt.ids)} tokens"))
        else:
            fitting[question_id] = prompt
    reasons = Counter(row.reason for row in dropped)
    if not fitting:
        msg = (
            f"rl: no question of {len(questions)} leaves room for {config.max_tokens} tokens in the model's context of {context}; "
            "lower max_tokens"
        )
        raise NothingToDo(msg if set(reasons) == {"too_long"} else f"rl: no question can be asked; the first: {dropped[0].detail}")
    if dropped:
        tables.write(inputs.dropped, dropped, Dropped)
    return fitting, dict(sorted(reasons.items()))


def with_instructions(messages: list[Message], text: str) -> list[Message]:
    """The conversation with the text at the end of its system prompt; as it is if the text is empty."""
    if not text:
        return messages
    if messages[0]["role"] != "system":
        return [{"role": "system", "content": text}, *messages]
    return [{"role": "system", "content": f"{messages[0]['content']}\n\n{text}"}, *messages[1:]]


def question_order(config: RlConfig, prompts: Mapping[str, RolloutPrompt], asked_before: Mapping[str, int]) -> list[str]:
    """The question ids of every step, one step after the other."""
    by_category = _by_category(prompts)
    return curriculum.order(by_category, config.mix, config.prompts_per_step, config.steps, config.seed, asked_before)


def question_chooser(
    config: RlConfig, inputs: RlInputs, prompts: Mapping[str, RolloutPrompt], asked_before: Mapping[str, int]
) -> QuestionChooser | None:
    """What chooses the questions as the steps go on; None if their order is known beforehand."""
    by_category = _by_category(prompts)
    if config.active_sampling is not None:
        questions = {question_id: prompt.question for question_id, prompt in prompts.items()}
        rates = curriculum.pass_rates(questions, inputs.graded, inputs.checkpoint)
        return ByPassRate(by_category, config.mix, config.active_sampling, config.group_size, config.seed, rates)
    if config.dynamic_sampling is not None:
        return InOrder(lambda: curriculum.endless(by_category, config.mix, config.seed, asked_before))
    return None


def _by_category(prompts: Mapping[str, RolloutPrompt]) -> dict[str, list[str]]:
    by_category: dict[str, list[str]] = {}
    for question_id, prompt in prompts.items():
        by_category.setdefault(prompt.question.category, []).append(question_id)
    return by_category
