"""The rendered command, run as processes of this machine: two nodes that meet."""

import os
import re
import subprocess
import sys
from pathlib import Path

from operators import ranks
from tests.conftest import free_port

PROBE = """
import os
import torch
import torch.distributed as dist
dist.init_process_group("gloo")
total = torch.tensor([float(dist.get_rank() + 1)])
dist.all_reduce(total)
print("rank", dist.get_rank(), "of", dist.get_world_size(), "sum", int(total.item()), flush=True)
dist.destroy_process_group()
"""


def expanded(command: list[str], variables: dict[str, str]) -> list[str]:
    """As Kubernetes expands ``$(NAME)`` in a command."""
    return [re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], word) for word in command]


def test_ranks_of_two_nodes_meet_and_compute_together(tmp_path, monkeypatch):
    monkeypatch.setattr(ranks, "PORT", free_port())
    (tmp_path / "probe.py").write_text(PROBE)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    nodes = []
    for index in ("0", "1"):
        words = expanded(ranks.launch(nodes=2, processes=1), {"JOB_NAME": "train", "JOB_COMPLETION_INDEX": index})
        # The service's name is the cluster's to resolve.
        words = [word.replace(f"train-0.{ranks.service()}", "127.0.0.1") for word in words]
        program = Path(sys.executable).with_name(words[0])
        nodes.append(
            subprocess.Popen(
                [program, *words[1:], "-m", "probe"], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        )
    said = [node.communicate(timeout=50)[0] for node in nodes]

    assert [node.returncode for node in nodes] == [0, 0], said
    assert {line for text in said for line in text.splitlines() if line.startswith("rank")} == {
        "rank 0 of 2 sum 3",
        "rank 1 of 2 sum 3",
    }
