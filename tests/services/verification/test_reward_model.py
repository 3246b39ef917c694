import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import ValidationError

from stillhouse.errors import EngineFailed, MissingInput
from stillhouse.verification import reward_model
from stillhouse.verification.config import RewardModelConfig
from stillhouse.verification.reward_model import rated
from stillhouse.verification.verdict import VerificationRequest

HELLO = [{"role": "user", "content": "Hello"}]
REQUESTS = [VerificationRequest("other", answer, None, messages=HELLO) for answer in ("Good day to you", None, "Hi", "x " * 5000)]


class Fixed:
    """A rater with the same outputs for all."""

    def __init__(self, *outputs):
        self.outputs = outputs

    def rate(self, conversations):
        for _ in conversations:
            yield self.outputs


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A sequence classifier with random weights and five outputs, and its tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast

    directory = tmp_path_factory.mktemp("classifier")
    words = {word: number for number, word in enumerate(["<pad>", "<unk>", "Good", "day", "to", "you", "Hello", "Hi", "x"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>").save_pretrained(directory)
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_labels=5, pad_token_id=0,
    )  # fmt: skip
    LlamaForSequenceClassification(shape).save_pretrained(directory)
    return str(directory)


@pytest.mark.parametrize(
    ("outputs", "kind", "score"),
    [((4, 4, 4, 0, 0), "correct", 1.0), ((3, 2, 4, 9, 9), "partial", 0.75), ((-1, -2, 0, 1, 1), "wrong", 0.0),
     ((9, 4, 4, 0, 0), "correct", 1.0)],
)  # fmt: skip
def test_rated_score_is_coherence_correctness_helpfulness_over_twelve(outputs, kind, score):
    (found,) = rated(Fixed(*outputs), RewardModelConfig(model="toy"), REQUESTS[:1])
    assert (found.kind, found.verify_score) == (kind, score)


def test_rated_conversation_is_the_question_s_with_the_answer_at_its_end():
    seen = []

    class Recording(Fixed):
        def rate(self, conversations):
            seen.extend(conversations)
            return super().rate(conversations)

    turns = [*HELLO, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "Bye"}]
    rated(
        Recording(1, 1, 1, 1, 1),
        RewardModelConfig(model="toy"),
        [VerificationRequest("multi_turn", "See you", None, messages=turns)],
    )
    assert seen == [[*turns, {"role": "assistant", "content": "See you"}]]


def test_rated_number_of_outputs_that_differs_from_the_config_is_refused():
    with pytest.raises(EngineFailed, match="gives 1 outputs, the config names 5"):
        rated(Fixed(1.0), RewardModelConfig(model="toy"), REQUESTS[:1])


def test_rated_output_that_is_no_number_is_an_error_and_no_zero():
    (found,) = rated(Fixed(float("nan"), 1, 1, 1, 1), RewardModelConfig(model="toy"), REQUESTS[:1])
    assert (found.kind, found.verify_score) == ("error", None)


def test_config_without_a_needed_attribute_is_refused():
    with pytest.raises(ValidationError, match="coherence is missing"):
        RewardModelConfig(model="toy", attributes=("helpfulness", "correctness"))


def test_local_rater_gives_each_conversation_its_outputs_whatever_the_batch(classifier):
    found = [
        rated(reward_model.load(config), config, REQUESTS)
        for config in (RewardModelConfig(model=classifier, batch_size=size, max_length=64) for size in (1, 3))
    ]
    assert [each.kind for each in found[0]] == [each.kind for each in found[1]]
    assert found[0][1].kind == "no_answer"
    scores = [[each.verify_score for each in verdicts if each.kind != "no_answer"] for verdicts in found]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)
    assert all(0 <= score <= 1 for score in scores[0])


def test_local_rater_of_a_directory_without_weights_says_so(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(MissingInput, match="it holds no weights"):
        reward_model.load(RewardModelConfig(model=str(tmp_path)))


@pytest.fixture
def server(monkeypatch):
    """A served classifier: its outputs are the lengths of the messages; a model named ``gone`` is unknown."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = self.path == "/pooling" and body["model"] != "gone"
            reply = json.dumps({"data": [{"data": [3.0, 3.0, float(len(body["messages"])), 0.0, 0.0]}]} if known else {}).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_):
            """Quiet."""

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv(reward_model.ENDPOINT, f"http://127.0.0.1:{made.server_port}/")
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def test_served_rater_asks_the_endpoint(server):
    config = RewardModelConfig(model="toy", engine="endpoint")
    found = rated(reward_model.load(config), config, REQUESTS[:3])
    assert [each.verify_score for each in found] == [pytest.approx(8 / 12), 0.0, pytest.approx(8 / 12)]


def test_served_rater_that_is_not_there_says_what_was_asked(server, monkeypatch):
    config = RewardModelConfig(model="gone", engine="endpoint")
    with pytest.raises(EngineFailed, match="reward model gone at http.*404"):
        rated(reward_model.load(config), config, REQUESTS[:1])
    monkeypatch.delenv(reward_model.ENDPOINT)
    with pytest.raises(EngineFailed, match="needs STILLHOUSE_REWARD_ENDPOINT"):
        reward_model.load(config)
