import pytest

from stillhouse import testing
from stillhouse.reporting import dataset
from stillhouse.reporting.dataset import Dataset, write_dataset
from tests.unit.reporting.test_page import page
from tests.unit.stages.test_selected import CORPUS, Rows, many, run


@pytest.fixture
def collected(monkeypatch):
    """What the stage gives to the page."""
    seen = []
    monkeypatch.setattr(dataset, "write_dataset", lambda path, title, found: seen.append(found) or path.write_text(title))
    return seen


def test_dataset_steps_end_in_what_was_selected(tmp_path, collected):
    run(tmp_path, many(), limits={"sft_1": {"caps": {"code": 5}}}, anneal_split=None)
    (found,) = collected
    assert found.questions_left == [
        ("questions", 80), ("with a candidate response", 80), ("with one that passes", 80), ("kept by Algorithm 1", 80),
        ("of these challenging", 80), ("in a split", 45),
    ]  # fmt: skip
    assert [count for _, count in found.responses_left] == [160, 160, 160, 160, 160, 80]
    assert found.pass_rates == {"toy": {"0": 0, "0.25": 0, "0.5": 80, "0.75": 0, "1": 0}}
    assert found.spreads == {"code": {"1.4": 40.0}, "math": {"1.4": 40.0}}
    assert [(row["category"], row["n_examples"], row["n_examples_share"]) for row in found.composition] == [
        ("math", 40, 40 / 45), ("code", 5, 5 / 45)
    ]  # fmt: skip
    assert found.lengths == {"sft_1": {"8 to 15": 45}}
    assert found.dropped["not_selected"] == 35 + 35


def test_dataset_other_models_and_screened_out_responses_are_steps(tmp_path, collected):
    given = Rows()
    given.screened[0] = testing.screened(given.responses[0], kept=False)
    run(tmp_path, given)
    assert [count for _, count in collected[0].responses_left] == [24, 12, 11, 11, 3, 1]


def test_dataset_of_original_responses_alone_has_no_steps_of_responses(tmp_path, collected):
    given = many()
    given.questions = [asked for asked in given.questions if asked.category == "math"]
    run(tmp_path, given, **CORPUS, rl_splits={"rl": [1]}, leave_out=["responses", "verified", "screened"])
    (found,) = collected
    assert (found.questions_left, found.responses_left, found.sweep, found.lengths) == (
        [("questions", 40), ("in a split", 40)],
        [],
        [],
        {},
    )


def test_dataset_page_is_self_contained_and_says_what_it_shows(tmp_path):
    shares = {"n_examples_share": 1.0, "length_share": None}
    composition = [{"split": "s", "category": "math", "n_examples": 1200, "length": 0, **shares}]
    sweep = [{"cv_threshold": 0.5, "category": "math", "n_questions": 3, "n_responses": 7}]
    made = Dataset(
        [("questions", 2)], [("sampled", 8)], {"m": {"0": 1.0}}, {"math": {"0.0": 2.0}}, composition, {"s": {"8 to 15": 1.0}},
        sweep, {"easy": 5},
    )  # fmt: skip
    write_dataset(tmp_path / "page.html", "A set", made)
    shown = page(tmp_path / "page.html")
    assert shown.fetched == []
    for text in ("A set", "1,200", "100.0%", "math 0.50 3 7", "easy 5", "sqrt((1 - p) / p * n / (n - ddof))", "Lengths"):
        assert text in shown.text
