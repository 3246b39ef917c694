import pytest

from stillhouse import sources
from stillhouse.errors import BadConfig
from stillhouse.sources import reasoning_gym
from stillhouse.sources.config import ReasoningGym
from stillhouse.vocabulary.rows import Dropped, Question


class Generator:
    """A generator whose second entry is scored wrong by itself."""

    def __getitem__(self, index):
        return {"question": f"What is number {index}?", "answer": str(index), "metadata": {}}

    def score_answer(self, answer, entry):
        return 0.01 if entry["answer"] == "1" else 1.0


@pytest.mark.parametrize("dataset", ["gsm_symbolic", "basic_arithmetic", "chain_sum", "simple_equations"])
def test_reasoning_gym_allowed_generators_give_verifiable_questions(dataset):
    made = list(sources.read(ReasoningGym(name="gym", dataset=dataset, count=5, seed=1)))
    assert len(made) == 5
    assert all(isinstance(row, Question) and row.reference_answer and row.source == "gym" for row in made)


def test_reasoning_gym_gold_chain_becomes_the_original_response():
    row = next(iter(sources.read(ReasoningGym(name="gym", dataset="gsm_symbolic", count=1, seed=1))))
    assert row.original_response.startswith("<think>")
    assert row.original_response.endswith(f"</think><answer>\\boxed{{{row.reference_answer}}}</answer>")
    assert "####" not in row.original_response


def test_reasoning_gym_max_steps_keeps_short_chains():
    made = list(sources.read(ReasoningGym(name="gym", dataset="gsm_symbolic", count=30, seed=1, max_steps=2, distinct=True)))
    assert len({row.question_id for row in made}) == 30
    assert all(row.original_response.count("\n") <= 1 for row in made)


def test_reasoning_gym_entry_that_fails_itself_is_dropped_with_a_reason(monkeypatch):
    monkeypatch.setattr(reasoning_gym, "_dataset", lambda spec: Generator())
    made = list(sources.read(ReasoningGym(name="gym", dataset="chain_sum", count=3)))
    assert [row.reason for row in made if isinstance(row, Dropped)] == ["own_answer_fails"]
    assert [row.reference_answer for row in made if isinstance(row, Question)] == ["0", "2", "3"]


def test_reasoning_gym_difficulty_that_would_never_end_is_refused():
    with pytest.raises(BadConfig, match="gsm_symbolic refuses settings"):
        list(sources.read(ReasoningGym(name="gym", dataset="gsm_symbolic", count=1, settings={"difficulty": 0.5})))


def test_reasoning_gym_unknown_setting_is_refused():
    with pytest.raises(BadConfig, match="colour"):
        list(sources.read(ReasoningGym(name="gym", dataset="chain_sum", count=1, settings={"colour": 1})))


def test_reasoning_gym_max_steps_without_chains_is_refused():
    with pytest.raises(BadConfig, match="max_steps needs a gold chain"):
        list(sources.read(ReasoningGym(name="gym", dataset="chain_sum", count=1, max_steps=2)))
