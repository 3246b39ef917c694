from collections import Counter

import pytest

from stillhouse import testing
from stillhouse.curation import labels
from stillhouse.curation.config import ModelLabels
from stillhouse.errors import TooManyErrors


def ask(script, questions, *asked):
    engine = testing.ScriptedEngine(script)
    return labels.ask(ModelLabels(model="judge", asked=asked), engine, questions), engine


@pytest.mark.parametrize(
    ("label", "text", "expected"),
    [
        ("difficulty", "very_hard", "very_hard"),
        ("difficulty", "Very easy.", "very_easy"),
        ("difficulty", "<think>easy? hard?</think>**Medium**", "medium"),
        ("difficulty", "easy or hard", None),
        ("difficulty", "no idea", None),
        ("difficulty", "hardly", None),
        ("category", "instruction following", "instruction_following"),
        ("completeness", "Incomplete", "incomplete"),
        ("completeness", "complete", "complete"),
    ],
)
def test_parse_takes_the_one_label_named(label, text, expected):
    assert labels.parse(label, text) == expected


def test_ask_difficulty_replaces_the_source_s_label():
    done, engine = ask(lambda _: "hard", [testing.question(difficulty_label="add-1")], "difficulty")
    assert done.questions[0].difficulty_label == "hard"
    assert "What is 1 + 1?" in engine.asked[0].messages[0]["content"]
    assert done.counts == {"n_asked/difficulty": 1}


def test_ask_unparseable_answer_is_counted_and_changes_nothing():
    given = testing.question(difficulty_label="add-1")
    done, _ = ask(lambda _: "who knows", [given], "difficulty")
    assert done.questions == [given]
    assert done.counts["n_unlabelled/difficulty"] == 1


def test_ask_category_only_where_the_source_says_other():
    done, engine = ask(lambda _: "math", testing.questions(2), "category")
    assert engine.asked == []
    assert [row.category for row in done.questions] == ["math", "math"]


def test_ask_category_that_could_not_be_verified_is_not_taken():
    given = [testing.question("Add them", "3", category="other"), testing.question("Add others", None, category="other")]
    done, _ = ask(lambda _: "math", given, "category")
    assert [row.category for row in done.questions] == ["math", "other"]
    assert done.counts["n_label_without_reference"] == 1


def test_ask_incomplete_question_is_set_apart():
    given = [testing.question("What is it?"), testing.question("What is 2 + 2?")]
    done, _ = ask(
        lambda request: "incomplete" if "What is it?" in request.messages[0]["content"] else "complete", given, "completeness"
    )
    assert (done.incomplete, done.questions) == ([given[0]], [given[1]])


def test_refuse_unlabelled_above_the_ceiling():
    config = ModelLabels(model="judge", asked=("difficulty",), max_unlabelled=0.1)
    labels.refuse_unlabelled(config, Counter({"n_asked/difficulty": 10, "n_unlabelled/difficulty": 1}))
    with pytest.raises(TooManyErrors, match="judge named no difficulty for 2 of 10"):
        labels.refuse_unlabelled(config, Counter({"n_asked/difficulty": 10, "n_unlabelled/difficulty": 2}))
