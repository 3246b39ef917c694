import pytest
from pydantic import ValidationError

from stillhouse.benchmarks.config import ReportConfig
from stillhouse.curation.config import QuestionsConfig
from stillhouse.models import named_in_configs
from stillhouse.sampling.config import ResponsesConfig
from stillhouse.screening.config import ScreenedConfig
from stillhouse.verification.config import VerifiedConfig

HUB = "hf://a/b"


@pytest.mark.parametrize(
    ("config", "paths"),
    [
        (ResponsesConfig(model=HUB), {("model",): HUB}),
        (ResponsesConfig(models={"r1": {"model": HUB, "temperature": 1}, "served": {}}), {("models", "r1", "model"): HUB}),
        (ReportConfig(benchmarks=("arithmetic",), model=HUB), {("model",): HUB}),
        (ScreenedConfig(perplexity_model=HUB), {("perplexity_model",): HUB}),
        (QuestionsConfig(embedding_model=HUB, labels={"model": "/m"}), {("embedding_model",): HUB, ("labels", "model"): "/m"}),
        (
            VerifiedConfig(judge={"model": HUB}, reward_model={"model": "s3://b/m"}),
            {("judge", "model"): HUB, ("reward_model", "model"): "s3://b/m"},
        ),
        (ResponsesConfig(model="large", engine="openai"), {}),
    ],
)
def test_references_are_found_wherever_a_config_names_a_model(config, paths):
    assert named_in_configs.references(config) == paths


def test_replaced_changes_these_fields_alone():
    config = VerifiedConfig(judge={"model": HUB, "temperature": 0.1}, timeout_s=3)
    fixed = named_in_configs.replaced(config, {("judge", "model"): "hf://a/b@x"})
    assert fixed == config.model_copy(update={"judge": config.judge.model_copy(update={"model": "hf://a/b@x"})})


@pytest.mark.parametrize(
    "build",
    [
        lambda: ResponsesConfig(model="hf://nobody"),
        lambda: ResponsesConfig(models={"r1": {"model": "models:/x"}}),
        lambda: ReportConfig(benchmarks=("arithmetic",), model="hf://a/b@"),
        lambda: VerifiedConfig(judge={"model": "hf://a"}),
        lambda: ScreenedConfig(perplexity_model="hf://a"),
        lambda: QuestionsConfig(embedding_model="hf://a"),
    ],
)
def test_config_with_a_malformed_reference_is_refused(build):
    with pytest.raises(ValidationError, match=r"not of the form|no revision"):
        build()


def test_responses_reference_as_a_name_of_rows_is_refused():
    with pytest.raises(ValidationError, match=r"not a name for rows; write \{a/b: \{model: hf://a/b\}\}"):
        ResponsesConfig(models={HUB: {}})


def test_responses_rows_carry_the_models_name_not_its_reference():
    assert list(ResponsesConfig(model="hf://a/b@main").samplings()) == ["a/b"]
    assert ResponsesConfig(models={"r1": {"model": HUB}}).sources() == {"r1": HUB}
