import torch

from stillhouse.training.progress import lengths


def test_lengths_of_padded_rows_are_those_of_their_masks():
    assert lengths({"input_ids": torch.ones(2, 4), "attention_mask": torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]])}) == [3, 1]


def test_lengths_of_a_pack_are_those_of_its_documents():
    assert lengths({"position_ids": torch.tensor([[0, 1, 2, 0, 0, 1]])}) == [3, 1, 2]


def test_lengths_of_rollouts_count_their_prompts():
    batch = {"prompt_mask": torch.tensor([[0, 1], [1, 1]]), "completion_mask": torch.tensor([[1, 1, 0], [0, 0, 0]])}
    assert lengths(batch) == [3, 2]
