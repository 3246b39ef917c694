"""A chat format: what a model's template puts around a response, so that text becomes tokens and tokens become text."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from stillhouse.errors import EngineFailed
from stillhouse.vocabulary import transcript
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.rows import Message
from stillhouse.vocabulary.transcript import END_THINK, THINK

ResponseFormat = Literal["think_answer", "own"]


class Unlearnable(Exception):
    """A conversation that a model cannot be trained on with its template. ``reason`` is why its row is dropped."""

    def __init__(self, detail: str, reason: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class ResponsePart:
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
    special_tokens: tuple[str, ...] = ()
    """Texts of the tokens that are never plain text."""
    notes: tuple[str, ...] = ()
    """What was put right, in sentences for the user."""

    def prompt(self, messages: Sequence[Message]) -> str:
        """The text that asks for a response to the messages. Raises EngineFailed if the template refuses them."""
        return rendered(self.tokenizer, messages, prompt=True)

    def ids(self, text: str, *, is_split: bool = False) -> list[int]:
        """The tokens of a rendered text: the template writes the beginning-of-text token itself.

        With ``is_split`` the text of a special token is read as any other text.
        """
        return list(self.tokenizer(text, add_special_tokens=False, split_special_tokens=is_split)["input_ids"])

    def parts(self, response: str, form: ResponseFormat) -> list[ResponsePart]:
        """What the model has to write after the prompt to give this response, the end of its turn included.

        ``think_answer`` keeps the text as it is; ``own`` puts its thinking and its answer where the template has them. Raises
        Unlearnable if the prompt leaves no place for the response's thinking.
        """
        text = transcript.opened(response)
        thinks = text.lstrip().startswith(THINK)
        if thinks and self.is_thinking_closed:
            msg = "it thinks, and the prompt closes the thinking before it; set chat_template_kwargs so that the prompt does not"
            raise Unlearnable(msg, "thinking_closed")
        parsed = transcript.parse(text)
        if form == "own" and thinks and parsed.think is not None:
            answer = ResponsePart(parsed.answer or "", is_content=True)
            parts = [
                ResponsePart(self.think_open),
                ResponsePart(parsed.think, is_content=True),
                ResponsePart(self.think_close),
                answer,
            ]
        elif not thinks and (self.prefill or form == "own"):
            alone = parsed.answer if form == "own" else None
            parts = [ResponsePart(self.answer_open), ResponsePart(text if alone is None else alone, is_content=True)]
        else:
            parts = [ResponsePart(self.header), ResponsePart(self._after_prefill(text), is_content=True)]
        return [part for part in (*parts, ResponsePart(self.end)) if part.text]

    def _after_prefill(self, text: str) -> str:
        """The text without what the prompt has written of it already."""
        if not self.prefill:
            return text
        text = text.lstrip().removeprefix(THINK)
        return text.removeprefix("\n") if self.prefill.endswith("\n") else text

    def response_ids(self, prompt: str, prompt_ids: Sequence[int], parts: Sequence[ResponsePart]) -> list[int]:
        """The tokens of a response after a prompt, whose own tokens stay as they are when the model is asked.

        Where a tokenizer would merge the end of the prompt with the beginning of the response, the two are tokenised apart. Raises
        Unlearnable if that changes the text.
        """
        text = "".join(part.text for part in parts)
        if not any(part.is_content and self._holds_special(part.text) for part in parts):
            whole = self.ids(prompt + text)
            # Some special tokens swallow the white space behind them.
            if whole[: len(prompt_ids)] == list(prompt_ids) and (not text[0].isspace() or self._text(whole).endswith(text)):
                return whole[len(prompt_ids) :]
        ids = [token for part in parts for token in self.continued(part)]
        if self._text([*prompt_ids, *ids]) != self._text(prompt_ids) + text:
            msg = f"the tokenizer cannot tell it apart from its prompt without changing its text: {text[:40]!r}"
            raise Unlearnable(msg, "not_separable")
        return ids

    def read(self, ids: Sequence[int]) -> str:
        """The text of sampled tokens, without the one that ends the turn, in the one form that responses have."""
        ids = ids[:-1] if ids and ids[-1] == self.end_id else ids
        if self.has_channels:
            return self._with_tags(self._text(ids))
        return self.completed(str(self.tokenizer.decode(list(ids), skip_special_tokens=True)))

    @property
    def has_channels(self) -> bool:
        """Whether special tokens part thinking and answer, as in gpt-oss: a text without them does not say which is which."""
        return END_THINK not in self.think_close

    def completed(self, text: str) -> str:
        """A sampled text with what the prompt had written of it, and without what the template has before every response."""
        return transcript.opened(text.removeprefix(self.header), self.prefill)

    def _with_tags(self, text: str) -> str:
        """A text in channels, as gpt-oss writes it, with tags instead."""
        thinking, closed, answer = text.partition(self.think_close)
        if thinking.startswith(self.think_open):
            text = transcript.joined(thinking.removeprefix(self.think_open), answer, closed=bool(closed))
        else:
            text = text.removeprefix(self.header)
        return re.sub(rf"(?:{_pattern(self.special_tokens).pattern})+$", "", text)

    def continued(self, part: ResponsePart) -> list[int]:
        """The tokens of a part alone, as it stands inside a text: some tokenizers begin every text with a space of their own."""
        is_split = part.is_content and self._holds_special(part.text)
        for before in ("\n", ".") if is_split else (self.end_token, "."):
            anchor, whole = (self.ids(text, is_split=is_split) for text in (before, before + part.text))
            if whole[: len(anchor)] == anchor and self._text(whole) == self._text(anchor) + part.text:
                return whole[len(anchor) :]
        return self.ids(part.text, is_split=is_split)

    def _holds_special(self, text: str) -> bool:
        return _pattern(self.special_tokens).search(text) is not None

    def _text(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def rendered(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Mapping[str, Any]], *, prompt: bool = False) -> str:
    """The conversation as text. Raises EngineFailed, in one line, if the template refuses it."""
    try:
        return str(tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=prompt))
    except (TemplateError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError) as error:
        roles = ", ".join(str(message.get("role")) for message in messages)
        msg = (
            f"chat template: it refuses a conversation of {roles}: {one_line(error)}; set system_prompt to none, or chat_template "
            "to one that takes it"
        )
        raise EngineFailed(msg) from error


@cache
def _pattern(texts: tuple[str, ...]) -> re.Pattern[str]:
    """Matches any of the texts, or nothing if there are none."""
    return re.compile("|".join(map(re.escape, texts)) if texts else r"(?!)")
