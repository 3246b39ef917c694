import pytest

from stillhouse.errors import EngineFailed
from stillhouse.training import models
from stillhouse.training.config import FromScratch
from stillhouse.training.data.tokens import require_chat_template, tokenised

TINY = FromScratch(kind="scratch", hidden_size=32, intermediate_size=64, layers=1, heads=2, vocabulary=300, context=128)
TURNS = [
    {"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "<think>1+1</think><answer>2</answer>"},
    {"role": "user", "content": "And 3 more?"}, {"role": "assistant", "content": "5"},
]  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return models.load(TINY, None, ["What is 1 + 1?"], 0)[1]


def learnt(tokenizer, row):
    """The pieces of text that are learnt."""
    return [tokenizer.decode(row.ids[begin:end]) for begin, end in row.learnt]


def test_tokenised_final_learns_the_last_message_and_its_end_alone(tokenizer):
    row = tokenised(TURNS, tokenizer, "final")
    assert learnt(tokenizer, row) == ["5<|end|>"]
    assert tokenizer.decode(row.ids).startswith("<|user|>1 + 1?<|end|><|assistant|><think>")


def test_tokenised_assistant_learns_every_turn_of_the_assistant(tokenizer):
    row = tokenised(TURNS, tokenizer, "assistant")
    assert learnt(tokenizer, row) == ["<think>1+1</think><answer>2</answer><|end|>", "5<|end|>"]


def test_tokenised_template_that_rewrites_earlier_turns_is_refused_for_all_turns(tokenizer, monkeypatch):
    forgetful = "{% for m in messages %}<|{{ m.role }}|>{{ m.content if loop.last else 'x' }}<|end|>{% endfor %}"
    monkeypatch.setattr(tokenizer, "chat_template", forgetful)
    with pytest.raises(EngineFailed, match="rewrites turns before number 2 once it is added; set loss_on to final"):
        tokenised(TURNS, tokenizer, "assistant")


def test_require_chat_template_names_what_to_add(tokenizer, monkeypatch):
    require_chat_template(tokenizer)
    monkeypatch.setattr(tokenizer, "chat_template", None)
    with pytest.raises(EngineFailed, match="its tokenizer has no chat template; add one"):
        require_chat_template(tokenizer)
