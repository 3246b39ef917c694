"""Training examples as tokens on disk: made once a node, by all its cores, and read by all its ranks as they are asked for.

Twenty billion tokens are 80 GB of disk and no memory to speak of: what is held of an example is its place, its length and which of
its tokens are learnt.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.artifacts import tables
from stillhouse.artifacts.tables import Parts
from stillhouse.execution import processes
from stillhouse.training.data.tokens import IGNORED, Tokens, tokenised
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.prompts import asked
from stillhouse.vocabulary.rows import Dropped, Selected

if TYPE_CHECKING:
    import numpy as np

    from stillhouse.execution.contract import StageInputs
    from stillhouse.stages.sft import Config

    Array = np.ndarray[Any, Any]

FEW = 20_000
"""Examples that are tokenised without further processes: those take seconds to begin."""
TOKENS, EXAMPLES, SPANS = "tokens-{:05d}.int32", "examples.npy", "spans.npy"
_EXAMPLE = [("part", "i8"), ("start", "i8"), ("length", "i8"), ("first_span", "i8"), ("n_spans", "i8")]


class Corpus:
    """Examples by number, memory-mapped."""

    def __init__(self, directory: Path) -> None:
        """``directory``: what ``assemble`` wrote."""
        import numpy as np

        self._directory = directory
        self._examples, self._spans = (np.load(directory / name, mmap_mode="r") for name in (EXAMPLES, SPANS))
        numbers = np.unique(self._examples["part"]).tolist()
        self._tokens = {number: np.memmap(directory / TOKENS.format(number), np.int32, "r") for number in numbers}

    def __reduce__(self) -> tuple[type["Corpus"], tuple[Path]]:
        """By its directory: the datasets library pickles what it is given, to hash it, and would read all tokens for that."""
        return Corpus, (self._directory,)

    def __len__(self) -> int:
        return len(self._examples)

    @property
    def lengths(self) -> "Array":
        """Tokens of each example."""
        import numpy as np

        return np.asarray(self._examples["length"], np.int64)

    def __getitem__(self, number: int) -> "dict[str, Array]":
        """``input_ids`` of an example, and ``labels`` of the same length, IGNORED for tokens that are not learnt."""
        import numpy as np

        part, start, length, first, n_spans = self._examples[number].item()
        ids = self._tokens[part][start : start + length].astype(np.int64)
        labels = np.full(length, IGNORED)
        for begin, end in self._spans[first : first + n_spans]:
            labels[begin:end] = ids[begin:end]
        return {"input_ids": ids, "labels": labels}

    def joined(self, numbers: Sequence[int]) -> dict[str, Any]:
        """Several examples as one row, with ``seq_lengths`` of its parts."""
        import numpy as np

        found = [self[each] for each in numbers]
        made: dict[str, Any] = {name: np.concatenate([each[name] for each in found]) for name in found[0]}
        return made | {"seq_lengths": [len(each["labels"]) for each in found]}


def opened(directory: Path) -> Corpus:
    """The corpus, once all ranks have it open: the first to leave takes its files away; all ranks."""
    found = Corpus(directory)
    processes.gathered(None)
    return found


@dataclass(frozen=True)
class Made:
    """What became of one part of the selected examples; its tokens lie in a file."""

    lengths: "Array"
    """Tokens of each example."""
    n_spans: "Array"
    """How many stretches of each are learnt."""
    spans: "Array"
    """Where these begin and end, shape (of all examples, 2)."""
    dropped: Sequence[Dropped] = ()


def n_examples(selected: Path, split: str) -> dict[Path, int]:
    """The examples of a split in each part of the artifact that has some."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    counted = {}
    for path in tables.parts(selected):
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            tables.check_columns(path, file.schema_arrow.names, ["split"], Selected)
            counted[path] = pc.sum(pc.equal(file.read(columns=["split"]).column(0), split)).as_py() or 0
    return {path: n for path, n in counted.items() if n}


def examples(paths: Iterable[Path], split: str) -> Iterator[Selected]:
    """The examples of a split, one after the other."""
    return (row for path in paths for row in tables.read(path, Selected) if row.split == split)


def make(
    config: "Config", inputs: "StageInputs", counted: dict[Path, int], tokenizer: Any, limit: int
) -> tuple[Path, dict[str, int]]:
    """The corpus of the parts that ``counted`` names, and drops by reason; what has over ``limit`` tokens goes to ``dropped/``.

    The node's first rank calls this. Raises EngineFailed for a chat template by which turns cannot be told apart.
    """
    directory = inputs.scratch / "corpus"
    directory.mkdir()
    tokenise = partial(_part, config=config, limit=limit, directory=directory)
    n_done, total, made, too_long = 0, sum(counted.values()), list[Made](), Parts(inputs.dropped, Dropped)
    with _mapped(tokenise, tokenizer, directory, counted) as parts:
        for (path, n), each in zip(counted.items(), parts, strict=True):
            made.append(replace(each, dropped=()))
            n_done += n
            for row in each.dropped:
                too_long.add(row)
            if total > FEW:
                inputs.progress(n_done, total, f"examples tokenised, {path.name}")
    too_long.flush()
    assemble(directory, made)
    n_dropped = total - sum(len(each.lengths) for each in made)
    return directory, {"too_long": n_dropped} if n_dropped else {}


@contextmanager
def _mapped(tokenise: Callable[..., Made], tokenizer: Any, directory: Path, counted: dict[Path, int]) -> Iterator[Iterator[Made]]:
    """The parts tokenised in their order, by as many processes as there are cores where it is worth it."""
    n_processes = min(len(os.sched_getaffinity(0)), len(counted))
    jobs = list(enumerate(counted))
    if n_processes == 1 or sum(counted.values()) <= FEW:
        yield (tokenise(job, tokenizer=tokenizer) for job in jobs)
        return
    tokenizer.save_pretrained(directory / "tokenizer")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_processes, context, _begin, (str(directory / "tokenizer"),)) as pool:
        try:
            yield pool.map(partial(_in_process, tokenise), jobs)
        except BaseException:  # before the pool is left, which waits for all it was given: longer than a preemption's grace
            for child in multiprocessing.active_children():
                child.terminate()
            raise


_tokenizer: list[Any] = []
"""That of a process of the pool."""


def _begin(directory: str) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from transformers import AutoTokenizer

    _tokenizer.append(AutoTokenizer.from_pretrained(directory))


def _in_process(tokenise: Callable[..., Made], job: tuple[int, Path]) -> Made:
    return tokenise(job, tokenizer=_tokenizer[0])


def _part(job: tuple[int, Path], *, config: "Config", limit: int, directory: Path, tokenizer: Any) -> Made:
    """Tokenise one part."""
    number, path = job
    too_long: list[Dropped] = []

    def short() -> Iterator[Tokens]:
        for example in examples([path], config.split):
            prompt = asked(example.messages[:-1], example.category, config.system_prompt, config.suffix, config.suffixes)
            found = tokenised([*prompt, example.messages[-1]], tokenizer, config.loss_on)
            if len(found.ids) > limit:
                too_long.append(rows.dropped(example, "too_long", f"{len(found.ids)} tokens"))
            else:
                yield found

    return replace(write_part(directory, number, short()), dropped=too_long)


def write_part(directory: Path, number: int, given: Iterable[Tokens]) -> Made:
    """Write the tokens of a part, example by example."""
    import numpy as np

    lengths, n_spans, spans = list[int](), list[int](), list[tuple[int, int]]()
    with (directory / TOKENS.format(number)).open("wb") as file:
        for each in given:
            np.asarray(each.ids, np.int32).tofile(file)
            lengths.append(len(each.ids))
            n_spans.append(len(each.learnt))
            spans += each.learnt
    return Made(np.array(lengths, np.int64), np.array(n_spans, np.int64), np.array(spans, np.int32).reshape(-1, 2))


def assemble(directory: Path, parts: Sequence[Made]) -> None:
    """Write where each example of the parts is, which were written in this order."""
    import numpy as np

    found = np.empty(sum(len(each.lengths) for each in parts), _EXAMPLE)
    found["part"] = np.repeat(np.arange(len(parts)), [len(each.lengths) for each in parts])
    found["start"] = np.concatenate([np.cumsum(each.lengths) - each.lengths for each in parts])
    found["length"] = np.concatenate([each.lengths for each in parts])
    found["n_spans"] = np.concatenate([each.n_spans for each in parts])
    found["first_span"] = np.cumsum(found["n_spans"]) - found["n_spans"]
    np.save(directory / EXAMPLES, found)
    np.save(directory / SPANS, np.concatenate([each.spans for each in parts]))
