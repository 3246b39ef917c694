import pytest
import torch
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from stillhouse import testing
from stillhouse.errors import EngineFailed
from stillhouse.models import chat_templates
from stillhouse.stages import sft
from stillhouse.training import models
from stillhouse.training.config import FromScratch
from stillhouse.training.data import isolation
from stillhouse.training.data.corpus import Corpus, assemble, write_part
from stillhouse.training.data.isolation import LARGEST_DIFFERENCE, differences, require_isolation
from stillhouse.training.data.tokens import TokenisedExample, tokenised
from stillhouse.training.machine import attention, flex
from stillhouse.training.sft.sft_trainer import make_trainer

TINY = FromScratch(kind="scratch", hidden_size=32, intermediate_size=64, layers=2, heads=2, vocabulary=300, context=1024)


@pytest.fixture
def trained(tmp_path, request):
    """A trainer of a packed run with an attention backend, and the rows it is given."""
    model, tokenizer = models.load(TINY, None, ["What is 1 + 1?"], 0)
    model.set_attn_implementation(getattr(request, "param", "sdpa"))
    chat = chat_templates.prepare(tokenizer)
    messages = [testing.selected(question).messages for question in testing.questions(6)]
    rows = corpus_of(tmp_path, [example for turns in messages for example in tokenised(turns, chat, "final")])
    config = sft.Config(init=TINY, max_steps=1, batch_size=2, max_length=200, packing=True)
    return make_trainer(config, sft.Inputs(scratch=tmp_path), model, tokenizer, rows), [rows[number] for number in range(6)]


def corpus_of(directory, examples):
    """The corpus of some tokens."""
    assemble(directory, [write_part(directory, 0, examples)])
    return Corpus(directory)


def here(backend):
    """The backend, skipped where its forward pass cannot run."""
    lacks = None if backend == "flex_attention" else attention.absent(backend)
    return pytest.param(backend, marks=[pytest.mark.skip(reason=f"{backend}: {lacks}")] if lacks else [])


@pytest.mark.parametrize("trained", [*map(here, attention.BACKENDS)], indirect=True)
def test_isolation_document_has_the_logits_it_has_alone_and_by_eager_attention(trained):
    trainer, rows = trained
    flex.install()
    with torch.compiler.set_stance("force_eager"):  # tests/services/training/machine/test_flex.py has it compiled
        measured = differences(trainer, rows[:4])
    bound = LARGEST_DIFFERENCE["bfloat16" if trainer.args.bf16 else "float32"]
    assert 0 <= measured.packed < bound
    assert 0 <= measured.alone < bound
    assert measured.lengths == tuple(len(row["input_ids"]) for row in rows[:4])


def leaking(trainer):
    """Have the trainer's batches say that every token is visible: the silent leak, one document of a whole pack."""
    collate = trainer.data_collator

    def collated(examples):
        batch = collate(examples)
        return batch | {"attention_mask": torch.ones_like(batch["input_ids"])}

    trainer.data_collator = collated


def test_isolation_leak_is_refused_with_the_backend_and_the_lengths(trained):
    trainer, rows = trained
    leaking(trainer)
    lengths = ", ".join(str(len(row["input_ids"])) for row in rows[:3])
    with pytest.raises(EngineFailed, match="attention backend 'sdpa' documents of a pack see each other") as refusal:
        require_isolation(trainer, rows[:3])
    assert "eager" not in str(refusal.value)
    assert f"documents of {lengths} tokens" in str(refusal.value)
    assert "packing to false" in str(refusal.value)


def wrong_when_short(module, query, key, value, attention_mask, **arguments):
    """sdpa that is wrong by a tenth below 128 queries, as flex attention was on a GPU."""
    output, weights = AttentionInterface._global_mapping["sdpa"](module, query, key, value, attention_mask, **arguments)
    return (output * 1.5 if query.shape[2] < 128 else output), weights


def test_isolation_backend_that_is_wrong_below_128_tokens_is_told_from_a_leak(trained, monkeypatch):
    monkeypatch.setitem(AttentionInterface._global_mapping, "planted", wrong_when_short)
    monkeypatch.setitem(AttentionMaskInterface._global_mapping, "planted", sdpa_mask)
    trainer, rows = trained
    monkeypatch.setattr(trainer.model.config, "_attn_implementation_internal", "planted")
    monkeypatch.setattr(attention, "set_backend", lambda model, name: setattr(model.config, "_attn_implementation_internal", name))
    short = rows[:2]
    with pytest.raises(EngineFailed, match="'planted' a document alone gets other logits than by eager attention") as refusal:
        require_isolation(trainer, short)
    assert "see each other" not in str(refusal.value)
    assert "packing to false" not in str(refusal.value)


def test_isolation_short_documents_and_long_ones_are_checked(tmp_path):
    lengths = [700, 5, 30, 6, 900, 7, 40]
    corpus = corpus_of(tmp_path, [TokenisedExample(list(range(length)), [(0, length)]) for length in lengths])
    short, long = isolation.chosen(corpus)
    assert [len(document["input_ids"]) for document in short] == [5, 6, 7]
    assert [len(document["labels"]) for document in long] == [512, 512]


def test_isolation_rounding_of_bf16_passes_is_no_leak_though_weights_are_fp32(trained):
    trainer, rows = trained
    with torch.autocast("cpu", torch.bfloat16):
        with pytest.raises(EngineFailed, match="documents of a pack see each other"):
            require_isolation(trainer, rows[:3])
        trainer.args.bf16 = True
        assert 1e-5 < require_isolation(trainer, rows[:3]).packed < 0.1


def test_isolation_leaves_the_model_with_its_backend_and_mode(trained):
    trainer, rows = trained
    trainer.model.train()
    require_isolation(trainer, rows[:2])
    assert trainer.model.config._attn_implementation == "sdpa"
    assert trainer.model.training
