import sys
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import pytest

from stillhouse import testing
from stillhouse.errors import EngineFailed
from stillhouse.sampling.engine import Completion, Request, Sampling, load, row_seed

SAMPLING = Sampling(engine="vllm", temperature=0.8, top_p=0.9, max_tokens=24)
INSTALLED = find_spec("vllm") is not None


def requests(count):
    keys = [(each.question_id, "tiny", "question", 1, 0) for each in testing.questions(count)]
    return [Request(key, each.messages, row_seed(0, key)) for key, each in zip(keys, testing.questions(count), strict=True)]


class LLM:
    """A vLLM that says the seed it was given; every third answer is cut, every fourth given up."""

    template: str | None = "{{ messages }}"

    def __init__(self, **arguments):
        if "gone" in arguments["model"]:
            raise ValueError("no such model,\nsays vllm")
        self.arguments = arguments

    def get_tokenizer(self):
        return SimpleNamespace(chat_template=self.template)

    def chat(self, conversations, parameters, *, use_tqdm):
        for place, (messages, each) in enumerate(zip(conversations, parameters, strict=True)):
            reason = {2: "length", 3: "abort"}.get(place % 4, "stop")
            written = SimpleNamespace(text=f"{messages[-1]['content']} {each.seed}", finish_reason=reason, token_ids=[1, 2])
            yield SimpleNamespace(outputs=[written], prompt_token_ids=[1, 2, 3])


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
    made = list(load(SAMPLING, "tiny").sample(given))
    assert [request for request, _ in made] == given
    assert made[0][1] == Completion(f"What is 0 + 7? {given[0].seed}", "stop", 3, 2)
    assert [completion.finish_reason for _, completion in made] == ["stop", "stop", "length", "error"]


@pytest.mark.usefixtures("vllm")
def test_load_takes_hardware_from_the_environment(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_TENSOR_PARALLEL", "4")
    monkeypatch.setenv("STILLHOUSE_MAX_MODEL_LEN", "2048")
    arguments = load(SAMPLING, "tiny")._llm.arguments
    assert (arguments["model"], arguments["tensor_parallel_size"], arguments["max_model_len"]) == ("tiny", 4, 2048)


@pytest.mark.usefixtures("vllm")
def test_load_model_that_vllm_refuses_is_one_line():
    with pytest.raises(EngineFailed, match="model gone: vllm cannot load it: no such model, says vllm"):
        load(SAMPLING, "gone")


def test_load_without_chat_template_is_engine_failed(vllm):
    vllm.LLM.template = None
    with pytest.raises(EngineFailed, match="no chat template"):
        load(SAMPLING, "tiny")


@pytest.mark.skipif(not INSTALLED, reason="vllm is not installed here")
@pytest.mark.timeout(300)
def test_sample_by_the_real_vllm_is_reproducible_row_by_row(tmp_path, monkeypatch):
    from stillhouse import rows
    from stillhouse.rows import Selected
    from stillhouse.stages import sft
    from stillhouse.training.models import FromScratch

    monkeypatch.setenv("VLLM_HOST_IP", "127.0.0.1")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    rows.write(tmp_path / "selected", [testing.selected(each) for each in testing.questions(12)], Selected)
    # vLLM on a CPU serves heads of 32 dimensions and multiples.
    init = FromScratch(kind="scratch", hidden_size=64, intermediate_size=64, layers=1, heads=2, vocabulary=300, context=128)
    inputs = sft.Inputs(scratch=tmp_path, selected=tmp_path / "selected")
    config = sft.Config(
        init=init, max_steps=30, batch_size=12, learning_rate=1e-2, max_length=96, system_prompt="none", suffix="none"
    )
    sft.run(config, inputs)
    engine = load(SAMPLING, inputs.output)
    given = requests(6)
    first = {request.key: completion for request, completion in engine.sample(given)}
    again = {request.key: completion for request, completion in engine.sample(given[::-1])}
    assert first == again
    assert len({completion.text for completion in first.values()}) > 1
    assert {completion.finish_reason for completion in first.values()} <= {"stop", "length"}
