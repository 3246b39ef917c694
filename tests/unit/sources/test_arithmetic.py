import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from stillhouse import sources
from stillhouse.errors import BadConfig
from stillhouse.sources.config import Arithmetic
from stillhouse.vocabulary.ids import question_id

ALL = {f"{operation}-{digits}": 1.0 for operation in ("add", "sub", "mul") for digits in (1, 2, 3, 4)}


def make(**changes):
    spec = {"name": "pool", "count": 50, "families": ALL, **changes}
    return list(sources.read(Arithmetic(**spec)))


def boxed(row):
    return re.fullmatch(r"<think>(.+)</think><answer>\\boxed\{(\d+)\}</answer>", row.original_response)


def test_arithmetic_known_seed_gives_the_exact_trace():
    spec = {"families": {"add-3": 1}, "count": 400}
    traces = {row.messages[0]["content"]: row.original_response for row in make(**spec)}
    text, trace = next((text, trace) for text, trace in traces.items() if re.search(r"[5-9] \+ \d\d[6-9]\?", text))
    a, b = re.findall(r"\d+", text)
    carry, steps = 0, []
    for x, y in zip(reversed(a), reversed(b), strict=True):
        total = int(x) + int(y) + carry
        steps.append(f"{x}+{y}+{carry}={total}")
        carry = total // 10
    assert carry + sum(step.count("+1=") for step in steps) > 0
    assert trace == f"<think>{'; '.join(steps)}</think><answer>\\boxed{{{int(a) + int(b)}}}</answer>"


def test_arithmetic_subtraction_marks_a_borrow():
    rows = make(families={"sub-2": 1}, count=300)
    borrowed = [row for row in rows if "!" in row.original_response]
    assert borrowed
    for row in rows:
        a, b = map(int, re.findall(r"\d+", row.messages[0]["content"]))
        assert a >= b
        assert ("!" in row.original_response) == (a % 10 < b % 10)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_arithmetic_without_slips_every_trace_arrives_at_the_reference(seed):
    for row in make(seed=seed, count=20):
        a, operation, b = re.fullmatch(r"What is (\d+) ([-+*]) (\d+)\?", row.messages[0]["content"]).groups()
        right = {"+": int(a) + int(b), "-": int(a) - int(b), "*": int(a) * int(b)}[operation]
        assert row.reference_answer == boxed(row)[2] == str(right)
        assert row.question_id == question_id(row.messages, row.reference_answer)


def test_arithmetic_slips_give_wrong_results_at_about_their_rate():
    rows = make(families={"add-1": 1}, count=2000, slip_rate=0.2)
    wrong = sum(boxed(row)[2] != row.reference_answer for row in rows)
    assert 0.15 < wrong / len(rows) < 0.25


def test_arithmetic_slip_is_carried_on():
    for row in make(families={"add-2": 1}, count=200, slip_rate=1):
        steps, result = boxed(row)[1], int(boxed(row)[2])
        ones, tens = (int(step.partition("=")[2]) for step in steps.split("; "))
        assert int(steps.split("; ")[1].partition("=")[0].split("+")[2]) == ones // 10
        assert result == tens * 10 + ones % 10


def test_arithmetic_reanswer_share_shows_right_and_wrong_previous_answers():
    rows = make(families={"add-2": 1}, count=400, reanswer_share=0.5)
    shown = [
        (row, re.search(r"previous answer is: <answer> \\boxed\{(\d+)\} </answer>", row.messages[0]["content"])) for row in rows
    ]
    asked = [(row, found[1]) for row, found in shown if found]
    right = sum(answer == row.reference_answer for row, answer in asked)
    assert 150 < len(asked) < 250
    assert 0.35 < right / len(asked) < 0.65


def test_arithmetic_same_seed_gives_the_same_rows_and_another_seed_others():
    assert make(seed=3) == make(seed=3)
    assert make(seed=3) != make(seed=4)


def test_arithmetic_shorter_count_gives_a_prefix():
    assert make(count=10) == make(count=50)[:10]


def test_arithmetic_distinct_never_asks_twice():
    rows = make(families={"sub-1": 1}, count=45, distinct=True)
    assert len({row.question_id for row in rows}) == 45


def test_arithmetic_distinct_beyond_the_family_is_refused():
    with pytest.raises(BadConfig, match="only 45 distinct questions, count is 46"):
        make(families={"sub-1": 1}, count=46, distinct=True)


@pytest.mark.parametrize("families", [{"div-2": 1}, {"add-0": 1}, {"add-10": 1}, {"add-1": 0}, {}])
def test_arithmetic_bad_families_are_refused(families):
    with pytest.raises(ValidationError):
        Arithmetic(name="x", count=1, families=families)


def test_arithmetic_rows_say_where_they_come_from():
    row = make(count=1, families={"mul-2": 1})[0]
    assert (row.source, row.license, row.difficulty_label, row.category) == ("pool", "CC0-1.0 (generated)", "mul-2", "math")
    assert replace(row, source="other") != row


def test_arithmetic_summary_shows_a_trace_and_answers_with_the_results_of_its_steps():
    for row in make(count=20, summary_share=1):
        steps = row.messages[0]["content"].split("; ")
        assert row.original_response == "; ".join(step.split("=")[1] for step in steps)


def test_arithmetic_summary_share_leaves_the_other_rows_as_they_are():
    plain, mixed = make(count=200), make(count=200, summary_share=0.5)
    kept = [row for row in mixed if "=" not in row.messages[0]["content"]]
    assert 60 < len(kept) < 140
    assert all(row in plain for row in kept)
