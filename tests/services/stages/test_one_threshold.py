"""The threshold that verified used is the one by which every later stage judges."""

import json
from types import SimpleNamespace

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.execution.execute import execute
from stillhouse.stages import graded, rl, selected, verified
from stillhouse.training.rl.curriculum import questions_of, thresholds_of
from stillhouse.training.rl.reward_terms.weighted_sum import VerifierReward, WeightedTerms
from stillhouse.training.rl.rewards import Rewards
from stillhouse.verification.verdict import Verdict
from stillhouse.vocabulary.rows import Graded, Question, Response, Selected, Verified

NO_COMMA_AND_SEVEN = {
    "instruction_id_list": ["punctuation:no_comma", "keywords:existence"], "kwargs": [{}, {"keywords": ["seven"]}],
}  # fmt: skip
ASKED = testing.question("Count.", None, category="instruction_following", constraints=json.dumps(NO_COMMA_AND_SEVEN))
ANSWERS = {"small": ["five six"] * 4 + ["five, six"], "medium": ["five six"] * 4 + ["six seven"]}
"""By model; they meet one constraint, none, or both."""
ROLES = {"small": "small", "medium": "medium"}
SPLITS = {"teacher": "medium", "anneal_split": None, "rl_splits": {"rl_1": [1]}}


def test_verified_with_a_lowered_threshold_is_what_graded_selected_and_rl_go_by(tmp_path):
    answers = [
        testing.response(ASKED, text, model=model, sample_index=at)
        for model, texts in ANSWERS.items() for at, text in enumerate(texts)
    ]  # fmt: skip
    uris = {name: f"{tmp_path}/{name}/toy/1" for name in ("questions", "responses", "verified", "graded", "selected")}
    testing.publish([ASKED], Question, uris["questions"])
    testing.publish(answers, Response, uris["responses"])
    lowered = {"pass_thresholds": {"instruction_following": 0.4}, "timeout_s": 20, "self_test": False}
    for stage, config, names in (
        (verified, lowered, ("questions", "responses")),
        (graded, ROLES, ("questions", "verified")), (selected, SPLITS, ("questions", "responses", "verified", "graded")),
    ):  # fmt: skip
        output = uris[stage.__name__.rpartition(".")[2]]
        execute(stage, stage.Config(**config), {name: [uris[name]] for name in names}, output)

    paths = {name: tmp_path / name / "toy" / "1" for name in uris}
    verdicts = list(tables.read(paths["verified"], Verified))
    assert [(row.verify_score, row.passed, row.threshold) for row in verdicts[:5]] == [(0.5, True, 0.4)] * 4 + [(0.0, False, 0.4)]
    (grade,) = tables.read(paths["graded"], Graded)
    assert {each["model"]: each["pass_rate"] for each in grade.models} == {"small": 0.8, "medium": 1.0}
    assert (grade.level, grade.threshold) == (1, 0.4)
    chosen = [(row.split, row.verify_score, row.threshold) for row in tables.read(paths["selected"], Selected)]
    assert chosen == [("sft_1", 0.5, 0.4)] * 4 + [("sft_1", 1.0, 0.4), ("rl_1", None, 0.4)]

    asked = questions_of("rl_1", paths["selected"], paths["questions"])
    scorer = SimpleNamespace(score=lambda questions, responses: [Verdict("partial", 0.5, "toy") for _ in responses])
    terms = WeightedTerms(rl.Config().rewards, [VerifierReward()], scorer)
    rewards = Rewards(asked, terms, lambda ids: "five six", thresholds=thresholds_of("rl_1", paths["selected"]))
    assert rewards(completion_ids=[[1]], question_id=[ASKED.question_id]) == [0.5]
    assert rewards.outcomes == {ASKED.question_id: [1, 1]}
