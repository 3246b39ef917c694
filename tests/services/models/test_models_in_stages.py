"""Stages on a model that is no artifact: pinned, used, and told by the manifest; a model is the real tiny one of the fixtures."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.errors import BadConfig, MissingInput, StaleOutput
from stillhouse.execution.execute import execute
from stillhouse.models import resolving
from stillhouse.models.references import parse
from stillhouse.stages import report, responses, sft
from stillhouse.vocabulary.rows import Question, Response

SAMPLING = {"engine": "transformers", "max_tokens": 8, "system_prompt": "none", "suffix": "none"}


@pytest.fixture
def root(tmp_path):
    """A store with four questions."""
    testing.publish(testing.questions(4), Question, f"{tmp_path.as_uri()}/store/questions/q/1")
    return f"{tmp_path.as_uri()}/store"


@pytest.fixture
def directory(checkpoint, tmp_path, monkeypatch):
    """A plain directory in the Hugging Face format, without a manifest."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    shutil.copytree(checkpoint, tmp_path / "tiny", ignore=shutil.ignore_patterns("dropped", "resume"))
    return tmp_path / "tiny"


def initial(root, name, **inputs):
    """The sft stage without a step: writes the initial weights."""
    return execute(sft, sft.Config(max_steps=0), inputs, f"{root}/sft/{name}/1", models=resolving).manifest


def test_sft_of_a_directory_starts_from_its_weights_and_copies_nothing(root, directory):
    made = initial(root, "mine", checkpoint=str(directory))
    link = made.models["checkpoint"]
    assert (made.inputs, link.kind, link.uri) == ({}, "directory", directory.as_uri())
    assert link.fingerprint.startswith("sha256-")
    path = root.removeprefix("file://")
    ours, theirs = (load_file(f"{where}/model.safetensors") for where in (f"{path}/sft/mine/1", str(directory)))
    assert all(torch.equal(ours[name], theirs[name].float()) for name in theirs)


def test_sft_of_the_same_files_elsewhere_has_the_same_fingerprint(root, directory, tmp_path):
    first = initial(root, "here", checkpoint=str(directory)).fingerprint
    directory.rename(tmp_path / "moved")
    assert initial(root, "there", checkpoint=str(tmp_path / "moved")).fingerprint == first


def test_sft_after_the_directory_changed_refuses_the_published_output(root, directory):
    initial(root, "mine", checkpoint=str(directory))
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"note": "edited"}))
    with pytest.raises(StaleOutput):
        initial(root, "mine", checkpoint=str(directory))


def test_sft_of_a_hub_model_is_pinned_by_its_commit(root, directory, hub):
    commit = hub.add("me/tiny", directory)
    link = initial(root, "hub", checkpoint="hf://me/tiny").models["checkpoint"]
    assert (link.uri, link.fingerprint, link.named) == (f"hf://me/tiny@{commit}", f"me/tiny@{commit}", "hf://me/tiny")


def test_responses_of_a_model_that_the_config_names_carry_its_name_and_its_pin(root, directory, hub):
    commit = hub.add("me/tiny", directory)
    config = responses.Config(model="hf://me/tiny@main", samples=1, **SAMPLING)
    made = execute(responses, config, {"questions": f"{root}/questions/q/1"}, f"{root}/responses/r/1", models=resolving).manifest
    assert made.config["model"] == f"me/tiny@{commit}"
    assert made.models["model"].uri == f"hf://me/tiny@{commit}"
    rows = list(tables.read(resolving.store.local_path(f"{root}/responses/r/1"), Response))
    assert [row.model for row in rows] == ["me/tiny"] * 4
    hub.add("me/tiny", {**hub.repos["models/me/tiny"].commits[commit], "README.md": b"moved"})
    again = execute(responses, config, {"questions": f"{root}/questions/q/1"}, f"{root}/responses/r/2", models=resolving).manifest
    other = list(tables.read(resolving.store.local_path(f"{root}/responses/r/2"), Response))
    assert again.fingerprint != made.fingerprint
    assert {row.sampling_id for row in other} & {row.sampling_id for row in rows} == set()


def test_responses_of_several_models_by_reference(root, directory):
    models = {"one": {"model": str(directory)}, "hot": {"model": str(directory), "temperature": 2}}
    config = responses.Config(models=models, samples=1, **SAMPLING)
    made = execute(responses, config, {"questions": f"{root}/questions/q/1"}, f"{root}/responses/r/1", models=resolving).manifest
    assert sorted(made.models) == ["models.hot.model", "models.one.model"]
    assert str(directory) not in json.dumps(made.config)
    rows = list(tables.read(resolving.store.local_path(f"{root}/responses/r/1"), Response))
    assert {row.model for row in rows} == {"one", "hot"}


def test_report_of_an_artifact_that_the_config_names_is_the_report_of_the_checkpoint(root, directory):
    initial(root, "mine", checkpoint=str(directory))
    config = report.Config(benchmarks=("arithmetic",), samples=1, model=f"{root}/sft/mine/1", **SAMPLING | {"max_tokens": 1})
    made = execute(report, config, {}, f"{root}/report/mine/1", models=resolving).manifest
    assert made.models["model"].kind == "artifact"
    assert made.files["outcomes.json"].bytes > 0


def test_report_of_a_bare_name_in_this_process_says_how_to_name_a_model(root):
    config = report.Config(benchmarks=("arithmetic",), samples=1, model="me/tiny", **SAMPLING)
    with pytest.raises(BadConfig, match="a model on the hub is written hf://me/tiny"):
        execute(report, config, {}, f"{root}/report/mine/1", models=resolving)


def lora(base, directory, **changes):
    """An adapter on the base, with weights that change its answers."""
    from peft import LoraConfig, get_peft_model

    model = AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(0)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM", **changes))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    adapted.save_pretrained(directory)
    return adapted


def test_adapter_on_its_base_answers_as_peft_does(directory, tmp_path):
    adapted = lora(directory, tmp_path / "lora")
    merged = resolving.materialise(resolving.pin(parse(f"{directory}+{tmp_path / 'lora'}")))
    tokens = AutoTokenizer.from_pretrained(merged)("What is 1 + 1?", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        ours = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32)(tokens).logits
        theirs = adapted.eval()(tokens).logits
        base = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)(tokens).logits
    assert torch.allclose(ours, theirs, atol=1e-3)
    assert not torch.allclose(ours, base, atol=1e-1)


def test_adapter_of_another_vocabulary_is_refused(directory, tmp_path):
    lora(directory, tmp_path / "lora")
    tokenizer = AutoTokenizer.from_pretrained(directory)
    tokenizer.add_tokens(["<|another|>"])
    tokenizer.save_pretrained(tmp_path / "lora")
    with pytest.raises(MissingInput, match=r"another vocabulary \(\d+ tokens, the base's \d+, 1 differ\)"):
        resolving.materialise(resolving.pin(parse(f"{directory}+{tmp_path / 'lora'}")))


def test_adapter_of_another_width_is_refused(directory, tmp_path):
    lora(directory, tmp_path / "lora")
    path = tmp_path / "lora" / "adapter_model.safetensors"
    tensors = load_file(path)
    save_file({name: torch.cat([tensor] * (1 + ("lora_A" in name)), dim=1) for name, tensor in tensors.items()}, path)
    with pytest.raises(
        MissingInput,
        match=r"does not fit the base: model.layers.0.mlp.down_proj takes 128 numbers in the adapter and 64 in the base",
    ):
        resolving.materialise(resolving.pin(parse(f"{directory}+{tmp_path / 'lora'}")))


def test_base_alone_as_adapter_is_refused(directory):
    with pytest.raises(MissingInput, match=r"what follows \+ has no adapter_config.json"):
        resolving.materialise(resolving.pin(parse(f"{directory}+{directory}")))
