"""The tokens of training examples as a reader sees them, on a terminal or as a page: which are read, which are learnt."""

import html
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

SHOWN_TOKENS = 2000
"""Tokens of one example on a page; the middle of a longer one is left out."""
UNKNOWN = "\ufffd"
"""What half a character decodes to."""
_PAGE = """<!doctype html>
<meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.6 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
pre {{ font: 13px/1.9 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; background: #f6f6f4; padding: 1rem }}
pre span {{ border-right: 1px solid #bbb }} .learnt {{ background: #bfe3c0 }}
</style>
<h1>{title}</h1>
<p>Learnt tokens have a green ground; the model reads all others. A token's number appears under the pointer.</p>
{body}
"""


@dataclass(frozen=True)
class ShownToken:
    """A token, or several that are one character only together."""

    text: str
    ids: tuple[int, ...]
    is_learnt: bool


def shown(ids: Sequence[int], spans: Iterable[tuple[int, int]], tokenizer: PreTrainedTokenizerBase) -> list[ShownToken]:
    """An example's tokens in order; their texts together are the text. ``spans``: begin and end of what is learnt."""
    learnt = {place for begin, end in spans for place in range(begin, end)}
    tokens, waiting = list[ShownToken](), list[int]()
    for place, token in enumerate(ids):
        waiting.append(token)
        text = _text(tokenizer, waiting)
        if UNKNOWN not in text or len(waiting) == 4:  # a character of UTF-8 has at most four bytes
            tokens.append(ShownToken(text, tuple(waiting), place in learnt))
            waiting = []
    return tokens + ([ShownToken(_text(tokenizer, waiting), tuple(waiting), len(ids) - 1 in learnt)] if waiting else [])


def shortened_tokens(tokens: Sequence[ShownToken], most: int = SHOWN_TOKENS) -> Iterator[ShownToken]:
    """The tokens, or the first and last of them around a note of how many are left out."""
    if len(tokens) <= most:
        yield from tokens
        return
    yield from tokens[: most // 2]
    yield ShownToken(f"\n… {len(tokens) - most:,} tokens …\n", (), is_learnt=tokens[len(tokens) // 2].is_learnt)
    yield from tokens[-(most // 2) :]


def counts(tokens: Iterable[ShownToken]) -> str:
    """How many tokens there are, and how many of them are learnt, in a phrase."""
    sizes = [(len(token.ids), token.is_learnt) for token in tokens]
    return f"{sum(size for size, _ in sizes):,} tokens, {sum(size for size, is_learnt in sizes if is_learnt):,} learnt"


def write_page(path: Path, title: str, facts: Iterable[str], examples: Iterable[Sequence[ShownToken]]) -> None:
    """Write a page of the examples, with facts about the template above them. It needs no other file."""
    parts = [f"<ul>{''.join(f'<li>{html.escape(fact)}</li>' for fact in facts)}</ul>"]
    for number, tokens in enumerate(examples, 1):
        parts.append(f"<h2>Example {number}: {counts(tokens)}</h2>\n<pre>{''.join(map(_span, shortened_tokens(tokens)))}</pre>")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_PAGE.format(title=html.escape(title), body="\n".join(parts)), encoding="utf-8")


def _span(token: ShownToken) -> str:
    mark = ' class="learnt"' if token.is_learnt else ""
    return f'<span{mark} title="{", ".join(map(str, token.ids))}">{html.escape(token.text)}</span>'


def _text(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """The text of tokens inside a conversation: alone, a decoder would strip the space that begins a word."""
    before = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    whole, head = (str(tokenizer.decode([*before, *more], skip_special_tokens=False)) for more in (ids, []))
    return whole.removeprefix(head)
