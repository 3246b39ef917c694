import sys

import pytest

from stillhouse.benchmarks.config import ReportConfig
from stillhouse.benchmarks.datasets import questions
from stillhouse.benchmarks.definitions import BENCHMARKS, definition, livecodebench_window, pinned
from stillhouse.errors import BadConfig
from stillhouse.registry.config import RegistryConfig


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


@pytest.mark.parametrize(
    ("name", "months"),
    [
        ("livecodebench-2408-2501", ("2024-08", "2025-01")),
        ("livecodebench-2410-2410", ("2024-10", "2024-10")),
        ("livecodebench-2501-2408", None),
        ("livecodebench-2413-2501", None),
        ("livecodebench", None),
    ],
)
def test_livecodebench_window_is_read_from_the_name(name, months):
    assert livecodebench_window(name) == months


OWN = """
from stillhouse.benchmarks.definitions import Benchmark
from stillhouse.vocabulary.rows import Question

def sums():
    for n in range(3):
        yield Question(f"sum-{n}", "math", [{"role": "user", "content": f"{n} + 1?"}], str(n + 1), original_response="a worked one")

letters = Benchmark("2", sums, multiple_choice=True)
number = 7
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A distribution with benchmarks of a user's own."""
    info = tmp_path / "acme-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[stillhouse.benchmarks]\nacme-sums = acme_benchmarks:sums\n")
    (tmp_path / "acme_benchmarks.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("acme_benchmarks", None)


def test_own_benchmark_is_pinned_by_the_version_of_its_distribution_without_being_imported(own):
    assert pinned("acme-sums") == "acme-sums@1.2" == pinned("acme-sums@1.2")
    assert pinned("acme_benchmarks:sums").startswith("acme_benchmarks:sums@sha256-")
    assert "acme_benchmarks" not in sys.modules
    with pytest.raises(ValueError, match="acme-sums is at version 1.2 here"):
        pinned("acme-sums@1.1")


@pytest.mark.parametrize("name", ["acme-sums", "acme-sums@1.2", "acme_benchmarks:sums", "acme_benchmarks:letters"])
def test_own_benchmark_yields_its_questions_without_worked_responses(own, name):
    assert [(asked.question_id, asked.original_response) for asked in questions(name)] == [
        ("sum-0", None), ("sum-1", None), ("sum-2", None)
    ]  # fmt: skip
    assert definition(name).multiple_choice == (name == "acme_benchmarks:letters")


def test_own_benchmark_that_yields_no_questions_is_refused(own):
    with pytest.raises(BadConfig, match="expected a function that yields Question rows, or a Benchmark with one .* got 7"):
        questions("acme_benchmarks:number")


def test_own_benchmark_is_told_of_where_a_name_is_unknown(own):
    with pytest.raises(ValueError, match=r"did you mean acme-sums\?; installed as extensions: acme-sums \(acme 1.2\)"):
        pinned("acme-sum")


def test_own_benchmark_in_a_report_is_part_of_its_config(own):
    assert ReportConfig(benchmarks=("acme-sums", "arithmetic")).benchmarks == ("acme-sums@1.2", "arithmetic@1")
    assert RegistryConfig(model_name="toy", margins={"acme-sums": 0.1}).margins == {"acme-sums": 0.1}
