import json
import os
import shutil
import signal
import threading
from functools import cache

import pytest

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.errors import BadConfig, EngineFailed, MissingInput, NothingToDo, StoreFailed
from stillhouse.models import chat_templates, resolving
from stillhouse.models.references import parse
from stillhouse.stages import sft
from stillhouse.training import card_peaks, checkpoint_upload, metrics_file, models
from stillhouse.training.config import FromCheckpoint, FromScratch, Lora, Muon
from stillhouse.training.data import corpus
from stillhouse.vocabulary.rows import Dropped, Selected

TINY = FromScratch(kind="scratch", hidden_size=32, intermediate_size=64, layers=1, heads=2, vocabulary=300, context=128)
CONFIG = sft.Config(init=TINY, max_steps=3, batch_size=4, learning_rate=1e-2, max_length=96, system_prompt="none", suffix="none")


@cache
def tokenizer():
    return models.load(TINY, None, ["What is 1 + 1?"], 0)[1]


def changed(**changes):
    return CONFIG.model_copy(update=changes)


def selected(tmp_path, examples=None):
    made = [testing.selected(each) for each in testing.questions(6)] if examples is None else examples
    tables.write(tmp_path / "selected", made, Selected)
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
    assert [step[:2] for step in seen] == [(1, 3), (2, 3), (3, 3)]
    assert (outputs.metrics["n_examples"], outputs.metrics["n_steps"]) == (6, 3)
    assert outputs.metrics["n_parameters"] == sum(each.numel() for each in weights(given.output).values())
    assert outputs.dropped == {}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= {path.name for path in given.output.iterdir()}


def test_sft_lowers_the_loss_and_logs_every_step(tmp_path):
    losses = {}
    given = inputs(
        tmp_path, selected=selected(tmp_path), log=lambda numbers, step: losses.setdefault(step, numbers.get("train/loss"))
    )
    outputs = sft.run(changed(max_steps=20), given)
    assert list(losses) == list(range(1, 21))
    assert losses[20] < losses[1]
    assert outputs.metrics["train/loss"] == losses[20]


def test_sft_logs_all_that_says_how_training_goes(tmp_path):
    """Examples of two lengths in one batch, so that there is padding."""
    short, long = testing.selected(testing.question()), testing.selected(testing.question("What is 1 + 1 + 1 + 1 + 1?", "5"))
    logged = []
    given = inputs(
        tmp_path, selected=selected(tmp_path, [short, long]), log=lambda numbers, step: logged.append((step, numbers))
    )  # fmt: skip
    sft.run(changed(max_steps=2, batch_size=2, packing=False), given)
    found = {name: value for step, numbers in logged for name, value in numbers.items() if step == 2}
    assert found.keys() >= {
        "train/loss", "train/learning_rate", "train/grad_norm", "train/tokens_per_s", "train/padding_share", "train/entropy"
    }  # fmt: skip
    assert 0 < found["train/padding_share"] < 0.5


def test_sft_on_a_card_whose_peak_is_known_logs_mfu_and_tokens_for_the_charts_axis(tmp_path, monkeypatch):
    monkeypatch.setattr(card_peaks, "peak", lambda: 1e12)
    logged = []
    given = inputs(tmp_path, selected=selected(tmp_path), log=lambda numbers, step: logged.append(numbers))
    sft.run(CONFIG, given)
    steps = [numbers for numbers in logged if "train/loss" in numbers]
    assert [0 < numbers["train/mfu"] < 1 for numbers in steps] == [True] * 3
    tokens = [numbers["train/num_tokens"] for numbers in steps]
    assert 0 < tokens[0] < tokens[1] < tokens[2]


def test_sft_shows_and_keeps_every_step_without_a_server(tmp_path):
    lines = []
    given = inputs(tmp_path, selected=selected(tmp_path), progress=lambda *step: lines.append(step[2]))
    sft.run(CONFIG, given)
    kept = list(metrics_file.read(given.output))
    assert [line["step"] for line in kept] == [1, 2, 3]
    assert kept[2].keys() >= {
        "time", "train/loss", "train/learning_rate", "train/grad_norm", "train/tokens_per_s", "train/num_tokens",
        "train/seconds/step", "train/time/update", "train/time/waiting",
    }  # fmt: skip
    assert kept[2]["train/time/update"] + kept[2]["train/time/waiting"] == pytest.approx(1)
    assert lines[1].startswith(f"steps · loss {kept[1]['train/loss']:.4g} · lr ")
    assert " tokens/s · " in lines[1]
    assert lines[1].endswith(" left")
    assert not lines[2].endswith(" left")


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


def test_sft_gradient_checkpointing_changes_no_weight(tmp_path, monkeypatch):
    import torch
    from transformers import LlamaForCausalLM

    asked = []
    enable = LlamaForCausalLM.gradient_checkpointing_enable
    monkeypatch.setattr(LlamaForCausalLM, "gradient_checkpointing_enable", lambda *a, **k: asked.append(enable(*a, **k)))
    examples = selected(tmp_path)
    for chosen in ("off", "on"):
        monkeypatch.setenv("STILLHOUSE_GRADIENT_CHECKPOINTING", chosen)
        sft.run(CONFIG, inputs(tmp_path, chosen, selected=examples))
        assert bool(asked) is (chosen == "on")
    one, other = (weights(tmp_path / chosen / "output") for chosen in ("off", "on"))
    assert all(torch.equal(one[name], other[name]) for name in one)


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
    sft.run(changed(init=FromCheckpoint(), max_steps=0), given)
    found, before = weights(given.output), weights(checkpoint)
    assert found.keys() == before.keys()
    assert all(torch.equal(found[name], before[name]) for name in found)


def test_sft_init_and_checkpoint_must_fit(tmp_path, checkpoint):
    with pytest.raises(BadConfig, match="got a checkpoint"):
        sft.run(CONFIG, inputs(tmp_path, "one", selected=selected(tmp_path), checkpoint=checkpoint))
    with pytest.raises(BadConfig, match="got none"):
        sft.run(changed(init=FromCheckpoint()), inputs(tmp_path, "two", selected=selected(tmp_path)))


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
    (row,) = tables.read(given.dropped.rename(tmp_path / "looked-at"), Dropped)
    assert (row.key, row.reason) == (long.example_id, "too_long")
    assert json.loads(row.row)["messages"] == long.messages


def test_sft_tokenizer_without_chat_template_is_refused(tmp_path, checkpoint):
    bare = tmp_path / "bare"
    shutil.copytree(checkpoint, bare)
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(EngineFailed, match="its tokenizer has no chat template; set chat_template"):
        sft.run(changed(init=FromCheckpoint()), inputs(tmp_path, selected=selected(tmp_path), checkpoint=bare))


def test_sft_checkpoint_of_another_architecture_is_refused(tmp_path, checkpoint):
    other = tmp_path / "other"
    shutil.copytree(checkpoint, other)
    (other / "config.json").write_text(json.dumps({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}))
    with pytest.raises(EngineFailed, match="transformers cannot load it"):
        sft.run(changed(init=FromCheckpoint()), inputs(tmp_path, selected=selected(tmp_path), checkpoint=other))


def test_sft_suffix_follows_the_category(tmp_path):
    math, code = testing.question(), testing.question("Write f.", None, category="code")
    examples = [testing.selected(math, category="math"), testing.selected(code, category="code")]
    counted = corpus.n_examples(selected(tmp_path, examples), CONFIG.split)
    config = changed(suffix="none", suffixes={"code": "python"}, max_length=500)
    chat = chat_templates.prepare(tokenizer())
    found = corpus.Corpus(corpus.make(config, inputs(tmp_path), counted, chat, 500)[0])
    texts = [tokenizer().decode(found[number]["input_ids"]) for number in range(2)]
    assert [("your code" in text, "boxed" in text) for text in texts] == [(False, False), (True, False)]


def test_sft_all_examples_too_long_says_what_to_raise(tmp_path):
    with pytest.raises(NothingToDo, match="all 6 examples are longer than max_length 8; raise it"):
        sft.run(changed(max_length=8), inputs(tmp_path, selected=selected(tmp_path)))


def test_sft_example_over_what_the_model_takes_goes_to_dropped_though_a_pack_may_be_longer(tmp_path):
    long = testing.selected(testing.question("What is " + "1 + " * 40 + "1?", "41"))
    given = inputs(tmp_path, selected=selected(tmp_path, [testing.selected(testing.question()), long]))
    outputs = sft.run(changed(max_length=1000, packing=True), given)
    assert (outputs.dropped, outputs.metrics["n_examples"]) == ({"too_long": 1}, 1)
    with pytest.raises(NothingToDo, match=f"all 1 examples are longer than the {TINY.context} tokens that the model takes"):
        sft.run(changed(max_length=1000), inputs(tmp_path, "again", selected=selected(tmp_path / "long", [long])))


def stored(tmp_path):
    """What ``execute`` does with parts: a directory in place of the store, and the functions that publish to it and take back."""
    root, output = tmp_path / "store", tmp_path / "scratch" / "output"

    def publish(path):
        target = root / path.relative_to(output)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())

    return root, {"publish_part": publish, "retract_part": lambda path: (root / path.relative_to(output)).unlink()}


def interrupted(tmp_path, examples, how, **changes):
    """A run that ``how`` ends after its third step: the store it leaves."""
    root, functions = stored(tmp_path)
    given = inputs(tmp_path, selected=examples, progress=lambda done, *_: how() if done == 3 else None, **functions)
    with pytest.raises((KeyboardInterrupt, ZeroDivisionError)):
        sft.run(changed(max_steps=11, **changes), given)
    return root


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize(
    ("how", "kept"), [(lambda: 1 / 0, "checkpoint-2"), (lambda: os.kill(os.getpid(), signal.SIGTERM), "checkpoint-4")]
)
def test_sft_ended_in_the_middle_goes_on_to_the_same_weights(tmp_path, monkeypatch, how, kept, packing):
    """A crash loses the steps since the last checkpoint, SIGTERM none; the curve is the same to the bit."""
    import torch

    monkeypatch.setenv("STILLHOUSE_SAVE_STEPS", "2")
    examples = selected(tmp_path)
    (tmp_path / "first").mkdir()
    root = interrupted(tmp_path / "first", examples, how, packing=packing)
    assert [path.name for path in (root / "resume").iterdir() if any(path.iterdir())] == [kept]
    steps = []
    resumed = inputs(tmp_path, "resumed", selected=examples, finished=root, progress=lambda done, *_: steps.append(done))
    whole = inputs(tmp_path, "whole", selected=examples)
    outputs = [sft.run(changed(max_steps=11, packing=packing), each) for each in (resumed, whole)]
    assert steps[0] == int(kept[-1]) + 1
    assert all(torch.equal(weights(resumed.output)[name], value) for name, value in weights(whole.output).items())
    counts = {name for name in outputs[1].metrics if name.startswith("n_")} | {"train/loss", "train/num_tokens"}
    assert {name: outputs[0].metrics[name] for name in counts} == {name: outputs[1].metrics[name] for name in counts}
    assert not (resumed.output / "resume").exists()
    losses = [[(line["step"], line["train/loss"]) for line in metrics_file.read(each.output)] for each in (resumed, whole)]
    assert [step for step, _ in losses[0]] == list(range(1, 12))
    assert losses[0] == losses[1]


def test_sft_saves_by_the_clock_too_and_a_preemption_knows_what_it_needs(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STILLHOUSE_SAVE_MINUTES", "1e-9")
    monkeypatch.setenv("STILLHOUSE_GRACE_S", "600")
    listed, logged = [], {}

    def publish(path):
        if path.name == "whole.json":
            listed.append((path.parent.name, json.loads(path.read_bytes())["files"]))

    given = inputs(tmp_path, selected=selected(tmp_path), publish_part=publish, log=lambda numbers, step: logged.update(numbers))
    sft.run(CONFIG, given)
    assert [name for name, _ in listed][:2] == ["checkpoint-1", "checkpoint-2"]
    sizes = sum(listed[0][1].values())
    assert logged["train/checkpoint_bytes"] == sizes
    assert f"to write {sizes / 1e9:.2f} GB, " in capsys.readouterr().err
    assert 0 < logged["train/grace_s"] < 600


def test_sft_goes_on_while_a_checkpoint_is_uploaded_and_the_next_one_waits(tmp_path, monkeypatch):
    """The upload of step 2 ends once step 3 is done: it would wait for ever if the training waited for it."""
    monkeypatch.setenv("STILLHOUSE_SAVE_STEPS", "2")
    monkeypatch.setattr(checkpoint_upload, "SENDERS", 1)
    passed, events = threading.Event(), []

    def publish(path):
        if not events:
            assert passed.wait(50)
        events.append(path.parent.name)

    def progress(done, *_):
        if done == 3:
            passed.set()

    given = inputs(tmp_path, selected=selected(tmp_path), publish_part=publish, progress=progress)
    sft.run(changed(max_steps=5), given)
    first_of_next = events.index("checkpoint-4")
    assert set(events[:first_of_next]) == {"checkpoint-2"}
    assert set(events[first_of_next:]) >= {"checkpoint-4"}
    assert "checkpoint-2" not in events[first_of_next:]


def test_sft_checkpoint_that_was_not_whole_is_not_used_and_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("STILLHOUSE_SAVE_STEPS", "2")
    examples = selected(tmp_path)
    root = interrupted(tmp_path, examples, lambda: 1 / 0)
    (root / "resume" / "checkpoint-2" / "optimizer.pt").write_bytes(b"torn")
    again = {"selected": examples, "finished": root}
    with pytest.raises(MissingInput, match="--resume: there is no complete checkpoint of an earlier try; leave it out to start"):
        sft.run(changed(max_steps=4), inputs(tmp_path, "insisting", resume=True, **again))
    steps = []
    sft.run(changed(max_steps=4), inputs(tmp_path, "again", progress=lambda *s: steps.append(s), **again))
    assert steps[0][:2] == (1, 4)
    assert "checkpoint-2 of an earlier try is incomplete (optimizer.pt) and is not used" in capsys.readouterr().err


def test_sft_loss_that_is_not_finite_stops_and_shows_the_batch(tmp_path):
    with pytest.raises(EngineFailed, match=r"the loss is (nan|inf) in step \d+, on a batch that begins .*user.*What is"):
        sft.run(changed(max_steps=40, learning_rate=1e30, warmup_ratio=0), inputs(tmp_path, selected=selected(tmp_path)))


def test_sft_packing_says_how_full_its_sequences_are(tmp_path):
    examples = selected(tmp_path, [testing.selected(each) for each in testing.questions(12)])
    packed = sft.run(changed(packing=True), inputs(tmp_path, "one", selected=examples)).metrics
    alone = sft.run(changed(packing=False), inputs(tmp_path, "two", selected=examples)).metrics
    assert packed["n_sequences"] < alone["n_sequences"] == 12
    n_tokens = packed["packing_efficiency"] * packed["n_sequences"] * changed(packing=True).max_length
    assert packed["packing_efficiency"] <= 1
    assert n_tokens == pytest.approx(round(n_tokens))
    assert n_tokens > 12
    assert "packing_efficiency" not in alone


def test_sft_lora_changes_the_weights_and_leaves_a_plain_checkpoint(tmp_path, checkpoint):
    import torch

    given = inputs(tmp_path, selected=selected(tmp_path), checkpoint=checkpoint)
    sft.run(changed(init=FromCheckpoint(), lora=Lora(rank=2, alpha=4)), given)
    found, before = weights(given.output), weights(checkpoint)
    assert found.keys() == before.keys()
    moved = {name for name in found if not torch.equal(found[name], before[name])}
    assert moved
    assert all("proj" in name for name in moved)


def adapter_and_merged(tmp_path, checkpoint):
    """The same training, published as an adapter and with the adapter in its weights: the outputs' directories."""
    learnt = selected(tmp_path)
    directories = []
    for publish in ("adapter", "merged"):
        given = inputs(tmp_path, publish, selected=learnt, checkpoint=checkpoint)
        sft.run(changed(init=FromCheckpoint(), lora=Lora(rank=2, alpha=4, publish=publish)), given)
        directories.append(given.output)
    return directories


def test_sft_adapter_alone_is_published_and_on_its_base_has_the_weights_of_the_merged_one(tmp_path, checkpoint):
    import torch

    adapter, merged = adapter_and_merged(tmp_path, checkpoint)
    assert not (adapter / "model.safetensors").exists()
    assert json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"] is None
    together = resolving.materialise(resolving.pin(parse(f"{checkpoint}+{adapter}")))
    ours, theirs = weights(together), weights(merged)
    assert ours.keys() == theirs.keys()
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-6
    assert (together / "generation_config.json").read_text() == (merged / "generation_config.json").read_text()
    assert torch.equal(ours["model.embed_tokens.weight"], weights(checkpoint)["model.embed_tokens.weight"])


def test_sft_adapter_alone_names_no_directory_of_this_machine(tmp_path, checkpoint):
    adapter, _ = adapter_and_merged(tmp_path, checkpoint)
    texts = [path.read_text() for path in adapter.rglob("*.json")]
    assert not [text for text in texts if str(checkpoint) in text or str(tmp_path) in text]


def test_sft_base_in_4_bits_without_a_gpu_is_refused_before_anything_loads(tmp_path, checkpoint):
    config = changed(init=FromCheckpoint(), lora=Lora(quantize="nf4"))
    with pytest.raises(BadConfig, match="lora.quantize=nf4: there is no GPU, and weights in 4 bits need one; leave it out"):
        sft.run(config, inputs(tmp_path, selected=tmp_path / "not read", checkpoint=checkpoint))


def test_sft_muon_trains_and_goes_on_from_a_checkpoint_to_the_same_weights(tmp_path, monkeypatch):
    import torch

    monkeypatch.setenv("STILLHOUSE_SAVE_STEPS", "1")
    config, root, output = changed(optimizer=Muon(kind="muon")), tmp_path / "store", tmp_path / "first" / "output"

    def publish(path):
        target = root / path.relative_to(output)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())

    def retract(path):
        (root / path.relative_to(output)).unlink()

    learnt = selected(tmp_path)
    first = inputs(
        tmp_path, "first", selected=learnt, publish_part=publish, retract_part=retract,
        progress=lambda done, *_: 1 / (done - 2) if done == 2 else None,
    )  # fmt: skip
    with pytest.raises(ZeroDivisionError):
        sft.run(config, first)
    made = []
    for name, finished in (("resumed", root), ("whole", None), ("adamw", None)):
        given = inputs(tmp_path, name, selected=learnt, finished=finished)
        sft.run(CONFIG if name == "adamw" else config, given)
        made.append(weights(given.output))
    resumed, whole, adamw = made
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())
    assert not torch.equal(whole["model.layers.0.mlp.up_proj.weight"], adamw["model.layers.0.mlp.up_proj.weight"])


def test_sft_mixture_of_experts_is_balanced_as_the_config_says(tmp_path):
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM, set_seed

    set_seed(0)
    experts = Qwen3MoeConfig(
        vocab_size=len(tokenizer()), hidden_size=32, intermediate_size=32, moe_intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, num_experts=4, num_experts_per_tok=2, max_position_embeddings=128,
        pad_token_id=tokenizer().pad_token_id, eos_token_id=tokenizer().eos_token_id,
    )  # fmt: skip
    models.save(Qwen3MoeForCausalLM(experts), tokenizer(), tmp_path / "experts")
    router, logged = {}, {0.0: {}, 10.0: {}}
    for weight, kept in logged.items():
        given = inputs(
            tmp_path, str(weight), selected=selected(tmp_path), checkpoint=tmp_path / "experts",
            log=lambda numbers, step, kept=kept: kept.update(numbers),
        )  # fmt: skip
        sft.run(changed(init=FromCheckpoint(), router_loss=weight, packing=False), given)
        router[weight] = weights(given.output)["model.layers.0.mlp.gate.weight"]
    assert "train/aux_loss" not in logged[0.0]
    assert logged[10.0]["train/aux_loss"] >= 1
    assert not router[0.0].equal(router[10.0])


def test_sft_no_step_on_given_weights_needs_no_example_of_its_split(tmp_path, checkpoint):
    given = inputs(tmp_path, selected=selected(tmp_path), checkpoint=checkpoint)
    outputs = sft.run(changed(init=FromCheckpoint(), max_steps=0, split="of another model"), given)
    assert outputs.metrics == {"n_parameters": outputs.metrics["n_parameters"]}
    assert weights(given.output).keys() == weights(checkpoint).keys()


def test_sft_scratch_that_is_full_is_one_line_and_its_room_is_given_back(tmp_path, monkeypatch):
    """As torch says it, and with a part of the checkpoint written."""
    from transformers import Trainer

    def full(self, output_dir):
        raise RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 593920 vs 593808")

    monkeypatch.setenv("STILLHOUSE_SAVE_STEPS", "2")
    monkeypatch.setattr(Trainer, "_save_optimizer_and_scheduler", full)
    given = inputs(tmp_path, selected=selected(tmp_path))
    with pytest.raises(StoreFailed, match="scratch directory .* is full: checkpoint 2 did not fit .*; set STILLHOUSE") as caught:
        sft.run(CONFIG, given)
    assert "\n" not in str(caught.value)
    assert list((given.output / "resume").glob("checkpoint-*")) == []


def test_sft_store_that_is_full_keeps_no_part_of_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_SAVE_STEPS", "2")
    published = []

    def publish(path):
        if len(published) == 3:
            raise StoreFailed("file:///store: No space left on device")
        published.append(path)

    given = inputs(tmp_path, selected=selected(tmp_path), publish_part=publish, retract_part=published.remove)
    with pytest.raises(StoreFailed, match="No space left on device"):
        sft.run(CONFIG, given)
    assert published == []


def test_sft_model_that_does_not_end_its_turns_is_an_error_if_the_config_asks(tmp_path):
    with pytest.raises(EngineFailed, match=r"100% of 6 responses to training questions did not end within .* not learnt to write"):
        sft.run(changed(max_length_rate=0.5, learning_rate=1e-6), inputs(tmp_path, selected=selected(tmp_path)))


def test_sft_lora_on_an_end_of_turn_that_was_never_trained_is_refused(tmp_path, checkpoint):
    from safetensors.torch import load_file, save_file

    base = tmp_path / "base"
    shutil.copytree(checkpoint, base)
    found = load_file(base / "model.safetensors")
    found["model.embed_tokens.weight"][tokenizer().eos_token_id] = 0
    save_file(found, base / "model.safetensors", {"format": "pt"})
    config = changed(init=FromCheckpoint(), lora=Lora(rank=2), packing=False)
    with pytest.raises(EngineFailed, match=r"lora: <\|end\|> ends a turn, and the base model was never trained on it"):
        sft.run(config, inputs(tmp_path, selected=selected(tmp_path), checkpoint=base))


def test_sft_every_leading_newline_of_a_response_is_learnt(tmp_path):
    """A template that ends its prompt with a line break, and a tokenizer that merges two of them."""
    turns = [("What is 7 * 8?", "It is 56."), ("What is 6 * 8?", "\n\nIt is 48."), ("What is 4 * 8?", " \n It is 32.")]
    asked = [testing.question(question, "0") for question, _ in turns]
    examples = [
        testing.selected(each, messages=[*each.messages, {"role": "assistant", "content": text}])
        for each, (_, text) in zip(asked, turns, strict=True)
    ]
    from tests.architectures import save

    base = save("smollm2", tmp_path / "base")
    given = inputs(tmp_path, selected=selected(tmp_path, examples), checkpoint=base)
    outputs = sft.run(changed(init=FromCheckpoint(), max_steps=1, batch_size=3), given)
    assert (outputs.metrics["n_examples"], outputs.dropped) == (3, {})
    assert outputs.artifacts == ["learnt-tokens.html", "training.html"]
