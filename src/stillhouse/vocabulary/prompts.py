"""The papers' prompts as named constants, and functions that turn a question into a conversation."""

from collections.abc import Mapping, Sequence
from typing import Literal

from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import Message

SYSTEM_PROMPTS = {
    "none": None,
    "think_answer": (
        "You are a helpful assistant. To answer the user’s question, you first think about the reasoning process and then provide "
        "the user with the answer. The reasoning process and answer are enclosed within <think> and <answer> tags, respectively, "
        "i.e., <think> reasoning process here </think> <answer> answer here </answer>."
    ),
    "distillation": (
        "You are a helpful assistant. To answer the user’s question, you first think about the reasoning process and then provide "
        "the user with the answer. The reasoning process and answer are enclosed within <think> </think> and <answer> </answer> "
        "tags, respectively, i.e., <think> reasoning process here </think> <answer> answer here </answer>."
    ),
}
"""By name. ``think_answer``: 1.4M report, Table 1. ``distillation``: Leveraging Reasoning Model Answers, App. A Fig. 3."""

SUFFIXES = {
    "none": "",
    "boxed": "Let's think step by step and output the final answer within \\boxed{}.",
    "python": "Let's think step by step and output the final answer within\n```python\nyour code\n```",
}
"""What follows a question, by name: for mathematics and for code (Leveraging Reasoning Model Answers, App. A Fig. 3)."""

SUMMARY_PROMPT = (
    "Below are a question and the reasoning that led to an answer of it. Retell the reasoning as a short explanation for a reader "
    "who wants to follow it: keep the steps that the answer rests on, in their order, and leave out detours and doubts. Write the "
    "explanation alone, without the final answer.\n\nQuestion:\n{question}\n\nReasoning:\n{thinking}"
)
"""The prompt for a summary of thinking. Ours: the paper (Leveraging Reasoning Model Answers §2.2) does not print its own."""

SystemPrompt = Literal["none", "think_answer", "distillation"]
Suffix = Literal["none", "boxed", "python"]


def conversation(messages: Sequence[Message], system_prompt: SystemPrompt, suffix: Suffix) -> list[Message]:
    """The conversation to send: with a system prompt first, and a suffix on its own line after the last turn."""
    system = SYSTEM_PROMPTS[system_prompt]
    head: list[Message] = [{"role": "system", "content": system}] if system else []
    *earlier, last = messages
    content = f"{last['content']}\n{SUFFIXES[suffix]}" if SUFFIXES[suffix] else last["content"]
    return [*head, *earlier, {"role": last["role"], "content": content}]


def question_prompt(
    messages: Sequence[Message],
    category: Category,
    system_prompt: SystemPrompt,
    suffix: Suffix,
    suffixes: Mapping[Category, Suffix],
) -> list[Message]:
    """The conversation, with the suffix of the question's category if ``suffixes`` names it, else with ``suffix``."""
    return conversation(messages, system_prompt, suffixes.get(category, suffix))


def previous_answer_prompt(question: str, answer: str) -> str:
    """The prompt of a further round of thinking: it shows the last answer and omits the thinking (Think Twice §2)."""
    return f"{question}\nThe assistant’s previous answer is: <answer> {answer} </answer>, and please re-answer."


def summary_prompt(template: str, question: str, thinking: str) -> str:
    """The template with the question and the thinking filled in; braces in either are left alone."""
    return thinking.join(part.replace("{question}", question) for part in template.split("{thinking}"))
