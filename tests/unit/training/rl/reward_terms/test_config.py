import pytest
from pydantic import ValidationError

from stillhouse.stages import rl

JUDGE = {"model": "toy", "engine": "openai"}


def rewards(*terms):
    return rl.Config(rewards=terms).rewards


def test_rewards_default_to_the_verifier_and_are_then_not_dumped():
    assert [(term.kind, term.weight) for term in rl.Config().rewards] == [("verifier", 1.0)]
    assert "rewards" not in rl.Config().model_dump(mode="json")


def test_rewards_are_named_after_their_kind_or_as_the_recipe_says(tmp_path, monkeypatch):
    (tmp_path / "house_style.py").write_text("def brevity(rollout):\n    return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    terms = rewards({"kind": "verifier"}, {"kind": "house_style:brevity"}, {"kind": "endpoint", "name": "safety"})
    assert [term.label for term in terms] == ["verifier", "brevity", "safety"]
    assert terms[1].kind.startswith("house_style:brevity@sha256-")


def test_rewards_two_terms_of_one_name_are_refused():
    with pytest.raises(ValidationError, match="several terms are called safety; give each a name of its own"):
        rewards({"kind": "endpoint", "name": "safety"}, {"kind": "verifier", "name": "safety"})


@pytest.mark.parametrize(
    ("term", "problem"),
    [
        ({}, "needs a kind: verifier, judge, reward_model, endpoint"),
        ({"kind": "verifyer"}, "no reward 'verifyer'; did you mean verifier"),
        ({"kind": "verifier", "name": "total"}, "total is the name of the weighted sum"),
        ({"kind": "verifier", "weight": float("inf")}, "finite"),
        ({"kind": "verifier", "categories": ["other"]}, "no rule scores other; take kind judge or reward_model"),
        ({"kind": "endpoint"}, "name"),
        ({"kind": "endpoint", "name": "a b"}, "pattern"),
        ({"kind": "judge", "judge": JUDGE | {"engine": "vllm"}}, "serve the judge, and write engine: openai"),
    ],
)
def test_rewards_that_cannot_be_are_refused(term, problem):
    with pytest.raises(ValidationError, match=problem):
        rewards(term)


def test_rewards_a_kind_rewards_the_categories_it_can_unless_it_is_told_which():
    verifier, judge, model, own = rewards(
        {"kind": "verifier"}, {"kind": "judge", "judge": JUDGE}, {"kind": "reward_model", "reward_model": {"model": "toy"}},
        {"kind": "endpoint", "name": "any", "categories": ["math"]},
    )  # fmt: skip
    assert [term.rewards("math") for term in (verifier, judge, model, own)] == [True, False, False, True]
    assert [term.rewards("science") for term in (verifier, judge, model, own)] == [False, True, False, False]
    assert [term.rewards("other") for term in (verifier, judge, model, own)] == [False, True, True, False]
