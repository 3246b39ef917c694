"""The work of ``screened``: count strings over all responses, then judge each response, batch by batch."""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain

import numpy as np
import numpy.typing as npt

from stillhouse.artifacts import tables
from stillhouse.artifacts.letting_go import LetGo
from stillhouse.artifacts.tables import Parts
from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.execution.contract import Outputs
from stillhouse.execution.row_pool import mapped
from stillhouse.models import resolving
from stillhouse.screening import input_rows, ngrams
from stillhouse.screening.config import ScreenedConfig, ScreenedInputs
from stillhouse.screening.ngrams import Ngrams
from stillhouse.screening.rules import QuestionForm, Scorer, Screening, screen, with_perplexities
from stillhouse.screening.tokenise import batches
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.rows import Dropped, Response, Screened

FREQUENT = "frequent_ngrams.json"
"""The strings that occur too often, most frequent first, with their counts."""
FREQUENT_SHOWN = 1000
SUMMARY, COUNTS, FOUND = "summary", "ngrams.counts", "frequent.npz"
Batch = tuple[list[QuestionForm], list[Response]]
Counted = tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]
"""The hashes of the strings that occur too often, and their counts; both (n_strings,)."""


def count_share(config: ScreenedConfig, inputs: ScreenedInputs) -> Outputs:
    """The map step: count the strings of this shard's responses."""
    counting = _counting(config, inputs)
    ngrams.add_all(input_rows.texts(inputs.responses, inputs.shard), counting, config.ngram_tokens, config.ngram_tokenizer)
    path = inputs.output / SUMMARY / COUNTS
    path.parent.mkdir()
    return Outputs({"n_strings": float(ngrams.save_counts(counting, path))})


def combine_counts(config: ScreenedConfig, inputs: ScreenedInputs) -> Outputs:
    """The combine step: the strings that occur too often in the responses of all shards together."""
    paths = [directory / SUMMARY / COUNTS for directory in inputs.maps]
    hashes, counts = ngrams.add_counts(paths, config.max_ngram_count or 0)
    for index in range(inputs.shard.count):
        path = inputs.output / f"to-{index}" / FOUND
        path.parent.mkdir()
        np.savez(path, hashes=hashes, counts=counts)
    return Outputs({"n_frequent": float(len(hashes))})


def screen_all(config: ScreenedConfig, inputs: ScreenedInputs) -> Outputs:
    """Screen the responses of this shard; see ``stages.screened.run``."""
    scorer = _scorer(config, inputs)
    questions = input_rows.question_forms(inputs.questions, with_prompts=config.max_perplexity is not None)
    reasons, texts = Counter[str](), dict[str, int]()
    drops = Parts(inputs.dropped, Dropped)
    let_go = LetGo("screened", questions, drops)
    screenings = _judged(config, inputs, questions, let_go, texts, scorer)
    n_screened = tables.write(inputs.output, _rows(screenings, drops, reasons), Screened)
    unknown = let_go.reasons(inputs.shard)
    if not n_screened and inputs.shard.count == 1:
        msg = "screened: the responses have no row for this run; nothing to screen"
        raise NothingToDo(msg)
    inputs.progress(n_screened, n_screened, "responses")
    shown = sorted(texts.items(), key=lambda item: (-item[1], item[0]))[:FREQUENT_SHOWN]
    strings = [{"text": text, "count": count} for text, count in shown]
    (inputs.output / FREQUENT).write_text(json.dumps(strings), encoding="utf-8")
    kept = n_screened - reasons.total()
    metrics = {"n_screened": float(n_screened), "n_kept": float(kept), "kept_share": kept / max(n_screened, 1)}
    return Outputs(metrics, reasons | unknown, artifacts=[FREQUENT])


def _scorer(config: ScreenedConfig, inputs: ScreenedInputs) -> Scorer | None:
    if config.max_perplexity is None:
        return None
    if inputs.scorer is None and config.perplexity_model is None:
        msg = "screened: max_perplexity needs a model: give --input scorer=REFERENCE or perplexity_model, such as hf://ORG/NAME"
        raise BadConfig(msg)
    model = inputs.scorer or resolving.local(str(config.perplexity_model))
    # Not at the top: the worker image, which screens without a model, has no torch.
    from stillhouse.screening import perplexity

    return perplexity.load(config.perplexity_engine, str(model), config.perplexity_tokens)


def _counting(config: ScreenedConfig, inputs: ScreenedInputs) -> Ngrams:
    scratch = inputs.scratch / "ngrams"
    scratch.mkdir()
    return Ngrams(config.ngram_tokens, config.max_ngram_count or 0, ngrams.tokenizer(config.ngram_tokenizer), scratch)


def _frequent(config: ScreenedConfig, inputs: ScreenedInputs) -> Counted | None:
    """The strings that occur too often in all responses: counted here, or by the combine step of the shards."""
    if config.max_ngram_count is None:
        return None
    if inputs.decision is not None:
        with np.load(inputs.decision / f"to-{inputs.shard.index}" / FOUND) as found:
            return found["hashes"], found["counts"]
    counting = _counting(config, inputs)
    ngrams.add_all(input_rows.texts(inputs.responses, inputs.shard), counting, config.ngram_tokens, config.ngram_tokenizer)
    counting.count()
    return counting.counted()


def _judge_of(config: ScreenedConfig, counted: Counted | None) -> Callable[[Batch], tuple[list[Screening], dict[str, int]]]:
    """A function that screens a batch, and returns the frequent strings it met with their counts too."""
    frequent = None
    if counted is not None:
        frequent = Ngrams(config.ngram_tokens, config.max_ngram_count or 0, ngrams.tokenizer(config.ngram_tokenizer))
        frequent.take(*counted)

    def judge(batch: Batch) -> tuple[list[Screening], dict[str, int]]:
        screenings = screen(config, *batch, frequent)
        met = frequent.texts if frequent else {}
        if frequent:
            frequent.texts = {}
        return screenings, met

    return judge


def _judged(
    config: ScreenedConfig, inputs: ScreenedInputs, questions: Mapping[str, QuestionForm], let_go: LetGo, texts: dict[str, int],
    scorer: Scorer | None,
) -> Iterator[tuple[Response, Screening]]:  # fmt: skip
    """The second pass, over this shard's responses, in all cores; a model that scores perplexity stays in this process."""
    counted, done, total = _frequent(config, inputs), 0, sum(tables.count(path) for path in inputs.responses)
    waiting: deque[Batch] = deque()

    def noted() -> Iterator[Batch]:
        for batch in _batches(inputs, questions, let_go):
            waiting.append(batch)
            yield batch

    for by_text, met in mapped(partial(_judge_of, config, counted), noted()):
        forms, responses = waiting.popleft()
        texts.update(met)
        screenings = by_text
        if scorer is not None and config.max_perplexity is not None:
            screenings = with_perplexities(by_text, forms, responses, scorer, config.max_perplexity)
        yield from zip(responses, screenings, strict=True)
        done += len(responses)
        inputs.progress(done, total, "responses")


def _batches(inputs: ScreenedInputs, questions: Mapping[str, QuestionForm], let_go: LetGo) -> Iterator[Batch]:
    """The shard's responses, each with its question; those without a question are let go."""
    responses = chain.from_iterable(tables.read(path, Response) for path in inputs.responses)
    mine = (response for response in responses if inputs.shard.holds(response.question_id))
    for batch in batches(let_go.known(mine), lambda response: response.text):
        yield [questions[response.question_id] for response in batch], batch


def _rows(
    screenings: Iterable[tuple[Response, Screening]], drops: Parts[Dropped], reasons: Counter[str]
) -> Iterator[Screened]:  # fmt: skip
    """Pass the rows on; write the dropped responses, part by part, and count their reasons."""
    for response, (row, detail) in screenings:
        if row.reason:
            drops.add(rows.dropped(response, row.reason, detail))
            reasons[row.reason] += 1
        yield row
    drops.close()
