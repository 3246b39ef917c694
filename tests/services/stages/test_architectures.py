"""Every architecture through sft, rl and report, from a plain directory of random weights."""

import pytest
from transformers import AutoTokenizer, GenerationConfig

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.sampling.config import Sampling
from stillhouse.sampling.engine import Request, load
from stillhouse.stages import rl, sft
from stillhouse.training.config import FromCheckpoint
from stillhouse.vocabulary.rows import Question, Selected
from stillhouse.vocabulary.seeds import row_seed
from tests.architectures import ARCHITECTURES, save

SFT = sft.Config(
    init=FromCheckpoint(), max_steps=60, batch_size=8, learning_rate=1e-2, warmup_ratio=0, max_length=400, packing=False,
    system_prompt="none", suffix="none", max_length_rate=0.5,
)  # fmt: skip
RL = rl.Config(steps=1, group_size=2, prompts_per_step=2, max_tokens=60, system_prompt="none", suffix="none", learning_rate=1e-4)
ASKED = testing.questions(8)


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_architecture_learns_to_end_its_turn_and_keeps_to_it_in_rl_and_sampling(tmp_path, name):
    """Fails if the template's end of turn is not learnt, not published as eos, or not heeded by an engine."""
    form = "own" if name in {"gpt-oss", "qwen3"} else "think_answer"
    trained = fine_tuned(tmp_path, name, form)
    reinforced = rl.Inputs(
        scratch=tmp_path / "rl", selected=tmp_path / "selected", questions=tmp_path / "questions", checkpoint=trained
    )
    reinforced.scratch.mkdir()
    outputs = rl.run(RL.model_copy(update={"response_format": form}), reinforced)
    assert outputs.metrics["train/completions/clipped_ratio"] < 1
    texts = [completion.text for completion in sampled(reinforced.output) if completion.finish_reason == "stop"]
    assert len(texts) >= len(ASKED) / 2
    assert any(text.startswith("<think>") and "</think>" in text for text in texts), "thinking has one form"


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


def sampled(directory):
    """Greedy responses of the checkpoint by the engine transformers."""
    sampling = Sampling(engine="transformers", temperature=0, max_tokens=100, system_prompt="none", suffix="none")
    keys = [(each.question_id, "tiny", "question", 1, 0) for each in ASKED]
    requests = [Request(key, sampling.prompt(each), row_seed(0, key)) for key, each in zip(keys, ASKED, strict=True)]
    return [completion for _, completion in load(sampling, directory).sample(requests)]
