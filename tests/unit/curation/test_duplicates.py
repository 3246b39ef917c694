from stillhouse import testing
from stillhouse.curation.duplicates import priority
from stillhouse.curation.normalised import normaliser
from stillhouse.curation.question_spool import QuestionSpool


def ranked(tmp_path, given, source_order=()):
    """The questions' texts, those to keep first."""
    spool = QuestionSpool(tmp_path, None, source_order)
    for position, question in enumerate(given):
        spool.add(normaliser(None)(question), position=position)
    spool.close()
    return [given[place].messages[0]["content"] for place in priority(spool.columns())]


def test_priority_reference_then_source_then_length(tmp_path):
    given = [
        testing.question("a much longer question", None, category="other", source="first"),
        testing.question("long one", "1", source="second"),
        testing.question("short", "1", source="first"),
        testing.question("shorter than long one", "1", source="second"),
        testing.question("the longest by far, of no rank", "1", source="unknown"),
    ]
    assert ranked(tmp_path, given, ("first", "second")) == [
        "short", "shorter than long one", "long one", "the longest by far, of no rank", "a much longer question",
    ]  # fmt: skip


def test_priority_tests_and_constraints_are_references_too(tmp_path):
    given = [
        testing.question("none at all", None, category="other"), testing.question("tests", None, category="code", test_cases="{}"),
        testing.question("rules", None, category="instruction_following", constraints="{}"),
    ]  # fmt: skip
    assert ranked(tmp_path, given)[-1] == "none at all"


def test_priority_of_equals_is_by_id_whatever_the_order(tmp_path):
    given = [testing.question(f"text {letter}") for letter in "abcdef"]
    assert ranked(tmp_path / "1", given) == ranked(tmp_path / "2", given[::-1])
