from typing import get_args

from stillhouse.vocabulary import prompts
from stillhouse.vocabulary.prompts import (
    SUFFIXES,
    SUMMARY_PROMPT,
    SYSTEM_PROMPTS,
    conversation,
    previous_answer_prompt,
    summary_prompt,
)

ASKED = [{"role": "user", "content": "What is 1 + 1?"}]


def test_names_in_the_config_are_the_prompts_there_are():
    assert set(get_args(prompts.SystemPrompt)) == set(SYSTEM_PROMPTS)
    assert set(get_args(prompts.Suffix)) == set(SUFFIXES)


def test_suffix_of_code_asks_for_a_block():
    # Leveraging Reasoning Model Answers, App. A Fig. 3.
    assert SUFFIXES["python"] == "Let's think step by step and output the final answer within\n```python\nyour code\n```"


def test_summary_prompt_fills_both_in_and_leaves_other_braces_alone():
    assert summary_prompt("{thinking} | {question} | {x}", "f{thinking}", "g{question}") == "g{question} | f{thinking} | {x}"
    assert {"{question}", "{thinking}"} <= set(SUMMARY_PROMPT.split("\n"))


def test_conversation_without_prompts_is_the_question_alone():
    assert conversation(ASKED, "none", "none") == ASKED


def test_conversation_puts_the_system_prompt_first_and_the_suffix_on_a_line_of_its_own():
    system, user = conversation(ASKED, "think_answer", "boxed")
    assert system == {"role": "system", "content": SYSTEM_PROMPTS["think_answer"]}
    assert user == {"role": "user", "content": f"What is 1 + 1?\n{SUFFIXES['boxed']}"}
    assert "\\boxed{}" in user["content"]


def test_conversation_of_several_turns_has_the_suffix_on_the_last_alone():
    turns = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello!"}, *ASKED]
    made = conversation(turns, "none", "boxed")
    assert made[:2] == turns[:2]
    assert made[2]["content"].endswith(SUFFIXES["boxed"])
    assert turns[2]["content"] == "What is 1 + 1?", "the question itself must not be changed"


def test_previous_answer_prompt_shows_question_and_answer():
    # Think Twice §2, word for word.
    assert previous_answer_prompt("What is 1 + 1?", "3") == (
        "What is 1 + 1?\nThe assistant’s previous answer is: <answer> 3 </answer>, and please re-answer."
    )
