import json

import pytest

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.stages import sft
from stillhouse.training.checkpoint_sizes import checkpoint_size
from stillhouse.training.config import FromScratch
from stillhouse.vocabulary.rows import Selected

MODEL = FromScratch(kind="scratch", hidden_size=192, intermediate_size=768, layers=4, heads=6, vocabulary=300, context=64)


@pytest.mark.parametrize(("sharding", "level"), [("", 0), ("zero-2", 2), ("zero-3", 3)])
def test_checkpoint_size_is_that_of_a_real_one(tmp_path, monkeypatch, sharding, level):
    """On a CPU, where weights are fp32 under ZeRO too."""
    if sharding:
        pytest.importorskip("deepspeed", reason="no deepspeed in this environment")
    monkeypatch.setenv("STILLHOUSE_SHARDING", sharding)
    tables.write(tmp_path / "selected", [testing.selected(question) for question in testing.questions(4)], Selected)
    sizes = []

    def publish(path):
        if path.name == "whole.json":
            sizes.append(json.loads(path.read_bytes())["files"])

    monkeypatch.setenv("STILLHOUSE_SAVE_STEPS", "1")
    (tmp_path / "scratch").mkdir()
    config = sft.Config(
        init=MODEL, max_steps=2, batch_size=2, max_length=64, packing=False, system_prompt="none", suffix="none", learning_rate=1e-3
    )
    outputs = sft.run(config, sft.Inputs(scratch=tmp_path / "scratch", selected=tmp_path / "selected", publish_part=publish))
    expected = checkpoint_size(outputs.metrics["n_parameters"], level)
    assert sum(sizes[0].values()) == pytest.approx(expected.total, rel=0.05), sizes[0]
    own = sum(size for name, size in sizes[0].items() if name.endswith("optim_states.pt"))
    assert own == pytest.approx(expected.per_rank, rel=0.05)
