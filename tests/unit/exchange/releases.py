"""Rows of the three public schemas, as hypothesis makes them: odd texts, several turns, nulls, tests and constraints."""

import json

from hypothesis import strategies as st

SPOKEN = st.sampled_from(
    [
        "<think>so</think>\n<answer>4</answer>", "<think>\nso\n\n</think>\n\n<answer> 4 </answer>\n", "<think>cut off", "plain", "",
        "<think>a</think><answer>b</answer><answer>c</answer>",
    ]
)  # fmt: skip
AS_JSON = '[{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]'
ODD = st.sampled_from(
    [
        "", " ", "2+2?", "2+2 ?", "Ｗhat", "what", "WHAT", "数学：1+1等于几？", "a\u2028b\u0085c", "e\u0301", "é", "\x00",
        "\ufeff", "line\r\nline", "\U0001f469\u200d\U0001f467", "[{", '[{"role": "user", "content": "x"}]',
        '[{"role": "user", "content": "[{"}]', AS_JSON,
    ]
)  # fmt: skip
TEXT = ODD | st.text(st.characters(codec="utf-8"), max_size=12)
MAYBE = st.none() | TEXT
SCORE = st.none() | st.floats(0, 5)
CONSTRAINTS = st.sampled_from(
    [None, json.dumps({"instruction_id_list": ["length_constraints:number_words"], "kwargs": [{"num_words": 9}]}), "not JSON"]
)
STD = json.dumps({"call_type": "std", "fn_name": None, "inputs": ["1\n"], "outputs": ["2\n"], "assert_case": [], "language": "cpp"})
ONE = {
    "call_type": "assert",
    "fn_name": "f",
    "inputs": [],
    "outputs": [],
    "assert_case": ["assert f(1) == 2"],
    "language": "python",
}
CASES = st.sampled_from([None, STD, json.dumps(ONE), json.dumps({**ONE, "assert_case": ["assert f(1)", "assert f(2)"]})])
CATEGORY = st.sampled_from(["math", "code", "science", "instruction follow", "multi-turn", "other"])

ANSWERED = st.fixed_dictionaries(
    {
        "question": TEXT, "answer": SPOKEN | TEXT, "question_source": MAYBE,
        "answer_source": MAYBE | st.sampled_from(["am-0309", "stillhouse:imported", "imported", "stillhouse:imported:x"]),
        "category": CATEGORY, "ground_truth": MAYBE, "test_case": CASES, "instruction_constrain": CONSTRAINTS,
        "pass_rate_r1": st.sampled_from([None, 0.0, 0.25, 1.0]), "pass_rate_7b": st.sampled_from([None, 0.5]),
        "pass_rate_1.5b": st.none(), "verify_score": SCORE, "ppl": SCORE, "model_name": MAYBE,
    }
)  # fmt: skip
ALONE = ANSWERED.map(lambda row: row | dict.fromkeys(["answer", "answer_source", "verify_score", "ppl", "model_name"]))
FLAT = ANSWERED | ALONE


def _dialogue(turn, asked_info, said_info, nothing):
    """A conversation that ends with the user or with a response; the last asking turn has the question's info."""
    asking = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), TEXT), max_size=3)

    def put_together(parts):
        before, last, question, response = parts
        made = [turn(role, text, nothing) for role, text in before] + [turn("user", last, question)]
        return [*made, turn("assistant", *response)] if response else made

    return st.tuples(asking, TEXT, asked_info, st.none() | st.tuples(SPOKEN | TEXT, said_info)).map(put_together)


def _infos(names, question_fields, response_fields):
    def made(values):
        return st.fixed_dictionaries({name: values.get(name, st.none()) for name in names})

    return made(question_fields), made(response_fields), dict.fromkeys(names)


MESSAGES = _dialogue(
    lambda role, content, info: {"role": role, "content": content, "info": info},
    *_infos(
        ["source", "reference_answer", "test_case", "think_content", "answer_content"],
        {
            "source": MAYBE, "reference_answer": MAYBE,
            "test_case": st.none() | st.fixed_dictionaries({"test_code": TEXT, "test_entry_point": MAYBE}),
        },
        {"source": MAYBE, "think_content": MAYBE, "answer_content": MAYBE},
    ),
).map(lambda turns: {"messages": turns})  # fmt: skip

CONVERSATIONS = st.tuples(
    st.none() | TEXT.filter(bool),
    _dialogue(
        lambda role, content, info: {"from": {"user": "human"}.get(role, role), "value": content, "info": info},
        *_infos(
            [
                "source", "category", "ground_truth", "test_case", "instruction_constrain", "think_content", "answer_content",
                "verify_score", "model_name", "ppl",
            ],
            {
                "source": MAYBE, "category": CATEGORY, "ground_truth": MAYBE, "test_case": CASES,
                "instruction_constrain": CONSTRAINTS,
            },
            {"think_content": MAYBE, "answer_content": MAYBE, "verify_score": SCORE, "model_name": MAYBE, "ppl": SCORE},
        ),
    ),
).map(lambda parts: {"system": parts[0], "conversations": parts[1]})  # fmt: skip

ROWS = {"am-40m": FLAT, "am-1.4m": MESSAGES, "conversations": CONVERSATIONS}
