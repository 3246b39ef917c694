import json

import pytest

from stillhouse.benchmarks import adapters
from stillhouse.benchmarks.datasets import Row
from stillhouse.errors import BadRows


def test_problems_of_aime_and_math_have_their_answer_as_text():
    rows = [Row(id=60, problem=" Find x. ", answer="204", url="u"), Row(problem="Find y.", answer=33, subject="Algebra", level=2)]
    asked = list(adapters.problems(rows, "aime-2024"))
    assert [(each.messages[0]["content"], each.reference_answer) for each in asked] == [("Find x.", "204"), ("Find y.", "33")]
    assert {(each.category, each.source) for each in asked} == {("math", "aime-2024")}


def test_gsm8k_reference_is_what_follows_the_last_mark():
    (asked,) = adapters.gsm8k([Row(question="How many?", answer="9 * 200 = <<9*200=1800>>1800\n#### 1,800")], "gsm8k")
    assert asked.reference_answer == "1800"


def test_gsm8k_answer_without_its_mark_is_refused():
    with pytest.raises(BadRows, match="no #### before its result"):
        list(adapters.gsm8k([Row(question="How many?", answer="1800")], "gsm8k"))


def test_ifeval_instructions_keep_the_arguments_they_have():
    row = Row(
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
