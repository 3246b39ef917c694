import pytest

from stillhouse import testing
from stillhouse.errors import EngineFailed
from stillhouse.stages import sft
from stillhouse.training import models
from stillhouse.training.models import FromScratch
from stillhouse.training.packing import difference, require_isolation
from stillhouse.training.sft import make_trainer
from stillhouse.training.tokens import tokenised

TINY = FromScratch(kind="scratch", hidden_size=32, intermediate_size=64, layers=2, heads=2, vocabulary=300, context=256)


@pytest.fixture
def packed(tmp_path, request):
    """A trainer of a packed run with an attention backend, and the rows it is given."""
    model, tokenizer = models.load(TINY, None, ["What is 1 + 1?"], 0)
    model.set_attn_implementation(getattr(request, "param", "sdpa"))
    rows = [tokenised(testing.selected(each).messages, tokenizer, "final") for each in testing.questions(6)]
    config = sft.Config(init=TINY, max_steps=1, batch_size=2, max_length=200, packing=True)
    return make_trainer(config, sft.Inputs(scratch=tmp_path), model, tokenizer, rows), rows


@pytest.mark.parametrize("packed", ["sdpa", "eager"], indirect=True)
def test_packing_document_has_the_logits_it_has_alone(packed):
    trainer, rows = packed
    assert 0 <= difference(trainer, rows[:4]) < 1e-5


def test_packing_pack_holds_several_documents(packed):
    trainer, rows = packed
    assert len(trainer.train_dataset) < len(rows)


def test_packing_backend_that_leaks_is_refused_by_name(packed):
    """A mask of ones makes one document of a pack (feasibility: the silent leak)."""
    import torch

    trainer, rows = packed
    collate = trainer.data_collator

    def leaking(examples):
        batch = collate(examples)
        return batch | {"attention_mask": torch.ones_like(batch["input_ids"])}

    trainer.data_collator = leaking
    with pytest.raises(EngineFailed, match="attention backend 'sdpa' documents of a pack see each other"):
        require_isolation(trainer, rows[:3])
