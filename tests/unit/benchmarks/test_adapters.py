import json

import pytest

from stillhouse.benchmarks import adapters
from stillhouse.benchmarks.adapters import DatasetRow
from stillhouse.errors import BadRows

GPQA = {
    "Question": "Which is a noble gas?",
    "Correct Answer": "neon\n",
    "Incorrect Answer 1": "iron",
    "Incorrect Answer 2": "zinc",
    "Incorrect Answer 3": "lead",
}


def gpqa_rows(n):
    return [DatasetRow(GPQA | {"Question": f"Which is a noble gas ({number})?"}) for number in range(n)]


def mmlu_row(number, split, subject="high_school_biology", answer=2):
    return DatasetRow(question=f"Q{number}", subject=subject, choices=["w", "x", "y", "z"], answer=answer, split=split)


def test_problems_of_aime_and_math_have_their_answer_as_text():
    rows = [
        DatasetRow(id=60, problem=" Find x. ", answer="204", url="u"),
        DatasetRow(problem="Find y.", answer=33, subject="Algebra", level=2),
    ]
    asked = list(adapters.problems(rows, "aime-2024"))
    assert [(each.messages[0]["content"], each.reference_answer) for each in asked] == [("Find x.", "204"), ("Find y.", "33")]
    assert {(each.category, each.source) for each in asked} == {("math", "aime-2024")}


def test_gsm8k_reference_is_what_follows_the_last_mark():
    (asked,) = adapters.gsm8k([DatasetRow(question="How many?", answer="9 * 200 = <<9*200=1800>>1800\n#### 1,800")], "gsm8k")
    assert asked.reference_answer == "1800"


def test_gsm8k_answer_without_its_mark_is_refused():
    with pytest.raises(BadRows, match="no #### before its result"):
        list(adapters.gsm8k([DatasetRow(question="How many?", answer="1800")], "gsm8k"))


def test_ifeval_instructions_keep_the_arguments_they_have():
    row = DatasetRow(
        key=1001, prompt="Write without commas.", instruction_id_list=["punctuation:no_comma", "length_constraints:number_words"],
        kwargs=[{"num_words": None, "relation": None}, {"num_words": 300, "relation": "at least"}],
    )  # fmt: skip
    (asked,) = adapters.ifeval([row], "ifeval")
    assert asked.category == "instruction_following"
    assert json.loads(asked.constraints) == {
        "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
        "kwargs": [{}, {"num_words": 300, "relation": "at least"}],
    }
    assert asked.reference_answer is None


def test_gpqa_choices_are_shuffled_by_the_question_alone():
    asked = list(adapters.gpqa(gpqa_rows(40), "gpqa-diamond"))
    again = list(adapters.gpqa(gpqa_rows(40)[::-1], "gpqa-diamond"))
    assert asked == again[::-1]
    assert {each.reference_answer for each in asked} == set("ABCD"), "the right choice has no place of its own"
    for each in asked:
        assert f"{each.reference_answer}) neon" in each.messages[0]["content"].splitlines()
        assert each.category == "science"


def test_gpqa_first_order_is_pinned_to_the_revision():
    (asked,) = adapters.gpqa([DatasetRow(GPQA)], "gpqa-diamond")
    assert asked.messages[0]["content"].splitlines()[1:5] == ["A) zinc", "B) iron", "C) neon", "D) lead"]


def test_gpqa_other_columns_are_named():
    with pytest.raises(BadRows, match="no column 'Question' in a published row, got problem"):
        list(adapters.gpqa([DatasetRow(problem="x")], "gpqa-diamond"))


def test_mmlu_shows_five_answered_questions_of_the_subject_whatever_the_order_of_rows():
    dev = [mmlu_row(number, "dev", answer=number % 4) for number in range(6)]
    other = mmlu_row(50, "dev", subject="astronomy")
    (asked,) = adapters.mmlu([mmlu_row(99, "test"), other, *dev], "mmlu")
    text = asked.messages[0]["content"]
    assert text.startswith("Questions on high school biology, the first ones with their answers.")
    assert [line for line in text.splitlines() if line.startswith("Q") and line[1:].isdigit()] == [
        "Q0", "Q1", "Q2", "Q3", "Q4", "Q99"
    ]  # fmt: skip
    assert [line for line in text.splitlines() if line.startswith("Answer")] == [f"Answer: {each}" for each in "ABCDA"]
    assert text.endswith("Q99\nA) w\nB) x\nC) y\nD) z")
    assert asked.reference_answer == "C"
