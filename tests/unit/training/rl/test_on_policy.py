import json

import torch

from stillhouse.training.rl.on_policy import padding, table

PAD = 0


def test_padding_counts_neither_prompts_nor_rollouts_out_of_the_loss():
    batch = {
        "prompt_ids": torch.tensor([[PAD, 5], [5, 6]]), "prompt_mask": torch.tensor([[0, 1], [1, 1]]),
        "completion_ids": torch.tensor([[7, PAD, PAD], [7, 8, 9]]), "completion_mask": torch.tensor([[1, 0, 0], [0, 0, 0]]),
    }  # fmt: skip
    assert padding(batch, PAD) == (3, 10)


def test_table_is_in_mlflows_form():
    assert json.loads(table([{"text": "a", "reward": 1.0}, {"reward": None, "text": "é"}])) == {
        "columns": ["text", "reward"], "data": [["a", 1.0], ["é", None]],
    }  # fmt: skip
    assert json.loads(table([])) == {"columns": [], "data": []}
