"""How a model reads and ends a conversation: what its chat template puts around a response, found by rendering it.

A template is a program, so nothing about it is assumed. It renders conversations whose texts are known, and what stands around
these texts is the template's: the prompt that comes before a response, what opens and closes thinking, the token that ends a turn.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from transformers import GenerationConfig, PreTrainedTokenizerBase

from stillhouse.errors import BadConfig, EngineFailed, nearest
from stillhouse.models import template_texts
from stillhouse.models.chat_formats import ChatFormat, rendered
from stillhouse.vocabulary.rows import Message
from stillhouse.vocabulary.transcript import ANSWER, END_ANSWER, END_THINK, THINK

SYSTEM, QUESTION, THINKING, REPLY = "Rule7x", "Question7x", "Thought7x", "Reply7x"
"""Texts of the conversation that a template is tried on; no template contains them."""
TAGS = (THINK, END_THINK, ANSWER, END_ANSWER)
FOLDED_SYSTEM = (
    "{%- if messages and messages[0]['role'] == 'system' -%}"
    "{%- set system = messages[0]['content'] -%}"
    "{%- if messages | length > 1 and messages[1]['role'] == 'user' -%}"
    "{%- set messages = [{'role': 'user', 'content': system + '\\n\\n' + messages[1]['content']}] + messages[2:] -%}"
    "{%- else -%}{%- set messages = [{'role': 'user', 'content': system}] + messages[1:] -%}{%- endif -%}{%- endif -%}"
)
"""In front of a template that refuses a system message: it becomes the beginning of the first question, as Gemma 3 has it."""

_OPENING = re.compile(rf"\s*(?:{THINK}\s*(?:{END_THINK}\s*)?)?")
"""What a prompt may have beyond what stands before a response: thinking that is opened, perhaps closed at once."""
_NO_TEMPLATE = (
    "its tokenizer has no chat template; set chat_template to a Jinja file or a name (chatml, plain), or start from a chat model"
)


def prepare(
    tokenizer: PreTrainedTokenizerBase,
    template: str | None = None,
    eos_token: str | None = None,
    template_kwargs: Mapping[str, Any] | None = None,
) -> ChatFormat:
    """Give a tokenizer the template, arguments and end of turn that are asked for, and find out what the template does.

    What is changed becomes part of the tokenizer: published with it, it makes every engine read conversations alike. Raises
    EngineFailed if there is no template, or if its prompts and responses cannot be told apart, BadConfig for an ``eos_token`` that
    the vocabulary does not have.
    """
    notes = list[str]()
    text = template_texts.resolved(template) if template else _default(tokenizer)
    if not text:
        msg = f"checkpoint: {_NO_TEMPLATE}"
        raise EngineFailed(msg)
    tokenizer.chat_template = _bound(template_kwargs or {}) + text
    if _refuses_system(tokenizer):
        tokenizer.chat_template = FOLDED_SYSTEM + tokenizer.chat_template
        notes.append("the chat template has no system role: a system prompt becomes the beginning of the first question")
    chat = _tried(tokenizer, eos_token)
    notes += chat.notes
    if tokenizer.eos_token_id != chat.end_id:
        notes.append(f"eos was {tokenizer.eos_token}, and the chat template ends a turn with {chat.end_token}: that is eos now")
        tokenizer.eos_token = chat.end_token
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return ChatFormat(**{**vars(chat), "notes": tuple(notes)})


def of_teacher(tokenizer: PreTrainedTokenizerBase, model: str, template_kwargs: Mapping[str, Any] | None = None) -> ChatFormat:
    """``prepare`` for a model that is asked and not trained, with its name in the errors."""
    if not tokenizer.chat_template:
        msg = f"model {model}: its tokenizer has no chat template; add one to tokenizer_config.json"
        raise EngineFailed(msg)
    try:
        return prepare(tokenizer, template_kwargs=template_kwargs)
    except EngineFailed as error:
        msg = f"model {model}: {error}"
        raise EngineFailed(msg) from error


def stop_ids(chat: ChatFormat, generation: GenerationConfig | None) -> list[int]:
    """Every token that ends a response: the template's end of turn first, then those of the model's generation config."""
    listed = generation.eos_token_id if generation is not None else None
    more: Iterable[int] = () if listed is None else [listed] if isinstance(listed, int) else listed
    return list(dict.fromkeys([chat.end_id, *more]))


def _default(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """The tokenizer's own template; of several named ones the default."""
    own = tokenizer.chat_template
    return own.get("default") if isinstance(own, dict) else own


def _bound(values: Mapping[str, Any]) -> str:
    """Jinja that sets arguments of a template. Raises BadConfig for a value that is not JSON or no name."""
    if bad := [name for name in values if not re.fullmatch(r"[A-Za-z_]\w*", name) or name in {"messages", "add_generation_prompt"}]:
        msg = f"chat_template_kwargs: {bad[0]!r} is no argument of a template; write a name such as enable_thinking"
        raise BadConfig(msg)
    return "".join(f"{{%- set {name} = {_literal(value)} -%}}" for name, value in values.items())


def _literal(value: Any) -> str:
    """A JSON value as Jinja writes it: its words for true, false and null are its own."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _refuses_system(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a system message raises, or vanishes, where the question alone does neither."""
    question: Message = {"role": "user", "content": QUESTION}
    rendered(tokenizer, [question], prompt=True)
    try:
        return SYSTEM not in rendered(tokenizer, [{"role": "system", "content": SYSTEM}, question], prompt=True)
    except EngineFailed:
        return True


def _tried(tokenizer: PreTrainedTokenizerBase, eos_token: str | None) -> ChatFormat:
    """What the template does, from three conversations. Raises EngineFailed, BadConfig."""
    question = {"role": "user", "content": QUESTION}
    prompt = rendered(tokenizer, [question], prompt=True)
    before, after = _around_reply(rendered(tokenizer, [question, {"role": "assistant", "content": REPLY}]))
    if not after.strip():  # some templates end a turn only when the next one begins
        turns = [question, {"role": "assistant", "content": REPLY}, question]
        after = _around_reply(rendered(tokenizer, turns))[1].partition(QUESTION)[0]
    prefill, header = _prefill(prompt), _header(prompt, before)
    end, end_id = _end_of_turn(tokenizer, after, eos_token)
    if list(tokenizer(end, add_special_tokens=False)["input_ids"])[-1:] != [end_id]:
        msg = f"eos_token {end!r}: the tokenizer does not read it as one token, so it could not be learnt; name a special token"
        raise BadConfig(msg)
    think_open, think_close = _around_thinking(tokenizer, prompt, prefill)
    is_closed = prompt.rstrip().endswith(END_THINK)
    answer_open = f"\n{END_THINK}\n\n" if prefill and END_THINK not in header else header
    return ChatFormat(
        tokenizer, prefill, is_closed, "" if END_THINK in header else header, answer_open, think_open, think_close, end, end_id,
        str(tokenizer.convert_ids_to_tokens(end_id)),
        tuple(token.content for token in tokenizer.added_tokens_decoder.values() if token.special),
        _of_replaced_end(after, end, eos_token),
    )  # fmt: skip


def _around_reply(text: str) -> tuple[str, str]:
    """The text before and after the assistant's. Raises EngineFailed if the template leaves it out."""
    before, shown, after = text.partition(REPLY)
    if not shown:
        msg = "chat template: it leaves out what the assistant says; set chat_template to one that renders it"
        raise EngineFailed(msg)
    return before, after


def _header(prompt: str, before: str) -> str:
    """What stands between the prompt and the response. Raises EngineFailed if the two cannot be told apart."""
    if before.startswith(prompt):
        return before.removeprefix(prompt)
    for start in (before, _without_thinking(before)):
        if prompt.startswith(start) and _OPENING.fullmatch(prompt.removeprefix(start)):
            return ""
    msg = (
        f"chat template: a prompt and its response cannot be told apart: the prompt for a question ends with {prompt[-40:]!r}, "
        f"and {before[-40:]!r} stands before a response; set chat_template to one that renders both alike, such as qwen3_training"
    )
    raise EngineFailed(msg)


def _prefill(prompt: str) -> str:
    """The end of a prompt from an opening ``<think>`` on; empty if the prompt opens none, or closes it."""
    _, opening, rest = prompt.rpartition(THINK)
    return opening + rest if opening and not rest.strip() else ""


def _without_thinking(text: str) -> str:
    """The text up to its last empty thinking."""
    return re.sub(rf"{THINK}\s*{END_THINK}\s*$", "", text)


def _end_of_turn(tokenizer: PreTrainedTokenizerBase, after: str, eos_token: str | None) -> tuple[str, int]:
    """The text from the end of a response to the token that ends the turn, and that token. Raises BadConfig, EngineFailed."""
    vocabulary = tokenizer.get_vocab()
    if eos_token is not None:
        if eos_token not in vocabulary:
            known = [token for token in tokenizer.get_added_vocab() if token not in TAGS]
            msg = f"eos_token {eos_token!r}: not in the vocabulary; {nearest(eos_token, known, 'special tokens')}"
            raise BadConfig(msg)
        before = after.partition(eos_token)[0] if eos_token in after else ""
        return before + eos_token, int(vocabulary[eos_token])
    ending = {token: number for token, number in tokenizer.get_added_vocab().items() if token not in TAGS}
    if tokenizer.eos_token is not None:
        ending[str(tokenizer.eos_token)] = int(tokenizer.eos_token_id)
    places = {token: after.find(token) for token in ending if token and token in after}
    if places:
        token = min(places, key=lambda name: (places[name], -len(name)))
        return after[: places[token]] + token, int(ending[token])
    if tokenizer.eos_token is None:
        msg = (
            f"chat template: a turn ends with {after[:20]!r}, which holds no token that could end it, and the tokenizer has no "
            "eos; set eos_token"
        )
        raise EngineFailed(msg)
    return str(tokenizer.eos_token), int(tokenizer.eos_token_id)


def _of_replaced_end(after: str, end: str, eos_token: str | None) -> tuple[str, ...]:
    """A note if the template's own end of a turn is not what is learnt."""
    if after.startswith(end) or eos_token is not None:
        return ()
    return (f"the chat template ends a turn with {after[:20]!r}, which is no token of this vocabulary: {end} ends it instead",)


def _around_thinking(tokenizer: PreTrainedTokenizerBase, prompt: str, prefill: str) -> tuple[str, str]:
    """What stands before and after the thinking in the model's own format.

    A template that renders thinking from a field of its own decides; for any other it is the form that DeepSeek-R1 and Qwen3 share.
    """
    reply = {"role": "assistant", "content": REPLY, "reasoning_content": THINKING, "thinking": THINKING}
    text = rendered(tokenizer, [{"role": "user", "content": QUESTION}, reply])
    before, shown, rest = text.partition(THINKING)
    between, answered, _ = rest.partition(REPLY)
    if shown and answered and before.startswith(prompt):
        return before.removeprefix(prompt), between
    return "" if prefill else f"{THINK}\n", f"\n{END_THINK}\n\n"
