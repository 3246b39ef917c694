"""Every architecture after SFT and RL, sampled by a real vLLM (CPU build): it stops where the template ends a turn."""

import json
import os
import subprocess

import pytest

from tests.architectures import ARCHITECTURES
from tests.integration.test_vllm import ENVIRONMENT, PLATFORM, PYTHON
from tests.services.stages.test_architectures import ASKED, fine_tuned, form_of, reinforced, sampled

SAME = [name for name in ARCHITECTURES if name != "gpt-oss"]
"""vLLM's CPU build loads a tiny gpt-oss, and computes other numbers than transformers."""
SCRIPT = """
import json, sys
from pathlib import Path
from stillhouse import testing
from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Request, load
sampling = Sampling(engine="vllm", temperature=0, max_tokens=100, system_prompt="none", suffix="none")
for name, directory in json.loads(sys.argv[1]).items():
    engine = load(sampling, Path(directory))
    requests = [Request((each.question_id, "tiny", "question", 1, 0), each.messages, 1) for each in testing.questions(8)]
    made = {request.key[0]: (completion.finish_reason, completion.text) for request, completion in engine.sample(requests)}
    print("MADE", json.dumps({name: made}), flush=True)
    del engine
"""

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not PYTHON.exists(), reason=f"no .venv-vllm on {PLATFORM}: make test builds it on Linux x86_64"),
]


def test_vllm_stops_and_writes_as_transformers_does_whatever_the_architecture(tmp_path):
    directories = {}
    for name in SAME:
        (tmp_path / name).mkdir()
        form, directory = form_of(name), tmp_path / name
        directories[name], _ = reinforced(directory, fine_tuned(directory, name, form), form)
    command = [str(PYTHON), "-c", SCRIPT, json.dumps({name: str(path) for name, path in directories.items()})]
    variables = os.environ | ENVIRONMENT | {"STILLHOUSE_MAX_MODEL_LEN": "256"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    lines = [line.removeprefix("MADE ") for line in done.stdout.splitlines() if line.startswith("MADE ")]
    by_vllm = {name: made for line in lines for name, made in json.loads(line).items()}
    assert list(by_vllm) == SAME
    for name, directory in directories.items():
        own = [(completion.finish_reason, completion.text) for completion in sampled(directory)]
        assert len(own) == len(ASKED)
        equal = sum(tuple(made) in own for made in by_vllm[name].values())
        assert equal >= len(ASKED) - 1, f"{name}: {by_vllm[name]} against {own}"
