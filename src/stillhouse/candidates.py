"""Which responses selection may choose from, and why questions and responses are left over."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from stillhouse.errors import BadRows
from stillhouse.rows import Dropped, Graded, Question, Response, Screened, Verified, dropped, response_key
from stillhouse.selection import Choice, Scored


def candidates(
    questions: Collection[str], responses: Sequence[Response], verified: Iterable[Verified], screened: Iterable[Screened] | None,
    teacher: str | None,
) -> tuple[dict[str, list[Scored]], list[Dropped]]:  # fmt: skip
    """Question -> its scored responses, and the responses that are none, with the reason.

    Reasons: ``other_model``, ``further_round``, ``screened_out``, ``no_verdict`` (the verifier failed). Raises BadRows for a
    response without a question, a verdict or, where ``screened`` is given, a screening.
    """
    scores = {response_key(row): row.verify_score for row in verified}
    kept = None if screened is None else {response_key(row): row.kept for row in screened}
    found: dict[str, list[Scored]] = defaultdict(list)
    drops = []
    for place, response in enumerate(responses):
        key = response_key(response)
        _check(response, questions, scores, kept)
        score = scores[key]
        if teacher is not None and response.model != teacher:
            drops.append(dropped(response, "other_model"))
        elif response.prompt_kind != "question":
            drops.append(dropped(response, "further_round"))
        elif kept is not None and not kept[key]:
            drops.append(dropped(response, "screened_out"))
        elif score is None:
            drops.append(dropped(response, "no_verdict"))
        else:
            found[response.question_id].append(Scored(place, score))
    return dict(found), drops


def _check(response: Response, questions: Collection[str], scores: Collection[object], kept: Collection[object] | None) -> None:
    key = response_key(response)
    found = {"questions": response.question_id in questions, "verified": key in scores, "screened": kept is None or key in kept}
    for name, there in found.items():
        if not there:
            where = "/".join(str(part) for part in key)
            msg = f"response {where} is not in the {name} input; give the {name} artifact that was made of these responses"
            raise BadRows(msg)


def not_passing(
    choices: Mapping[str, Choice], scored: Mapping[str, Sequence[Scored]], responses: Sequence[Response]
) -> Iterator[Dropped]:  # fmt: skip
    """The failing responses of questions that are learnt from."""
    for question_id, choice in choices.items():
        chosen = set(choice.chosen)
        for each in scored[question_id]:
            if chosen and each not in chosen:
                yield dropped(responses[each.place], "not_passing")


def left_over(
    questions: Iterable[Question], used: Collection[str], grades: Mapping[str, Graded], choices: Mapping[str, Choice],
    with_responses: bool,
) -> Iterator[Dropped]:  # fmt: skip
    """The questions no split took: never solved, turned down by Algorithm 1, or in no split's terms."""
    for question in questions:
        if question.question_id in used:
            continue
        grade, choice = grades.get(question.question_id), choices.get(question.question_id)
        reason = (grade.discard_reason if grade else None) or (choice.reason if choice else None)
        fallback = "no_response" if with_responses and choice is None else "not_selected"
        yield dropped(question, reason or fallback)
