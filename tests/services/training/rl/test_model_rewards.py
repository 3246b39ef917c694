"""Judge and reward model as terms of the reward, served on loopback."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from stillhouse import testing
from stillhouse.errors import EngineFailed
from stillhouse.stages import rl
from stillhouse.training.rl.reward_terms.model_rewards import JudgeReward, RewardModelReward
from stillhouse.training.rl.reward_terms.rollout import Rollout, TermReward
from stillhouse.verification import reward_model
from tests.endpoint import Reply, endpoint, refusal

SCIENCE = testing.question("Why is the sky blue?", "scattering", category="science")
CHAT = testing.question("Say hello.", None, category="other")


def rollout(question, answer):
    return Rollout(question, f"<think>Hm.</think><answer>{answer}</answer>", [1])


def says(text):
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return Reply(200, {"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})


def judging(number, body):
    """4 of 5 where the answer is compared with a reference, 6 of 12 for its quality, no score for ``dunno``."""
    prompt = body["messages"][-1]["content"]
    if "dunno" in prompt:
        return says("I cannot say.")
    against_reference = '"score"' in prompt
    return says(json.dumps({"score": 4} if against_reference else {"coherence": 2, "correctness": 2, "helpfulness": 2}))


def judge():
    term = {"kind": "judge", "judge": {"model": "toy", "engine": "openai", "temperature": 0}}
    return JudgeReward(rl.Config(rewards=[term]).rewards[0], "think_answer")


def test_judge_rewards_science_by_its_reference_and_chat_by_quality_from_0_to_1(monkeypatch):
    with endpoint(judging) as server:
        monkeypatch.setenv("STILLHOUSE_ENDPOINTS", server.url)
        term = judge()
        term.preflight()
        rewards = term.score([rollout(CHAT, "Hello"), rollout(SCIENCE, "It scatters"), rollout(CHAT, "Hello")])
        assert rewards == [TermReward(0.5), TermReward(0.8), TermReward(0.5)]
        asked = len(server.asked)
        assert term.score([Rollout(CHAT, "<think>Hm.</think> Hello", [1])]) == [TermReward(0.0)], "an answer outside its tags"
        assert len(server.asked) == asked


def test_judge_reply_without_a_score_fails_its_rollout_alone(monkeypatch):
    with endpoint(judging) as server:
        monkeypatch.setenv("STILLHOUSE_ENDPOINTS", server.url)
        unsure, fine = judge().score([rollout(CHAT, "dunno"), rollout(CHAT, "Hello")])
    assert (unsure.value, unsure.failure, fine) == (None, "error", TermReward(0.5))
    assert "no score in the judge's reply" in unsure.detail


def test_judge_that_goes_away_fails_the_rollouts_and_not_the_run(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_OUTAGE_S", "0.1")
    with endpoint(judging) as server:
        monkeypatch.setenv("STILLHOUSE_ENDPOINTS", server.url)
        term = judge()
        term.preflight()
    (reward,) = term.score([rollout(CHAT, "Hello")])
    assert (reward.value, reward.failure) == (None, "unreachable")


def test_judge_preflight_refuses_one_that_is_not_served_or_refuses(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_ENDPOINTS", "")
    with pytest.raises(EngineFailed, match="no endpoint for model toy"):
        judge().preflight()
    with endpoint(lambda number, body: refusal(400, "no such adapter")) as server:
        monkeypatch.setenv("STILLHOUSE_ENDPOINTS", server.url)
        with pytest.raises(EngineFailed, match="no such adapter"):
            judge().preflight()


@pytest.fixture
def classifier(monkeypatch):
    """A served reward model that rates every answer 3, 3 and 3 of 4; ``refused`` are the requests it still refuses."""
    refused = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            data = json.dumps({"data": [{"data": [3.0, 3.0, 3.0, 0.0, 0.0]}]}).encode()
            self.send_response(refused.pop() if refused else 200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(reward_model.ENDPOINT, f"http://127.0.0.1:{server.server_port}")
    yield refused
    server.shutdown()
    server.server_close()


def rater():
    term = {"kind": "reward_model", "reward_model": {"model": "toy", "engine": "endpoint"}}
    return RewardModelReward(rl.Config(rewards=[term]).rewards[0], "think_answer")


def test_reward_model_rewards_chat_and_tries_a_failed_batch_once_more(classifier):
    term = rater()
    term.preflight()
    assert term.score([rollout(CHAT, "Hello"), Rollout(CHAT, "no format", [1])]) == [TermReward(0.75), TermReward(0.0)]
    classifier.append(503)
    assert term.score([rollout(CHAT, "Hello")]) == [TermReward(0.75)]


def test_reward_model_that_keeps_failing_fails_the_rollouts_and_the_preflight(classifier):
    classifier.extend([500] * 3)
    with pytest.raises(EngineFailed, match="reward model toy at http"):
        rater().preflight()
    (reward,) = rater().score([rollout(CHAT, "Hello")])
    assert (reward.value, reward.failure) == (None, "unreachable")
