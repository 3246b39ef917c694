"""The rendered command, run as processes of this machine: two nodes that meet and train."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from operators import ranks
from operators.command_line import arguments
from stillhouse import testing
from stillhouse.artifacts import manifest
from stillhouse.vocabulary.rows import Selected
from tests.conftest import free_port

CONFIG = (
    '{"init": {"kind": "scratch", "hidden_size": 32, "intermediate_size": 64, "layers": 1, "heads": 2, "vocabulary": 300, '
    '"context": 128}, "max_steps": 2, "batch_size": 4, "max_length": 96, "packing": true, "system_prompt": "none"}'
)


def expanded(command: list[str], variables: dict[str, str]) -> list[str]:
    """As Kubernetes expands ``$(NAME)`` in a command."""
    return [re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], word) for word in command]


@pytest.mark.timeout(300)
def test_ranks_of_two_nodes_meet_and_train_one_model(tmp_path, monkeypatch):
    monkeypatch.setattr(ranks, "PORT", free_port())
    selected, target = (tmp_path / "selected" / "toy" / "1").as_uri(), (tmp_path / "sft" / "toy" / "1").as_uri()
    testing.publish([testing.selected(each) for each in testing.questions(8)], Selected, selected)
    words = arguments("sft", CONFIG, "{}", {"selected": selected}, target, program=sys.executable, rendezvous=ranks.rendezvous(2))
    nodes = []
    for index in ("0", "1"):
        (tmp_path / index).mkdir()
        environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "STILLHOUSE_SCRATCH": str(tmp_path / index)}
        command = expanded(words, {"JOB_NAME": "train", "JOB_COMPLETION_INDEX": index})
        # The service's name is the cluster's to resolve.
        command = [word.replace(f"train-0.{ranks.service()}", "127.0.0.1") for word in command]
        nodes.append(subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    said = [node.communicate()[0] for node in nodes]

    assert [node.returncode for node in nodes] == [0, 0], said
    made = manifest.load(target)
    assert (made.metrics["n_steps"], "model.safetensors" in made.files) == (2, True)
    assert [text.count("sft done in") for text in said] == [1, 0]
    assert [list((tmp_path / index).iterdir()) for index in ("0", "1")] == [[], []]
    assert not list(Path(tmp_path).rglob("claim.json*"))
