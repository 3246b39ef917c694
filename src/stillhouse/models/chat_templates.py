"""How a model reads and ends a conversation: what its chat template puts around a response, found by rendering it.

A template is a program, so nothing about it is assumed. It renders conversations whose texts are known, and what stands around
these texts is the template's: the prompt that comes before a response, what opens and closes thinking, the token that ends a turn.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jinja2.exceptions import TemplateError
from transformers import GenerationConfig, PreTrainedTokenizerBase

from stillhouse.errors import BadConfig, EngineFailed, nearest
from stillhouse.models import template_texts
from stillhouse.vocabulary import transcript
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.rows import Message
from stillhouse.vocabulary.transcript import ANSWER, END_ANSWER, END_THINK, THINK

ResponseFormat = Literal["think_answer", "own"]

SYSTEM, QUESTION, THINKING, REPLY = "Rule7x", "Question7x", "Thought7x", "Reply7x"
"""Texts of the conversation that a template is tried on; no template contains them."""
TAGS = (THINK, END_THINK, ANSWER, END_ANSWER)
FOLDED_SYSTEM = (
    "{%- if messages and messages[0]['role'] == 'system' -%}"
    "{%- if messages | length > 1 and messages[1]['role'] == 'user' -%}"
    "{%- set messages = [{'role': 'user', 'content': messages[0]['content'] + '\\n\\n' + messages[1]['content']}] + messages[2:] -%}"
    "{%- else -%}{%- set messages = [{'role': 'user', 'content': messages[0]['content']}] + messages[1:] -%}{%- endif -%}"
    "{%- endif -%}"
)
"""In front of a template that refuses a system message: it becomes the beginning of the first question, as Gemma 3 has it."""

_NO_TEMPLATE = (
    "its tokenizer has no chat template; set chat_template to a Jinja file or a name (chatml, plain), or start from a chat model"
)


class Unlearnable(Exception):
    """A conversation that a model cannot be trained on with its template. ``reason`` is why its row is dropped."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class Part:
    """A stretch of a response: text of the template, or content, in which the text of a special token is only text."""

    text: str
    is_content: bool = False


@dataclass(frozen=True)
class ChatFormat:
    """What a template puts around a response. All texts may be empty."""

    tokenizer: PreTrainedTokenizerBase
    prefill: str
    """The end of a prompt that opens the thinking, such as ``<think>`` and a line break."""
    is_thinking_closed: bool
    """Whether the prompt ends with a closed, empty thinking, so that the model answers at once."""
    header: str
    """Between prompt and response, whatever the response is."""
    answer_open: str
    """Before an answer without thinking, in the model's own format; it closes the thinking that a prompt opened."""
    think_open: str
    """Before the thinking, in the model's own format."""
    think_close: str
    """Between thinking and answer, in the model's own format."""
    end: str
    """After the response, up to and including the token that ends the turn."""
    end_id: int
    """The token that ends the turn."""
    end_token: str
    notes: tuple[str, ...] = ()
    """What was put right, in sentences for the user."""

    def prompt(self, messages: Sequence[Message]) -> str:
        """The text that asks for a response to the messages. Raises EngineFailed if the template refuses them."""
        return rendered(self.tokenizer, messages, prompt=True)

    def ids(self, text: str) -> list[int]:
        """The tokens of a rendered text: the template writes the beginning-of-text token itself."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def parts(self, response: str, form: ResponseFormat) -> list[Part]:
        """What the model has to write after the prompt to give this response, the end of its turn included.

        ``think_answer`` keeps the text as it is; ``own`` puts its thinking and its answer where the template has them. Raises
        Unlearnable if the prompt leaves no place for the response's thinking.
        """
        text = transcript.opened(response)
        thinks = text.lstrip().startswith(THINK)
        if thinks and self.is_thinking_closed:
            msg = "it thinks, and the prompt closes the thinking before it; set chat_template_kwargs so that the prompt does not"
            raise Unlearnable("thinking_closed", msg)
        parsed = transcript.parse(text)
        if form == "own" and thinks and parsed.think is not None:
            parts = [Part(self.think_open), Part(parsed.think, True), Part(self.think_close), Part(parsed.answer or "", True)]
        elif not thinks and (self.prefill or form == "own"):
            answer = parsed.answer if form == "own" else None
            parts = [Part(self.answer_open), Part(text if answer is None else answer, True)]
        else:
            parts = [Part(self.header), Part(self._after_prefill(text), True)]
        return [part for part in (*parts, Part(self.end)) if part.text]

    def _after_prefill(self, text: str) -> str:
        """The text without what the prompt has written of it already."""
        if not self.prefill:
            return text
        text = text.lstrip().removeprefix(THINK)
        return text.removeprefix("\n") if self.prefill.endswith("\n") else text

    def response_ids(self, prompt: str, prompt_ids: Sequence[int], parts: Sequence[Part]) -> list[int]:
        """The tokens of a response after a prompt, whose own tokens stay as they are when the model is asked.

        Where a tokenizer would merge the end of the prompt with the beginning of the response, the two are tokenised apart. Raises
        Unlearnable if that changes the text.
        """
        text = "".join(part.text for part in parts)
        if not any(part.is_content and self._holds_special(part.text) for part in parts):
            whole = self.ids(prompt + text)
            if whole[: len(prompt_ids)] == list(prompt_ids):
                return whole[len(prompt_ids) :]
        ids = [token for part in parts for token in self.continued(part)]
        if self._text([*prompt_ids, *ids]) != self._text(prompt_ids) + text:
            msg = f"the tokenizer cannot tell it apart from its prompt without changing its text: {text[:40]!r}"
            raise Unlearnable("not_separable", msg)
        return ids

    def read(self, ids: Sequence[int]) -> str:
        """The text of sampled tokens, without the one that ends the turn, in the one form that responses have."""
        ids = ids[:-1] if ids and ids[-1] == self.end_id else ids
        if END_THINK in self.think_close:
            text = str(self.tokenizer.decode(list(ids), skip_special_tokens=True))
            return transcript.opened(text, self.prefill) if self.prefill else text
        return self._untranslated(self._text(ids))

    def _untranslated(self, text: str) -> str:
        """A text in channels, as gpt-oss writes it, with tags instead."""
        thinking, closed, answer = text.partition(self.think_close)
        if thinking.startswith(self.think_open):
            text = transcript.joined(thinking.removeprefix(self.think_open), answer, closed=bool(closed))
        else:
            text = text.removeprefix(self.header)
        for token in self.tokenizer.all_special_tokens + _special_tokens(self.tokenizer):
            text = text.replace(token, "")
        return text

    def continued(self, part: Part) -> list[int]:
        """The tokens of a part alone, as it stands after a special token: some tokenizers begin every text with a space."""
        if part.is_content and self._holds_special(part.text):
            return list(self.tokenizer(part.text, add_special_tokens=False, split_special_tokens=True)["input_ids"])
        anchor, ids = self.ids(self.end_token), self.ids(self.end_token + part.text)
        return ids[len(anchor) :] if ids[: len(anchor)] == anchor else self.ids(part.text)

    def _holds_special(self, text: str) -> bool:
        return any(token in text for token in _special_tokens(self.tokenizer))

    def _text(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def rendered(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Mapping[str, Any]], *, prompt: bool = False) -> str:
    """The conversation as text. Raises EngineFailed, in one line, if the template refuses it."""
    try:
        return str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=prompt))
    except (TemplateError, ValueError, TypeError, KeyError, AttributeError) as error:
        roles = ", ".join(str(message.get("role")) for message in messages)
        msg = (
            f"chat template: it refuses a conversation of {roles}: {one_line(error)}; set system_prompt to none, or chat_template to "
            "one that takes it"
        )
        raise EngineFailed(msg) from error


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
    notes = []
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
        notes.append(f"the tokenizer's eos is {tokenizer.eos_token}, its chat template ends a turn with {chat.end_token}: that is eos now")
        tokenizer.eos_token = chat.end_token
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return ChatFormat(**{**vars(chat), "notes": tuple(notes)})


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
        msg = f"eos_token {end!r}: the tokenizer does not read it as one token, so it would not be learnt; set eos_token to a special token"
        raise BadConfig(msg)
    think_open, think_close = _around_thinking(tokenizer, prompt, prefill)
    is_closed = prompt.rstrip().endswith(END_THINK)
    answer_open = f"\n{END_THINK}\n\n" if prefill and END_THINK not in header else header
    return ChatFormat(
        tokenizer, prefill, is_closed, "" if END_THINK in header else header, answer_open, think_open, think_close, end, end_id,
        str(tokenizer.convert_ids_to_tokens(end_id)), _of_replaced_end(after, end, eos_token),
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
    if prompt.startswith(before) or prompt.startswith(_without_thinking(before)):
        return ""
    msg = (
        f"chat template: a prompt and its response cannot be told apart: the prompt for a question ends with {prompt[-40:]!r}, and "
        f"before a response stands {before[-40:]!r}; set chat_template to a template that renders both alike, such as qwen3_training"
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
            f"chat template: a turn ends with {after[:20]!r}, which holds no token that could end it, and the tokenizer has no eos; "
            "set eos_token"
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


def _special_tokens(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The texts of tokens that are never plain text."""
    added = tokenizer.added_tokens_decoder.values()
    return [token.content for token in added if token.special]
