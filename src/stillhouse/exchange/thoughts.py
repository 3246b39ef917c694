"""One form for the thinking in a response, ``<think>…</think>`` before the answer, whatever marks it in a data set."""

OPEN, CLOSE = "<think>", "</think>"
THOUGHTS = (
    ("<|begin_of_thought|>", "<|end_of_thought|>"), ("◁think▷", "◁/think▷"), ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"), ("<seed:think>", "</seed:think>"), ("[THINK]", "[/THINK]"), ("<reasoning>", "</reasoning>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
)  # fmt: skip
"""What begins and ends thinking: OpenThoughts-114k and Sky-T1, Kimi, Claude-like, Seed, Magistral, and gpt-oss's channels."""
ANSWERS = (("<|begin_of_solution|>", "<|end_of_solution|>"),)
ENDS = ("<|return|>", "<|im_end|>", "<|eot_id|>", "<|endoftext|>", "</s>")
"""End-of-turn tokens that a data set may have kept in its texts."""


def one_form(text: str, thinking: str | None = None) -> str:
    """The response with its thinking in ``<think>`` tags; ``thinking`` is that of a column of its own, and wins.

    A text that has ``<think>`` already, or no mark, is returned as it is. Thinking that was cut off stays open.
    """
    if thinking:
        return f"{OPEN}{thinking}{CLOSE}{text}"
    start = text.lstrip()
    marks = next(((begin, end) for begin, end in THOUGHTS if start.startswith(begin)), None)
    if marks is None:
        return text
    head, closed, rest = start.removeprefix(marks[0]).partition(marks[1])
    return f"{OPEN}{head}{CLOSE}{_unmarked(rest)}" if closed else f"{OPEN}{head}"


def _unmarked(answer: str) -> str:
    for end in ENDS:
        answer = answer.rstrip().removesuffix(end)
    for begin, end in ANSWERS:
        inner = answer.strip()
        if inner.startswith(begin):
            return inner.removeprefix(begin).removesuffix(end)
    return answer
