import pytest

from stillhouse.vocabulary import metric_names


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (["laptop-study-original", "laptop-study-answer", "laptop-study-summary"], ["original", "answer", "summary"]),
        (["laptop-base", "laptop-sft-anneal"], ["base", "sft-anneal"]),
        (["original", "answer"], ["original", "answer"]),
        (["laptop-rl"], ["laptop-rl"]),
        (["toy", "toy-rl"], ["toy", "toy-rl"]),
        (["same-a", "same-a"], ["a", "a"]),
        ([], []),
    ],
)
def test_roles_are_what_tells_names_apart(names, roles):
    assert metric_names.roles(names) == roles


def test_plain_keeps_what_mlflow_takes_and_replaces_the_rest():
    assert metric_names.plain("accuracy/gpt-4o (2024), v1@b") == "accuracy/gpt-4o _2024__ v1_b"


def test_score_names_benchmark_round_and_role_alone():
    assert metric_names.score("aime-2024", 2, "rl") == "pass_at_1/aime-2024/round_2/rl"
    assert metric_names.gain_over_base("aime-2024", 1, "rl") == "gain_over_base/aime-2024/round_1/rl"
    assert metric_names.gain_over_champion("aime-2024", 1) == "gain_over_champion/aime-2024/round_1"
