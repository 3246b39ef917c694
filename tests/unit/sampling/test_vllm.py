import sys
from dataclasses import replace
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import pytest

from stillhouse import testing
from stillhouse.errors import EngineFailed
from stillhouse.sampling import vllm as vllm_engine
from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Completion, Request, load
from stillhouse.training.models import CHAT_TEMPLATE, _train_tokenizer
from stillhouse.vocabulary.seeds import row_seed

SAMPLING = Sampling(engine="vllm", temperature=0.8, top_p=0.9, max_tokens=24)
INSTALLED = find_spec("vllm") is not None


def requests(count):
    keys = [(each.question_id, "tiny", "question", 1, 0) for each in testing.questions(count)]
    return [Request(key, each.messages, row_seed(0, key)) for key, each in zip(keys, testing.questions(count), strict=True)]


def by_place(made, given):
    """Places of the requests in the order they were answered, and their completions."""
    pairs = list(made)
    places = {request.key: place for place, request in enumerate(given)}
    return [places[request.key] for request, _ in pairs], [completion for _, completion in pairs]


class LLM:
    """A vLLM that says the seed it was given; every third answer is cut, every fourth given up."""

    template: str | None = CHAT_TEMPLATE

    def __init__(self, **arguments):
        if "gone" in arguments["model"]:
            raise ValueError("no such model,\nsays vllm")
        self.arguments = arguments
        self.waiting, self.enqueued, self.most, self.aborted = [], 0, 0, None

    def get_tokenizer(self):
        self.tokenizer = _train_tokenizer(["What is 1 + 1?"], 300)
        self.tokenizer.chat_template = self.template
        return self.tokenizer

    def enqueue(self, prompts, parameters, *, use_tqdm):
        prompts = [self.tokenizer.decode(prompt["prompt_token_ids"]) for prompt in prompts]
        questions = [prompt.rpartition("<|user|>")[2].removesuffix("<|end|><|assistant|>") for prompt in prompts]
        if any("long" in question for question in questions):
            raise ValueError("This model's maximum context length is 8 tokens")
        names = []
        for question, each in zip(questions, parameters, strict=True):
            assert each.stop_token_ids == [self.tokenizer.eos_token_id]
            reason = {2: "length", 3: "abort"}.get(self.enqueued % 4, "stop")
            written = SimpleNamespace(text=f"{question} {each.seed}", finish_reason=reason, token_ids=[1, 2])
            names.append(f"{self.enqueued}-abcd1234")
            self.waiting.append(
                SimpleNamespace(request_id=str(self.enqueued), outputs=[written], prompt_token_ids=[1, 2, 3], finished=True)
            )
            self.enqueued += 1
        self.most = max(self.most, len(self.waiting))
        return names

    @property
    def llm_engine(self):
        return self

    def step(self):
        """The last two first, and one that has not finished."""
        done = [self.waiting.pop() for _ in range(min(2, len(self.waiting)))]
        return [*done, SimpleNamespace(request_id="0", finished=False)]

    def abort_request(self, names):
        self.aborted = names


@pytest.fixture
def vllm(monkeypatch):
    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = type("LLM", (LLM,), {}), SimpleNamespace
    monkeypatch.setitem(sys.modules, "vllm", module)
    return module


@pytest.mark.skipif(INSTALLED, reason="vllm is installed here")
def test_load_without_vllm_names_what_to_install():
    with pytest.raises(EngineFailed, match=r"vllm is not installed here; use .*stillhouse\[vllm\].* or --set engine=transformers"):
        load(SAMPLING, "tiny")


@pytest.mark.usefixtures("vllm")
def test_sample_gives_every_request_its_own_seed_and_completion():
    given = requests(4)
    made = dict(zip(*by_place(load(SAMPLING, "tiny").sample(given), given), strict=True))
    assert sorted(made) == [0, 1, 2, 3]
    assert made[0] == Completion(f"What is 0 + 7? {given[0].seed}", "stop", 3, 2)
    assert [made[place].finish_reason for place in range(4)] == ["stop", "stop", "length", "error"]
    assert (made[3].failure, made[3].detail) == ("aborted", "vllm ended it with finish_reason 'abort'")


@pytest.mark.usefixtures("vllm")
def test_sample_more_than_fit_at_once_are_added_as_others_finish(monkeypatch):
    monkeypatch.setattr(vllm_engine, "AHEAD", 8)
    engine, given, read = load(SAMPLING, "tiny"), requests(50), []
    made = engine.sample(read.append(each) or each for each in given)
    next(made)
    assert len(read) == 8
    assert sorted(place for place in by_place(made, given)[0]) == sorted(set(range(50)) - {7})
    assert (engine.llm.most, engine.llm.aborted) == (8, [])


@pytest.mark.usefixtures("vllm")
def test_sample_too_long_is_a_value_and_the_others_are_answered():
    given = requests(9)
    given[4] = replace(given[4], messages=[{"role": "user", "content": "a long one"}])
    places, completions = by_place(load(SAMPLING, "tiny").sample(given), given)
    failed = {place: completion.failure for place, completion in zip(places, completions, strict=True) if place == 4}
    assert sorted(places) == list(range(9))
    assert failed == {4: "context_overflow"}


@pytest.mark.usefixtures("vllm")
def test_sample_left_early_aborts_what_runs():
    engine = load(SAMPLING, "tiny")
    made = engine.sample(requests(5))
    next(made)
    made.close()
    assert len(engine.llm.aborted) == 4


@pytest.mark.usefixtures("vllm")
def test_load_takes_hardware_from_the_environment(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_TENSOR_PARALLEL", "4")
    monkeypatch.setenv("STILLHOUSE_MAX_MODEL_LEN", "2048")
    arguments = load(SAMPLING, "tiny").llm.arguments
    assert (arguments["model"], arguments["tensor_parallel_size"], arguments["max_model_len"]) == ("tiny", 4, 2048)


@pytest.mark.usefixtures("vllm")
def test_load_model_that_vllm_refuses_is_one_line():
    with pytest.raises(EngineFailed, match="model gone: vllm cannot load it: no such model, says vllm"):
        load(SAMPLING, "gone")


def test_load_without_chat_template_is_engine_failed(vllm):
    vllm.LLM.template = None
    with pytest.raises(EngineFailed, match="no chat template"):
        load(SAMPLING, "tiny")
