import sys

import pytest
from pydantic import ValidationError

from stillhouse.errors import BadConfig
from stillhouse.sampling import engine as engines
from stillhouse.sampling.config import ResponsesConfig, Sampling

ECHO = """
from stillhouse.sampling.engine import Completion


class Echo:
    def __init__(self, model, sampling):
        self.model, self.sampling = model, sampling

    def sample(self, requests):
        for request in requests:
            yield request, Completion(request.messages[-1]["content"], "stop", 1, 1)


nothing = None
"""


@pytest.fixture
def echo(tmp_path, monkeypatch):
    """A module on Python's path with an engine of the user's own."""
    (tmp_path / "echo_engine.py").write_text(ECHO)
    monkeypatch.syspath_prepend(tmp_path)
    yield "echo_engine:Echo"
    sys.modules.pop("echo_engine", None)


def test_engine_of_the_user_s_own_is_pinned_and_loaded(echo):
    sampling = Sampling(engine=echo)
    assert sampling.engine.startswith("echo_engine:Echo@sha256-")
    engine = engines.load(sampling, "model")
    assert (engine.model, engine.sampling) == ("model", sampling)
    request = engines.Request(("q", "m", "question", 1, 0), [{"role": "user", "content": "Hello"}], 0)
    assert [completion.text for _, completion in engine.sample([request])] == ["Hello"]


def test_engine_that_is_no_class_with_a_method_sample_is_refused_and_not_called(echo):
    for name in ("echo_engine:nothing", "shutil:rmtree", "subprocess:Popen"):
        with pytest.raises(BadConfig, match=r"is not a class with a method sample; see stillhouse\.sampling\.engine\.Engine"):
            engines.load(Sampling(engine=name), "model")


def test_engine_unknown_name_is_told_the_nearest():
    with pytest.raises(ValidationError, match=r"no engine 'vlm'; did you mean vllm\?"):
        Sampling(engine="vlm")


def test_engine_built_in_names_are_dumped_as_they_are():
    assert Sampling(engine="openai").model_dump()["engine"] == "openai"


def test_responses_config_without_extensions_dumps_no_field_for_them():
    assert "verifiers" not in ResponsesConfig(model="toy").model_dump(mode="json")
    assert ResponsesConfig(model="toy", verifiers={"science": "math"}).model_dump()["verifiers"] == {"science": "math"}


def test_engine_in_the_schema_of_trigger_forms_is_built_in():
    schema = Sampling.model_json_schema()["properties"]["engine"]
    assert (schema["type"], schema["enum"]) == ("string", ["openai", "transformers", "vllm"])
