"""A training example -> token ids, and which of them are learnt."""

from collections.abc import Sequence
from dataclasses import dataclass

from stillhouse.errors import EngineFailed
from stillhouse.models.chat_formats import ChatFormat, ResponseFormat, ResponsePart, Unlearnable
from stillhouse.training.rl.config import RlConfig
from stillhouse.training.sft.config import LossOn, SftConfig
from stillhouse.vocabulary.prompts import question_prompt
from stillhouse.vocabulary.rows import Message, Selected

IGNORED = -100
"""The label of a token that is read and not learnt."""


@dataclass(frozen=True)
class TokenisedExample:
    """The token ids of a conversation, and its learnt tokens as half-open ranges of positions (begin, end)."""

    ids: list[int]
    learnt: list[tuple[int, int]]


def examples_of(row: Selected, config: SftConfig | RlConfig, chat: ChatFormat) -> list[TokenisedExample]:
    """The examples that a row gives with the prompts of the config. Raises Unlearnable, with the reason."""
    if not row.messages or row.messages[-1]["role"] != "assistant":
        role = row.messages[-1]["role"] if row.messages else "nobody"
        msg = f"its last message is the {role}'s"
        raise Unlearnable(msg, "no_response")
    if len(row.messages) == 1:
        msg = "there is nothing before its response"
        raise Unlearnable(msg, "no_question")
    prompt = question_prompt(row.messages[:-1], row.category, config.system_prompt, config.suffix, config.suffixes)
    loss_on = config.loss_on if isinstance(config, SftConfig) else "final"
    return tokenised([*prompt, row.messages[-1]], chat, loss_on, config.response_format)


def tokenised(
    messages: Sequence[Message], chat: ChatFormat, loss_on: LossOn, response_format: ResponseFormat = "think_answer"
) -> list[TokenisedExample]:
    """The conversation's tokens, and which of them the loss is on.

    The loss is on the last message (``final``; AM-Thinking-v1 §5.3) or on every assistant turn (``assistant``), each with the token
    that ends the turn. Every learnt turn follows exactly the tokens that the model is given when it is asked for that turn. A
    template that shows a turn differently once the conversation goes on, for example without its thinking, gives several examples,
    each up to one learnt turn; any other gives one.

    The last message is the assistant's. Raises Unlearnable, with the reason, if this template leaves no way to learn it.
    """
    last, examples, text = len(messages) - 1, list[TokenisedExample](), ""
    for number in range(len(messages)):
        if messages[number]["role"] != "assistant" or (loss_on == "final" and number != last):
            continue
        prompt = _prompt(chat, messages[:number])
        if text and prompt.startswith(text):
            before = examples.pop()
            ids, learnt = before.ids + chat.continued(ResponsePart(prompt.removeprefix(text))), before.learnt
        else:
            ids, learnt = chat.ids(prompt), []
        parts = chat.parts(messages[number]["content"], response_format)
        response = chat.response_ids(prompt, ids, parts)
        examples.append(TokenisedExample(ids + response, [*learnt, (len(ids), len(ids) + len(response))]))
        text = prompt + "".join(part.text for part in parts)
    return examples


def _prompt(chat: ChatFormat, messages: Sequence[Message]) -> str:
    try:
        return chat.prompt(messages)
    except EngineFailed as error:
        raise Unlearnable(str(error), "template_refuses") from error
