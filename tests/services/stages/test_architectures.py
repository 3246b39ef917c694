"""Every architecture through sft, rl and report, from a plain directory of random weights."""

import re

import pytest
from transformers import AutoTokenizer, GenerationConfig

from stillhouse import testing
from stillhouse.api.inspect_command import inspect_model
from stillhouse.artifacts import tables
from stillhouse.benchmarks.outcomes import Outcomes
from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Request, load
from stillhouse.stages import report, rl, sft
from stillhouse.training.config import FromCheckpoint
from stillhouse.vocabulary.rows import Question, Selected
from stillhouse.vocabulary.seeds import row_seed
from tests.architectures import ARCHITECTURES, save

SFT = sft.Config(
    init=FromCheckpoint(), max_steps=60, batch_size=8, learning_rate=1e-2, warmup_ratio=0, max_length=400, packing=False,
    system_prompt="none", suffix="none", max_length_rate=0.5,
)  # fmt: skip
RL = rl.Config(steps=1, group_size=2, prompts_per_step=2, max_tokens=60, system_prompt="none", suffix="none", learning_rate=1e-4)
REPORT = report.Config(
    benchmarks=("arithmetic-toy",),
    samples=1,
    engine="transformers",
    temperature=0,
    max_tokens=60,
    system_prompt="none",
    suffix="none",
)
ASKED = testing.questions(8)


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_architecture_learns_to_end_its_turn_and_keeps_to_it_in_rl_and_report(tmp_path, name, capsys):
    """Fails if the template's end of turn is not learnt, not published as eos, or not heeded by an engine."""
    form = form_of(name)
    trained = fine_tuned(tmp_path, name, form)
    inspect_model(str(tmp_path / "base"), "laptop/sft-1", [f"response_format={form}"])
    assert re.search(r"a turn ends with .*\n(.*\n)*example 1: \d+ tokens, [1-9]\d* learnt", capsys.readouterr().out)
    checkpoint, metrics = reinforced(tmp_path, trained, form)
    assert metrics["train/completions/clipped_ratio"] < 1
    texts = [completion.text for completion in sampled(checkpoint) if completion.finish_reason == "stop"]
    assert len(texts) >= len(ASKED) / 2
    assert any(text.startswith("<think>") and "</think>" in text for text in texts), "thinking has one form"
    [outcome] = measured(tmp_path, checkpoint).benchmarks.values()
    assert (outcome.n_questions, outcome.n_unverified) == (24, 0)
    assert outcome.rounds[1].stop_ratio >= 0.5


def form_of(name):
    """How the architecture is taught to write its reasoning: two have a way of their own."""
    return "own" if name in {"gpt-oss", "qwen3"} else "think_answer"


def fine_tuned(directory, name, form):
    """The published directory of the architecture after SFT on the additions."""
    base = save(name, directory / "base")
    tables.write(directory / "questions", ASKED, Question)
    examples = [testing.selected(each, split) for each in ASKED for split in ("sft_1", "rl_1")]
    tables.write(directory / "selected", examples, Selected)
    inputs = sft.Inputs(scratch=directory / "sft", selected=directory / "selected", checkpoint=base)
    inputs.scratch.mkdir()
    outputs = sft.run(SFT.model_copy(update={"response_format": form}), inputs)
    assert outputs.metrics["length_rate"] <= 0.5
    published = GenerationConfig.from_pretrained(inputs.output).eos_token_id
    assert AutoTokenizer.from_pretrained(inputs.output).eos_token_id == (published[0] if isinstance(published, list) else published)
    assert (inputs.output / "learnt-tokens.html").is_file()
    return inputs.output


def reinforced(directory, trained, form):
    """The published directory after a step of RL on the same additions, and the stage's metrics."""
    inputs = rl.Inputs(
        scratch=directory / "rl", selected=directory / "selected", questions=directory / "questions", checkpoint=trained
    )
    inputs.scratch.mkdir()
    return inputs.output, rl.run(RL.model_copy(update={"response_format": form}), inputs).metrics


def measured(directory, checkpoint):
    """The outcomes that the report of a checkpoint publishes."""
    inputs = report.Inputs(scratch=directory / "report", checkpoint=checkpoint, uris={"checkpoint": (checkpoint.as_uri(),)})
    inputs.scratch.mkdir()
    report.run(REPORT, inputs)
    return Outcomes.model_validate_json((inputs.output / Outcomes.FILE).read_text())


def sampled(directory):
    """Greedy responses of the checkpoint by the engine transformers."""
    sampling = Sampling(engine="transformers", temperature=0, max_tokens=100, system_prompt="none", suffix="none")
    keys = [(each.question_id, "tiny", "question", 1, 0) for each in ASKED]
    requests = [Request(key, sampling.prompt(each), row_seed(0, key)) for key, each in zip(keys, ASKED, strict=True)]
    return [completion for _, completion in load(sampling, directory).sample(requests)]
