"""The format of a response: its text -> its thinking and its answer.

Thinking has one form wherever a response is stored, verified, screened, trained on or shown: the text begins with ``<think>``,
also if the prompt opened it, or if an endpoint returned the thinking in a field of its own.
"""

import re
from dataclasses import dataclass

THINK, END_THINK, ANSWER, END_ANSWER = "<think>", "</think>", "<answer>", "</answer>"

# Without an opening tag inside, the innermost pair is the answer, and a response that repeats the tag endlessly takes linear time.
_CLOSED_ANSWER = re.compile(f"{ANSWER}((?:(?!{ANSWER}).)*?){END_ANSWER}", re.DOTALL)


@dataclass(frozen=True)
class Parsed:
    """The two parts of a response; None for a part that is missing or not closed."""

    think: str | None
    answer: str | None


def parse(text: str) -> Parsed:
    """Split a response of the form ``<think>…</think><answer>…</answer>`` (1.4M report, Table 1).

    The thinking ends at the last ``</think>``, so tags quoted inside it stay part of it; ``<think>`` may be missing, since a chat
    template may have opened it in the prompt. The answer is the last closed ``<answer>`` after the thinking or, without answer
    tags, all text after ``</think>``. An unclosed part is None: it was cut off.
    """
    head, closed, rest = text.rpartition(END_THINK)
    think = head.partition(THINK)[2] if THINK in head else head
    if not closed:
        if THINK in text:
            return Parsed(None, None)
        rest = text
    tagged = _CLOSED_ANSWER.findall(rest)
    if tagged:
        answer = tagged[-1].strip() or None
    elif ANSWER in rest or not closed:
        answer = None
    else:
        answer = rest.strip() or None
    return Parsed(think.strip() or None if closed else None, answer)


def opened(text: str, prefill: str = "") -> str:
    """The text of a response with its opening ``<think>``, which the prompt wrote if the text lacks it.

    ``prefill`` is the end of the prompt that opens the thinking. If it is not known, only a text that closes its thinking shows
    that it was opened; one that was cut off before that stays as it is.
    """
    if (stripped := text.lstrip()).startswith(THINK):
        return stripped
    if prefill:
        return prefill + text
    head, closed, _ = text.partition(END_THINK)
    return THINK + text if closed and THINK not in head else text


def joined(thinking: str, answer: str, *, closed: bool = True) -> str:
    """Thinking and answer from separate fields as one text; thinking that was cut off is not ``closed``."""
    return f"{THINK}{thinking}{END_THINK if closed else ''}{answer}"
