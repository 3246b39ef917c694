"""Training examples as tokens on disk: written once per node, by all its cores, and read on demand by all its ranks.

Twenty billion tokens take 80 GB of disk and hardly any memory: of an example only its position, its length and the ranges of its
learnt tokens are indexed.
"""

import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq
from transformers import AutoTokenizer

from stillhouse.artifacts import tables
from stillhouse.artifacts.tables import Parts
from stillhouse.execution import processes
from stillhouse.execution.contract import StageInputs
from stillhouse.models import chat_templates
from stillhouse.models.chat_formats import ChatFormat, Unlearnable
from stillhouse.training.data.tokens import IGNORED, TokenisedExample, examples_of
from stillhouse.training.sft.config import SftConfig
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.rows import Dropped, Selected
from stillhouse.vocabulary.seeds import draw

FEW = 20_000
"""Up to so many examples are tokenised in this process, since worker processes take seconds to start."""
TOKENS, EXAMPLES, SPANS = "tokens-{:05d}.int32", "examples.npy", "spans.npy"
HELD_OUT = "held-out.npy"
"""The index of the examples that are not trained on, as ``EXAMPLES`` is of the others."""
_EXAMPLE = [("part", "i8"), ("start", "i8"), ("length", "i8"), ("first_span", "i8"), ("n_spans", "i8")]


class Corpus:
    """Examples by number, memory-mapped."""

    def __init__(self, directory: Path, index: str = EXAMPLES) -> None:
        """``directory``: what ``assemble`` wrote. ``index``: EXAMPLES or HELD_OUT."""
        self._directory, self._index = directory, index
        self._examples, self._spans = (np.load(directory / name, mmap_mode="r") for name in (index, SPANS))
        numbers = np.unique(self._examples["part"]).tolist()
        self._tokens = {number: np.memmap(directory / TOKENS.format(number), np.int32, "r") for number in numbers}

    def __reduce__(self) -> tuple[type["Corpus"], tuple[Path, str]]:
        """Pickle the directory only: the datasets library pickles transforms to hash them, and would read all tokens for that."""
        return Corpus, (self._directory, self._index)

    def __len__(self) -> int:
        return len(self._examples)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each example, shape (n_examples,)."""
        return np.asarray(self._examples["length"], np.int64)

    def __getitem__(self, number: int) -> dict[str, npt.NDArray[np.int64]]:
        """``input_ids`` of an example, shape (n_tokens,), and ``labels`` of the same shape, IGNORED for tokens not learnt."""
        part, start, length, first, n_spans = self._examples[number].item()
        ids = self._tokens[part][start : start + length].astype(np.int64)
        labels = np.full(length, IGNORED)
        for begin, end in self._spans[first : first + n_spans]:
            labels[begin:end] = ids[begin:end]
        return {"input_ids": ids, "labels": labels}

    def spans(self, number: int) -> list[tuple[int, int]]:
        """Begin and end of every learnt range of an example."""
        first, n_spans = (int(self._examples[number][name]) for name in ("first_span", "n_spans"))
        return [(int(begin), int(end)) for begin, end in self._spans[first : first + n_spans]]

    def joined(self, numbers: Sequence[int]) -> dict[str, Any]:
        """Several examples as one row: ``input_ids`` and ``labels``, shape (n_tokens,), and ``seq_lengths``, a list of ints."""
        examples = [self[number] for number in numbers]
        row: dict[str, Any] = {name: np.concatenate([example[name] for example in examples]) for name in examples[0]}
        return row | {"seq_lengths": [len(example["labels"]) for example in examples]}


def opened(directory: Path, index: str = EXAMPLES) -> Corpus:
    """The corpus, once all ranks have opened it, since the first rank to leave removes its files; all ranks call."""
    corpus = Corpus(directory, index)
    processes.gathered(None)
    return corpus


@dataclass(frozen=True)
class TokenisedPart:
    """One part of the selected examples after tokenising; the tokens themselves are in a file."""

    lengths: npt.NDArray[np.int64]
    """Tokens of each example, shape (n_examples,)."""
    n_spans: npt.NDArray[np.int64]
    """Learnt ranges of each example, shape (n_examples,)."""
    spans: npt.NDArray[np.int32]
    """Begin and end of every learnt range within its example, shape (ranges of all examples, 2)."""
    dropped: Sequence[Dropped] = ()
    held_out: Sequence[bool] = ()
    """Which examples are held out; empty for none."""


def n_examples(selected: Path, split: str) -> dict[Path, int]:
    """The number of examples of a split in each part of the artifact that has any."""
    counts = {}
    for path in tables.parts(selected):
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            tables.check_columns(path, file.schema_arrow.names, ["split"], Selected)
            counts[path] = pc.sum(pc.equal(file.read(columns=["split"]).column(0), split)).as_py() or 0
    return {path: n for path, n in counts.items() if n}


def examples(paths: Iterable[Path], split: str) -> Iterator[Selected]:
    """The examples of a split, in order."""
    return (row for path in paths for row in tables.read(path, Selected) if row.split == split)


def trained_questions(config: SftConfig, paths: Iterable[Path]) -> set[str]:
    """The questions whose examples are trained on."""
    rows = (pq.read_table(path, columns=["question_id", "split"]) for path in paths)
    ids = {key for table in rows for key in table.filter(pc.field("split") == config.split).column("question_id").to_pylist()}
    return {question_id for question_id in ids if not _is_held_out(question_id, config)}


def make(
    config: SftConfig, inputs: StageInputs, counts: dict[Path, int], chat: ChatFormat, limit: int, name: str = "corpus"
) -> tuple[Path, dict[str, int], str]:
    """Tokenise the parts in ``counts``; returns the corpus directory, drops by reason, and the first drop in a phrase.

    ``name``: of the directory, where there are several corpora.

    Rows that cannot be learnt with the chat template, and those of more than ``limit`` tokens, go to ``dropped/``. Only the node's
    first rank calls this.
    """
    directory = inputs.scratch / name
    directory.mkdir()
    tokenise = partial(_tokenise_part, config=config, limit=limit, directory=directory)
    n_done, total, parts = 0, sum(counts.values()), list[TokenisedPart]()
    drops = Parts(inputs.dropped, Dropped, "part" if name == "corpus" else f"part-{name}")
    reasons, first = Counter[str](), ""
    with _mapped(tokenise, chat, directory, counts) as results:
        for (path, n), part in zip(counts.items(), results, strict=True):
            parts.append(replace(part, dropped=()))
            n_done += n
            for row in part.dropped:
                first = first or f"{row.key}: {row.detail}"
                reasons[row.reason] += 1
                drops.add(row)
            if total > FEW:
                inputs.progress(n_done, total, f"examples tokenised, {path.name}")
    drops.flush()
    assemble(directory, parts)
    return directory, dict(sorted(reasons.items())), first


@contextmanager
def _mapped(
    tokenise: Callable[..., TokenisedPart], chat: ChatFormat, directory: Path, counts: dict[Path, int]
) -> Iterator[Iterator[TokenisedPart]]:
    """The tokenised parts in order, made by one process per core if there are enough examples."""
    n_processes = min(len(os.sched_getaffinity(0)), len(counts))
    jobs = list(enumerate(counts))
    if n_processes == 1 or sum(counts.values()) <= FEW:
        yield (tokenise(job, chat=chat) for job in jobs)
        return
    chat.tokenizer.save_pretrained(directory / "tokenizer")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_processes, context, _one_thread_per_tokenizer) as pool:
        try:
            yield pool.map(partial(_in_worker, tokenise, directory / "tokenizer", chat.end_token), jobs)
        except BaseException:  # before leaving the pool, which would wait for all its jobs: longer than a preemption's grace period
            for child in multiprocessing.active_children():
                child.terminate()
            raise


def _one_thread_per_tokenizer() -> None:
    """Run first in every worker process: the workers already use all cores."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


@cache
def _saved_chat(directory: Path, end_token: str) -> ChatFormat:
    """Loaded once per worker process. The saved tokenizer has the template that the config asks for."""
    tokenizer = AutoTokenizer.from_pretrained(directory, trust_remote_code=False)
    return chat_templates.prepare(tokenizer, eos_token=end_token)


def _in_worker(
    tokenise: Callable[..., TokenisedPart], tokenizer_directory: Path, end_token: str, job: tuple[int, Path]
) -> TokenisedPart:
    return tokenise(job, chat=_saved_chat(tokenizer_directory, end_token))


def _tokenise_part(job: tuple[int, Path], *, config: SftConfig, limit: int, directory: Path, chat: ChatFormat) -> TokenisedPart:
    """Tokenise one part: its number and its path."""
    number, path = job
    drops, held_out = list[Dropped](), list[bool]()

    def fitting() -> Iterator[TokenisedExample]:
        for row in examples([path], config.split):
            try:
                learnable = _learnable(row, config, chat, limit)
            except Unlearnable as error:
                drops.append(rows.dropped(row, error.reason, str(error)))
            else:
                held_out.extend([_is_held_out(row.question_id, config)] * len(learnable))
                yield from learnable

    return replace(write_part(directory, number, fitting()), dropped=drops, held_out=held_out)


def _is_held_out(question_id: str, config: SftConfig) -> bool:
    """Whether the question's rows are for validation alone."""
    share = config.validation.rows if config.validation else 0.0
    return share > 0 and draw(config.seed, "validation rows", question_id) < share


def _learnable(row: Selected, config: SftConfig, chat: ChatFormat, limit: int) -> list[TokenisedExample]:
    """The row's examples. Raises Unlearnable, also if one has more than ``limit`` tokens."""
    tokens = examples_of(row, config, chat)
    longest = max(len(example.ids) for example in tokens)
    if longest > limit:
        msg = f"{longest} tokens"
        raise Unlearnable(msg, "too_long")
    return tokens


def write_part(directory: Path, number: int, part: Iterable[TokenisedExample]) -> TokenisedPart:
    """Write the tokens of a part to its file, one example after the other."""
    lengths, n_spans, spans = list[int](), list[int](), list[tuple[int, int]]()
    with (directory / TOKENS.format(number)).open("wb") as file:
        for example in part:
            np.asarray(example.ids, np.int32).tofile(file)
            lengths.append(len(example.ids))
            n_spans.append(len(example.learnt))
            spans += example.learnt
    return TokenisedPart(np.array(lengths, np.int64), np.array(n_spans, np.int64), np.array(spans, np.int32).reshape(-1, 2))


def assemble(directory: Path, parts: Sequence[TokenisedPart]) -> None:
    """Write the index of the examples. ``parts``: in the order of their numbers."""
    index = np.empty(sum(len(part.lengths) for part in parts), _EXAMPLE)
    index["part"] = np.repeat(np.arange(len(parts)), [len(part.lengths) for part in parts])
    index["start"] = np.concatenate([np.cumsum(part.lengths) - part.lengths for part in parts])
    index["length"] = np.concatenate([part.lengths for part in parts])
    index["n_spans"] = np.concatenate([part.n_spans for part in parts])
    index["first_span"] = np.cumsum(index["n_spans"]) - index["n_spans"]
    held_out = np.concatenate([part.held_out or np.zeros(len(part.lengths), bool) for part in parts]).astype(bool)
    np.save(directory / EXAMPLES, index[~held_out])
    np.save(directory / HELD_OUT, index[held_out])
    np.save(directory / SPANS, np.concatenate([part.spans for part in parts]))
