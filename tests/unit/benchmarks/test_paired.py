from stillhouse.benchmarks.outcomes import Outcomes
from stillhouse.benchmarks.paired import ComparisonRecord, differences
from tests.unit.benchmarks.outcome_records import benchmark_outcome, round_outcome


def report(passed, protocol="p1", numbers=(1,), questions=("a", "b", "c", "d")):
    rounds = {number: round_outcome({name: [place < passed] for place, name in enumerate(questions)}) for number in numbers}
    return Outcomes(benchmarks={"arithmetic": benchmark_outcome(rounds, protocol)})


def test_differences_are_by_round_and_on_shared_questions():
    paired = differences(report(3, numbers=(1, 2, 10)), report(1, numbers=(2, 1, 3, 10), questions=("b", "a", "z")))
    assert [difference.name for difference in paired] == [
        "arithmetic/round_1", "arithmetic/round_2", "arithmetic/round_10"
    ]  # fmt: skip
    assert paired[0].interval.mean == 0.5


def test_differences_of_other_protocols_are_left_out():
    assert differences(report(3), report(1, protocol="p2")) == []


def test_differences_without_a_shared_question_are_left_out():
    assert differences(report(3), report(1, questions=("z",))) == []


def test_comparison_record_names_metrics_by_label_benchmark_and_round(tmp_path):
    record = ComparisonRecord(against="a", differences={"b": differences(report(3), report(1)), "c": []})
    assert list(record.metrics()) == [f"b/arithmetic/round_1/{end}" for end in ("mean", "low", "high")]
    name = record.write(tmp_path)
    assert ComparisonRecord.parse((tmp_path / name).read_bytes(), name) == record
