"""A vLLM that is a copy of the model: what TRL and the logprob check ask of ``vllm.LLM``, on any machine."""

import copy
import importlib.machinery
import sys
import types
from types import SimpleNamespace

import torch


class SamplingParams(SimpleNamespace):
    """Whatever was asked for."""


class Llm:
    """``vllm.LLM``. A sync that is not heard leaves it with the weights it had."""

    deaf = False
    model = None
    """The trainer's model, whose weights are there from the start."""
    tokenizer = None

    def __init__(self, **_):
        self.own = copy.deepcopy(Llm.model).eval()
        self.n_reloads = 0
        self.awake = {"weights", "kv_cache"}
        runner = SimpleNamespace(model=SimpleNamespace(load_weights=self._load_weights))
        worker = SimpleNamespace(model_runner=runner)
        self.model_executor = SimpleNamespace(driver_worker=worker)
        self._queue = []

    def _load_weights(self, weights):
        """Where TRL writes weights on a GPU."""
        assert "weights" in self.awake
        self.own.load_state_dict(dict(weights), strict=False)

    def sleep(self, level):
        """As vLLM does at level 2: the weights are gone until they are sent again."""
        assert level == 2
        self.awake = set()
        for parameter in self.own.parameters():
            parameter.data.zero_()

    def wake_up(self, tags):
        self.awake |= set(tags)

    def collective_rpc(self, method, kwargs):
        assert method == "reload_weights"
        assert "weights" in self.awake
        self.n_reloads += 1
        if not Llm.deaf:
            self.own.load_state_dict(dict(kwargs["weights_iterator"]))

    def reset_prefix_cache(self):
        pass

    def generate(self, prompts, sampling_params, use_tqdm):
        assert self.awake == {"weights", "kv_cache"}
        return [self._output(request["prompt_token_ids"], sampling_params) for request in prompts]

    @property
    def llm_engine(self):
        return self

    def enqueue(self, prompts, parameters, use_tqdm):
        first = len(self._queue)
        self._queue += zip(prompts, parameters, strict=True)
        return [f"{first + number}-0f" for number in range(len(prompts))]

    def step(self):
        """All that waits is answered at once, greedily."""
        outputs = []
        for number, (prompt, parameters) in enumerate(self._queue):
            assert parameters.temperature == 0
            output = self._output(prompt["prompt_token_ids"], parameters, parameters.stop_token_ids)
            (written,) = output.outputs
            ended = written.token_ids[-1] in parameters.stop_token_ids
            written.finish_reason = "stop" if ended else "length"
            written.text = Llm.tokenizer.decode(written.token_ids[: -1 if ended else None])
            output.request_id, output.finished = str(number), True
            outputs.append(output)
        self._queue = []
        return outputs

    def abort_request(self, names):
        assert names == []

    @torch.no_grad()
    def _output(self, prompt, parameters, stops=None):
        written = self.own.generate(
            input_ids=torch.tensor([prompt]),
            max_new_tokens=parameters.max_tokens,
            do_sample=parameters.temperature > 0,
            top_k=0,
            **({} if stops is None else {"eos_token_id": stops}),
        )[0].tolist()
        scores = self.own(input_ids=torch.tensor([written])).logits[0].log_softmax(-1)
        logprobs = [
            {token: SimpleNamespace(logprob=float(scores[position, token]), rank=1)} for position, token in enumerate(written[1:])
        ]  # fmt: skip
        output = SimpleNamespace(token_ids=written[len(prompt) :], logprobs=logprobs[len(prompt) - 1 :])
        return SimpleNamespace(prompt_token_ids=prompt, outputs=[output], prompt_logprobs=[None, *logprobs[: len(prompt) - 1]])


def install(monkeypatch):
    """Have ``import vllm`` and TRL find the fake."""
    from trl.generation import vllm_generation

    module = types.ModuleType("vllm")
    module.__spec__ = importlib.machinery.ModuleSpec("vllm", None)
    module.LLM, module.SamplingParams = Llm, SamplingParams
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setattr(vllm_generation, "LLM", Llm, raising=False)
    monkeypatch.setattr(vllm_generation, "SamplingParams", SamplingParams, raising=False)
    monkeypatch.setattr(vllm_generation, "is_vllm_available", lambda: True)
    monkeypatch.setattr(Llm, "deaf", False)
    # TRL sets these for vLLM; what the test sets is put back.
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}.get(name, ""))
        monkeypatch.delenv(name)
    return Llm
