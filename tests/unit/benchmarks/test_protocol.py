import importlib.metadata

import pytest

from stillhouse import testing
from stillhouse.benchmarks.protocol import protocol
from stillhouse.stages import report
from stillhouse.verification import scoring

CONFIG = report.Config(benchmarks=("arithmetic-toy",), engine="transformers", samples=2, system_prompt="none", suffix="none")
ASKED = testing.questions(2)


def name(benchmark="arithmetic-toy@1", **changes):
    return protocol(CONFIG.model_copy(update=changes), benchmark, ASKED).id


def test_protocol_id_changes_with_what_changes_a_score_and_with_nothing_else():
    assert name() == name(model="other") == name(rounds=4) == name(verify_timeout_s=30.0)
    others = [
        name(samples=4), name(temperature=1.0), name(top_p=0.9), name(max_tokens=25), name(seed=1), name(suffix="boxed"),
        name(engine="vllm"), name("arithmetic@1"), name("aime-2024@1:" + "a" * 40), name("aime-2024@1:" + "b" * 40),
    ]  # fmt: skip
    assert len({name(), *others}) == 11


@pytest.mark.parametrize("package", ["math-verify", "transformers"])
def test_protocol_id_changes_with_the_release_of_what_judges_and_of_what_samples(monkeypatch, package):
    before, real = name(), importlib.metadata.version
    monkeypatch.setattr(
        "stillhouse.benchmarks.protocol.version", lambda each: "99" if each == package else real(each)
    )  # fmt: skip
    assert name() != before


def test_protocol_names_judge_and_engine_with_their_versions():
    made = protocol(CONFIG, "arithmetic-toy@1", ASKED)
    assert made.engine == f"transformers {importlib.metadata.version('transformers')}"
    assert made.verifier == f"verified {scoring.VERSION}, math-verify {importlib.metadata.version('math-verify')}"
    assert protocol(CONFIG, "gpqa-diamond@1", ASKED).verifier == "choices 1"


def test_protocol_of_an_engine_that_is_not_installed_here_names_it_alone(monkeypatch):
    def missing(package):
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr("stillhouse.benchmarks.protocol.version", missing)
    assert protocol(CONFIG, "arithmetic-toy@1", ASKED).engine == "transformers"
