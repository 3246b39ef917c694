import pytest

from stillhouse.training import checkpoint_files

PARTITIONED = [
    "resume/checkpoint-8/global_step8/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt",
    "resume/checkpoint-8/global_step8/bf16_zero_pp_rank_12_mp_rank_00_optim_states.pt",
    "resume/checkpoint-8/global_step8/zero_pp_rank_3_mp_rank_00_model_states.pt",
    "resume/checkpoint-8/global_step8/zero_pp_rank_8_mp_rank_00_model_states.pt",
    "resume/checkpoint-8/latest",
    "resume/checkpoint-8/model-00001-of-00002.safetensors",
    "resume/checkpoint-8/rng_state_3.pth",
    "resume/checkpoint-8/rng_state_12.pth",
    "resume/checkpoint-8/whole.json",
]


@pytest.fixture
def second_of_two_nodes(monkeypatch):
    """Ranks 8 to 15 of 16."""
    for name, value in {"RANK": "9", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "8", "WORLD_SIZE": "16"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("second_of_two_nodes")
def test_needed_files_are_those_of_all_ranks_and_of_the_nodes_own():
    read = [name.removeprefix("resume/checkpoint-8/") for name in checkpoint_files.needed(PARTITIONED)]
    assert read == [
        "global_step8/bf16_zero_pp_rank_12_mp_rank_00_optim_states.pt", "global_step8/zero_pp_rank_8_mp_rank_00_model_states.pt",
        "latest", "rng_state_12.pth", "whole.json",
    ]  # fmt: skip


def test_needed_files_of_two_nodes_are_together_all_that_is_loaded(monkeypatch):
    read = set()
    for rank in ("0", "8"):
        for name, value in {"RANK": rank, "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "8", "WORLD_SIZE": "16"}.items():
            monkeypatch.setenv(name, value)
        read |= set(checkpoint_files.needed(PARTITIONED))
    assert set(PARTITIONED) - read == {"resume/checkpoint-8/model-00001-of-00002.safetensors"}


def test_needed_files_are_of_whole_checkpoints_alone():
    names = ["resume/checkpoint-8/optimizer.pt", "resume/checkpoint-6/optimizer.pt", "resume/checkpoint-6/whole.json"]
    names += ["resume/best-4/trained.safetensors", "part-00000.parquet"]
    assert checkpoint_files.needed(names) == names[1:]
    assert checkpoint_files.incomplete(names) == {"checkpoint-8"}


def test_needed_files_of_an_unpartitioned_checkpoint_are_all(monkeypatch):
    names = [f"resume/checkpoint-2/{name}" for name in ("model.safetensors", "optimizer.pt", "rng_state.pth", "whole.json")]
    assert checkpoint_files.needed(names) == names
