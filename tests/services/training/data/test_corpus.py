import json
import multiprocessing
import pickle

import numpy as np
import pytest

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.models import chat_templates
from stillhouse.stages import sft
from stillhouse.training import models
from stillhouse.training.config import FromScratch
from stillhouse.training.data import corpus
from stillhouse.training.data.corpus import Corpus, assemble, write_part
from stillhouse.training.data.tokens import IGNORED, TokenisedExample
from stillhouse.vocabulary.rows import Dropped, Selected

TINY = FromScratch(kind="scratch", hidden_size=32, intermediate_size=64, layers=1, heads=2, vocabulary=300, context=128)
CONFIG = sft.Config(init=TINY, max_length=64, system_prompt="none", suffix="none")
LONG = testing.question("What is " + "1 + " * 30 + "1?", "31")


@pytest.fixture
def chat():
    return chat_templates.prepare(models.load(TINY, None, ["What is 1 + 1?"], 0)[1])


def selected(directory, parts):
    """An artifact with these parts of questions, each with an example of another split beside."""
    directory.mkdir()
    for number, asked in enumerate(parts):
        made = [testing.selected(each, split) for each in asked for split in ("sft_1", "anneal")]
        tables.write_part(directory / f"part-{number:05d}.parquet", made, Selected)
    return directory


def made(tmp_path, parts, chat, name="made", said=None):
    """The corpus of the parts, drops by reason, and the inputs it was made with."""
    (tmp_path / name).mkdir()
    inputs = sft.Inputs(scratch=tmp_path / name, progress=lambda *step: (said if said is not None else []).append(step))
    counted = corpus.n_examples(selected(tmp_path / f"{name}-selected", parts), "sft_1")
    directory, dropped, _ = corpus.make(CONFIG, inputs, counted, chat, 64)
    return Corpus(directory), dropped, inputs


def texts(found, chat):
    return [chat.tokenizer.decode(found[number]["input_ids"]) for number in range(len(found))]


def test_corpus_gives_back_what_was_written_part_after_part(tmp_path):
    given = [
        [TokenisedExample([7, 8, 9], [(1, 3)]), TokenisedExample([5], [(0, 1)])],
        [],
        [TokenisedExample([1, 2, 3, 4], [(0, 1), (2, 4)])],
    ]
    assemble(tmp_path, [write_part(tmp_path, number, each) for number, each in enumerate(given)])
    found = Corpus(tmp_path)
    assert (len(found), found.lengths.tolist()) == (3, [3, 1, 4])
    assert [found[number]["input_ids"].tolist() for number in range(3)] == [[7, 8, 9], [5], [1, 2, 3, 4]]
    assert [found[number]["labels"].tolist() for number in range(3)] == [[IGNORED, 8, 9], [5], [1, IGNORED, 3, 4]]
    joined = found.joined([2, 1])
    assert (joined["input_ids"].tolist(), joined["seq_lengths"]) == ([1, 2, 3, 4, 5], [4, 1])
    assert joined["labels"].tolist() == [1, IGNORED, 3, 4, 5]
    assert {each.dtype for each in (joined["input_ids"], joined["labels"])} == {np.dtype(np.int64)}


def test_corpus_takes_its_split_in_order_and_drops_what_is_too_long(tmp_path, chat):
    parts = [testing.questions(6), [LONG], testing.questions(9)[6:]]
    found, dropped, inputs = made(tmp_path, parts, chat)
    asked = [each for part in parts for each in part if each is not LONG]
    assert [each.messages[-1]["content"] in text for each, text in zip(asked, texts(found, chat), strict=True)] == [True] * 9
    assert dropped == {"too_long": 1}
    (row,) = tables.read(inputs.dropped.rename(tmp_path / "looked-at"), Dropped)
    assert (row.reason, row.detail) == ("too_long", "119 tokens")
    assert json.loads(row.row)["question_id"] == LONG.question_id


def test_corpus_by_several_processes_is_that_of_one(tmp_path, chat, monkeypatch):
    parts, said = [[*testing.questions(5), LONG], testing.questions(8)[5:]], []
    alone, dropped, _ = made(tmp_path, parts, chat)
    monkeypatch.setattr(corpus, "FEW", 0)
    monkeypatch.setattr(corpus.os, "sched_getaffinity", lambda _: range(2))
    together, dropped_together, inputs = made(tmp_path, parts, chat, "together", said)
    assert texts(together, chat) == texts(alone, chat)
    assert dropped_together == dropped == {"too_long": 1}
    assert len(list(tables.read(inputs.dropped.rename(tmp_path / "looked-at"), Dropped))) == 1
    assert said == [(6, 9, "examples tokenised, part-00000.parquet"), (9, 9, "examples tokenised, part-00001.parquet")]


def test_corpus_by_several_processes_has_the_templates_arguments_and_end_of_turn_of_the_config(tmp_path, monkeypatch):
    tokenizer = models.load(TINY, None, ["What is 1 + 1?"], 0)[1]
    template = "{{ greeting }}" + tokenizer.chat_template
    chat = chat_templates.prepare(tokenizer, template, eos_token="<|pad|>", template_kwargs={"greeting": "Hi"})
    monkeypatch.setattr(corpus, "FEW", 0)
    monkeypatch.setattr(corpus.os, "sched_getaffinity", lambda _: range(2))
    found, _, _ = made(tmp_path, [testing.questions(2), testing.questions(4)[2:]], chat)
    assert all(text.startswith("Hi<|user|>What is") and text.endswith("</answer><|pad|>") for text in texts(found, chat))


def test_corpus_row_that_cannot_be_learnt_is_dropped_by_name_and_the_others_are_learnt(tmp_path, chat):
    silent = testing.question("What is 5 + 5?", "10")
    (tmp_path / "selected").mkdir()
    rows = [testing.selected(each) for each in testing.questions(3)]
    rows.insert(1, testing.selected(silent, messages=silent.messages))
    tables.write_part(tmp_path / "selected" / "part-00000.parquet", rows, Selected)
    inputs = sft.Inputs(scratch=tmp_path)
    directory, dropped, first = corpus.make(CONFIG, inputs, corpus.n_examples(tmp_path / "selected", "sft_1"), chat, 64)
    assert (len(Corpus(directory)), dropped) == (3, {"no_response": 1})
    (row,) = tables.read(inputs.dropped, Dropped)
    assert (row.key, row.reason) == (rows[1].example_id, "no_response")
    assert first == f"{rows[1].example_id}: its last message is the user's"


def test_corpus_that_is_left_midway_ends_its_processes(tmp_path, chat, monkeypatch):
    """As SIGTERM does, between two of six parts."""
    monkeypatch.setattr(corpus, "FEW", 0)
    monkeypatch.setattr(corpus.os, "sched_getaffinity", lambda _: range(2))
    children, done = [], []

    def leave(*step):
        children.extend(multiprocessing.active_children())
        done.append(step)
        raise KeyboardInterrupt

    counted = corpus.n_examples(selected(tmp_path / "selected", [testing.questions(2)] * 6), "sft_1")
    with pytest.raises(KeyboardInterrupt):
        corpus.make(CONFIG, sft.Inputs(scratch=tmp_path, progress=leave), counted, chat, 64)
    assert len(children) == 2
    assert not any(child.is_alive() for child in children)
    assert len(done) == 1


def test_corpus_is_pickled_by_its_place(tmp_path):
    assemble(tmp_path, [write_part(tmp_path, 0, [TokenisedExample([7] * 50_000, [(0, 1)])])])
    pickled = pickle.dumps(Corpus(tmp_path))
    assert len(pickled) < 1000
    assert len(pickle.loads(pickled)[0]["input_ids"]) == 50_000


def test_n_examples_counts_a_split_by_part_and_leaves_out_parts_without(tmp_path):
    directory = selected(tmp_path / "selected", [testing.questions(3), testing.questions(2)])
    tables.write_part(directory / "part-00002.parquet", [testing.selected(testing.question(), "anneal")], Selected)
    counted = corpus.n_examples(directory, "sft_1")
    assert {path.name: n for path, n in counted.items()} == {"part-00000.parquet": 3, "part-00001.parquet": 2}
    assert corpus.n_examples(directory, "nowhere") == {}
