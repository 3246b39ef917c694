import pytest

from stillhouse import testing
from stillhouse.models import chat_templates
from stillhouse.models.chat_formats import Unlearnable
from stillhouse.stages import sft
from stillhouse.training import models
from stillhouse.training.config import FromScratch
from stillhouse.training.data.tokens import examples_of, tokenised

TINY = FromScratch(kind="scratch", hidden_size=32, intermediate_size=64, layers=1, heads=2, vocabulary=300, context=128)
TURNS = [
    {"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "<think>1+1</think><answer>2</answer>"},
    {"role": "user", "content": "And 3 more?"}, {"role": "assistant", "content": "5"},
]  # fmt: skip


def chat_of(template=None):
    tokenizer = models.load(TINY, None, ["What is 1 + 1?"], 0)[1]
    return chat_templates.prepare(tokenizer, template)


def learnt(chat, row):
    """The pieces of text that are learnt."""
    return [chat.tokenizer.decode(row.ids[begin:end]) for begin, end in row.learnt]


def test_tokenised_final_learns_the_last_message_and_its_end_alone():
    chat = chat_of()
    (row,) = tokenised(TURNS, chat, "final")
    assert learnt(chat, row) == ["5<|end|>"]
    assert chat.tokenizer.decode(row.ids).startswith("<|user|>1 + 1?<|end|><|assistant|><think>")


def test_tokenised_assistant_learns_every_turn_of_the_assistant():
    chat = chat_of()
    (row,) = tokenised(TURNS, chat, "assistant")
    assert learnt(chat, row) == ["<think>1+1</think><answer>2</answer><|end|>", "5<|end|>"]


def test_tokenised_template_that_rewrites_earlier_turns_gives_an_example_per_turn():
    forgetful = (
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content if m.role == 'user' or loop.last else 'x' }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    chat = chat_of(forgetful)
    rows = tokenised(TURNS, chat, "assistant")
    assert [learnt(chat, row) for row in rows] == [["<think>1+1</think><answer>2</answer><|end|>"], ["5<|end|>"]]
    assert (
        chat.tokenizer.decode(rows[1].ids)
        == "<|user|>1 + 1?<|end|><|assistant|>x<|end|><|user|>And 3 more?<|end|><|assistant|>5<|end|>"
    )


@pytest.mark.parametrize(
    ("messages", "reason"),
    [(TURNS[:3], "no_response"), (TURNS[:1], "no_response"), ([], "no_response"), (TURNS[1:2], "no_question")],
)
def test_examples_of_row_without_question_or_response_are_unlearnable_by_name(messages, reason):
    row = testing.selected(testing.question(), messages=messages)
    with pytest.raises(Unlearnable) as caught:
        examples_of(row, sft.Config(init=TINY), chat_of())
    assert caught.value.reason == reason
