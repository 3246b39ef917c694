"""``make results``: SFT, annealing and RL by level from several seeds, every checkpoint measured on questions held out.

Each stage is a command of its own, and one that is finished is skipped by its manifest. The data and the base are made once; a seed
decides the order of the examples and the rollouts of all that follows. The results are written into ``docs/results.md``.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from laptop.settings import CHECKOUT, Laptop, program
from stillhouse.artifacts.store import join
from stillhouse.errors import ServiceFailed
from stillhouse.execution.command import command
from stillhouse.reporting import gains

VERSION = "results"
SEEDS = (1, 2, 3)
BASE = "base"
PAGE = CHECKOUT / "docs" / "results.md"
BEGIN, END = "<!-- written by make results -->", "<!-- end -->"


@dataclass(frozen=True)
class Step:
    """A checkpoint of a seed: the recipe that makes it, and the checkpoint it goes on from."""

    name: str
    recipe: str
    after: str

    @property
    def stage(self) -> str:
        """The stage that the recipe belongs to."""
        return self.recipe.split("/")[1].split("-")[0]


STEPS = (
    Step("sft", "results/sft-1", after=BASE),
    Step("anneal", "results/sft-anneal", after="sft"),
    Step("rl-1", "results/rl-1", after="anneal"),
    Step("rl-2", "results/rl-2", after="rl-1"),
)
"""The path: each checkpoint goes on from the one before."""
ABLATIONS = (
    Step("rl-level-1", "results/rl-level-1", after="anneal"),
    Step("rl-level-3", "results/rl-level-3", after="anneal"),
    Step("rl-single", "results/rl-single", after="rl-1"),
)
CONTRASTS = {
    "level 1 against level 3 data": ("rl-level-1", "rl-level-3"),
    "staged against single-stage": ("rl-2", "rl-single"),
}
"""Title of an ablation -> the two checkpoints to compare."""
REPORTS = {
    "report": "At temperature 1.0, as the rollouts are sampled",
    "report-cool": "At temperature 0.6 and top_p 0.95, as the papers measure",
}
"""The recipes that measure every checkpoint, with their headings."""


@dataclass(frozen=True)
class Run:
    """One seed's checkpoints: their URIs and the outcomes of their reports."""

    seed: int
    checkpoints: dict[str, str]
    measured: dict[str, Mapping[str, Any]]


@dataclass(frozen=True)
class StageRunner:
    """Runs stages as commands: the place of their artifacts, where to report them, and the running ones."""

    laptop: Laptop
    say: Callable[[str], None]
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def make(self, stage: str, name: str, recipe: str, /, *, seed: int | None = None, **inputs: str | Sequence[str]) -> str:
        """Run one stage and return the URI of what it made. Raises ServiceFailed with its last words."""
        target = join(self.laptop.root, stage, name, VERSION)
        layers = [f"@{recipe}", *([] if seed is None else [json.dumps({"seed": seed})])]
        log, started = self.laptop.log(f"results-{stage}-{name}"), time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        argv = command(stage, config=layers, inputs=inputs, output=target, program=program())
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT, env=environment)
        self.running.append(process)
        if process.wait():
            lines = log.read_text(encoding="utf-8").strip().splitlines() or ["its log is empty"]
            msg = f"{stage} {name} failed: {lines[-1]}; its log is {log}"
            raise ServiceFailed(msg)
        self.say(f"  {stage:9} {name:22} {time.monotonic() - started:6.1f} s")
        return target


def results(say: Callable[[str], None], laptop: Laptop, jobs: int) -> bool:
    """Make the path of every seed, then the ablations, ``jobs`` at a time; the page is written after each of the two."""
    runner = StageRunner(laptop, say)
    with _stopped_on_error(runner):
        base, inputs = _data(runner)
        before = _measured(runner, BASE, base)
        runs = [Run(seed, {BASE: base}, {BASE: before}) for seed in SEEDS]
        path = [(run, STEPS) for run in runs]
        ablations = [(run, (step,)) for run in runs for step in ABLATIONS]
        for work, steps in ((path, STEPS), (ablations, (*STEPS, *ABLATIONS))):
            with ThreadPoolExecutor(jobs) as pool, _stopped_on_error(runner):
                list(pool.map(partial(_extend, runner, inputs), *zip(*work, strict=True)))
            written = page(runs, steps)
            head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
            PAGE.write_text(f"{head}{BEGIN}\n\n{written}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
            say(f"{written}\nwritten into {PAGE}")
    return True


@contextmanager
def _stopped_on_error(runner: StageRunner) -> Iterator[None]:
    """On an error, end all running stages. A training saves a checkpoint, and the next try goes on from it."""
    try:
        yield
    except BaseException:
        for process in runner.running:
            process.terminate()
        raise


def _data(runner: StageRunner) -> tuple[str, dict[str, dict[str, str]]]:
    """The base, and what each stage of training reads. The base is the smallest of the graders, as in the paper."""
    corpus = runner.make("questions", "results-corpus", "results/questions-corpus")
    lessons = runner.make("selected", "results-corpus", "laptop/selected-corpus", questions=corpus)
    questions = runner.make("questions", "results", "results/questions")
    graders = {"small": runner.make("sft", "results-base", "results/sft-base", selected=lessons)}
    graders |= {size: runner.make("sft", f"results-{size}", f"laptop/sft-{size}", selected=lessons) for size in ("medium", "large")}
    responses = [
        runner.make("responses", f"results-{size}", f"laptop/responses-{size}", questions=questions, checkpoint=grader)
        for size, grader in graders.items()
    ]
    verified = runner.make("verified", "results", "laptop/verified", questions=questions, responses=responses)
    screened = runner.make("screened", "results", "laptop/screened", questions=questions, responses=responses)
    graded = runner.make("graded", "results", "laptop/graded", questions=questions, verified=verified)
    selected = runner.make(
        "selected", "results", "results/selected", questions=questions, responses=responses, verified=verified, screened=screened,
        graded=graded,
    )  # fmt: skip
    return graders["small"], {"sft": {"selected": selected}, "rl": {"selected": selected, "questions": questions}}


def _extend(runner: StageRunner, inputs: Mapping[str, dict[str, str]], run: Run, steps: Sequence[Step]) -> None:
    """Make and measure further checkpoints of one seed."""
    for step in steps:
        name, read = f"{step.name}-seed-{run.seed}", inputs[step.stage] | {"checkpoint": run.checkpoints[step.after]}
        run.checkpoints[step.name] = runner.make(step.stage, f"results-{name}", step.recipe, seed=run.seed, **read)
        run.measured[step.name] = _measured(runner, name, run.checkpoints[step.name])


def _measured(runner: StageRunner, name: str, checkpoint: str) -> dict[str, Any]:
    """A checkpoint's outcomes by report recipe: all checkpoints get the same questions and random numbers."""
    outcomes = {}
    for recipe in REPORTS:
        report = runner.make("report", f"results-{name}{recipe.removeprefix('report')}", f"results/{recipe}", checkpoint=checkpoint)
        outcomes[recipe] = gains.outcomes(report)
    return outcomes


def page(runs: Sequence[Run], steps: Sequence[Step]) -> str:
    """Tables and chart in Markdown, of the checkpoints that ``steps`` have made."""
    by_recipe = {
        recipe: {run.seed: {name: outcomes[recipe] for name, outcomes in run.measured.items()} for run in runs}
        for recipe in REPORTS
    }
    return "\n".join(_section(title, by_recipe[recipe], steps) for recipe, title in REPORTS.items())


def _section(title: str, seeds: gains.Seeds, steps: Sequence[Step]) -> str:
    path, every = [BASE, *(step.name for step in STEPS)], [BASE, *(step.name for step in steps)]
    parts = [
        f"## {title}\n", "pass@1:\n", gains.scores(seeds, every), gains.chart(seeds, path),
        "What each stage gained, in points, with its paired 95 % interval; ○ where that holds 0:\n",
        gains.gains(seeds, {f"{step.name} over {step.after}": (step.name, step.after) for step in steps}),
    ]  # fmt: skip
    if set(ABLATIONS) <= set(steps):
        parts += ["Ablations, the first less the second, likewise:\n", gains.gains(seeds, CONTRASTS)]
    return "\n".join(parts)
