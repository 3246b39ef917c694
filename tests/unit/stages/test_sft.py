import json

import pytest

from stillhouse import rows, testing
from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.rows import Dropped, Selected
from stillhouse.stages import sft
from stillhouse.training import models
from stillhouse.training.models import FromScratch
from stillhouse.training.sft import make_trainer

TINY = FromScratch(kind="scratch", hidden_size=32, intermediate_size=64, layers=1, heads=2, vocabulary=300, context=128)
CONFIG = sft.Config(init=TINY, max_steps=3, batch_size=4, learning_rate=1e-2, max_length=96, system_prompt="none", suffix="none")


def changed(**changes):
    return CONFIG.model_copy(update=changes)


def selected(tmp_path, examples=None):
    made = [testing.selected(each) for each in testing.questions(6)] if examples is None else examples
    rows.write(tmp_path / "selected", made, Selected)
    return tmp_path / "selected"


def inputs(tmp_path, name="scratch", **changes):
    (tmp_path / name).mkdir()
    return sft.Inputs(scratch=tmp_path / name, **changes)


def weights(directory):
    from safetensors.torch import load_file

    return load_file(directory / "model.safetensors")


def test_sft_trains_reports_and_writes_a_checkpoint(tmp_path):
    seen = []
    given = inputs(tmp_path, selected=selected(tmp_path), progress=lambda *step: seen.append(step))
    outputs = sft.run(CONFIG, given)
    assert seen == [(1, 3, "steps"), (2, 3, "steps"), (3, 3, "steps")]
    assert (outputs.metrics["n_examples"], outputs.metrics["n_steps"]) == (6, 3)
    assert outputs.metrics["n_parameters"] == sum(each.numel() for each in weights(given.output).values())
    assert outputs.dropped == {}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= {path.name for path in given.output.iterdir()}


def test_sft_lowers_the_loss_and_logs_it(tmp_path):
    losses = []
    given = inputs(tmp_path, selected=selected(tmp_path), log=lambda numbers, step: losses.append(numbers.get("train/loss")))
    outputs = sft.run(changed(max_steps=20), given)
    losses = [each for each in losses if each is not None]
    assert len(losses) == 2
    assert losses[1] < losses[0]
    assert outputs.metrics["train/loss"] == losses[1]


def test_sft_twice_gives_the_same_weights_and_another_seed_others(tmp_path):
    import torch

    examples = selected(tmp_path)
    made = []
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        given = inputs(tmp_path, name, selected=examples)
        sft.run(changed(seed=seed), given)
        made.append(weights(given.output))
    one, two, other = made
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_sft_micro_batches_change_no_weight_beyond_rounding(tmp_path, monkeypatch):
    import torch

    examples = selected(tmp_path)
    made = []
    for name, most in (("one", "4"), ("two", "3")):
        monkeypatch.setenv("STILLHOUSE_MICRO_BATCH", most)
        given = inputs(tmp_path, name, selected=examples)
        sft.run(CONFIG, given)
        made.append(weights(given.output))
    assert all(torch.allclose(made[0][name], made[1][name], atol=1e-3) for name in made[0])


def test_sft_of_no_steps_writes_the_initial_weights(tmp_path):
    import torch

    given = inputs(tmp_path)
    outputs = sft.run(changed(max_steps=0, seed=5), given)
    expected, _ = models.load(TINY, None, (), 5)
    found = weights(given.output)
    assert all(torch.equal(value, found[name]) for name, value in expected.state_dict().items() if name in found)
    assert "n_steps" not in outputs.metrics


def test_sft_from_a_checkpoint_goes_on_from_its_weights(tmp_path, checkpoint):
    import torch

    given = inputs(tmp_path, checkpoint=checkpoint)
    sft.run(changed(init=models.FromCheckpoint(), max_steps=0), given)
    found, before = weights(given.output), weights(checkpoint)
    assert found.keys() == before.keys()
    assert all(torch.equal(found[name], before[name]) for name in found)


def test_sft_init_and_checkpoint_must_fit(tmp_path, checkpoint):
    with pytest.raises(BadConfig, match="a checkpoint was given"):
        sft.run(CONFIG, inputs(tmp_path, "one", selected=selected(tmp_path), checkpoint=checkpoint))
    with pytest.raises(BadConfig, match="none was given"):
        sft.run(changed(init=models.FromCheckpoint()), inputs(tmp_path, "two", selected=selected(tmp_path)))


def test_sft_without_examples_is_refused(tmp_path):
    with pytest.raises(BadConfig, match="needs --input selected=URI"):
        sft.run(CONFIG, inputs(tmp_path, "one"))
    with pytest.raises(NothingToDo, match="split 'anneal' has no example"):
        sft.run(changed(split="anneal"), inputs(tmp_path, "two", selected=selected(tmp_path)))


def test_sft_trains_on_its_split_alone(tmp_path):
    examples = [
        testing.selected(each, split) for each, split in zip(testing.questions(5), ["sft_1", "rl_1"] * 2 + ["sft_1"], strict=True)
    ]
    outputs = sft.run(CONFIG, inputs(tmp_path, selected=selected(tmp_path, examples)))
    assert outputs.metrics["n_examples"] == 3


def test_sft_example_over_max_length_goes_to_dropped(tmp_path):
    short, long = testing.selected(testing.question()), testing.selected(testing.question("What is " + "1 + " * 60 + "1?", "61"))
    given = inputs(tmp_path, selected=selected(tmp_path, [long, short]))
    outputs = sft.run(changed(max_steps=1), given)
    assert outputs.dropped == {"too_long": 1}
    assert outputs.metrics["n_examples"] == 1
    (row,) = rows.read(given.dropped.rename(tmp_path / "looked-at"), Dropped)
    assert (row.key, row.reason) == (long.example_id, "too_long")
    assert json.loads(row.row)["messages"] == long.messages


def test_sft_all_examples_too_long_says_what_to_raise(tmp_path):
    with pytest.raises(NothingToDo, match="all 6 examples are longer than max_length 8; raise it"):
        sft.run(changed(max_length=8), inputs(tmp_path, selected=selected(tmp_path)))


def test_sft_loss_is_on_the_completion_and_its_end_alone(tmp_path):
    model, tokenizer = models.load(TINY, None, ["What is 1 + 1?"], 0)
    examples = [
        {"prompt": [{"role": "user", "content": question}], "completion": [{"role": "assistant", "content": answer}]}
        for question, answer in (("1 + 1?", "<think>1+1=2</think><answer>2</answer>"), ("12 + 345 + 6789?", "no"))
    ]
    trainer = make_trainer(CONFIG, inputs(tmp_path), model, tokenizer, examples)
    for batch in trainer.get_train_dataloader():
        for ids, labels in zip(batch["input_ids"].tolist(), batch["labels"].tolist(), strict=True):
            learnt = tokenizer.decode([label for label in labels if label != -100])
            whole = tokenizer.decode([each for each in ids if each != tokenizer.pad_token_id])
            assert learnt in {"<think>1+1=2</think><answer>2</answer><|end|>", "no<|end|>"}
            assert whole.startswith("<|user|>")
            assert whole.endswith(f"<|assistant|>{learnt}")


def test_sft_no_step_on_given_weights_needs_no_example_of_its_split(tmp_path, checkpoint):
    given = inputs(tmp_path, selected=selected(tmp_path), checkpoint=checkpoint)
    outputs = sft.run(changed(init=models.FromCheckpoint(), max_steps=0, split="of another model"), given)
    assert outputs.metrics == {"n_parameters": outputs.metrics["n_parameters"]}
    assert weights(given.output).keys() == weights(checkpoint).keys()
