import pytest

from stillhouse.errors import BadConfig
from stillhouse.models.references import (
    Adapter,
    ArtifactModel,
    DirectoryModel,
    HubModel,
    RegistryModel,
    is_artifact,
    is_reference,
    name_of,
    parse,
    refuse_malformed,
)

DIGEST = "sha256-" + "a" * 64


@pytest.mark.parametrize(
    ("text", "reference", "name"),
    [
        ("hf://Qwen/Qwen2.5-32B", HubModel("Qwen/Qwen2.5-32B"), "Qwen/Qwen2.5-32B"),
        ("hf://a/b@main", HubModel("a/b", "main"), "a/b"),
        ("hf://a/b@refs/pr/1", HubModel("a/b", "refs/pr/1"), "a/b"),
        ("/data/qwen/", DirectoryModel("/data/qwen"), "qwen"),
        ("./qwen", DirectoryModel("./qwen"), "qwen"),
        (f"/data/qwen@{DIGEST}", DirectoryModel("/data/qwen", DIGEST), "qwen"),
        ("s3://bucket/models/qwen", DirectoryModel("s3://bucket/models/qwen"), "qwen"),
        ("models:/qwen@champion", RegistryModel("qwen", alias="champion"), "qwen"),
        ("models:/qwen/7", RegistryModel("qwen", version="7"), "qwen"),
        ("s3://bucket/sft/mine/1", ArtifactModel("s3://bucket/sft/mine/1"), "mine"),
        ("/store/rl/mine/2026-11-27", ArtifactModel("/store/rl/mine/2026-11-27"), "mine"),
        ("hf://a/b@main+hf://me/lora", Adapter(HubModel("a/b", "main"), HubModel("me/lora")), "a/b+me/lora"),
        ("/base+./lora", Adapter(DirectoryModel("/base"), DirectoryModel("./lora")), "base+lora"),
    ],
)
def test_parse_of_each_form_gives_its_reference_and_name(text, reference, name):
    assert parse(text) == reference
    assert name_of(text) == name
    assert parse(str(reference)) == reference  # a reference is written as it is read


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("hf://qwen", "hf://ORG/NAME"),
        ("hf:/a/b", "hf://ORG/NAME"),
        ("hf:a/b", "hf://ORG/NAME"),
        ("hf://a/b/c", "hf://ORG/NAME"),
        ("hf://a/../b", "hf://ORG/NAME"),
        ("hf://a/b@", "no revision"),
        ("hf://a/b@x y", "no revision"),
        ("hf://a/b@--force", "no revision"),
        ("models:/qwen", "models:/NAME@ALIAS"),
        ("models://qwen/3", "models:/NAME@ALIAS"),
        ("models:/qwen/latest", "models:/NAME@ALIAS"),
        ("models:/qwen/3@champion", "models:/NAME@ALIAS"),
        ("Qwen/Qwen2.5-7B", "written hf://Qwen/Qwen2.5-7B"),
        ("gpt-5", "not a model reference"),
        ("", "not a model reference"),
        ("/", "not a model reference"),
        ("/a\n", "control characters"),
        (" /a", "spaces"),
        ("/a+/b+/c", "more than one adapter"),
    ],
)
def test_parse_of_a_malformed_reference_is_refused_in_one_line(text, hint):
    with pytest.raises(BadConfig, match=hint) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


def test_is_reference_of_names_at_endpoints_is_false():
    assert [is_reference(text) for text in ("gpt-5", "Qwen/Qwen2.5-7B", "large", "hf://a/b", "~/x", "models:/a@b")] == [
        False, False, False, True, True, True,
    ]  # fmt: skip


def test_fixed_hub_model_is_one_with_a_whole_commit():
    assert HubModel("a/b", "0" * 40).fixed
    assert not HubModel("a/b", "0" * 39).fixed
    assert not HubModel("a/b", "main").fixed
    assert not HubModel("a/b").fixed


def test_is_artifact_is_true_for_what_a_store_may_hold():
    assert is_artifact("file:///store/sft/a/1")
    assert not is_artifact("hf://a/b@" + "0" * 40)
    assert not is_artifact("file:///base+file:///lora")


def test_refuse_malformed_takes_names_and_references_and_no_broken_ones():
    assert refuse_malformed("gpt-5") == "gpt-5"
    with pytest.raises(ValueError, match="hf://ORG/NAME"):
        refuse_malformed("hf://nobody")
