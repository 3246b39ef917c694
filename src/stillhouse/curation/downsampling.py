"""Keep fewer questions of a label: whether a question stays depends on the seed and its id alone."""

from stillhouse.curation.config import LABEL_COLUMNS, Shares
from stillhouse.vocabulary.rows import Question
from stillhouse.vocabulary.seeds import row_seed


def surplus(shares: Shares, seed: int, question: Question) -> str | None:
    """Why the question is left out, as the detail of a dropped row; None if it is kept."""
    for name, share in shares.items():
        label, _, value = name.partition("/")
        draw = row_seed(seed, (name, question.question_id)) / 2**62
        if getattr(question, LABEL_COLUMNS[label]) == value and draw >= share:
            return f"{label} {value}: {share:g} of them are kept"
    return None
