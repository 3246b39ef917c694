"""The form of a training conversation: alternating turns, with thinking and an answer (DeepDistill §2.5)."""

from collections.abc import Collection

from stillhouse.vocabulary.rows import Message, Response


def turns(messages: Collection[Message]) -> int:
    """The number of a question's turns, without system messages."""
    return sum(message["role"] != "system" for message in messages)


def structure_flaws(question_turns: int, response: Response) -> list[str]:
    """The flaws of the form: ``odd_turns``, ``no_think``, ``no_answer``.

    Question and response together must have an even number of turns.
    """
    is_flawed = {
        "odd_turns": (question_turns + 1) % 2 == 1, "no_think": not (response.think or "").strip(),
        "no_answer": not (response.answer or "").strip(),
    }  # fmt: skip
    return [flaw for flaw, flawed in is_flawed.items() if flawed]
