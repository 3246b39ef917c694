"""Fewer questions of a label: each is kept by a draw that hangs on its id alone."""

from typing import Annotated

from pydantic import AfterValidator, Field

from stillhouse.vocabulary.rows import Question
from stillhouse.vocabulary.seeds import row_seed

COLUMNS = {"category": "category", "difficulty": "difficulty_label", "language": "language", "source": "source"}
"""Labels by which there can be fewer -> column."""


def _known(name: str) -> str:
    label, slash, value = name.partition("/")
    if label not in COLUMNS or not slash or not value:
        msg = f"{name}: not of the form LABEL/VALUE, such as difficulty/easy; labels: {', '.join(COLUMNS)}"
        raise ValueError(msg)
    return name


Shares = dict[Annotated[str, AfterValidator(_known)], Annotated[float, Field(ge=0, le=1)]]
"""``difficulty/easy`` -> the share of such questions to keep."""


def surplus(shares: Shares, seed: int, question: Question) -> str | None:
    """Why the question is left out, as the detail of a dropped row; None where it is kept."""
    for name, share in shares.items():
        label, _, value = name.partition("/")
        drawn = row_seed(seed, (name, question.question_id)) / 2**62
        if getattr(question, COLUMNS[label]) == value and drawn >= share:
            return f"{label} {value}: {share:g} of them are kept"
    return None
