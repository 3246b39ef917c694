"""On a GPU: SFT tokens/s and MFU, a GRPO step and its split, each against bare TRL in one run. ``pytest -s tests/gpu``.

Speeds are printed; only their ratio is asserted. Run on an idle GPU with ``stillhouse[worker,train]`` installed, and with vLLM
to measure its rollouts.
"""

import importlib.util

import pytest
import torch

from tests.perf import training
from tests.perf.measure import table

AIM = 0.97
PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Of bf16 matrix products without sparsity, from the makers' data sheets."""

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: speed on a GPU is not measured"),
]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    training.quiet()
    made = tmp_path_factory.mktemp("gpu")
    training.prepare(made, training.GPU)
    return made


def test_sft_tokens_and_mfu_are_those_of_bare_trl(directory):
    bare, stage = (each(directory, training.GPU) for each in (training.trl_sft, training.stage_sft))
    name = torch.cuda.get_device_name()
    peak = next((flops for device, flops in PEAK_FLOPS.items() if device in name), float("nan"))
    flops = training.flops_per_token(directory, training.GPU)
    speeds = [each.step_tokens / each.step_s for each in (bare, stage)]
    made = [(speed, flops * speed / peak) for speed in speeds]
    ratio = made[1][0] / made[0][0]
    print(f"\n  {name}, {training.n_parameters(directory) / 1e9:.2f}B parameters, packs of {training.GPU.sft.max_length} tokens")
    table(("sft", "tokens/s", "MFU", "ratio"), [("bare TRL", *made[0], 1.0), ("stage sft", *made[1], ratio)])
    assert ratio >= AIM


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_grpo_step_is_that_of_bare_trl(directory, engine):
    if importlib.util.find_spec(engine) is None:
        pytest.skip("no vllm beside the trainer: its rollouts are not measured")
    scale = training.with_engine(training.GPU, engine)
    bare, stage = (each(directory, scale) for each in (training.trl_rl, training.stage_rl))
    split = {part: stage.last[f"seconds/{part}"] for part in ("sync", "rollout", "verify") if f"seconds/{part}" in stage.last}
    update = stage.last["step_time"] - sum(split.values()) - stage.last["seconds/probe"]
    ratio = bare.step_s / stage.step_s
    print(f"\n  {torch.cuda.get_device_name()}, rollouts by {engine}; of the last step: "
          + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in (split | {"update": update}).items()))  # fmt: skip
    table(("rl", "s/step", "ratio"), [("bare TRL", bare.step_s, 1.0), ("stage rl", stage.step_s, ratio)])
    assert ratio >= AIM
