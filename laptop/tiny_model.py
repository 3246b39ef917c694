"""The tiny model that takes every student's place in a rehearsal: random weights, made once by the stages, then kept.

It is kept by all that it follows from: its config, the code and recipes of stillhouse, and the versions of the libraries. A change
to any of them makes another, so that a kept model is the one that would be made now.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from laptop.settings import CHECKOUT, program
from stillhouse.errors import ServiceFailed
from stillhouse.execution.command import command

CONFIG = {
    "init": {
        "kind": "scratch", "hidden_size": 32, "intermediate_size": 64, "layers": 1, "heads": 1, "vocabulary": 300, "context": 2048,
    },
    "split": "base", "max_steps": 0, "max_length": 96, "packing": False,
}  # fmt: skip
"""Of ``sft``: nothing is learnt, the weights stay random."""
LAYERS = {"questions": "@toy/questions-corpus", "selected": "@toy/selected-corpus", "sft": json.dumps(CONFIG)}
"""By stage, the config that leads to the model: its tokenizer is trained on a few texts."""
READS = {"questions": "", "selected": "questions", "sft": "selected"}
"""By stage, the stage whose output it reads."""


def kept(say: Callable[[str], None], directory: Path, environment: Mapping[str, str]) -> Path:
    """The model's directory in the Hugging Face format, below ``directory``. Raises ServiceFailed if a stage cannot make it."""
    model = directory / _key()
    if not model.is_dir():
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="making-", dir=directory) as making:
            made = _made(Path(making), environment)
            # Another rehearsal may have made the same one meanwhile.
            if not model.is_dir():
                made.rename(model)
        say("the tiny model is made, and kept")
    return model


def _key() -> str:
    """A digest of what the model follows from."""
    sources = [path for kind in ("*.py", "*.yaml") for path in (CHECKOUT / "src").rglob(kind)]
    digest = hashlib.sha256(json.dumps([LAYERS, sys.version]).encode())
    for path in (CHECKOUT / "constraints.txt", *sorted(sources)):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _made(directory: Path, environment: Mapping[str, str]) -> Path:
    """Make the model by the stages, in a store of its own; returns its files."""
    uris: dict[str, str] = {}
    for stage, layer in LAYERS.items():
        reads = READS[stage]
        uris[stage] = (directory / "store" / stage / "tiny" / "1").as_uri()
        inputs = {reads: uris[reads]} if reads else {}
        argv = command(stage, config=[layer], inputs=inputs, output=uris[stage], program=program())
        done = subprocess.run(argv, env=dict(environment), capture_output=True, text=True, check=False)
        if done.returncode:
            msg = f"the tiny model could not be made: {stage}: {(done.stderr or done.stdout).strip().splitlines()[-1]}"
            raise ServiceFailed(msg)
    files = directory / "store" / "sft" / "tiny" / "1"
    # Without it, the directory is a model of somebody else's, as a user's own is.
    (files / "manifest.json").unlink()
    return Path(shutil.copytree(files, directory / "model"))
