"""Every training path on a GPU, in ten parts, each a process with a limit of its own: a table, and ``check.json``.

``python -m tests.gpu.check --out DIR`` needs a GPU, no network, and 8.5 minutes at most; ``make gpu-check`` writes the wheels it
needs and the command. ``--vllm`` runs the parts of an image with vLLM instead; ``--only NAME`` one part; ``--tiny`` the same parts
with tiny models, on a CPU too. It ends with 1 if a part fails or misses its bar.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

from tests.gpu import parts, vllm_parts
from tests.gpu.rows import Row
from tests.gpu.sizes import FULL, TINY, Size
from tests.perf import training

LIMITS_S = {
    "imports": 30, "curve": 45, "packing": 75, "liger": 30, "passes": 50,
    "zero": 80, "resume": 50, "grpo": 55, "long": 40, "speed": 55,
}  # fmt: skip
"""Seconds of each part."""
VLLM_LIMITS_S = {"sampled": 150, "colocated": 200, "ratio": 150}


def main() -> int:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--vllm", action="store_true")
    parser.add_argument("--only", choices=[*LIMITS_S, *VLLM_LIMITS_S])
    parser.add_argument("--part", choices=[*LIMITS_S, *VLLM_LIMITS_S], help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.part:
        child(options.part, options.out, TINY if options.tiny else FULL)
        return 0
    limits = VLLM_LIMITS_S if options.vllm else LIMITS_S
    names = [options.only] if options.only else list(limits)
    rows = [row for name in names for row in run(name, (LIMITS_S | VLLM_LIMITS_S)[name], options.out, tiny=options.tiny)]
    (options.out / "check.json").write_text(json.dumps({"device": device(), "rows": [asdict(row) for row in rows]}, indent=2))
    print("\n".join(table(rows)))
    return int(any(row.passed is False for row in rows))


def device() -> str:
    """The card, or that there is none, with the stack."""
    import transformers
    import trl

    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{card}, torch {torch.__version__}, transformers {transformers.__version__}, TRL {trl.__version__}"


def run(name: str, limit_s: float, out: Path, *, tiny: bool) -> list[Row]:
    """One part in a process of its own; a part that fails, or takes longer, is a row that says so."""
    words = [sys.executable, "-m", "tests.gpu.check", "--part", name, "--out", str(out), *(["--tiny"] if tiny else [])]
    begin = time.monotonic()
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=limit_s)
    except subprocess.TimeoutExpired as error:
        (out / f"{name}.log").write_bytes(error.stderr or b"")
        return [Row(name, "within its limit", limit_s, "s", passed=False)]
    (out / f"{name}.log").write_text(done.stdout + done.stderr)
    seconds = Row(name, "time", time.monotonic() - begin, "s")
    file = out / f"{name}.json"
    if done.returncode or not file.is_file():
        print(done.stderr[-1500:], file=sys.stderr)
        return [Row(name, f"ended with {done.returncode}, see {name}.log", float(done.returncode), "", passed=False), seconds]
    return [*(Row(**row) for row in json.loads(file.read_text())), seconds]


def child(name: str, out: Path, size: Size) -> None:
    """Run a part here and write its rows."""
    training.quiet()
    work = out / f"work-{name}"
    work.mkdir(exist_ok=True)
    part = getattr(vllm_parts if name in VLLM_LIMITS_S else parts, name)
    (out / f"{name}.json").write_text(json.dumps([asdict(row) for row in part(work, size)]))


def table(rows: list[Row]) -> list[str]:
    """The rows as lines, with what they were held to."""
    words = {True: "pass", False: "FAIL", None: ""}
    lines = [f"{row.part:<10} {row.what:<66} {row.value:>12.4g} {row.unit:<9} {row.bar:<12} {words[row.passed]}" for row in rows]
    return [f"{device()}", *lines, f"{sum(row.passed is False for row in rows)} of {len(rows)} rows failed"]


if __name__ == "__main__":
    sys.exit(main())
