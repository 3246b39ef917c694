import json
import os
from collections import Counter
from pathlib import Path

import pytest

from laptop import results as module
from laptop.results import ABLATIONS, BASE, BEGIN, END, REPORTS, STEPS, Run, StageRunner, page, results
from stillhouse.benchmarks.outcomes import Outcomes
from stillhouse.errors import ServiceFailed
from tests.unit.benchmarks.outcome_records import benchmark_outcome, round_outcome

PROGRAM = """#!/bin/sh
line="$(printf '%s\t' "$@")"
echo "$line" >>"{told}"
for last in "$@"; do target="${{last#file://}}"; done
if [ "$1" = report ]; then mkdir -p "$target" && echo '{outcomes}' >"$target/outcomes.json"; fi
case "$target" in *"{slow}"*) exec sleep 60;; esac
if [ "$1" = "{broken}" ]; then echo "first line"; echo "no room left"; exit 1; fi
"""


def outcomes(*passed: int, of: int = 4) -> Outcomes:
    """A report's outcomes: how many of ``of`` samples of each question passed."""
    result = round_outcome({f"q{place}": [True] * n + [False] * (of - n) for place, n in enumerate(passed)})
    return Outcomes(benchmarks={"arithmetic-1k": benchmark_outcome({1: result})})


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A ``stillhouse`` that only writes down how it was called; returns what was told so far."""
    told = tmp_path / "told.jsonl"

    def install(broken: str = "none", slow: str = "none"):
        path = tmp_path / "stillhouse"
        path.write_text(PROGRAM.format(told=told, outcomes=outcomes(1, 2).model_dump_json(), broken=broken, slow=slow))
        path.chmod(0o755)
        monkeypatch.setenv("STILLHOUSE_PROGRAM", str(path))
        return lambda: [line.rstrip("\t").split("\t") for line in told.read_text().splitlines()]

    return install


@pytest.fixture
def written(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "results.md"
    path.write_text(f"# Results\n{BEGIN}\nold\n{END}\nafter\n")
    monkeypatch.setattr(module, "PAGE", path)
    return path


def test_results_every_checkpoint_of_every_seed_goes_on_from_its_own_and_is_measured(machine, program, written):
    told = program()
    assert results(lambda line: None, machine, jobs=2)
    calls = told()
    made = {call[call.index("--output") + 1]: call for call in calls}
    assert len(made) == len(calls)
    for seed in (1, 2, 3):
        for step in (*STEPS, *ABLATIONS):
            uri = f"{machine.root}/{step.stage}/results-{step.name}-seed-{seed}/results"
            assert json.dumps({"seed": seed}) in made[uri]
            before = {each.name: f"{each.stage}/results-{each.name}-seed-{seed}" for each in STEPS} | {"base": "sft/results-base"}
            assert f"checkpoint={machine.root}/{before[step.after]}/results" in made[uri]
            for end in ("", "-cool"):
                report = made[f"{machine.root}/report/results-{step.name}-seed-{seed}{end}/results"]
                assert f"checkpoint={uri}" in report
                assert not any("seed" in layer for layer in report if layer.startswith("{"))
    assert Counter(call[0] for call in calls)["responses"] == 3


def test_results_page_keeps_what_stands_around_the_tables(machine, program, written):
    program()
    results(lambda line: None, machine, jobs=1)
    text = written.read_text()
    assert text.startswith(f"# Results\n{BEGIN}\n\n## At temperature 1.0")
    assert text.endswith(f"{END}\nafter\n")
    assert "\nold\n" not in text


def test_results_failed_stage_says_its_last_words_and_its_log(machine, program, written):
    program(broken="screened")
    with pytest.raises(ServiceFailed, match=r"^screened results failed: no room left; its log is .*results-screened-results\.log$"):
        results(lambda line: None, machine, jobs=1)
    assert "\nold\n" in written.read_text()


def test_results_one_seed_that_fails_stops_the_others(machine, program, written, monkeypatch):
    """Theirs would sleep for a minute; no test may take that long."""
    program(broken="rl", slow="seed-2")
    with pytest.raises(ServiceFailed, match="rl-1-seed-[13] failed: no room left"):
        results(lambda line: None, machine, jobs=3)


def test_make_one_core_to_a_stage(machine, tmp_path, monkeypatch):
    path = tmp_path / "stillhouse"
    path.write_text('#!/bin/sh\necho "threads $OMP_NUM_THREADS"\n')
    path.chmod(0o755)
    monkeypatch.setenv("STILLHOUSE_PROGRAM", str(path))
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "7")
    StageRunner(machine, lambda line: None).make("verified", "x", "laptop/verified")
    assert machine.log("results-verified-x").read_text() == "threads 1\n"


def test_page_of_the_path_alone_has_no_ablations():
    path = dict.fromkeys((BASE, *(step.name for step in STEPS)), dict.fromkeys(REPORTS, outcomes(2, 2)))
    text = page([Run(1, {}, path)], STEPS)
    assert text.count("rl-2 over rl-1") == len(REPORTS)
    assert "Ablations" not in text
    assert "rl-single" not in text
