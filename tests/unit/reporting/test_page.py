from dataclasses import replace
from html.parser import HTMLParser

from stillhouse import testing
from stillhouse.benchmarks.compared_reports import ComparedReports
from stillhouse.benchmarks.config import ReportConfig
from stillhouse.benchmarks.evaluation import Evaluation
from stillhouse.benchmarks.intervals import Interval
from stillhouse.benchmarks.paired import ComparisonRecord, PairedDifference
from stillhouse.benchmarks.protocol import protocol
from stillhouse.benchmarks.scores import measure
from stillhouse.reporting.page import write_comparison, write_report
from tests.unit.benchmarks.outcome_records import outcomes


class Page(HTMLParser):
    """What a browser would fetch, and what it would show."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.shown, self.tags, self._inside = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self._inside = tag
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in {"src", "href", "srcset", "action"}]

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside not in {"script", "style"}:
            self.shown.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.shown).split())


def page(path):
    return Page(path.read_text(encoding="utf-8"))


def evaluation(n=3, rounds=2, **changes):
    asked = testing.questions(n)
    made = [
        replace(testing.response(each, str(number) if number == 1 else None, round=number), **changes)
        for number in range(1, rounds + 1)
        for each in asked
    ]
    return Evaluation(asked, made, [testing.verified(row, passed=row.round > 1) for row in made])


def measured(name="arithmetic-toy", **changes):
    config = ReportConfig(benchmarks=("arithmetic-toy",), rounds=2, samples=1, engine="transformers")
    made = evaluation(**changes)
    return measure(name, protocol(config, "arithmetic-toy@1", made.questions), made)


def test_report_page_is_self_contained_and_says_what_was_measured(tmp_path):
    write_report(tmp_path / "report.html", "toy-base", [measured()])
    made = page(tmp_path / "report.html")
    assert made.fetched == []
    assert made.text.startswith("Evaluation of toy-base")
    for said in (
        "0.000", "1.000", "wrong → correct", "correct 3", "wrong 3", "temperature 0.6", "What is 0 + 7?", "It must be 7.",
        "100.0 %", "I-C", "math-verify",
    ):  # fmt: skip
        assert said in made.text
    assert made.tags.count("details") == 2 * 6, "one for each sample, and one for its thinking"


def test_report_page_of_one_round_has_no_table_of_rounds(tmp_path):
    write_report(tmp_path / "report.html", "toy-base", [measured(rounds=1)])
    assert "from round to round" not in page(tmp_path / "report.html").text


def test_report_page_shows_markup_in_a_response_as_text(tmp_path):
    nasty = "<script>alert(1)</script><img src=http://evil>"
    write_report(tmp_path / "report.html", "<b>toy</b>", [measured(think=nasty, text=nasty)])
    made = page(tmp_path / "report.html")
    assert made.fetched == []
    assert nasty in made.text
    assert "Evaluation of <b>toy</b>" in made.text


def test_report_page_shows_the_text_where_there_is_no_answer(tmp_path):
    write_report(tmp_path / "r.html", "toy", [measured(answer=None, think=None, text="<think>and so on")])
    assert "(none) <think>and so on" in page(tmp_path / "r.html").text


def test_report_page_cuts_the_middle_out_of_a_long_response(tmp_path):
    write_report(tmp_path / "r.html", "toy", [measured(think=f"begin{'x' * 50_000}end")])
    text = page(tmp_path / "r.html").text
    assert "begin" in text
    assert "[… 44,008 characters left out …]" in text
    assert "xend" in text


def test_report_page_shows_so_many_chains_and_no_more(tmp_path):
    write_report(tmp_path / "r.html", "toy", [measured(n=80)])
    made = page(tmp_path / "r.html")
    assert made.tags.count("details") == 2 * 2 * 30, "all end right, so there are no wrong chains to show"


def test_report_page_sets_the_papers_beside_scores_of_their_benchmark(tmp_path):
    write_report(tmp_path / "r.html", "toy", [measured("aime-2024")])
    text = page(tmp_path / "r.html").text
    assert "aime-2024: beside the papers" in text
    assert "QwQ-32B 2 82.1 9,607.9 other protocol : samples 32" in text


def test_report_page_sets_the_papers_trajectories_beside_those_measured(tmp_path):
    write_report(tmp_path / "r.html", "toy", [measured("aime-2024")])
    text = page(tmp_path / "r.html").text
    ours = "2 I-C this report 3 12.0 → 12.0 0.0 → 0.0 0.0 → 0.0 0.0 → 0.0 0.0 → 0.0 "
    assert f"{ours}2 I-C QwQ-32B – 23383.0 → 19862.0 – – – – Think Twice, Fig. 5: other protocol : samples 32" in text
    assert "2 I-C model not named – – 98.7 → 93.3 106.2 → 111.3 39.8 → 30.9 63.7 → 66.0 Think Twice, Figs 3 and 4" in text
    assert "how words are counted not stated" in text
    assert "3 I-C" not in text, "only rounds that were measured here"


def test_comparison_page_is_self_contained_and_says_what_differs(tmp_path):
    reports = {
        label: outcomes(passed, protocol=protocol)
        for label, passed, protocol in (("m0", 80, "p1"), ("m1", 120, "p1"), ("m2", 9, "p2"))
    }
    record = ComparisonRecord(
        against="m0", differences={"m1": [PairedDifference("arithmetic", 1, Interval(0.2, 0.1, 0.3))], "m2": []}
    )  # fmt: skip
    write_comparison(tmp_path / "c.html", ComparedReports(record, reports, []), {})
    made = page(tmp_path / "c.html")
    assert made.fetched == []
    for said in ("with m0", "m1 arithmetic/round_1 +0.200 +0.100 – +0.300", "m2 measured under other protocols", "87.5 %"):
        assert said in made.text


def test_pages_are_small_and_draw_their_charts_without_a_script(tmp_path):
    write_report(tmp_path / "report.html", "toy-base", [measured("aime-2024")])
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(text) < 100_000
    assert text.count("<svg") == 3
    assert text.count("<script>") == 1, "the filter of samples"
