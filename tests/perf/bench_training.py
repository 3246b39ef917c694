"""Training on a CPU: the sft and rl stages against bare TRL on the same rows, in tokens and in steps a second of CPU time.

Passes are in fp32, and in bf16 by autocast, which is TRL's own default.
"""

import os
import tempfile
from pathlib import Path

from tests.perf import training
from tests.perf.measure import table

RUNS = 3
PRECISIONS = {"fp32": "off", "bf16": "bf16"}
"""What the tables call it -> STILLHOUSE_AUTOCAST, which both sides read."""


def main() -> None:
    training.quiet()
    with tempfile.TemporaryDirectory() as given:
        directory = Path(given)
        training.prepare(directory, training.CPU)
        for precision, autocast in PRECISIONS.items():
            os.environ["STILLHOUSE_AUTOCAST"] = autocast
            compare(f"sft, {precision}", directory, training.trl_sft, training.stage_sft, tokens_per_s, "tokens/CPU s")
            own = compare(f"rl, {precision}", directory, training.trl_rl, training.stage_rl, steps_per_s, "steps/CPU s")
    parts = ", ".join(f"{part} {own.last[f'seconds/{part}']:.2f} s" for part in ("rollout", "verify", "probe"))
    print(f"  the last step of rl: {own.last['step_time']:.2f} s of wall, of which {parts}; the rest is the update")


def tokens_per_s(cost):
    return cost.step_tokens / cost.step_cpu_s


def steps_per_s(cost):
    return 1 / cost.step_cpu_s


def compare(name, directory, bare, stage, speed, unit):
    """The best of some runs taken in turns. CPU time is this process's; verifiers are others, and TRL's reward compares texts."""
    costs = [(bare(directory, training.CPU), stage(directory, training.CPU)) for _ in range(RUNS)]
    peer, own = (max(each, key=speed) for each in zip(*costs, strict=True))
    print()
    table(
        (name, unit, "step, wall s", "ratio"),
        [("bare TRL", speed(peer), peer.step_s, 1.0), ("stage", speed(own), own.step_s, speed(own) / speed(peer))],
    )
    return own
