"""The form of a training conversation: turns that alternate, thinking and answer that are there (DeepDistill §2.5)."""

from stillhouse.rows import Question, Response


def structure_flaw(question: Question, response: Response, *, require_think: bool) -> str | None:
    """What is wrong with the form: ``odd_turns``, ``no_think`` or ``no_answer``; None if nothing is.

    The turns of question and response together are even in number, system messages not counted.
    """
    turns = sum(message["role"] != "system" for message in question.messages) + 1
    if turns % 2:
        return "odd_turns"
    if require_think and not (response.think or "").strip():
        return "no_think"
    if not (response.answer or "").strip():
        return "no_answer"
    return None
