import inspect
import re

import pytest
from trl import GRPOTrainer

from stillhouse.training.rl.losses import DEFAULT_LOSS, LOSSES


@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_one_that_trl_knows(name):
    known = set(re.findall(r'"(\w+)"', " ".join(re.findall(r"self\.loss_type (?:==|in) .*", inspect.getsource(GRPOTrainer)))))
    assert LOSSES[name].arguments["loss_type"] in known


def test_loss_by_default_is_the_papers():
    assert LOSSES[DEFAULT_LOSS].arguments == {"loss_type": "grpo"}
