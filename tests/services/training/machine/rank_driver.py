"""What every rank of a test's torchrun runs: stages, one after the other, each under its own sharding.

``rank_driver.py PLAN``: a JSON list of ``{stage, config, inputs, output, sharding, end}``; ``end`` is ``{step, how}``, how rank 0
ends the run after that step, and such a run saves every second step. Rank 0 writes ``ranks.json`` beside each output's
directory: the error, or every step's loss and reward.
"""

import gc
import json
import os
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

from stillhouse import stages
from stillhouse.errors import RankLost, StillhouseError
from stillhouse.execution import exits, processes, tracking
from stillhouse.execution.execute import execute
from stillhouse.vocabulary.masking import one_line


def preempt(pids: list[int]) -> None:
    """SIGTERM to torchrun, which tells its processes; returns once this one has been told."""
    told, tells = os.pipe()
    os.set_blocking(tells, False)
    signal.set_wakeup_fd(tells)
    os.kill(os.getppid(), signal.SIGTERM)
    os.read(told, 1)


ENDS = {"preempted": preempt, "killed": lambda pids: os.kill(pids[1], signal.SIGKILL)}


def run(plan: dict, pids: list[int]) -> None:
    os.environ["STILLHOUSE_SHARDING"] = plan.get("sharding", "")
    os.environ["STILLHOUSE_SAVE_STEPS"] = "2" if "end" in plan else "100"
    logged, steps, end = {"loss": {}, "reward": {}}, [], plan.get("end", {"step": 0})

    def progress(self, done, total, unit):
        steps.append(done)
        if done == end["step"]:
            ENDS[end["how"]](pids)

    def log(self, metrics, step=None):
        for name in logged:
            logged[name] |= {step: metrics[f"train/{name}"]} if f"train/{name}" in metrics else {}

    tracking.Untracked.progress, tracking.Untracked.log = progress, log
    stage, failure = stages.load(plan["stage"]), {}
    try:
        execute(stage, stage.Config.model_validate(plan["config"]), plan["inputs"], plan["output"], ranks=True)
    except RankLost as error:
        exits.leave(one_line(error))
    except StillhouseError as error:
        failure = {"error": one_line(error)}
    if processes.rank() == 0:
        report = Path(urlsplit(plan["output"]).path).with_name("ranks.json")
        report.write_text(json.dumps(failure | logged | {"steps": steps}))


if __name__ == "__main__":
    # Every training has all garbage collected: over the many objects of what is imported, that would take most of its time.
    gc.disable()
    signal.signal(signal.SIGTERM, exits.preempt)
    everyone = processes.gathered(os.getpid())
    for stage_plan in json.loads(sys.argv[1]):
        run(stage_plan, everyone)
        gc.freeze()
