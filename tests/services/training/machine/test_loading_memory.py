"""What one of two processes holds while it loads a checkpoint that they share, measured."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from stillhouse.execution import command
from tests.architectures import save, tokenizer_of

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A small checkpoint, and one of 135 million parameters in bf16, in shards, as models are published."""
    directory = tmp_path_factory.mktemp("checkpoints")
    tokenizer = tokenizer_of("smollm2")
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=1024, intermediate_size=4096, num_hidden_layers=8, num_attention_heads=8,
        num_key_value_heads=8, tie_word_embeddings=False,
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(directory / "large", max_shard_size="90MB")
    tokenizer.save_pretrained(directory / "large")
    return save("smollm2", directory / "small"), directory / "large"


def held(checkpoints, sharding, weights):
    """What each of two processes says of itself, started as a stage's own command starts them.

    Memory that is freed goes back to the system at once: glibc would keep some of it.
    """
    words = command.command("sft", config=[], inputs={}, output="", program=sys.executable, ranks=True, processes=2)
    driver = [*words[: words.index("-m")], Path(__file__).with_name("loading_driver.py"), *checkpoints, weights]
    variables = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "STILLHOUSE_SHARDING": sharding, "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(driver, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = [json.loads(line.partition("HELD ")[2]) for line in done.stdout.splitlines() if "HELD " in line]
    assert sorted(each["rank"] for each in found) == [0, 1], done.stdout
    return found


@pytest.mark.parametrize(("sharding", "weights", "dtype", "most"), [
    ("zero-3", "fp32", "float32", 0.8),
    ("zero-3", "bf16", "float32", 0.8),
    ("fsdp2", "fp32", "float32", 0.8),
    ("fsdp2", "bf16", "bfloat16", 0.4),
])  # fmt: skip
def test_each_process_holds_its_share_while_it_loads(checkpoints, sharding, weights, dtype, most):
    """On a CPU, where DeepSpeed trains in fp32 whatever the config says of what is published.

    The most is a process's share, one layer more, and the buffers of their exchange.
    """
    for numbers in held(checkpoints, sharding, weights):
        assert numbers["dtypes"] == [f"torch.{dtype}"]
        assert numbers["share"] == pytest.approx(0.5 if dtype == "float32" else 0.25, rel=0.01)
        assert numbers["most"] < most
