"""Training data of sft: tokenising, packing and fetching as the stage does it, against TRL's own preparation of the same rows.

Each in a process of its own on one core. Memory is what is the process's own (RssAnon): pages of mapped files are the system's to
take back. DeepDistill's Stage I has 5.4 M examples and about 20 billion tokens.
"""

import os
import random
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from stillhouse import testing
from stillhouse.artifacts import tables
from stillhouse.artifacts.tables import Parts
from stillhouse.stages import sft
from stillhouse.training import models
from stillhouse.training.config import FromScratch
from stillhouse.vocabulary.rows import Selected
from tests.perf.measure import table

WORDS, VOCABULARY, SIZE = 700, 8000, 32_768
"""Words to a thought, tokens of the tokenizer, and tokens to a pack."""
EXAMPLES = (16_000, 64_000)
STAGE_I = 20e9
CONFIG = sft.Config(
    init=FromScratch(kind="scratch", vocabulary=VOCABULARY, context=SIZE), max_length=SIZE, system_prompt="none", suffix="none"
)


def main() -> None:
    made = []
    with tempfile.TemporaryDirectory() as directory:
        for n in EXAMPLES:
            root = Path(directory) / str(n)
            n_bytes = examples(root, n)
            for name, prepare in (("TRL", by_trl), ("stillhouse", by_stage)):
                if name == "TRL" and n != EXAMPLES[0]:
                    continue  # TRL takes several times as long; what it needs of a token does not depend on how many there are
                made.append((f"{name}, {n:,} examples of {n_bytes / n / 1000:.1f} kB", *alone(prepare, root)))
    peer = made[0][1] / made[0][2]
    table(
        ("training data", "M tokens", "tokens/s made", "tokens/s fetched", "bytes a token", "own memory, GiB", "of TRL's speed"),
        [(name, n / 1e6, n / made_s, n / got_s, disk / n, gib, n / made_s / peer) for name, n, made_s, got_s, disk, gib in made],
    )
    (_, few, _, _, _, least), (_, many, made_s, _, disk, most) = made[1:]
    hours, gb, gib = STAGE_I * made_s / many / 3600, STAGE_I * disk / many / 1e9, least + STAGE_I * (most - least) / (many - few)
    print(f"  {STAGE_I / 1e9:g} billion tokens by projection: {hours:.1f} core hours, {gb:.0f} GB of disk, {gib:.1f} GiB of memory")


def examples(root: Path, n: int) -> int:
    """An artifact of selected examples, and a tokenizer beside; returns the bytes of their text."""
    random.seed(0)
    lexicon = ["".join(random.choices("etaoinshrdlu", k=random.randint(2, 9))) for _ in range(5000)]
    asked = testing.questions(min(n, 500))
    (root / "selected").mkdir(parents=True)
    parts, n_bytes = Parts(root / "selected", Selected), 0
    for number in range(n):
        question = asked[number % len(asked)]
        thought = " ".join(random.choices(lexicon, k=int(WORDS * random.lognormvariate(0, 0.6))))
        reply = {"role": "assistant", "content": f"<think>{thought}</think><answer>{number}</answer>"}
        n_bytes += len(thought)
        parts.add(testing.selected(question, messages=[*question.messages, reply]))
    parts.close()
    texts = (row.messages[-1]["content"] for row in tables.read(parts.paths[0], Selected))
    models.load(CONFIG.init, None, list(islice(texts, 400)), 0)[1].save_pretrained(root / "tokenizer")
    return n_bytes


def by_stage(root: Path):
    from transformers import AutoTokenizer

    from stillhouse.models import chat_templates
    from stillhouse.training.data import corpus
    from stillhouse.training.sft.sft_trainer import dataset

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    inputs = sft.Inputs(scratch=root / "scratch")
    inputs.scratch.mkdir()
    counted = corpus.n_examples(root / "selected", "sft_1")
    chat = chat_templates.prepare(AutoTokenizer.from_pretrained(root / "tokenizer"))
    directory, _, _ = corpus.make(CONFIG, inputs, counted, chat, SIZE)
    return dataset(CONFIG, corpus.Corpus(directory)), directory


def by_trl(root: Path):
    """A row to a conversation, through TRL's preparation: its chat template, masks, packing."""
    import datasets
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    datasets.disable_progress_bars()
    datasets.config.HF_DATASETS_CACHE = root / "cache"
    model, _ = models.load(FromScratch(kind="scratch", hidden_size=8, heads=1, layers=1, context=SIZE), None, ["a"], 0)
    given = datasets.load_dataset("parquet", data_files=[str(path) for path in tables.parts(root / "selected")], split="train")
    given = given.map(lambda row: {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]},
                      remove_columns=given.column_names)  # fmt: skip
    arguments = SFTConfig(output_dir=str(root / "trl"), max_length=SIZE, packing=True, use_cpu=True, bf16=False, report_to="none")
    tokenizer = AutoTokenizer.from_pretrained(root / "tokenizer")
    trainer = SFTTrainer(model=model, args=arguments, train_dataset=given, processing_class=tokenizer)
    return trainer.train_dataset, root / "cache"


def alone(prepare, root: Path):
    """Tokens, seconds of making and of fetching them, bytes on disk and GiB, in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(_measured, prepare, root).result()


def _measured(prepare, root: Path):
    import datasets  # noqa: F401
    import transformers  # noqa: F401
    import trl.trainer.sft_trainer  # noqa: F401

    own, over = [0.0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(own, over))
    watcher.start()
    begun = time.process_time()
    made, directory = prepare(root)
    making = time.process_time() - begun
    begun, n = time.process_time(), 0
    for row in made:
        n += len(row["input_ids"])
    fetching = time.process_time() - begun
    over.set()
    watcher.join()
    disk = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    return n, making, fetching, disk, own[0]


def _watch(own: list[float], over: threading.Event) -> None:
    """The most memory of this process's own so far, in GiB."""
    while not over.wait(0.05):
        status = Path("/proc/self/status").read_text()
        kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:"))
        own[0] = max(own[0], kib / 2**20)
