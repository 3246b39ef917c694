import importlib.metadata
import platform

import pytest

from stillhouse import testing
from stillhouse.benchmarks import multiple_choice
from stillhouse.benchmarks.config import ReportConfig
from stillhouse.benchmarks.protocol import protocol
from stillhouse.verification import scoring
from stillhouse.verification.config import AnswerRules
from stillhouse.vocabulary import prompts
from tests.endpoint import endpoint

CONFIG = ReportConfig(benchmarks=("arithmetic-toy",), engine="transformers", samples=2, system_prompt="none", suffix="none")
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
    assert protocol(CONFIG, "gpqa-diamond@1", ASKED).verifier == multiple_choice.VERSION
    code = [testing.question("Add.", category="code")]
    python = ".".join(platform.python_version_tuple()[:2])
    assert protocol(CONFIG, "humaneval@1.0.3", code).verifier == f"verified {scoring.VERSION}, python {python}"


def test_protocol_id_changes_with_the_mode_of_instructions_where_they_are_asked():
    asked = [testing.question("Write in lower case.", category="instruction_following", constraints="{}")]
    loose = CONFIG.model_copy(update={"instruction_mode": "loose"})
    assert protocol(loose, "ifeval@1:" + "a" * 40, asked).verifier.endswith(", loose")
    assert protocol(loose, "arithmetic-toy@1", ASKED) == protocol(CONFIG, "arithmetic-toy@1", ASKED)


def test_protocol_id_changes_with_the_rules_of_comparison():
    rules = AnswerRules(relative=0.01)
    tolerant = [scoring.with_rules(question, rules) for question in ASKED]
    assert protocol(CONFIG, "arithmetic-toy@1", tolerant).id != name()


def test_protocol_id_changes_with_the_words_of_a_template_under_the_same_name(monkeypatch):
    before = name(suffix="boxed"), name(system_prompt="think_answer")
    monkeypatch.setitem(prompts.SUFFIXES, "boxed", prompts.SUFFIXES["boxed"] + " Be brief.")
    monkeypatch.setitem(prompts.SYSTEM_PROMPTS, "think_answer", "Think, then answer.")
    assert name(suffix="boxed") != before[0]
    assert name(system_prompt="think_answer") != before[1]


def test_protocol_id_does_not_change_with_the_suffix_of_a_category_that_is_not_asked():
    assert {each.category for each in ASKED} == {"math"}
    assert name(suffixes={"code": "python"}) == name()
    assert name(suffixes={"math": "boxed"}) == name(suffix="boxed") != name()


def test_protocol_id_changes_with_the_words_of_a_further_round_and_of_a_question(monkeypatch):
    before = name()
    assert protocol(CONFIG, "arithmetic-toy@1", testing.questions(3)).id != before
    monkeypatch.setattr("stillhouse.sampling.rounds.previous_answer_prompt", lambda question, answer: f"{question} Again, please.")
    assert name() != before


def test_protocol_of_a_served_model_names_what_its_server_says(monkeypatch):
    served = CONFIG.model_copy(update={"engine": "openai", "model": "toy"})
    with endpoint(version="0.32.0") as there:
        monkeypatch.setenv("STILLHOUSE_ENDPOINTS", there.url)
        assert protocol(served, "arithmetic-toy@1", ASKED).engine == "openai, vllm 0.32.0"
    with endpoint() as there:
        monkeypatch.setenv("STILLHOUSE_ENDPOINTS", there.url)
        assert protocol(served, "arithmetic-toy@1", ASKED).engine == "openai"


def test_protocol_of_an_engine_that_is_not_installed_here_names_it_alone(monkeypatch):
    def missing(package):
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr("stillhouse.benchmarks.protocol.version", missing)
    assert protocol(CONFIG, "arithmetic-toy@1", ASKED).engine == "transformers"
