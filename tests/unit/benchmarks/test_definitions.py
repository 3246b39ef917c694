import pytest

from stillhouse.benchmarks.datasets import questions
from stillhouse.benchmarks.definitions import BENCHMARKS, pinned
from stillhouse.errors import BadConfig


@pytest.mark.parametrize(
    ("name", "count"), [("arithmetic", 250), ("arithmetic-toy", 24), ("word-problems", 60), ("humaneval", 164)]
)
def test_benchmarks_have_their_number_of_distinct_questions_without_responses(name, count):
    asked = questions(name)
    assert len({question.question_id for question in asked}) == count == len(asked)
    assert all(question.original_response is None and question.reference_answer for question in asked)


@pytest.mark.parametrize(
    ("name", "revision", "first", "reference"),
    [
        ("arithmetic", 1, "What is 60 + 82?", "142"),
        ("arithmetic-toy", 1, "What is 3 + 3?", "6"),
        ("word-problems", 2, "Emma fills 4 bags with 7 tickets each. How many tickets are in the bags?", "28"),
    ],
)
def test_benchmarks_first_question_is_pinned_to_the_revision(name, revision, first, reference):
    question = questions(name)[0]
    assert BENCHMARKS[name].revision == revision
    assert (question.messages[0]["content"], question.reference_answer) == (first, reference)


def test_benchmarks_typo_names_the_nearest():
    with pytest.raises(BadConfig, match="did you mean arithmetic"):
        questions("arithmetics")


def test_benchmarks_pinned_fills_in_the_revision_and_is_idempotent():
    assert pinned("arithmetic") == "arithmetic@1" == pinned("arithmetic@1")


def test_benchmarks_humaneval_is_revised_with_its_package():
    assert pinned("humaneval") == "humaneval@1.0.3"


COMMIT = "a" * 40


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("gpqa-diamond", "gpqa-diamond@1"),
        (f"gpqa-diamond@{COMMIT}", f"gpqa-diamond@1:{COMMIT}"),
        (f"gpqa-diamond@1:{COMMIT}", f"gpqa-diamond@1:{COMMIT}"),
        ("livecodebench-2408-2501@sha256-0123456789ab", "livecodebench-2408-2501@1:sha256-0123456789ab"),
    ],
)
def test_benchmarks_pinned_keeps_the_data_of_a_published_one(given, full):
    assert pinned(given) == full


@pytest.mark.parametrize(
    "name",
    [
        "humaneval@1", "arithmetic@2", "arithmetic@", f"arithmetic@1:{COMMIT}", "nothing", "livecodebench-2501-2408",
        "gpqa-diamond@main", "gpqa-diamond@2", "gpqa-diamond@1:",
    ],
)  # fmt: skip
def test_benchmarks_pinned_refuses_what_is_not_there(name):
    with pytest.raises(ValueError, match="benchmark"):
        pinned(name)
