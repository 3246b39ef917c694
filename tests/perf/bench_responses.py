"""Sampling: the stage against bare vLLM, the parser and the Parquet writer in MB/s, and what adaptive sampling saves."""

import json
import math
import os
import random
import subprocess
import tempfile
import time
from pathlib import Path

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.sampling.adaptive import decided, grade_class
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.rows import Response
from stillhouse.vocabulary.transcript import parse
from tests.perf.measure import best_of, table, timed

ROOT = Path(__file__).parents[2]
VLLM = ROOT / ".venv-vllm" / "bin" / "python"
RUNS = 3
QUESTIONS = 20_000
"""Simulated questions to a model and category."""

PASS_RATES = {
    ("math", "R1"): (59.6, 29.3, 24.8, 37.0, 677.9), ("math", "7B"): (72.9, 35.9, 40.3, 74.6, 604.9),
    ("math", "1.5B"): (93.9, 53.0, 58.6, 98.3, 524.8), ("code", "R1"): (114.1, 21.1, 13.5, 27.8, 312.8),
    ("code", "7B"): (128.1, 59.6, 48.6, 126.3, 126.8), ("code", "1.5B"): (216.6, 79.3, 79.8, 67.8, 45.9),
    ("science", "R1"): (7.6, 4.8, 6.5, 11.9, 60.9), ("science", "7B"): (16.3, 11.1, 12.1, 16.1, 36.1),
    ("science", "1.5B"): (26.8, 15.8, 14.9, 15.3, 18.9), ("IF", "R1"): (20.4, 5.5, 4.3, 4.8, 41.4),
    ("IF", "7B"): (20.3, 8.7, 8.1, 10.5, 28.9), ("IF", "1.5B"): (27.2, 9.6, 9.1, 10.9, 19.7),
}  # fmt: skip
"""Thousands of questions that 0, 1, 2, 3 and 4 of 4 samples pass, by category and model (DeepDistill, Fig. 8)."""


def main() -> None:
    text_speed()
    adaptive_savings()
    stage_against_vllm()


def text_speed() -> None:
    """One core; responses of 16 kB, as of 4,000 tokens, no two of them alike: a dictionary must not do the writing."""
    generator = random.Random(0)
    words = ["".join(generator.choices("abcdefghijklmnopqrstuvwxyz<>0123456789+=", k=generator.randint(1, 9))) for _ in range(8000)]
    made = []
    for each in testing.questions(1000):
        thinking = " ".join(generator.choices(words, k=2700))
        text = f"<think>{thinking}</think>\n<answer>{each.reference_answer}</answer>"
        made.append(testing.response(each, think=thinking, text=text))
    megabytes = sum(len(row.text.encode()) for row in made) / 1e6
    stored = megabytes + sum(len((row.think or "").encode()) for row in made) / 1e6
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "part-00000.parquet"
        writing = best_of(RUNS, lambda: tables.write_part(path, made, Response))
    parsing = best_of(RUNS, lambda: [parse(row.text) for row in made])
    table(
        ("text", "MB/s", "of the aim (50)"),
        [("parser", megabytes / parsing, megabytes / parsing / 50), ("Parquet, zstd", stored / writing, stored / writing / 50)],
    )


def adaptive_savings() -> None:
    """Against every sample: the share not asked for, and of equal grades (never, at times, always).

    A model passes a question at a rate drawn from the beta distribution that fits its histogram best, which is its prior too, as a
    recipe would have it. The last line takes DeepSeek-R1's for all models, as the default config does.
    """
    fitted = {key: fit(counts) for key, counts in PASS_RATES.items()}
    of_r1 = {key: fitted[key[0], "R1"] for key in PASS_RATES}
    made = [
        (f"{samples} samples, confidence {confidence:g}", *simulate(samples, confidence, fitted, fitted))
        for samples in (4, 8, 16)
        for confidence in (0.95, 0.977, 0.98, 0.99)
    ]
    made.append(("16 samples, confidence 0.99, R1's priors", *simulate(16, 0.99, fitted, of_r1)))
    print()
    table(("adaptive sampling", "saved", "equal grades"), made)


def simulate(samples, confidence, rates, priors):
    generator, saved, equal, weight = random.Random(0), 0.0, 0.0, 0.0
    for key, counts in PASS_RATES.items():
        asked = same = 0
        for _ in range(QUESTIONS):
            rate = generator.betavariate(*rates[key])
            passed = [generator.random() < rate for _ in range(samples)]
            needed = stop(passed, priors[key], confidence)
            asked += needed
            same += grade_class(sum(passed[:needed]), needed) == grade_class(sum(passed), samples)
        saved += sum(counts) * (1 - asked / samples / QUESTIONS)
        equal += sum(counts) * same / QUESTIONS
        weight += sum(counts)
    return saved / weight, equal / weight


def stop(passed, prior, confidence):
    """Samples after which the question is decided."""
    for known in range(1, len(passed)):
        passes = sum(passed[:known])
        if decided(passes, known - passes, len(passed) - known, prior, confidence):
            return known
    return len(passed)


def fit(counts):
    """The beta distribution under which these counts of passes among four are likeliest, on a grid of 15 % steps."""

    def log_beta(a, b):
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    def log_likelihood(a, b):
        return sum(count * (log_beta(a + k, b + 4 - k) - log_beta(a, b)) for k, count in enumerate(counts))

    grid = [0.01 * 1.15**step for step in range(45)]
    return max(((a, b) for a in grid for b in grid), key=lambda pair: log_likelihood(*pair))


def stage_against_vllm() -> None:
    """In .venv-vllm: the whole stage, from questions to published parts, against ``LLM.generate`` on the same prompts and seeds."""
    print()
    if not VLLM.exists():
        print("  the stage against vLLM: not measured, there is no .venv-vllm (make test builds it on Linux x86-64)")
        return
    with tempfile.TemporaryDirectory() as directory:
        make_model(Path(directory))
        environment = os.environ | {
            "VLLM_HOST_IP": "127.0.0.1", "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1", "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR",
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        }  # fmt: skip
        code = "import sys; from tests.perf.bench_responses import compare; compare(sys.argv[1])"
        done = subprocess.run([VLLM, "-c", code, directory], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    bare, stage = json.loads(done.stdout.splitlines()[-1])
    measured = [("LLM.generate", *bare, 1.0, 1.0), ("stage responses", *stage, stage[0] / bare[0], stage[1] / bare[1])]
    table(("vLLM, 3M parameters, CPU", "tokens/s", "tokens/CPU s", "ratio", "ratio of CPU time"), measured)


def make_model(directory: Path) -> None:
    from stillhouse.stages import sft
    from stillhouse.training.config import FromScratch
    from stillhouse.vocabulary.rows import Selected

    tables.write(directory / "selected", [testing.selected(each) for each in testing.questions(20)], Selected)
    init = FromScratch(kind="scratch", hidden_size=256, intermediate_size=768, layers=4, heads=8, vocabulary=320, context=256)
    inputs = sft.Inputs(scratch=directory, selected=directory / "selected")
    sft.run(sft.Config(init=init, max_steps=1, batch_size=8, max_length=96, system_prompt="none", suffix="none"), inputs)


def compare(given: str) -> None:
    """Print tokens a second, of wall and of CPU time, the best of some runs taken in turns; run by .venv-vllm's interpreter.

    All of vLLM is in this process: its CPU time is what the wall would be on an idle machine.
    """
    from stillhouse.sampling import engine as engines
    from stillhouse.sampling import planning
    from stillhouse.stages import responses

    directory = Path(given)
    tables.write(directory / "questions", testing.questions(200), rows.Question)
    config = responses.Config(
        model="tiny", engine="vllm", samples=4, max_tokens=64, temperature=1.0, top_p=1.0, system_prompt="none", suffix="none"
    )
    engine = engines.load(config, directory / "output")
    planning.loader = lambda sampling, model, checkpoint: lambda: engine
    bare, stage = [], []
    for number in range(RUNS + 1):
        bare.append(generate(engine, config, directory))
        inputs = responses.Inputs(scratch=directory / f"run-{number}", questions=directory / "questions")
        stage.append(rates(lambda given=inputs: responses.run(config, given).metrics["n_completion_tokens"]))
    # The first of each warms up.
    print(json.dumps([[max(column) for column in zip(*made[1:], strict=True)] for made in (bare, stage)]))


def rates(call) -> tuple[float, float]:
    """Of a call that returns how many tokens it made: tokens a second, by wall and by CPU time."""
    begun = time.process_time()
    with timed() as timing:
        tokens = call()
    return tokens / timing.seconds, tokens / (time.process_time() - begun)


def generate(engine, config, directory: Path) -> tuple[float, float]:
    """vLLM alone, on the stage's own prompts and seeds."""
    from vllm import SamplingParams

    from stillhouse.sampling.plan import Rounds

    llm, tokenizer = engine.llm, engine.llm.get_tokenizer()
    plan = Rounds(config, "tiny", lambda: tables.read(directory / "questions", rows.Question), config.samples)
    requests = list(plan.wave())
    prompts = [tokenizer.apply_chat_template(each.messages, tokenize=False, add_generation_prompt=True) for each in requests]
    given = [
        SamplingParams(temperature=config.temperature, top_p=config.top_p, max_tokens=config.max_tokens, seed=each.seed)
        for each in requests
    ]

    def run() -> int:
        return sum(len(each.outputs[0].token_ids) for each in llm.generate(prompts, given, use_tqdm=False))

    return rates(run)
