"""The form of a training conversation: turns that alternate, thinking and answer that are there (DeepDistill §2.5)."""

from collections.abc import Collection

from stillhouse.vocabulary.rows import Message, Response


def turns(messages: Collection[Message]) -> int:
    """Turns of a question, system messages not counted."""
    return sum(message["role"] != "system" for message in messages)


def structure_flaws(asked_turns: int, response: Response) -> list[str]:
    """What is wrong with the form: ``odd_turns``, ``no_think``, ``no_answer``.

    The turns of question and response together are even in number.
    """
    found = {
        "odd_turns": (asked_turns + 1) % 2 == 1, "no_think": not (response.think or "").strip(),
        "no_answer": not (response.answer or "").strip(),
    }  # fmt: skip
    return [flaw for flaw, there in found.items() if there]
