from dataclasses import replace
from functools import partial

import pytest

from stillhouse import testing
from stillhouse.benchmarks.evaluation import Evaluation, evaluate
from stillhouse.sampling.config import Sampling
from stillhouse.verification.pool import VerifierPool
from stillhouse.verification.scoring import verdicts
from stillhouse.vocabulary.prompts import previous_answer_prompt

PLAIN = Sampling(engine="transformers", system_prompt="none", suffix="none")
ASKED = testing.questions(3)


def run(script, samples=2, rounds=2, sampling=PLAIN, model="toy"):
    engine = testing.ScriptedEngine(script)
    seen = []
    with VerifierPool(5) as pool:
        made = evaluate(
            engine, partial(verdicts, pool), sampling, model, ASKED, samples, rounds, lambda *step: seen.append(step)
        )  # fmt: skip
    return made, engine.asked, seen


def chain(request):
    """Says its own place, which no other chain or round says."""
    question_id, _, _, number, index = request.key
    place = [each.question_id for each in ASKED].index(question_id)
    return f"<think>secret {number}</think><answer>{1000 * number + 10 * place + index}</answer>"


def shown(request):
    return request.messages[-1]["content"]


def test_evaluate_second_round_shows_the_chains_own_answer_and_not_the_thinking():
    made, asked, seen = run(chain, rounds=3)
    assert len(asked) == 3 * 2 * 3
    by_key = {(request.key[0], request.key[3], request.key[4]): request for request in asked}
    for place, question in enumerate(ASKED):
        plain = question.messages[-1]["content"]
        for index in range(2):
            assert shown(by_key[question.question_id, 1, index]) == plain
            for number in (2, 3):
                answer = str(1000 * (number - 1) + 10 * place + index)
                assert shown(by_key[question.question_id, number, index]) == previous_answer_prompt(plain, answer)
    assert not any("secret" in message["content"] for request in asked for message in request.messages)
    assert all(len(request.messages) == 1 for request in asked), "a further round is a fresh prompt, not a further turn"
    assert {(row.round, row.prompt_kind) for row in made.responses} == {
        (1, "question"),
        (2, "previous_answer"),
        (3, "previous_answer"),
    }
    assert seen == [(done, 18) for done in range(1, 19)]


def test_evaluate_prompts_keep_the_system_prompt_and_the_suffix_in_every_round():
    _, asked, _ = run(chain, samples=1, sampling=Sampling(engine="transformers", system_prompt="think_answer", suffix="boxed"))
    assert {request.messages[0]["role"] for request in asked} == {"system"}
    assert all("output the final answer within \\boxed{}." in shown(request) for request in asked)


def test_evaluate_round_without_an_answer_asks_the_plain_question_again():
    made, asked, _ = run(lambda request: "<think>and so on", samples=1)
    assert [shown(request) for request in asked] == [each.messages[-1]["content"] for each in ASKED] * 2
    assert {row.prompt_kind for row in made.responses} == {"question"}
    assert len({request.seed for request in asked}) == 6, "the second try is not the first one again"
    assert made.outcomes(2) == {each.question_id: [False] for each in ASKED}


def test_evaluate_two_models_are_asked_with_equal_random_numbers():
    _, one, _ = run(chain, model="one")
    _, other, _ = run(chain, model="other")
    assert [request.seed for request in one] == [request.seed for request in other]


def test_evaluate_order_of_completions_changes_nothing():
    made, _, _ = run(chain)

    class Backwards(testing.ScriptedEngine):
        def sample(self, requests):
            yield from super().sample(requests[::-1])

    with VerifierPool(5) as pool:
        turned = evaluate(Backwards(chain), partial(verdicts, pool), PLAIN, "toy", ASKED, 2, 2, lambda *_: None)
    assert (turned.responses, [row.passed for row in turned.verified]) == (made.responses, [row.passed for row in made.verified])


def test_evaluate_verdicts_are_those_of_the_answers():
    def second_is_right(request):
        return (
            testing.right_answer(request) if request.key[3] == 1 and request.key[4] == 0 else "<think>x</think><answer>-5</answer>"
        )

    made, _, _ = run(second_is_right)
    assert made.outcomes(1) == {each.question_id: [True, False] for each in ASKED}
    assert made.outcomes(2) == {each.question_id: [False, False] for each in ASKED}
    assert made.tokens(1) == pytest.approx((3 + 1) / 2)
    assert made.stop_ratio(1) == 1


def by_hand(*passed):
    """One question of as many samples as there are entries, each with its outcomes by round."""
    base = testing.response(ASKED[0])
    responses, verified = [], []
    for index, chain_passed in enumerate(passed):
        for number, each in enumerate(chain_passed, start=1):
            row = replace(base, sample_index=index, round=number)
            responses.append(row)
            verified.append(replace(testing.verified(row), passed=each))
    return Evaluation(ASKED[:2], responses, verified)


def test_outcomes_leave_out_what_the_verifier_failed_on():
    made = by_hand((True, None), (None, None), (False, None))
    assert made.outcomes(1) == {ASKED[0].question_id: [True, False]}
    assert made.outcomes(2) == {}


def test_stop_ratio_is_the_share_of_the_round_that_ended_by_itself():
    made = by_hand((True, True), (True, True))
    cut = [replace(row, finish_reason="length") if (row.round, row.sample_index) == (2, 1) else row for row in made.responses]
    assert [Evaluation(ASKED[:1], cut, made.verified).stop_ratio(number) for number in (1, 2)] == [1, 0.5]
