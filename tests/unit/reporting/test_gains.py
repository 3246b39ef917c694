from stillhouse.benchmarks.outcomes import Outcomes
from stillhouse.reporting import gains
from tests.unit.benchmarks.outcome_records import benchmark_outcome, round_outcome


def measured(*passed: int, of: int = 4) -> Outcomes:
    """A report's outcomes: how many of ``of`` samples of each question passed."""
    result = round_outcome({f"q{place}": [True] * n + [False] * (of - n) for place, n in enumerate(passed)})
    return Outcomes(benchmarks={"arithmetic-1k": benchmark_outcome({1: result})})


def cells(table: str, title: str) -> list[str]:
    (line,) = (each for each in table.splitlines() if each.startswith(f"| {title} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_scores_one_line_to_a_checkpoint_one_column_to_a_seed():
    seeds = {1: {"base": measured(1, 1), "sft": measured(3, 3)}, 7: {"base": measured(1, 1), "sft": measured(2, 4)}}
    table = gains.scores(seeds, ["base", "sft"])
    assert table.splitlines()[0] == "| checkpoint | seed 1 | seed 7 |"
    assert cells(table, "base") == ["0.250", "0.250"]
    assert cells(table, "sft") == ["0.750", "0.750"]


def test_gains_interval_is_that_of_the_paired_difference():
    seeds = {1: {"base": measured(*[1] * 100), "sft": measured(*[3] * 100)}}
    assert cells(gains.gains(seeds, {"sft over base": ("sft", "base")}), "sft over base")[0] == "+50.0 (+44.5 to +51.8)"


def test_gains_interval_that_holds_zero_is_marked_one_below_is_not():
    seeds = {1: {"a": measured(*[1, 2] * 50), "b": measured(*[2, 1] * 50), "c": measured(*[4] * 100)}}
    table = gains.gains(seeds, {"same": ("a", "b"), "worse": ("a", "c")})
    assert all(cell.endswith("○") for cell in cells(table, "same"))
    assert all(cell.startswith("-62.5") and "○" not in cell for cell in cells(table, "worse"))


def test_gains_last_column_pools_the_samples_of_each_question():
    seeds = {1: {"a": measured(4, 4), "b": measured(2, 2)}, 2: {"a": measured(2, 2), "b": measured(2, 2)}}
    first, second, pooled = cells(gains.gains(seeds, {"a over b": ("a", "b")}), "a over b")
    assert (first.split()[0], second.split()[0], pooled.split()[0]) == ("+50.0", "+0.0", "+25.0")


def test_chart_has_a_line_to_each_seed():
    seeds = {1: {"base": measured(1), "sft": measured(3)}, 2: {"base": measured(1), "sft": measured(2)}}
    text = gains.chart(seeds, ["base", "sft"])
    assert "  x-axis [base, sft]" in text
    assert "  line [0.250, 0.750]\n  line [0.250, 0.500]" in text


def test_outcomes_are_those_the_report_wrote(tmp_path):
    written = measured(1, 2)
    written.write(tmp_path)
    assert gains.outcomes(tmp_path.as_uri()) == written
