"""questions + responses -> screened: which responses are fit to learn from, by structure, repetition and perplexity."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from stillhouse.artifacts import tables
from stillhouse.artifacts.tables import Parts
from stillhouse.errors import BadConfig, BadRows, NothingToDo
from stillhouse.execution.contract import Outputs, StageInputs
from stillhouse.screening import input_rows, ngrams, perplexity
from stillhouse.screening.rules import Asked, Rules, Screening, screen
from stillhouse.screening.tokenise import batches
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.rows import Dropped, Response, Screened

SCHEMA_VERSION = 2
FREQUENT = "frequent_ngrams.json"
"""The strings that are too frequent, most frequent first, with their counts."""
FREQUENT_SHOWN = 1000


class Config(Rules):
    """What makes a response unfit to learn from. A rule that is null or false is switched off."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """Responses, the questions they answer, and a checkpoint to score perplexity with."""

    questions: Path
    responses: tuple[Path, ...]
    scorer: Path | None = None


def run(config: Config, inputs: Inputs) -> Outputs:
    """Count strings over all responses, then judge each, batch by batch. Raises BadRows for a response to an unknown question."""
    scorer = _scorer(config, inputs)
    asked = input_rows.asked(inputs.questions, with_prompts=config.max_perplexity is not None)
    frequent = _frequent(config, inputs)
    reasons: Counter[str] = Counter()
    n_made = tables.write(inputs.output, _screened(inputs, _judged(config, inputs, asked, frequent, scorer), reasons), Screened)
    if not n_made and inputs.shard.count == 1:
        msg = "screened: the responses have no row for this run; nothing to screen"
        raise NothingToDo(msg)
    inputs.progress(n_made, n_made, "responses")
    shown = sorted(frequent.texts.items(), key=lambda item: (-item[1], item[0]))[:FREQUENT_SHOWN] if frequent else []
    (inputs.output / FREQUENT).write_text(json.dumps([{"text": text, "count": count} for text, count in shown]), encoding="utf-8")
    kept = n_made - reasons.total()
    metrics = {"n_screened": float(n_made), "n_kept": float(kept), "kept_share": kept / max(n_made, 1)}
    return Outputs(metrics, reasons, artifacts=[FREQUENT])


def _scorer(config: Config, inputs: Inputs) -> perplexity.Scorer | None:
    if config.max_perplexity is None:
        return None
    model = inputs.scorer or config.perplexity_model
    if model is None:
        msg = "screened: max_perplexity needs a model: --input scorer=URI of a checkpoint, or perplexity_model, a name on the hub"
        raise BadConfig(msg)
    return perplexity.load(config.perplexity_engine, str(model), config.perplexity_tokens)


def _frequent(config: Config, inputs: Inputs) -> ngrams.Ngrams | None:
    """The first pass: the strings of all responses, counted."""
    if config.max_ngram_count is None:
        return None
    scratch = inputs.scratch / "ngrams"
    scratch.mkdir()
    found = ngrams.Ngrams(config.ngram_tokens, config.max_ngram_count, ngrams.tokenizer(config.ngram_tokenizer), scratch)
    return ngrams.counted(input_rows.texts(inputs.responses), found)


def _judged(
    config: Config, inputs: Inputs, asked: Mapping[str, Asked], frequent: ngrams.Ngrams | None, scorer: perplexity.Scorer | None
) -> Iterator[tuple[Response, Screening]]:
    """The second pass. Strings are counted over all responses, so that shards judge alike; each judges its own."""
    total, done = sum(tables.count(path) for path in inputs.responses), 0
    given = chain.from_iterable(tables.read(path, Response) for path in inputs.responses)
    mine = (response for response in given if inputs.shard.holds(response.question_id))
    for batch in batches(mine, lambda response: response.text):
        unknown = next((response for response in batch if response.question_id not in asked), None)
        if unknown is not None:
            msg = f"a response of {unknown.model} answers question {unknown.question_id}, which the questions input has not"
            raise BadRows(msg)
        judged = screen(config, [asked[response.question_id] for response in batch], batch, frequent, scorer)
        yield from zip(batch, judged, strict=True)
        done += len(batch)
        inputs.progress(done, total, "responses")


def _screened(inputs: Inputs, judged: Iterable[tuple[Response, Screening]], reasons: Counter[str]) -> Iterator[Screened]:
    """Pass the rows on; write those dropped, part by part, and count their reasons."""
    drops = Parts(inputs.dropped, Dropped)
    for response, (row, detail) in judged:
        if row.reason:
            drops.add(rows.dropped(response, row.reason, detail))
            reasons[row.reason] += 1
        yield row
    drops.close()
