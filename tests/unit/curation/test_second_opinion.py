from collections import Counter
from pathlib import Path
from tempfile import mkdtemp

import pytest

from stillhouse import testing
from stillhouse.curation.config import SecondOpinion
from stillhouse.curation.kept_opinions import KeptOpinions
from stillhouse.curation.second_opinion import NearestPairs, Opinions, parse
from stillhouse.errors import EngineFailed, TooManyErrors
from stillhouse.sampling.engine import Completion

TEXTS = {
    (0, 5): ("Wie viele Äpfel?", "How many apples?"),
    (0, 7): ("Wie viele?", "Why {not}?"),
    (3, 5): ("odd", "How many apples?"),
}


def opinion(request):
    content = request.messages[0]["content"]
    if "<first>\nodd" in content:
        return "I cannot say."
    return "<think>different?</think> Same." if "<second>\nHow many apples?" in content else "different"


class Refusing:
    """An engine whose every request fails."""

    def sample(self, requests):
        for request in requests:
            yield request, Completion("", "error", 0, 0, failure="too_long", detail="4096 tokens")


def asked(engine, texts, kept=None, model="judge", **settings):
    """What a model says of pairs of texts, each 0.1 less similar than the one before; and the counts."""
    opinions = Opinions(SecondOpinion(model=model, **settings), engine, "n", Counter(), kept or KeptOpinions(Path(mkdtemp())))
    nearest = NearestPairs(opinions.config.max_pairs)
    for number, pair in enumerate(texts):
        nearest.add(*pair, 0.9 - number / 10)
    try:
        return list(opinions.same_tasks(nearest, lambda pairs: {pair: texts[pair] for pair in pairs})), opinions.counts
    except TooManyErrors as error:
        return str(error), opinions.counts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("same", True),
        ("Different.", False),
        ("<think>same</think>different", False),
        ("same or different", None),
        ("sameness", None),
    ],
)
def test_parse_takes_one_word_after_the_thinking(text, expected):
    assert parse(text) is expected


def test_same_tasks_are_those_that_the_model_calls_the_same():
    same, counts = asked(testing.ScriptedEngine(opinion), TEXTS, max_undecided=0.4)
    assert same == [((0, 5), 0.9)]
    assert counts == {"n/asked": 3, "n/same": 1, "n/undecided": 1, "n/over_max_pairs": 0, "n/reused": 0}


def test_same_tasks_over_max_pairs_asks_of_the_most_similar_ones_and_counts_the_others():
    same, counts = asked(testing.ScriptedEngine(opinion), TEXTS, max_pairs=1)
    assert same == [((0, 5), 0.9)]
    assert (counts["n/asked"], counts["n/over_max_pairs"]) == (1, 2)


def test_same_tasks_asks_once_of_equal_texts():
    engine = testing.ScriptedEngine(opinion)
    same, counts = asked(engine, {(0, 5): TEXTS[0, 5], (0, 9): TEXTS[0, 5]})
    assert [pair for pair, _ in same] == [(0, 5), (0, 9)]
    assert counts["n/asked"] == 1


def test_same_tasks_that_nothing_was_said_of_are_refused_with_model_count_kinds_and_remedy():
    error, _ = asked(testing.ScriptedEngine(lambda _: "perhaps"), TEXTS)
    assert error.startswith("judge said neither same nor different of 3 of 3 pairs, max_undecided is 0.1; take a model")
    error, counts = asked(Refusing(), TEXTS)
    assert "(requests failed: too_long: 3)" in error
    assert counts["n/failed/too_long"] == counts["n/undecided"] == 3


def test_same_tasks_that_failed_below_the_ceiling_stay_apart():
    same, counts = asked(Refusing(), TEXTS, max_undecided=1)
    assert (same, counts["n/undecided"]) == ([], 3)


def test_same_tasks_asks_no_pair_again_that_an_earlier_try_or_version_asked_about(tmp_path):
    published = []
    first, _ = asked(testing.ScriptedEngine(opinion), TEXTS, KeptOpinions(tmp_path, published.append), max_undecided=0.4)
    assert [path.name for path in published] == ["said-00000.parquet"]
    further = TEXTS | {(9, 9): ("new", "How many apples?")}
    again = KeptOpinions(tmp_path / "again").load([None, tmp_path])
    same, counts = asked(testing.ScriptedEngine(opinion), further, again, max_undecided=0.4)
    assert same[:1] == first
    assert (counts["n/reused"], counts["n/asked"], counts["n/undecided"]) == (3, 1, 1)
    third = KeptOpinions(tmp_path / "third").load([tmp_path / "again"])
    assert asked(Refusing(), further, third, max_undecided=0.4)[0] == same


@pytest.mark.parametrize("changed", [{"model": "another"}, {"sampling": {"temperature": 0.5}}])
def test_same_tasks_of_another_model_or_sampling_are_asked_anew(tmp_path, changed):
    asked(testing.ScriptedEngine(opinion), TEXTS, KeptOpinions(tmp_path), max_undecided=0.4)
    again = KeptOpinions(tmp_path / "again").load([tmp_path])
    _, counts = asked(testing.ScriptedEngine(opinion), TEXTS, again, max_undecided=0.4, **changed)
    assert (counts["n/reused"], counts["n/asked"]) == (0, 3)


def test_same_tasks_whose_request_failed_are_asked_again(tmp_path):
    asked(Refusing(), TEXTS, KeptOpinions(tmp_path))
    again = KeptOpinions(tmp_path / "again").load([tmp_path])
    same, counts = asked(testing.ScriptedEngine(opinion), TEXTS, again, max_undecided=0.4)
    assert (len(same), counts["n/reused"], counts["n/asked"]) == (1, 0, 3)


def test_same_tasks_said_before_the_engine_ended_are_kept(tmp_path):
    class Ending:
        def sample(self, requests):
            yield next(iter(requests)), Completion("same", "stop", 1, 1)
            raise EngineFailed("gone")

    with pytest.raises(EngineFailed):
        asked(Ending(), TEXTS, KeptOpinions(tmp_path))
    again = KeptOpinions(tmp_path / "again").load([tmp_path])
    _, counts = asked(testing.ScriptedEngine(opinion), TEXTS, again, max_undecided=0.4)
    assert (counts["n/reused"], counts["n/asked"]) == (1, 2)
