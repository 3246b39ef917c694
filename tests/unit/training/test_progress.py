from types import SimpleNamespace

import pytest
import torch

from stillhouse.execution import processes
from stillhouse.execution.contract import StageInputs
from stillhouse.training import card_peaks
from stillhouse.training.progress import ReportProgress, lengths


def test_lengths_of_padded_rows_are_those_of_their_masks():
    assert lengths({"input_ids": torch.ones(2, 4), "attention_mask": torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]])}) == [3, 1]


def test_lengths_of_a_pack_are_those_of_its_documents():
    assert lengths({"position_ids": torch.tensor([[0, 1, 2, 0, 0, 1]])}) == [3, 1, 2]


def test_lengths_of_rollouts_count_their_prompts():
    batch = {"prompt_mask": torch.tensor([[0, 1], [1, 1]]), "completion_mask": torch.tensor([[1, 1, 0], [0, 0, 0]])}
    assert lengths(batch) == [3, 2]


def test_report_progress_on_gpus_counts_their_hours_on_from_the_try_before(tmp_path, monkeypatch):
    for name, value in {"is_available": True, "max_memory_allocated": 2**30, "reset_peak_memory_stats": None}.items():
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
    monkeypatch.setattr(card_peaks, "peak", lambda: None)
    monkeypatch.setattr(processes, "count", lambda: 8)
    monkeypatch.setattr(processes, "combined", lambda values, device, how: values)
    (tmp_path / "output").mkdir()
    logged = []
    trainer = SimpleNamespace(args=SimpleNamespace(device="cpu"), start_times=None, _total_train_tokens=0.0)
    progress = ReportProgress(trainer, StageInputs(scratch=tmp_path, log=lambda numbers, step: logged.append(numbers)))
    state = SimpleNamespace(log_history=[{"gpu_hours": 2.0}], num_input_tokens_seen=0, global_step=1, max_steps=2)
    progress.on_train_begin(None, state, None)
    progress.on_log(None, state, None, {"loss": 1.0, "learning_rate": 0.1, "num_tokens": 5.0})
    [numbers] = logged
    assert numbers["train/gpu_hours"] == pytest.approx(2.0 + 8 * numbers["train/seconds/step"] / 3600)
    assert numbers["train/gpu_memory_gib"] == 1.0
