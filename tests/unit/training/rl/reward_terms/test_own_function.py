import threading
from uuid import uuid4

import pytest

from stillhouse import testing
from stillhouse.errors import BadConfig
from stillhouse.stages import rl
from stillhouse.training.rl.reward_terms.own_function import FunctionReward
from stillhouse.training.rl.reward_terms.rollout import Rollout, TermReward
from stillhouse.verification.verdict import Verdict

QUESTION = testing.question("What is 1 + 1?", "2")


@pytest.fixture
def term(tmp_path, monkeypatch):
    """The function ``own`` of a module with this source, as a term."""

    def make(source, **settings):
        name = f"own_{uuid4().hex}"
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))
        return FunctionReward(rl.Config(rewards=[{"kind": f"{name}:own", **settings}]).rewards[0])

    return make


def rollouts(*texts):
    verdict = Verdict("correct", 1.0, "math")
    return [Rollout(QUESTION, text, list(map(ord, text)), verdict) for text in texts]


def test_own_function_is_shown_question_text_tokens_and_verdict(term):
    own = term(
        "def own(rollout):\n"
        "    assert rollout.question.reference_answer == '2'\n"
        "    assert rollout.verdict.kind == 'correct'\n"
        "    return len(rollout.text) + len(rollout.ids) / 10\n"
    )
    assert own.score(rollouts("a", "abc")) == [TermReward(1.1), TermReward(3.3)]


def test_own_function_none_is_no_failure_and_whatever_it_raises_is_one(term):
    own = term("def own(rollout):\n    return {'none': None, 'nan': float('nan'), 'yes': True, 'text': 'x'}[rollout.text]\n")
    none, nan, yes, text, missing = own.score(rollouts("none", "nan", "yes", "text", "missing"))
    assert none == TermReward(None)
    assert yes == TermReward(1.0)
    assert (nan.value, nan.failure, nan.detail) == (None, "error", "the reward is nan, not a finite number")
    assert (text.failure, text.detail) == ("error", "ValueError: could not convert string to float: 'x'")
    assert (missing.failure, missing.detail) == ("error", "KeyError: 'missing'")


def test_own_function_that_does_not_return_fails_its_rollout_alone(term):
    own = term(
        "import threading\nnever = threading.Event()\n"
        "def own(rollout):\n    return never.wait() if rollout.text == 'slow' else 1\n",
        timeout_s=0.2,
    )
    fine, slow, after = own.score(rollouts("a", "slow", "b"))
    assert (fine, after) == (TermReward(1.0), TermReward(1.0))
    assert (slow.failure, slow.detail) == ("timeout", "no answer after 0.2 s")


def test_own_function_runs_in_one_thread_at_a_time(term):
    own = term("import threading\ndef own(rollout):\n    return threading.get_ident()\n")
    one, other = own.score(rollouts("a", "b"))
    assert one == other != TermReward(float(threading.get_ident()))


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("def own(question, response):\n    return 1\n", "it takes .question, response., and is called with one argument"),
        ("async def own(rollout):\n    return 1\n", "is not a plain function; write `def reward.rollout.`"),
        ("own = 3\n", "int is not a plain function"),
        ("import no_such_library\n", "cannot import own_.*No module named 'no_such_library'"),
        ("def owns(rollout):\n    return 1\n", "has no attribute 'own'; did you mean owns"),
    ],
)
def test_own_function_that_cannot_be_called_is_refused(term, source, problem):
    with pytest.raises(BadConfig, match=problem):
        term(source)


def test_own_function_is_pinned_to_its_source(tmp_path, monkeypatch):
    (tmp_path / "pinned_reward.py").write_text("def own(rollout):\n    return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = rl.Config(rewards=[{"kind": "pinned_reward:own"}])
    assert config.model_dump()["rewards"][0]["kind"].startswith("pinned_reward:own@sha256-")
    (tmp_path / "pinned_reward.py").write_text("def own(rollout):\n    return 0\n")
    with pytest.raises(BadConfig, match="reward pinned_reward:own is at version sha256-"):
        FunctionReward(config.rewards[0])
