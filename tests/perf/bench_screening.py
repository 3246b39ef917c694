"""Screening responses: rows a second and memory at N and N/10, beside a bare read and write of the rows, and one text at a time.

``STILLHOUSE_BENCH_RESPONSES`` sets N (40,000), ``STILLHOUSE_BENCH_WORDS`` the words of a response (400, on average). Rates are by
second of a core, which a busy machine changes less than the clock's; the last column is what 40 million such rows would take one
core. Then perplexity, by a model of two layers on long responses, beside a bare forward pass of each text as a whole.
"""

import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.stages import screened
from stillhouse.vocabulary.rows import Question, Response
from tests.perf.measure import measured, table

RESPONSES = int(os.environ.get("STILLHOUSE_BENCH_RESPONSES", 40_000))
SAMPLES, WORDS, VOCABULARY = 4, int(os.environ.get("STILLHOUSE_BENCH_WORDS", 400)), 20_000
SCORED, LONGEST = 50, 4000
"""Texts whose perplexity is measured, and the words of the longest."""
N, MAX_COUNT, MAX_PERIOD = 20, 20, 4
FULL = 40_000_000


def generate(directory: Path, n_responses: int) -> None:
    """Random words by Zipf's law; every fiftieth response has a paragraph that others have too, every hundredth gets stuck."""
    import numpy as np

    rng = np.random.default_rng(0)
    asked = testing.questions(n_responses // SAMPLES)
    shared = " ".join(f"shared{place}" for place in range(30))

    def responses():
        for number in range(n_responses):
            lengths = rng.integers(WORDS // 2, WORDS * 3 // 2)
            think = " ".join(f"w{word}" for word in np.minimum(rng.zipf(1.3, lengths), VOCABULARY))
            think += f" {shared}" * (number % 50 == 0) + " wait" * 12 * (number % 100 == 0)
            text = f"<think>{think}</think><answer>7</answer>"
            yield testing.response(asked[number // SAMPLES], "7", text=text, think=think, sample_index=number % SAMPLES)

    tables.write(directory / "questions", asked, Question)
    tables.write(directory / "responses", responses(), Response)


def bare(directory: Path) -> None:
    """The rows read and written again, which any stage that looks at texts does at the least."""
    for path in tables.parts(directory / "responses"):
        tables.write_table(directory / "again" / path.name, pq.read_table(path))


def one_at_a_time(directory: Path) -> None:
    """The same rules as filters of documents mostly apply them: text by text, with all n-grams counted in memory."""
    counts: Counter[int] = Counter()
    for response in tables.read(directory / "responses", Response):
        counts.update(_grams(response.text.split()))
    frequent = {gram for gram, count in counts.items() if count > MAX_COUNT}
    for response in tables.read(directory / "responses", Response):
        words = response.text.split()
        sum(gram in frequent for gram in _grams(words))
        for period in range(1, MAX_PERIOD + 1):
            longest = run = 0
            for place in range(period, len(words)):
                run = run + 1 if words[place] == words[place - period] else 0
                longest = max(longest, run)


def _grams(words):
    return [hash(tuple(words[place : place + N])) for place in range(len(words) - N + 1)]


def ours(directory: Path) -> None:
    scratch = directory / "scratch"
    scratch.mkdir()
    inputs = screened.Inputs(scratch=scratch, questions=directory / "questions", responses=(directory / "responses",))
    screened.run(screened.Config(), inputs)


def tiny_model(directory: Path) -> None:
    """A Llama of two layers with a word for each number below ``VOCABULARY``, and the texts to score: few are long, as always."""
    import numpy as np
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    words = {"[UNK]": 0} | {f"w{number}": number for number in range(1, VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(directory / "model")
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, max_position_embeddings=2 * LONGEST, **shape)).save_pretrained(
        directory / "model"
    )
    rng = np.random.default_rng(0)
    lengths = np.minimum(rng.lognormal(6.5, 0.8, SCORED), LONGEST).astype(int)
    texts = [" ".join(f"w{word}" for word in np.minimum(rng.zipf(1.3, length), VOCABULARY - 1)) for length in lengths]
    (directory / "texts").write_text("\n".join(texts))


def bare_forward(directory: Path) -> None:
    """Each text as a whole in one pass, its loss as transformers computes it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(directory / "model", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(directory / "model")
    with torch.inference_mode():
        for text in (directory / "texts").read_text().splitlines():
            tokens = tokenizer(text, return_tensors="pt")["input_ids"]
            model(input_ids=tokens, labels=tokens).loss.exp().item()


def scored(directory: Path) -> None:
    """The same perplexities as ``screened`` computes them."""
    from stillhouse.screening import perplexity

    scorer = perplexity.load("transformers", str(directory / "model"), 2 * LONGEST)
    scorer.perplexities((directory / "texts").read_text().splitlines())


def of_perplexity() -> None:
    directory = Path(tempfile.mkdtemp(prefix="stillhouse-bench-"))
    try:
        tiny_model(directory)
        found = {step.__name__: measured(step, directory) for step in (bare_forward, scored)}
    finally:
        shutil.rmtree(directory)
    bare = found["bare_forward"]
    table(
        ("perplexity", "texts", "core s", "texts/core s", "peak MiB", "x bare forward"),
        [(name, SCORED, each.busy, SCORED / each.busy, each.peak * 1024, bare.busy / each.busy) for name, each in found.items()],
    )


STEPS = {"bare read and write": bare, "one text at a time": one_at_a_time, "screened": ours}


def main() -> None:
    made = []
    for n_responses in (RESPONSES // 10, RESPONSES):
        directory = Path(tempfile.mkdtemp(prefix="stillhouse-bench-"))
        try:
            generate(directory, n_responses)
            found = {name: measured(step, directory) for name, step in STEPS.items()}
        finally:
            shutil.rmtree(directory)
        peer = found["one text at a time"].busy
        for name, each in found.items():
            rate = n_responses / each.busy
            made.append((name, n_responses, each.seconds, each.busy, rate, each.peak * 1024, peer / each.busy, FULL / rate / 3600))
    table(("", "responses", "seconds", "core s", "rows/core s", "peak MiB", "x one at a time", "core h for 40 M"), made)
    of_perplexity()
