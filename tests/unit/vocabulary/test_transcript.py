import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.vocabulary.transcript import ANSWER, END_ANSWER, END_THINK, THINK, Parsed, joined, opened, parse

TAGS = (THINK, END_THINK, ANSWER, END_ANSWER)


@pytest.mark.parametrize(
    ("text", "think", "answer"),
    [
        ("<think>1+1</think><answer>2</answer>", "1+1", "2"),
        (" <think>\n1+1\n</think>\n\n<answer> 2\n</answer>\n", "1+1", "2"),
        ("1+1</think><answer>2</answer>", "1+1", "2"),
        ("<answer>2</answer>", None, "2"),
        ("<think>1+1</think>It is 2.", "1+1", "It is 2."),
        ("<think>1+1</think>", "1+1", None),
        ("<think></think><answer>2</answer>", None, "2"),
        ("<think>1+1</think><answer> </answer>", "1+1", None),
        ("2", None, None),
        ("", None, None),
    ],
)
def test_parse_form_gives_its_parts(text, think, answer):
    assert parse(text) == Parsed(think, answer)


@pytest.mark.parametrize(
    ("text", "think", "answer"),
    [
        ("<think>I must write <think> and </think>, so</think><answer>2</answer>", "I must write <think> and </think>, so", "2"),
        ("<think>maybe <answer>3</answer>?</think><answer>2</answer>", "maybe <answer>3</answer>?", "2"),
        ("<think>maybe <answer>3</answer>?</think>", "maybe <answer>3</answer>?", None),
        ("<think>1+1</think><answer>3</answer> no: <answer>2</answer>", "1+1", "2"),
        ("<think>1+1</think><answer>3 <answer>2</answer>", "1+1", "2"),
        ("<think>1+1</think><answer>2</answer><answer>3", "1+1", "2"),
    ],
)
def test_parse_nested_or_repeated_tags_take_the_last_closed_answer_after_the_thinking(text, think, answer):
    assert parse(text) == Parsed(think, answer)


@pytest.mark.parametrize(
    ("text", "think"), [("<think>1+1", None), ("<think>1+1<answer>2</answer>", None), ("<think>1+1</think><answer>2", "1+1")]
)
def test_parse_unclosed_part_is_none(text, think):
    assert parse(text) == Parsed(think, None)


def test_parse_tag_repeated_without_end_is_read_in_linear_time():
    started = time.perf_counter()
    assert parse("<think>x</think>" + "<answer>1 " * 20_000) == Parsed("x", None)
    assert time.perf_counter() - started < 1


untagged = st.text(min_size=1).map(str.strip).filter(lambda text: text and not any(tag in text for tag in TAGS))


@given(untagged, untagged, st.sampled_from(["", " ", "\n\n"]))
def test_parse_of_a_composed_response_gives_back_both_parts(think, answer, between):
    assert parse(f"{THINK}{think}{END_THINK}{between}{ANSWER}{answer}{END_ANSWER}") == Parsed(think, answer)


@given(st.lists(st.one_of(st.sampled_from(TAGS), st.text(max_size=5)), max_size=12).map("".join))
def test_parse_anything_gives_stripped_parts_that_are_in_the_text(text):
    found = parse(text)
    for part in (found.think, found.answer):
        assert part is None or (part and part == part.strip() and part in text)


@pytest.mark.parametrize(
    ("text", "prefill", "whole"),
    [
        ("Okay.</think>8", "", "<think>Okay.</think>8"),
        ("Okay.</think>8", "<think>\n", "<think>\nOkay.</think>8"),
        ("Okay, and so", "<think>\n", "<think>\nOkay, and so"),
        ("Okay, and so", "", "Okay, and so"),
        ("<think>Okay.</think>8", "<think>\n", "<think>Okay.</think>8"),
        (" \n<think>Okay.</think>8", "", "<think>Okay.</think>8"),
        ("Write <think>, then</think>8", "<think>\n", "<think>\nWrite <think>, then</think>8"),
        ("8", "", "8"),
        ("", "", ""),
    ],
)
def test_opened_text_begins_with_the_thinking_that_its_prompt_opened(text, prefill, whole):
    assert opened(text, prefill) == whole


def test_joined_thinking_that_was_cut_off_stays_open():
    assert parse(joined("1+1", "2")) == Parsed("1+1", "2")
    assert parse(joined("1+1", "", closed=False)) == Parsed(None, None)
