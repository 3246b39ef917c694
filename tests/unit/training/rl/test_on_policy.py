import json
import logging

import torch

from stillhouse.training.rl.on_policy import padding, table, unverified_warnings_silenced

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


def test_unverified_warnings_are_silenced_for_the_block_alone(caplog):
    logger = logging.getLogger("trl.trainer.grpo_trainer")
    with unverified_warnings_silenced():
        logger.warning("All reward functions returned None for: a text")
        logger.warning("something else")
    logger.warning("All reward functions returned None for: another text")
    assert [record.getMessage() for record in caplog.records] == [
        "something else",
        "All reward functions returned None for: another text",
    ]
