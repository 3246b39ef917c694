import pytest
from pydantic import ValidationError

from stillhouse.benchmarks.published_results import PublishedTable, published_scores, published_steps, tables

PAPERS = {"samples": 32, "temperature": 0.6, "top_p": 0.95, "max_tokens": 32768}


def found(benchmark, **changes):
    return {(each.paper, each.model, each.number): each for each in published_scores(benchmark, PAPERS | changes)}


def test_published_scores_under_our_protocol_come_first_and_unmarked():
    made = published_scores("aime-2024", PAPERS)
    same = [each for each in made if not each.other]
    assert made[: len(same)] == same
    assert {each.paper for each in same} == {"Think Twice"}
    assert {(each.number, each.percent) for each in same if each.model == "QwQ-32B"} == {(1, 80.3), (2, 82.1), (3, 82.8), (4, 83.1)}


def test_published_scores_under_another_protocol_say_what_differs():
    made = found("aime-2024")
    assert made["1.4 Million Distilled Reasoning Data", "AM-Distill-Qwen-32B", 1].other == "samples 16"
    assert made["AM-Thinking-v1", "AM-Thinking-v1", 1].other == "samples 64, max_tokens 49152"


def test_published_scores_of_a_paper_that_does_not_state_its_protocol_are_never_ours():
    other = found("aime-2024")["DeepDistill", "DeepDistill-72B", 1].other
    assert other == "samples, temperature, top_p, max_tokens not stated"


def test_published_scores_on_livecodebench_compare_only_in_the_window_that_is_stated():
    made = found("livecodebench-2408-2501", samples=4)
    assert made["1.4 Million Distilled Reasoning Data", "AM-Distill-Qwen-72B", 1].other == ""
    assert made["Difficulty-Aware Staged RL", "1.5B, mathematics and code mixed", 1].other == "window not stated"
    assert made["Think Twice", "QwQ-32B", 4].other == "window not stated, samples 8"
    assert not any(paper == "AM-Thinking-v1" for paper, _, _ in made), "measured in another window"


def test_published_scores_of_greedy_decoding_do_not_ask_for_top_p():
    made = found("gsm8k", samples=1, temperature=0.0, max_tokens=16384)
    assert made["Leveraging Reasoning Model Answers", "AM-32B-R1-Answer-SFT", 1].other == ""


def test_published_scores_round_that_was_not_measured_is_left_out():
    rounds = [number for paper, model, number in found("aime-2024") if model == "AM-32B, fine-tuned on second rounds"]
    assert rounds == [2]


def test_published_scores_on_a_benchmark_of_ours_alone_are_none():
    assert published_scores("arithmetic", PAPERS) == []


@pytest.mark.parametrize(
    ("paper", "benchmark"),
    [("Think Twice", "aime-2024"), ("Leveraging Reasoning Model Answers", "gpqa-diamond")],
)
def test_tables_hold_what_the_papers_print(paper, benchmark):
    firsts = [each.percent for each in published_scores(benchmark, PAPERS) if each.paper == paper and each.number == 1]
    averages = {"aime-2024": sum([79.7, 80.3, 72.0, 56.9, 72.8]) / 5, "gpqa-diamond": (47.9 + 40.3 + 47.7 + 34.3) / 4}
    assert sum(firsts) / len(firsts) == pytest.approx(averages[benchmark])


def test_tables_have_a_source_each():
    assert all(table.paper and table.table for table in tables())
    assert len(tables()) >= 10


def test_published_scores_have_lengths_where_the_paper_prints_them():
    made = found("aime-2024")
    assert [made["Think Twice", "QwQ-32B", number].tokens for number in (1, 2, 3, 4)] == [13566.1, 9607.9, 8630.0, 8654.8]
    assert made["Think Twice", "DeepSeek-R1", 1].tokens is None


def steps(benchmark="aime-2024", **changes):
    return {(each.table, each.number, each.group): each for each in published_steps(benchmark, PAPERS | changes)}


def test_published_steps_are_lengths_of_all_chains_and_by_trajectory_under_the_papers_protocol():
    made = steps()
    whole = made["Table 1, lengths Table 2", 2, "all"]
    assert (whole.model, whole.tokens, whole.words, whole.other) == ("QwQ-32B", (13566.1, 9607.9), {}, "")
    assert made["Fig. 5", 4, "C-I"].tokens == (12630, 26875)
    assert {number for table, number, _ in made if table == "Fig. 5"} == {2, 3, 4}
    assert {each.other for each in steps(samples=4).values() if each.table == "Fig. 5"} == {"samples 32"}


def test_published_steps_of_words_are_never_ours_since_the_paper_does_not_say_how_it_counts():
    made = steps()["Figs 3 and 4", 2, "C-I"]
    assert (made.words["wait"], made.tokens) == ((86.2, 633.3), None)
    assert made.other == "how words are counted not stated"


def test_published_steps_agree_with_the_papers_averages_over_benchmarks():
    """Its Table 2 prints the mean of the four lengths too."""
    names = ("aime-2024", "math-500", "gpqa-diamond", "livecodebench-2408-2501")
    for number, mean in ((2, 7348.3), (3, 6824.6), (4, 6549.5)):
        lengths = [steps(name)["Table 1, lengths Table 2", number, "all"].tokens[1] for name in names]
        assert sum(lengths) / 4 == pytest.approx(mean, abs=0.06)


def test_published_steps_on_a_benchmark_of_ours_alone_are_none():
    assert published_steps("arithmetic", PAPERS) == []


@pytest.mark.parametrize("steps", [{2: {"C-X": {"tokens": [1, 2]}}}, {2: {"C-C": {"hmm": [1, 2]}}}])
def test_table_of_a_trajectory_or_a_word_that_we_do_not_count_is_refused(steps):
    with pytest.raises(ValidationError, match="Input should be"):
        PublishedTable(paper="x", arxiv="", table="t", protocols={"aime-2024": {}}, steps={"m": {"aime-2024": steps}})


def test_table_with_a_score_and_no_protocol_is_refused():
    with pytest.raises(ValidationError, match="do not fit the benchmarks"):
        PublishedTable(paper="x", arxiv="", table="t", protocols={}, models={"m": {"aime-2024": 1.0}})
