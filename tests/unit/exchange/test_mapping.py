import json

import pytest
from pydantic import ValidationError

from stillhouse.errors import BadConfig
from stillhouse.exchange.bad_rows import Bad, LeftOut
from stillhouse.exchange.config import Mapping
from stillhouse.exchange.mapping import RowMapper

PROMPT = {"prompt": "q"}


def mapped(row, columns, **settings):
    """The records of one row, or what became of it."""
    spec = {"category": "math", "columns": columns, **settings}
    if spec["category"] is None:
        del spec["category"]
    ((_, made),) = RowMapper(Mapping(**spec)).records([(1, row)])
    return made


def one(row, columns, **settings):
    made = mapped(row, columns, **settings)
    assert isinstance(made, list), made
    return made[0]


def test_mapping_template_joins_columns_and_reaches_names_with_spaces():
    assert one({"a": "x", "b": None}, {"prompt": "{{ a }}{% if b %} {{ b }}{% endif %}"}).messages[0]["content"] == "x"
    assert one({"The Question": "x"}, {"prompt": '{{ row["The Question"] }}'}).messages[0]["content"] == "x"


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ cycler.__init__.__globals__ }}", "{{ q.__class__ }}",
        "{% for n in range(9) %}{{ n }}{% endfor %}", "{{ self._TemplateReference__context }}",
    ],
)  # fmt: skip
def test_mapping_template_reaches_nothing_but_the_row(template):
    made = mapped({"q": "x"}, {"prompt": template})
    assert isinstance(made, Bad)
    assert made.reason in {"bad_column", "bad_value"}


@pytest.mark.parametrize(("columns", "where"), [({"prompt": "{{ q"}, None), (PROMPT, "q ==")])
def test_mapping_that_is_no_jinja_is_refused_before_any_row(columns, where):
    with pytest.raises(BadConfig, match="is not Jinja"):
        RowMapper(Mapping(category="math", columns=columns, where=where))


def test_mapping_template_over_a_missing_column_names_those_there():
    made = mapped({"q": "x"}, {"prompt": "{{ problem }}"})
    assert (made.reason, made.detail) == ("bad_column", "'{{ problem }}': 'problem' is undefined; the row has q")


@pytest.mark.parametrize(
    ("how", "text", "answer"),
    [
        ("hash_answer", "so\n#### 1,234", "1234"), ("hash_answer", "so #### 3/4", "3/4"),
        ("hash_answer", "#### 1\n#### (1,2)", "(1,2)"),
        ("boxed", "\\boxed{1} then \\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"), ("boxed", "\\boxed{a} and \\boxed{cut", "a"),
        ("boxed", "\\fbox{7}", "7"), ("letter", "(B)", "B"), ("letter", "The answer is (C) because A is wrong", "C"),
        ("letter", "D. because", "D"), ("letter", "so \\boxed{\\text{A}}", "A"), ({"regex": "= (\\d+)"}, "x = 1, y = 22", "22"),
        ({"regex": "\\d+"}, "7 of 9", "9"),
    ],
)  # fmt: skip
def test_mapping_extract_finds_the_answer(how, text, answer):
    assert one({"q": "?", "a": text}, PROMPT | {"reference_answer": "a"}, extract=how).reference_answer == answer


@pytest.mark.parametrize("how", ["hash_answer", "boxed", "letter", {"regex": "[0-9]+"}])
def test_mapping_extract_without_an_answer_is_a_bad_row(how):
    made = mapped({"q": "?", "a": "no answer here"}, PROMPT | {"reference_answer": "a"}, extract=how)
    assert made.reason == "bad_value"
    assert "no answer here" in made.detail


@pytest.mark.parametrize(
    ("options", "reference", "first", "letter"),
    [
        (["w", "x", "y"], 1, 0, "B"), (["w", "x", "y"], 1, 1, "A"), (["w", "x", "y"], "C", 0, "C"),
        (["w", "x", "y"], "(b)", 0, "B"), (["w", "x", "y"], "y", 0, "C"), (["1", "2", "3"], "2", 0, "B"), (["w", "x"], "1", 0, "B"),
        ({"A": "w", "B": "x"}, "B", 0, "B"),
        ({"text": ["w", "x"], "label": ["1", "2"]}, "x", 0, "B"), (["True", "False"], "False", 0, "B"),
    ],
)  # fmt: skip
def test_mapping_choices_are_lettered_and_the_reference_is_the_letter(options, reference, first, letter):
    columns = PROMPT | {"choices": "o", "reference_answer": "a"}
    record = one({"q": "Which?", "o": options, "a": reference}, columns, first_choice=first)
    assert record.reference_answer == letter
    assert "\nB) " in record.messages[0]["content"]


@pytest.mark.parametrize(("options", "reference"), [(["w", "x"], 2), (["w", "x"], "z"), (["w"], 0), ("w, x", 0), (["w", "x"], "C")])
def test_mapping_choices_that_do_not_hold_the_reference_are_a_bad_row(options, reference):
    made = mapped({"q": "Which?", "o": options, "a": reference}, PROMPT | {"choices": "o", "reference_answer": "a"})
    assert made.reason == "bad_value"


def test_mapping_choices_of_several_columns_leave_empty_ones_out():
    record = one({"q": "Which?", "A": "w", "B": "x", "C": "", "a": "B"}, PROMPT | {"choices": "A, B, C", "reference_answer": "a"})
    assert "C)" not in record.messages[0]["content"]


PARTS = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
OPENAI = [{"role": "developer", "content": "s"}, {"role": "user", "content": PARTS}]


@pytest.mark.parametrize(
    ("turns", "messages", "text"),
    [
        (OPENAI, [("system", "s"), ("user", "a\nb")], None),
        (
            [*OPENAI, {"role": "assistant", "content": "4", "reasoning_content": "2+2"}],
            [("system", "s"), ("user", "a\nb")], "<think>2+2</think>4",
        ),
        (
            [{"from": "human", "value": "weather?"}, {"from": "function_call", "value": "{}"},
             {"from": "observation", "value": "rain"}, {"from": "gpt", "value": "It rains."}],
            [("user", "weather?"), ("assistant", "{}"), ("tool", "rain")], "It rains.",
        ),
        (
            [{"role": "user", "content": "x"}, {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f"}}]}],
            [("user", "x")], '[{"function": {"name": "f"}}]',
        ),
        (json.dumps([{"role": "user", "content": "x"}]), [("user", "x")], None),
    ],
)  # fmt: skip
def test_mapping_turns_of_every_form_are_read(turns, messages, text):
    record = one({"m": turns}, {"messages": "m"}, category="other")
    assert ([(turn["role"], turn["content"]) for turn in record.messages], record.text) == (messages, text)


def test_mapping_turn_with_a_picture_is_refused_by_its_type():
    made = mapped({"m": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, {"messages": "m"})
    assert (made.reason, made.detail) == ("bad_type", "m: a part of type image_url; only parts of text are read")


def test_mapping_prompt_and_completion_of_trl_are_question_and_response():
    row = {"prompt": [{"role": "user", "content": "x"}], "completion": [{"role": "assistant", "content": "y"}]}
    record = one(row, {"messages": "prompt", "original_response": "completion"}, category="other")
    assert ([turn["content"] for turn in record.messages], record.text) == (["x"], "y")


@pytest.mark.parametrize(
    ("text", "think", "answer"),
    [
        ("<think>t</think>a", "t", "a"), ("◁think▷t◁/think▷a", "t", "a"), ("<thinking>t</thinking>\n\na", "t", "a"),
        ("<|begin_of_thought|>\n\nt\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\na\n\n<|end_of_solution|>", "t", "a"),
        ("<|channel|>analysis<|message|>t<|end|><|start|>assistant<|channel|>final<|message|>a<|return|>", "t", "a"),
        ("<|begin_of_thought|>cut off", None, None),
    ],
)  # fmt: skip
def test_mapping_thinking_of_every_mark_is_told_from_the_answer(text, think, answer):
    record = one({"q": "?", "r": text}, PROMPT | {"original_response": "r"}, category="other")
    assert (record.think, record.answer) == (think, answer)


def test_mapping_list_of_responses_gives_a_record_each_with_its_verdict():
    columns = PROMPT | {"responses": "g", "verdicts": "v", "thinking": "t?", "model": "{{ 'm' }}"}
    made = mapped({"q": "?", "g": ["a", "b", None], "v": [True, False, True]}, columns)
    assert [(record.text, record.verify_score, record.model) for record in made] == [("a", 1.0, "m"), ("b", 0.0, "m")]
    science = mapped({"q": "?", "g": ["a"], "v": [True]}, PROMPT | {"responses": "g", "verdicts": "v"}, category="science")
    assert science[0].verify_score == 5.0


def test_mapping_verdicts_that_do_not_pair_up_are_a_bad_row():
    made = mapped({"q": "?", "g": ["a", "b"], "v": [True]}, PROMPT | {"responses": "g", "verdicts": "v"})
    assert made.detail == "v: 1 values for 2 responses in g"


def test_mapping_where_leaves_rows_out_that_are_not_bad():
    columns = PROMPT | {"reference_answer": "a"}
    assert isinstance(mapped({"q": "?", "a": "proof"}, columns, where='a != "proof"'), LeftOut)
    assert one({"q": "?", "a": "2"}, columns, where='a != "proof"').reference_answer == "2"
    assert mapped({"q": "?"}, columns, where="level > 3").reason == "bad_column"


def test_mapping_counts_columns_with_values_that_nothing_maps():
    mapper = RowMapper(Mapping(category="math", columns={"prompt": "{{ q }}", "reference_answer": "a.b"}, where="w"))
    list(mapper.records([(n, {"q": "?", "a": {"b": "1"}, "w": 1, "x": n, "y": None, "z": []}) for n in (1, 2)]))
    assert mapper.unmapped == {"x": 2}


@pytest.mark.parametrize("own_id", ["", "a/b", "x" * 201, "a\0b", "..", "q*", "a,b"])
def test_mapping_id_that_keys_cannot_hold_is_refused(own_id):
    assert "the id" in mapped({"q": "?", "i": own_id}, PROMPT | {"question_id": "i"}).detail


def test_mapping_id_of_the_data_set_is_kept():
    assert one({"q": "?", "i": "test-7"}, PROMPT | {"question_id": "i"}).question_id == "test-7"


def test_mapping_category_is_that_of_the_source():
    settings = {"category": None, "categories": {"olympiads": "math", "natural_reasoning": "science"}}
    assert one({"q": "?", "s": "natural_reasoning"}, PROMPT | {"source": "s"}, **settings).category == "science"
    assert "'else' is not a category" in mapped({"q": "?", "s": "else"}, PROMPT | {"source": "s"}, **settings).detail


def test_mapping_nan_is_said_and_a_whole_float_has_no_fraction():
    columns = PROMPT | {"reference_answer": "a"}
    texts = [one({"q": "?", "a": value}, columns).reference_answer for value in (float("nan"), 5.0, 2.5, True)]
    assert texts == ["NaN", "5", "2.5", "true"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"extract": {"regex": "("}}, "not a regular expression"), ({"extract": {"regex": "(a)(b)"}}, "2 groups"),
        ({"extract": "hash"}, "hash_answer"), ({"columns": PROMPT | {"original_response": "a", "responses": "b"}}, "give one of"),
        ({"category": None}, "exactly one of category"),
    ],
)  # fmt: skip
def test_mapping_that_contradicts_itself_is_refused(changes, says):
    with pytest.raises(ValidationError, match=says):
        Mapping(**{"category": "math", "columns": PROMPT} | changes)
