"""What memory decides, with a planted meter: a CPU has none."""

import re

import pytest
import torch

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.errors import BadConfig, EngineFailed
from stillhouse.stages import rl, sft
from stillhouse.training.config import FromScratch
from stillhouse.training.machine import dry_step, memory_model, pass_settings
from stillhouse.training.machine.pass_settings import PassSetting
from stillhouse.training.sft.sft_trainer import CorpusSftTrainer
from stillhouse.vocabulary.rows import Question, Selected
from tests.services.training.machine.allocated import peak_bytes

TINY = FromScratch(kind="scratch", hidden_size=32, intermediate_size=64, layers=4, heads=2, vocabulary=300, context=128)
CONFIG = sft.Config(
    init=TINY, max_steps=4, batch_size=4, learning_rate=1e-2, max_length=96, packing=False, system_prompt="none", suffix="none"
)
pytestmark = pytest.mark.timeout(300)
RL = rl.Config(
    steps=2, group_size=4, prompts_per_step=2, max_tokens=16, learning_rate=1e-3, system_prompt="none", suffix="none", split="rl_1"
)


class PlantedMeter:
    """A device of some bytes; a pass of the setting at hand takes those of ``needs``, or runs out."""

    def __init__(self, limit, needs):
        self._limit, self._needs, self.tried = limit, needs, []

    def limit(self):
        return self._limit

    def start(self):
        pass

    def peak(self):
        return self._needs(self.tried[-1])

    def planted(self, trainer, setting, length, *, packed):
        self.tried.append(setting)
        if self._needs(setting) == float("inf"):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.dry_pass(trainer, setting, length, packed=packed)


@pytest.fixture
def plant(monkeypatch):
    """Plant a meter."""

    def planted(limit, needs):
        meter = PlantedMeter(limit, needs)
        meter.dry_pass = dry_step._dry_pass
        monkeypatch.setattr(dry_step, "meter", lambda: meter)
        monkeypatch.setattr(dry_step, "_dry_pass", meter.planted)
        monkeypatch.setattr(dry_step, "_moments", lambda trainer: 0.0)
        return meter

    return planted


def by_rows(setting):
    """A hundred bytes for a row, half of it where all layers compute twice, a quarter less for every second."""
    return setting.rows * {"off": 100, "selective": 75, "on": 50, "offload": 40}[setting.recompute]


def trained(tmp_path, name, config=CONFIG):
    tables.write(tmp_path / name / "selected", [testing.selected(question) for question in testing.questions(6)], Selected)
    inputs = sft.Inputs(scratch=tmp_path / name, selected=tmp_path / name / "selected")
    outputs = sft.run(config, inputs)
    from safetensors.torch import load_file

    return load_file(inputs.output / "model.safetensors"), outputs.metrics


def same(one, other):
    return all(torch.allclose(one[name], other[name], atol=1e-4) for name in one)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(1000, "4 rows a pass, recompute off"), (310, "4 rows a pass, recompute selective"), (110, "2 rows a pass, recompute on"),
     (80, "1 rows a pass, recompute selective")],
)  # fmt: skip
def test_dry_step_takes_the_fastest_setting_that_fits_and_changes_no_result(tmp_path, plant, capsys, limit, expected):
    plain, _ = trained(tmp_path, "plain")
    plant(limit, by_rows)
    weights, metrics = trained(tmp_path, "planted")
    assert re.search(rf"^  {expected} needs 0.0 GiB of 0.0, rows of \d+ tokens", capsys.readouterr().err, re.MULTILINE)
    assert same(plain, weights)
    assert metrics["n_steps"] == 4


def test_dry_step_says_what_would_be_faster(tmp_path, plant, capsys):
    plant(110, by_rows)
    trained(tmp_path, "planted")
    assert re.search("; faster, but 2 rows a pass, recompute selective needs", capsys.readouterr().err)


def test_dry_step_counts_running_out_as_not_fitting(tmp_path, plant, capsys):
    plant(1000, lambda setting: float("inf") if setting.rows > 1 else 10)
    trained(tmp_path, "planted")
    assert "faster, but 2 rows a pass, recompute on does not fit" in capsys.readouterr().err


def test_dry_step_that_finds_nothing_refuses_before_the_first_step(tmp_path, plant):
    plant(10, by_rows)
    with pytest.raises(EngineFailed, match=r"does not fit: the least is 1 rows a pass, recompute on needs .*STILLHOUSE_SHARDING"):
        trained(tmp_path, "planted")


def test_dry_step_leaves_what_the_environment_fixes(tmp_path, plant, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_MICRO_BATCH", "2")
    monkeypatch.setenv("STILLHOUSE_GRADIENT_CHECKPOINTING", "selective")
    meter = plant(1000, by_rows)
    trained(tmp_path, "planted")
    assert meter.tried == []


def test_recompute_word_that_is_mistyped_is_corrected(tmp_path, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_GRADIENT_CHECKPOINTING", "selectiv")
    with pytest.raises(BadConfig, match=r"STILLHOUSE_GRADIENT_CHECKPOINTING=selectiv: did you mean selective\?"):
        trained(tmp_path, "mistyped")


def test_recompute_offload_without_a_gpu_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_GRADIENT_CHECKPOINTING", "offload")
    with pytest.raises(BadConfig, match="offload: there is no GPU whose memory it would spare"):
        trained(tmp_path, "offload")


def test_dry_step_of_packs_measures_what_a_pass_of_the_training_takes(tmp_path, monkeypatch):
    """The real passes, by the bytes that tensors take on a CPU: less memory, another setting."""
    peaks = {}

    class CpuMeter(PlantedMeter):
        def planted(self, trainer, setting, length, *, packed):
            self.tried.append(setting)
            passes = peaks.setdefault(setting, [])
            passes.append(peak_bytes(lambda: self.dry_pass(trainer, setting, length, packed=packed)))

        def peak(self):
            return max(peaks[self.tried[-1]])

    meter = CpuMeter(0, by_rows)
    meter.dry_pass = dry_step._dry_pass
    monkeypatch.setattr(dry_step, "meter", lambda: meter)
    monkeypatch.setattr(dry_step, "_dry_pass", meter.planted)
    config = CONFIG.model_copy(update={"packing": True, "max_length": 128})
    with pytest.raises(EngineFailed, match="does not fit"):
        trained(tmp_path, "all", config)
    most = {setting: max(passes) for setting, passes in peaks.items()}
    assert most[PassSetting(1, 4, "on")] < most[PassSetting(1, 4, "selective")] < most[PassSetting(1, 4, "off")]
    assert most[PassSetting(1, 4, "off")] < most[PassSetting(2, 2, "off")] < most[PassSetting(4, 1, "off")]


def running_out(monkeypatch, fits):
    """Have training run out of memory in step 3, until a setting fits."""
    step, ran_out = CorpusSftTrainer.training_step, []

    def planted(self, *args, **kwargs):
        if self.state.global_step == 2 and not fits(pass_settings.current(self)):
            ran_out.append(pass_settings.current(self))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return step(self, *args, **kwargs)

    monkeypatch.setattr(CorpusSftTrainer, "training_step", planted)
    return ran_out


def test_out_of_memory_in_the_middle_goes_on_from_the_last_step_with_a_smaller_setting(tmp_path, monkeypatch, capsys):
    plain, metrics = trained(tmp_path, "plain")
    ran_out = running_out(monkeypatch, lambda setting: setting.recompute == "on" and setting.rows <= 2)
    weights, after = trained(tmp_path, "planted")
    assert [str(setting) for setting in ran_out] == [
        "4 rows a pass, recompute off", "4 rows a pass, recompute selective", "4 rows a pass, recompute on"
    ]  # fmt: skip
    printed = [line for line in capsys.readouterr().err.splitlines() if "out of GPU memory" in line]
    assert printed[-1] == (
        "  out of GPU memory in step 3 with 4 rows a pass, recompute on: it goes on from step 2 with 2 rows a pass, recompute on"
    )
    assert len(printed) == 3
    assert same(plain, weights)
    assert after["n_steps"] == metrics["n_steps"] == 4
    assert after["train/num_tokens"] == metrics["train/num_tokens"]


def test_out_of_memory_with_nothing_smaller_is_one_line(tmp_path, monkeypatch):
    running_out(monkeypatch, lambda setting: False)
    with pytest.raises(EngineFailed, match=r"out of GPU memory in step 3 with 1 rows a pass, recompute on; share the model"):
        trained(tmp_path, "planted")


def test_out_of_memory_on_one_of_several_processes_names_the_setting_to_try(tmp_path, monkeypatch):
    from stillhouse.training.machine import out_of_memory

    running_out(monkeypatch, lambda setting: False)
    monkeypatch.setattr(out_of_memory.processes, "count", lambda: 1)
    monkeypatch.setattr(out_of_memory.zero, "stage", lambda: 2)
    monkeypatch.setattr(dry_step, "meter", lambda: None)
    with pytest.raises(EngineFailed, match="set STILLHOUSE_MICRO_BATCH=4 and STILLHOUSE_GRADIENT_CHECKPOINTING=selective"):
        trained(tmp_path, "planted")


def test_rl_goes_by_the_same_settings_and_keeps_them_through_its_generations(tmp_path, checkpoint, plant, capsys):
    questions = testing.questions(4)
    tables.write(tmp_path / "questions", questions, Question)
    tables.write(tmp_path / "selected", [testing.selected(question, "rl_1") for question in questions], Selected)
    results = []
    for limit in (10_000, 310):
        plant(limit, by_rows)
        inputs = rl.Inputs(
            scratch=tmp_path / str(limit), selected=tmp_path / "selected", questions=tmp_path / "questions", checkpoint=checkpoint
        )
        inputs.scratch.mkdir()
        results.append(rl.run(RL, inputs).metrics["train/reward"])
    lines = [line for line in capsys.readouterr().err.splitlines() if " rows a pass" in line]
    assert [re.match(r"  (\d) rows a pass, recompute (\w+)", line).groups() for line in lines] == [("8", "off"), ("4", "selective")]
    assert results[0] == results[1]


def test_settings_are_ordered_by_the_times_of_the_arithmetic():
    for recompute in pass_settings.TIMES:
        if recompute != "offload":
            placement = memory_model.Placement(checkpointing=recompute, micro_batch=4, length=4096)
            assert PassSetting(4, 1, recompute).time(4096) == pytest.approx(memory_model.slowdown(placement))
    assert list(pass_settings.TIMES) == sorted(pass_settings.TIMES, key=pass_settings.TIMES.get)
