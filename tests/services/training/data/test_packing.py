import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stillhouse.stages import sft
from stillhouse.training import models
from stillhouse.training.config import FromScratch
from stillhouse.training.data.corpus import Corpus, assemble, write_part
from stillhouse.training.data.packing import packs
from stillhouse.training.data.tokens import TokenisedExample
from stillhouse.training.sft.sft_trainer import make_trainer

TINY = FromScratch(kind="scratch", hidden_size=32, intermediate_size=64, layers=2, heads=2, vocabulary=300, context=256)


def corpus_of(directory, given):
    """The corpus of some tokens."""
    assemble(directory, [write_part(directory, 0, given)])
    return Corpus(directory)


def test_packing_pack_holds_several_documents(tmp_path):
    model, tokenizer = models.load(TINY, None, ["What is 1 + 1?"], 0)
    rows = corpus_of(tmp_path, [TokenisedExample(list(range(30)), [(0, 30)])] * 6)
    config = sft.Config(init=TINY, max_steps=1, batch_size=2, max_length=200, packing=True)
    assert len(make_trainer(config, sft.Inputs(scratch=tmp_path), model, tokenizer, rows).train_dataset) == 1


def one_by_one(lengths, size):
    """Best fit, the longest first, as the books have it: the room left in each pack."""
    rooms = []
    for length in sorted(lengths, reverse=True):
        fitting = [place for place, room in enumerate(rooms) if room >= length]
        if not fitting:
            rooms.append(size)
            fitting = [len(rooms) - 1]
        rooms[min(fitting, key=lambda place: rooms[place])] -= length
    return sorted(rooms)


@settings(deadline=None)
@given(st.integers(8, 40).flatmap(lambda size: st.tuples(st.just(size), st.lists(st.integers(1, size), min_size=1, max_size=60))))
def test_packs_are_those_of_best_fit_decreasing(given):
    size, lengths = given
    filled = np.bincount(packs(np.array(lengths), size), weights=lengths)
    assert sorted(size - int(each) for each in filled) == one_by_one(lengths, size)


def test_packs_of_lengths_like_the_papers_leave_a_thousandth_at_most():
    lengths = np.random.default_rng(0).lognormal(np.log(2200), 1.0, 50_000).clip(16, 32_768).astype(int)
    n_packs = packs(lengths, 32_768).max() + 1
    assert lengths.sum() / (n_packs * 32_768) >= 0.999


def test_packs_keep_every_example_whole_with_its_labels(tmp_path):
    model, tokenizer = models.load(TINY, None, ["What is 1 + 1?"], 0)
    lengths = enumerate([3, 5, 2, 4, 1, 5])
    given = [TokenisedExample([10 * number + place for place in range(length)], [(0, length)]) for number, length in lengths]
    config = sft.Config(init=TINY, max_steps=1, batch_size=2, max_length=8, packing=True)
    made = make_trainer(config, sft.Inputs(scratch=tmp_path), model, tokenizer, corpus_of(tmp_path, given)).train_dataset
    found = []
    for pack in made:
        assert sum(pack["seq_lengths"]) == len(pack["input_ids"]) <= 8
        assert pack["labels"].tolist() == pack["input_ids"].tolist()
        found += np.split(pack["input_ids"], np.cumsum(pack["seq_lengths"])[:-1])
    assert sorted(each.tolist() for each in found) == [each.ids for each in given]
    assert len(made) == 3
