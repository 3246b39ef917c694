"""The ten parts of ``check.py``. Each gets a directory of its own and the sizes, and returns rows of the table."""

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from stillhouse import stages, testing
from stillhouse.errors import BadConfig
from stillhouse.stages import rl, sft
from stillhouse.training import card_peaks
from stillhouse.training.machine import attention, flex, pass_settings
from stillhouse.vocabulary.rows import Selected
from tests.gpu import flex_numbers
from tests.gpu.rows import Row, at_least, at_most, holds
from tests.gpu.sizes import Size
from tests.perf import training
from tests.perf.training import Scale

ON_GPU = torch.cuda.is_available()


@contextmanager
def variables(**values: str) -> Iterator[None]:
    """Set variables of the environment while the block runs."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def losses_of(work: Path, scale: Scale, name: str, **values: str) -> tuple[list[float], Path]:
    """The loss of every step of the sft stage under variables, and where its weights lie. ``work`` was prepared."""
    losses: list[float] = []

    def log(numbers: dict[str, float], step: int | None = None) -> None:
        losses.extend(numbers[key] for key in ("train/loss",) if key in numbers)

    scratch = work / name
    scratch.mkdir()
    inputs = sft.Inputs(scratch=scratch, selected=work / "selected", checkpoint=work / "initial" / "output", log=log)
    with variables(**values):
        sft.run(scale.sft, inputs)
    return losses, inputs.output


def apart(one: list[float], other: list[float]) -> float:
    """The largest relative difference of two curves."""
    return max(abs(a - b) / abs(b) for a, b in zip(one, other, strict=True))


def peak_gib() -> float:
    """Peak memory since the last call, in GiB; 0 without a GPU."""
    if not ON_GPU:
        return 0.0
    peak = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.reset_peak_memory_stats()
    return peak


def imports(work: Path, size: Size) -> list[Row]:
    """Versions, bf16, every stage's import, and one refusal."""
    for name in stages.REGISTRY:
        importlib.import_module(f"stillhouse.stages.{name}")
    try:
        with variables(STILLHOUSE_ATTENTION="flex"):
            attention.choose(torch.nn.Module())
        refused = ""
    except BadConfig as error:
        refused = str(error)
    rows = [
        Row("imports", "stages", float(len(stages.REGISTRY))),
        holds("imports", "a mistyped backend is corrected", "flex_attention" in refused),
    ]
    return [*rows, holds("imports", "bf16", torch.cuda.is_bf16_supported())] if ON_GPU else rows


def curve(work: Path, size: Size) -> list[Row]:
    """sft in bf16 on the GPU against the same stage in fp32 on this machine's CPU."""
    training.prepare(work, size.small)
    here, _ = losses_of(work, size.small, "here", STILLHOUSE_LIGER="off")
    if not ON_GPU:
        return [holds("curve", "losses are numbers", all(loss == loss for loss in here))]
    code = "import sys, json; from pathlib import Path; from tests.gpu import parts, sizes; from tests.perf import training; " \
        "training.quiet(); print(json.dumps(parts.losses_of(Path(sys.argv[1]), sizes.FULL.small, 'cpu')[0]))"  # fmt: skip
    words = [sys.executable, "-c", code, str(work)]
    printed = subprocess.run(
        words, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True, check=True
    ).stdout
    reference = [float(number) for number in printed.strip().splitlines()[-1].strip("[]").split(",")]
    return [at_most("curve", "loss of a step, from fp32 on a CPU, relative", apart(here, reference), 0.02)]


def packing(work: Path, size: Size) -> list[Row]:
    """Packs by each backend against single examples, the numbers of flex attention by length, and a planted leak."""
    packed = replace(size.small, sft=size.small.sft.model_copy(update={"packing": True, "max_steps": 4}))
    training.prepare(work, packed)
    rows = []
    reference, _ = losses_of(work, packed, "sdpa", STILLHOUSE_ATTENTION="sdpa")
    for backend in ("flex_attention", *attention.PACKAGES) if ON_GPU else ("eager",):
        if attention.absent(backend) is None:
            losses, _ = losses_of(work, packed, backend, STILLHOUSE_ATTENTION=backend)
            rows.append(at_most("packing", f"{backend}: loss of a step, from sdpa, relative", apart(losses, reference), 0.01))
    flex.install()
    rows += flex_numbers.rows(tiny=size.tiny)
    rows.append(holds("packing", "a planted leak is refused", flex_numbers.leak_is_refused(work)))
    return rows


def liger(work: Path, size: Size) -> list[Row]:
    """Fused kernels off and on: losses, time, memory."""
    training.prepare(work, size.small)
    curves, rows = {}, []
    for word in ("off", "auto"):
        peak_gib()
        begin = time.perf_counter()
        curves[word], _ = losses_of(work, size.small, word, STILLHOUSE_LIGER=word)
        rows += [
            Row("liger", f"{word}: sixteen steps", time.perf_counter() - begin, "s"),
            Row("liger", f"{word}: peak", peak_gib(), "GiB"),
        ]
    return [*rows, at_most("liger", "loss of a step, on from off, relative", apart(curves["auto"], curves["off"]), 0.01)]


def passes(work: Path, size: Size) -> list[Row]:
    """Micro batches and recomputed layers: equal losses, less memory; and the dry step's own choice."""
    training.prepare(work, size.small)
    reference, _ = losses_of(work, size.small, "chosen")
    rows, peaks = [], {}
    for rows_a_pass in (size.small.sft.batch_size, 1):
        for recompute in pass_settings._possible():
            peak_gib()
            name = f"{rows_a_pass} rows, {recompute}"
            fixed = {"STILLHOUSE_MICRO_BATCH": str(rows_a_pass), "STILLHOUSE_GRADIENT_CHECKPOINTING": recompute}
            losses, _ = losses_of(work, size.small, name.replace(", ", "-"), **fixed)
            peaks[name] = peak_gib()
            rows += [at_most("passes", f"{name}: loss of a step, relative", apart(losses, reference), 0.02),
                     Row("passes", f"{name}: peak", peaks[name], "GiB")]  # fmt: skip
    if ON_GPU:
        rows.append(
            holds("passes", "memory falls with rows", peaks["1 rows, off"] < peaks[f"{size.small.sft.batch_size} rows, off"])
        )
    return rows


def zero(work: Path, size: Size) -> list[Row]:
    """ZeRO 1, 2, 3 and 2 with offload over one process: losses and published weights of the unsharded run."""
    scale = replace(size.small, sft=size.small.sft.model_copy(update={"max_steps": 6 if ON_GPU else 2}))
    training.prepare(work, scale)
    reference, whole = losses_of(work, scale, "plain")
    rows = []
    for name in ("zero-1", "zero-2", "zero-3", "zero-2-offload") if ON_GPU else ("zero-2",):
        losses, output = losses_of(work, scale, name, STILLHOUSE_SHARDING=name)
        published = AutoModelForCausalLM.from_pretrained(output, dtype="auto")
        one, other = (load_file(path / "model.safetensors") for path in (output, whole))
        moved = max(float((one[key].float() - other[key].float()).norm() / other[key].float().norm()) for key in other)
        rows += [
            at_most("zero", f"{name}: loss of a step, from unsharded, relative", apart(losses, reference), 0.01),
            at_most("zero", f"{name}: published weights, from unsharded, relative", moved, 0.02),
            holds("zero", f"{name}: published in fp32, as unsharded", published.dtype is torch.float32),
        ]
    return rows


def resume(work: Path, size: Size) -> list[Row]:
    """Killed by SIGKILL after a checkpoint and gone on, against the whole run, by the command line."""
    scale = size.small
    training.prepare(work, scale)
    store = (work / "store").as_uri()
    testing.publish_files(
        {path.name: path.read_bytes() for path in (work / "initial" / "output").iterdir()}, "sft", f"{store}/sft/initial/1"
    )
    testing.publish([testing.selected(question) for question in testing.questions(40)], Selected, f"{store}/selected/check/1")
    (work / "sft.yaml").write_text(scale.sft.model_copy(update={"seed": 1}).model_dump_json())

    def command(output: str) -> list[str]:
        inputs = ["--input", f"selected={store}/selected/check/1", "--input", f"checkpoint={store}/sft/initial/1"]
        return [sys.executable, "-m", "stillhouse", "sft", "--config", f"@{work / 'sft.yaml'}", *inputs, "--output", output]

    saving = os.environ | {"STILLHOUSE_SAVE_STEPS": "2"}
    killed = subprocess.Popen(command(f"{store}/sft/killed/1"), env=saving, stderr=subprocess.DEVNULL)
    listing = work / "store" / "sft" / "killed" / "1"
    while killed.poll() is None and not list(listing.rglob("whole.json")):
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    again = subprocess.run(command(f"{store}/sft/killed/1"), env=saving, capture_output=True, text=True)
    return [
        holds("resume", "a checkpoint was there when it was killed", killed.returncode == -signal.SIGKILL),
        at_most("resume", "exit code of the next try", float(again.returncode), 0),
        *_same_as_whole(work, scale, listing),
    ]


def _same_as_whole(work: Path, scale: Scale, resumed: Path) -> list[Row]:
    """The weights of a resumed run against those of one that was not stopped."""
    testing_inputs = work / "store" / "selected" / "check" / "1"
    inputs = sft.Inputs(scratch=work / "whole", selected=testing_inputs, checkpoint=work / "initial" / "output")
    inputs.scratch.mkdir()
    sft.run(scale.sft.model_copy(update={"seed": 1}), inputs)
    one, other = load_file(resumed / "model.safetensors"), load_file(inputs.output / "model.safetensors")
    return [holds("resume", "weights are bit-equal to the whole run's", all(torch.equal(one[name], other[name]) for name in other))]


def grpo(work: Path, size: Size) -> list[Row]:
    """rl by transformers: the check of log-probabilities, the time of verifying, and a step against bare TRL's."""
    scale = size.small
    training.prepare(work, scale)
    cost = training.stage_rl(work, scale)
    rows = [
        at_most("grpo", "log-probabilities, trainer from rollout engine, mean", cost.last["sampler/difference_mean"], 0.05, "nats"),
        Row("grpo", "verifying, last step", cost.last["seconds/verify"], "s"),
        Row("grpo", "small: a step", cost.step_s, "s"),
    ]
    if size.tiny:
        return rows
    large = replace(size.large, rl=size.large.rl.model_copy(update={"steps": 3, "max_tokens": 96}))
    directory = work / "large"
    directory.mkdir()
    training.prepare(directory, large)
    bare, stage = (run(directory, large) for run in (training.trl_rl, training.stage_rl))
    return [*rows, at_least("grpo", "1 B: bare TRL's step over the stage's", bare.step_s / stage.step_s, 1.0)]


def long(work: Path, size: Size) -> list[Row]:
    """One pack of 32,768 tokens on a model of 1.5 B."""
    training.prepare(work, size.long)
    peak_gib()
    cost = training.stage_sft(work, size.long)
    return [
        Row("long", f"one pack of {size.long.sft.max_length:,} tokens", cost.step_tokens / cost.step_s, "tokens/s"),
        at_most("long", "peak", peak_gib(), 79, "GiB"),
        holds("long", "the loss is a number", cost.last["loss"] == cost.last["loss"]),
    ]


def speed(work: Path, size: Size) -> list[Row]:
    """sft of 1 B, packs of 4,096: MFU, and against bare TRL with the same backend by hand."""
    training.prepare(work, size.large)
    backend = "sdpa"
    if ON_GPU:
        backend = next(name for name in attention.suitable(packed=True) if attention.absent(name) is None)
    bare = training.trl_sft(work, size.large, attention=backend)
    stage = training.stage_sft(work, size.large)
    bare_speed, stage_speed = (cost.step_tokens / cost.step_s for cost in (bare, stage))
    rows = [Row("speed", "bare TRL", bare_speed, "tokens/s"), Row("speed", "stage sft", stage_speed, "tokens/s")]
    if not ON_GPU or size.tiny:
        return rows
    rows.append(at_least("speed", "stage over bare TRL, the same backend", stage_speed / bare_speed, 1.0))
    peak = card_peaks.peak() or float("nan")
    return [*rows, at_least("speed", "MFU", training.flops_per_token(work, size.large) * stage_speed / peak, 0.45)]


def rl_inputs(work: Path, name: str) -> rl.Inputs:
    """Inputs of an rl run on prepared data."""
    scratch = work / name
    scratch.mkdir()
    return rl.Inputs(
        scratch=scratch, selected=work / "selected", questions=work / "questions", checkpoint=work / "initial" / "output"
    )  # fmt: skip
