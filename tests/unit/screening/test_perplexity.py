import math
import sys
from types import ModuleType, SimpleNamespace

import pytest

from stillhouse.errors import EngineFailed
from stillhouse.screening import perplexity

TEXTS = ["What is 1 + 7?", "", "x", "zzz qqq 0 0 0 0 0 0 0 0", "What is 1 + 7? <think>1 + 7</think><answer>8</answer>"]


def direct(checkpoint, text):
    """The definition, in one pass of one text."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(checkpoint)(text, return_tensors="pt")["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    return math.exp(model(input_ids=tokens, labels=tokens).loss.item())


def test_transformers_scorer_gives_exp_of_the_mean_loss_whatever_the_batch_and_the_chunk(checkpoint, monkeypatch):
    expected = [direct(checkpoint, TEXTS[place]) for place in (0, 3, 4)]
    whole = perplexity.load("transformers", str(checkpoint), 100).perplexities(TEXTS)
    assert [whole[1], whole[2]] == [None, None]
    assert [whole[0], whole[3], whole[4]] == pytest.approx(expected, rel=1e-4)
    monkeypatch.setattr(perplexity, "CHUNK", 3)
    assert perplexity.load("transformers", str(checkpoint), 100).perplexities(TEXTS)[3:] == pytest.approx(whole[3:], rel=1e-4)


def test_transformers_scorer_cuts_texts_that_are_too_long(checkpoint):
    scorer = perplexity.load("transformers", str(checkpoint), 4)
    assert scorer.perplexities(["1234 and more"]) == pytest.approx(scorer.perplexities(["1234"]))


def test_load_model_that_is_not_there_is_refused():
    with pytest.raises(EngineFailed, match="perplexity model nobody/nothing: transformers cannot load it"):
        perplexity.load("transformers", "nobody/nothing", 100)


class LLM:
    """A vLLM to which every token is as likely as one of its number."""

    llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=4))

    def __init__(self, **arguments):
        pass

    def get_tokenizer(self):
        return SimpleNamespace(chat_template="{{ messages }}", encode=lambda text: [int(word) for word in text.split()])

    def generate(self, prompts, parameters, *, use_tqdm):
        assert (parameters.max_tokens, parameters.prompt_logprobs) == (1, 0)
        for tokens in (prompt["prompt_token_ids"] for prompt in prompts):
            chances = [None, *({token: SimpleNamespace(logprob=-math.log(token))} for token in tokens[1:])]
            yield SimpleNamespace(prompt_token_ids=tokens, prompt_logprobs=chances)


def test_vllm_scorer_takes_the_log_probabilities_of_the_prompt(monkeypatch):
    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = LLM, SimpleNamespace
    monkeypatch.setitem(sys.modules, "vllm", module)
    found = perplexity.load("vllm", "any", 100).perplexities(["5 2 8", "7", "9 3 3 1 1 1"])
    # The last one is cut to three tokens: the model takes four, of which one is left for sampling.
    assert found == [pytest.approx(4.0), None, pytest.approx(3.0)]
