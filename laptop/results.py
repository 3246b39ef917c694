"""``make results``: SFT, annealing and RL by level from several seeds, every checkpoint measured on questions held out.

Each stage is a command of its own, and one that is finished is skipped by its manifest. The data and the base are made once; a seed
decides the order of the examples and the rollouts of all that follows. What came out is written into ``docs/results.md``.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from laptop.settings import CHECKOUT, Laptop, program
from stillhouse.benchmarks.comparison import differences
from stillhouse.benchmarks.statistics import Interval
from stillhouse.command import command
from stillhouse.errors import ServiceFailed
from stillhouse.stages.report import OUTCOMES
from stillhouse.store import join, store_of

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
        """The stage a recipe is of."""
        return self.recipe.split("/")[1].split("-")[0]


STEPS = (
    Step("sft", "results/sft-1", after=BASE),
    Step("anneal", "results/sft-anneal", after="sft"),
    Step("rl-1", "results/rl-1", after="anneal"),
    Step("rl-2", "results/rl-2", after="rl-1"),
)
"""The path: what is shown to rise from one to the next."""
ABLATIONS = (
    Step("rl-level-3", "results/rl-level-3", after="anneal"),
    Step("rl-single", "results/rl-single", after="rl-1"),
)
CONTRASTS = {
    "level 1 against level 3 data": ("rl-1", "rl-level-3"),
    "staged against single-stage": ("rl-2", "rl-single"),
}
"""What the ablations are held against."""

Outcomes = Mapping[str, Any]
"""What a report wrote down; see ``stages.report``."""
Table = Sequence[Sequence[str]]


@dataclass(frozen=True)
class House:
    """Where the artifacts lie, and who is told of each."""

    laptop: Laptop
    say: Callable[[str], None]

    def make(self, stage: str, name: str, recipe: str, /, *, seed: int | None = None, **inputs: str | Sequence[str]) -> str:
        """Run one stage and return the URI of what it made. Raises ServiceFailed with its last words."""
        target = join(self.laptop.root, stage, name, VERSION)
        layers = [f"@{recipe}", *([] if seed is None else [json.dumps({"seed": seed})])]
        log, started = self.laptop.log(f"results-{stage}-{name}"), time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        argv = command(stage, config=layers, inputs=inputs, output=target, program=program())
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with log.open("w", encoding="utf-8") as output:
            done = subprocess.run(argv, stdout=output, stderr=subprocess.STDOUT, env=environment, check=False)
        if done.returncode:
            said = log.read_text(encoding="utf-8").strip().splitlines() or ["nothing"]
            msg = f"{stage} {name} failed: {said[-1]}; its log is {log}"
            raise ServiceFailed(msg)
        self.say(f"  {stage:9} {name:22} {time.monotonic() - started:6.1f} s")
        return target


def results(say: Callable[[str], None], laptop: Laptop, jobs: int) -> bool:
    """Make all there is to make, ``jobs`` seeds at a time, and write the page."""
    house = House(laptop, say)
    base, inputs = _data(house)
    before = {BASE: _measured(house, BASE, base)}
    with ThreadPoolExecutor(jobs) as pool:
        measured = list(pool.map(partial(_seed, house, base, inputs), SEEDS))
    written = page({seed: before | each for seed, each in zip(SEEDS, measured, strict=True)})
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n\n{written}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    say(f"{written}\nwritten into {PAGE}")
    return True


def _data(house: House) -> tuple[str, dict[str, dict[str, str]]]:
    """The base, and what each stage of training reads. The base is the smallest of the graders, as in the paper."""
    corpus = house.make("questions", "results-corpus", "results/questions-corpus")
    lessons = house.make("selected", "results-corpus", "laptop/selected-corpus", questions=corpus)
    questions = house.make("questions", "results", "results/questions")
    graders = {"small": house.make("sft", "results-base", "results/sft-base", selected=lessons)}
    graders |= {size: house.make("sft", f"results-{size}", f"laptop/sft-{size}", selected=lessons) for size in ("medium", "large")}
    responses = [
        house.make("responses", f"results-{size}", f"laptop/responses-{size}", questions=questions, checkpoint=grader)
        for size, grader in graders.items()
    ]
    verified = house.make("verified", "results", "laptop/verified", questions=questions, responses=responses)
    screened = house.make("screened", "results", "laptop/screened", questions=questions, responses=responses)
    graded = house.make("graded", "results", "laptop/graded", questions=questions, verified=verified)
    selected = house.make(
        "selected", "results", "results/selected", questions=questions, responses=responses, verified=verified, screened=screened,
        graded=graded,
    )  # fmt: skip
    return graders["small"], {"sft": {"selected": selected}, "rl": {"selected": selected, "questions": questions}}


def _seed(house: House, base: str, inputs: Mapping[str, dict[str, str]], seed: int) -> dict[str, Outcomes]:
    """Every checkpoint of one seed, measured."""
    checkpoints, measured = {BASE: base}, {}
    for step in (*STEPS, *ABLATIONS):
        name, given = f"{step.name}-seed-{seed}", inputs[step.stage] | {"checkpoint": checkpoints[step.after]}
        checkpoints[step.name] = house.make(step.stage, f"results-{name}", step.recipe, seed=seed, **given)
        measured[step.name] = _measured(house, name, checkpoints[step.name])
    return measured


def _measured(house: House, name: str, checkpoint: str) -> Outcomes:
    """What a report says of a checkpoint: all are asked the same questions with the same random numbers."""
    report = house.make("report", f"results-{name}", "results/report", checkpoint=checkpoint)
    return dict(json.loads(store_of(report).read(join(report, OUTCOMES)) or b"{}"))


def page(measured: Mapping[int, Mapping[str, Outcomes]]) -> str:
    """Tables and chart in Markdown. ``measured``: seed -> checkpoint -> outcomes."""
    seeds = [f"seed {seed}" for seed in measured]
    every = [*measured.values(), _pooled(measured.values())]
    path = [BASE, *(step.name for step in STEPS)]
    names = [*path, *(step.name for step in ABLATIONS)]
    scores = [[name, *(f"{_score(each[name]):.3f}" for each in measured.values())] for name in names]
    gains = [(f"{step.name} over {step.after}", step.name, step.after) for step in (*STEPS, *ABLATIONS)]
    risen = [[title, *(_shown(each[a], each[b]) for each in every)] for title, a, b in gains]
    contrasts = [[title, *(_shown(each[a], each[b]) for each in every)] for title, (a, b) in CONTRASTS.items()]
    return "\n".join(
        [
            "pass@1 on the held-out questions:\n", _markdown(["checkpoint", *seeds], scores),
            _chart(path, measured.values()),
            "Gain of each stage, in points, with its paired 95 % interval; ○ where that holds 0:\n",
            _markdown(["stage", *seeds, "all seeds"], risen),
            "Ablations, first less second, in points:\n", _markdown(["", *seeds, "all seeds"], contrasts),
        ]
    )  # fmt: skip


def _pooled(measured: Iterable[Mapping[str, Outcomes]]) -> dict[str, Outcomes]:
    """All seeds as one: a question's samples are those of every seed."""
    pooled: dict[str, Any] = {}
    for checkpoints in measured:
        for name, outcomes in checkpoints.items():
            for benchmark, each in outcomes.items():
                into = pooled.setdefault(name, {}).setdefault(benchmark, {"protocol": each["protocol"], "rounds": {"1": {}}})
                for question, samples in each["rounds"]["1"].items():
                    into["rounds"]["1"].setdefault(question, []).extend(samples)
    return pooled


def _score(outcomes: Outcomes) -> float:
    (only,) = outcomes.values()
    return float(only["scores"]["1"]["pass_at_1"]["mean"])


def _shown(ours: Outcomes, theirs: Outcomes) -> str:
    """``+4.1 (+2.0 to +6.2)``."""
    (found,) = differences(ours, theirs).values()
    return f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f}){' ○' if _holds_zero(found) else ''}"


def _holds_zero(found: Interval) -> bool:
    return found.low <= 0 <= found.high


def _markdown(head: Sequence[str], body: Table) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _chart(names: Sequence[str], measured: Iterable[Mapping[str, Outcomes]]) -> str:
    """One line to a seed, in the notation that code hosts draw."""
    lines = [f"  line [{', '.join(f'{_score(each[name]):.3f}' for name in names)}]" for each in measured]
    axes = [f"  x-axis [{', '.join(names)}]", '  y-axis "held-out pass@1" 0 --> 1']
    return "\n".join(["```mermaid", "xychart-beta", *axes, *lines, "```\n"])
