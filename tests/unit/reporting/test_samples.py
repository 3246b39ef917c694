from dataclasses import replace

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.benchmarks.evaluation import Evaluation
from stillhouse.reporting.samples import CHAINS_SHOWN, SAMPLES_SHOWN, chains_shown, of_evaluation, of_reports
from stillhouse.vocabulary.rows import Question, Response, Verified

ASKED = testing.questions(4)


def judged(asked, passed, rounds=1, samples=1):
    """Responses and verdicts; ``passed`` says of a question's place whether it is answered rightly, in every round."""
    made = [
        testing.response(each, None if passed(place) else "0", round=number, sample_index=index)
        for number in range(1, rounds + 1)
        for place, each in enumerate(asked)
        for index in range(samples)
    ]
    places = {each.question_id: place for place, each in enumerate(asked)}
    return made, [testing.verified(row, passed=passed(places[row.question_id])) for row in made]


def published(path, asked, passed, **given):
    responses, verified = judged(asked, passed, **given)
    for kind, row_type, written in (
        ("questions", Question, asked), ("responses", Response, responses), ("verified", Verified, verified)
    ):  # fmt: skip
        tables.write(path / "arithmetic" / kind, written, row_type)
    return path


def test_samples_of_an_evaluation_are_first_chains_whole_and_wrong_ones_first():
    responses, verified = judged(ASKED, lambda place: place != 2, rounds=2, samples=3)
    made = of_evaluation("arithmetic", Evaluation(ASKED, responses, verified), CHAINS_SHOWN)
    assert len(made) == 4 * 2
    assert [(each.question, each.number, each.kind) for each in made[:2]] == [
        ("What is 2 + 7?", 1, "wrong"), ("What is 2 + 7?", 2, "wrong")
    ]  # fmt: skip
    assert {each.kind for each in made[2:]} == {"correct"}
    assert {each.label for each in made} == {""}


def test_samples_of_an_evaluation_are_so_many_and_no_more():
    asked = testing.questions(3 * CHAINS_SHOWN)
    made = of_evaluation("arithmetic", Evaluation(asked, *judged(asked, lambda place: place % 3 == 0)), CHAINS_SHOWN)
    assert [each.kind for each in made] == ["wrong"] * CHAINS_SHOWN + ["correct"] * CHAINS_SHOWN


def test_samples_of_many_benchmarks_rounds_or_checkpoints_are_fewer_of_each():
    assert chains_shown(3) == CHAINS_SHOWN
    for rows_to_a_chain in (9, 24, 240):
        assert 1 <= chains_shown(rows_to_a_chain) <= SAMPLES_SHOWN / (2 * rows_to_a_chain)
    assert chains_shown(10_000) == 1


def test_samples_of_reports_stand_side_by_side_and_unlike_verdicts_come_first(tmp_path):
    before = published(tmp_path / "before", ASKED, lambda place: place < 2, rounds=2)
    after = published(tmp_path / "after", ASKED, lambda place: place < 3, rounds=2)
    made = of_reports("arithmetic", {"before": before, "after": after}, CHAINS_SHOWN)
    assert [(each.question, each.label, each.kind) for each in made[:2]] == [
        ("What is 2 + 7?", "before", "wrong"), ("What is 2 + 7?", "after", "correct")
    ]  # fmt: skip
    assert len(made) == 2 * 4
    assert {each.number for each in made} == {2}, "how the chain ended"


def test_samples_of_reports_are_of_questions_that_all_have(tmp_path):
    one, two = published(tmp_path / "1", ASKED, lambda _: True), published(tmp_path / "2", ASKED[1:], lambda _: True)
    made = of_reports("arithmetic", {"one": one, "two": two}, CHAINS_SHOWN)
    assert {each.question for each in made} == {each.messages[0]["content"] for each in ASKED[1:]}


def test_samples_long_text_loses_its_middle():
    responses, verified = judged(ASKED[:1], lambda _: True)
    responses[0] = replace(responses[0], think="x" * 10_000)
    (made,) = of_evaluation("arithmetic", Evaluation(ASKED, responses, verified), CHAINS_SHOWN)
    assert "[… 4,000 characters left out …]" in made.think
