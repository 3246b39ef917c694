import json

import pytest
from pydantic import ValidationError

from stillhouse.exchange import am_40m
from stillhouse.exchange.record import Record, Unfit

ROW = {
    "question": "1+1?", "answer": "<think>so</think>\n<answer>2</answer>", "question_source": "NuminaMath", "answer_source": "am",
    "category": "math", "ground_truth": "2", "test_case": None, "instruction_constrain": None, "pass_rate_r1": 0.75,
    "pass_rate_7b": 0.5, "pass_rate_1.5b": 0.25, "verify_score": 1.0, "ppl": 2.5, "model_name": "deepseek-r1",
}  # fmt: skip


def test_am_40m_every_column_finds_its_field():
    assert am_40m.decode(ROW) == Record(
        [{"role": "user", "content": "1+1?"}], "math", "NuminaMath", "2",
        pass_rates={"DeepSeek-R1": 0.75, "DeepSeek-R1-Distill-Qwen-7B": 0.5, "DeepSeek-R1-Distill-Qwen-1.5B": 0.25},
        text=ROW["answer"], think="so", answer="2", model="deepseek-r1", sampling_id="imported:am", verify_score=1.0,
        perplexity=2.5,
    )  # fmt: skip


def test_am_40m_conversation_survives_as_json_and_a_text_that_looks_like_one_stays_a_text():
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    for messages in (talk, [{"role": "system", "content": "x"}], [{"role": "user", "content": json.dumps(talk)}]):
        row = am_40m.encode(Record(messages, "other"))
        assert am_40m.decode(row).messages == messages


def test_am_40m_pass_rate_of_another_model_has_a_column_of_its_name():
    row = am_40m.encode(Record([{"role": "user", "content": "a"}], "math", pass_rates={"qwen-8b": 0.5, "DeepSeek-R1": 1.0}))
    assert (row["pass_rate_r1"], row["pass_rate_7b"], row["pass_rate_qwen-8b"]) == (1.0, None, 0.5)
    assert am_40m.decode(row).pass_rates == {"qwen-8b": 0.5, "DeepSeek-R1": 1.0}


def test_am_40m_tests_as_an_object_become_their_text():
    assert json.loads(am_40m.decode({**ROW, "test_case": {"call_type": "std"}}).test_cases) == {"call_type": "std"}


def test_am_40m_unknown_columns_are_named():
    assert am_40m.decode({**ROW, "id": 7}).ignored == ("id",)


@pytest.mark.parametrize("word", ["if", "instruction follow", "Instruction following", "instruction_following"])
def test_am_40m_category_words_of_other_files_are_known(word):
    assert am_40m.decode({**ROW, "category": word}).category == "instruction_following"


def test_am_40m_callers_category_wins():
    assert am_40m.decode({**ROW, "category": "chemistry"}, "science").category == "science"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"category": "maths"}, Unfit), ({"category": None}, Unfit), ({"question": None}, ValidationError),
        ({"verify_score": "1"}, ValidationError), ({"ppl": float("inf")}, ValidationError), ({"pass_rate_r1": 2}, Unfit),
        ({"pass_rate_r1": "0.5"}, Unfit), ({"pass_rate_r1": True}, Unfit), ({"answer": None}, Unfit),
        ({"ground_truth": 2}, ValidationError),
    ],
)  # fmt: skip
def test_am_40m_wrong_value_is_refused(changes, error):
    with pytest.raises(error):
        am_40m.decode(ROW | changes)
