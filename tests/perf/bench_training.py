"""Training on a CPU: the sft and rl stages against bare TRL on the same rows, in tokens and in steps a second of CPU time."""

import tempfile
from pathlib import Path

from tests.perf import training
from tests.perf.measure import table

RUNS = 2


def main() -> None:
    training.quiet()
    with tempfile.TemporaryDirectory() as given:
        directory = Path(given)
        training.prepare(directory, training.CPU)
        compare(
            "sft", directory, training.trl_sft, training.stage_sft, lambda cost: cost.step_tokens / cost.step_cpu_s, "tokens/CPU s"
        )
        own = compare("rl", directory, training.trl_rl, training.stage_rl, lambda cost: 1 / cost.step_cpu_s, "steps/CPU s")
    parts = ", ".join(f"{part} {own.last[f'seconds/{part}']:.2f} s" for part in ("rollout", "verify", "probe"))
    print(f"  the last step of rl: {own.last['step_time']:.2f} s of wall, of which {parts}; the rest is the update")


def compare(name, directory, bare, stage, speed, unit):
    """The best of some runs taken in turns. CPU time is this process's; verifiers are others, and TRL's reward compares texts."""
    costs = [(bare(directory, training.CPU), stage(directory, training.CPU)) for _ in range(RUNS)]
    peer, own = (max(each, key=speed) for each in zip(*costs, strict=True))
    print()
    table(
        (name, unit, "step, wall s", "ratio"),
        [("bare TRL", speed(peer), peer.step_s, 1.0), (f"stage {name}", speed(own), own.step_s, speed(own) / speed(peer))],
    )
    return own
