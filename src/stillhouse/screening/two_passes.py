"""The work of ``screened``: count strings over all responses, then judge each response, batch by batch."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from stillhouse.artifacts import tables
from stillhouse.artifacts.letting_go import LetGo
from stillhouse.artifacts.tables import Parts
from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.execution.contract import Outputs
from stillhouse.screening import input_rows, ngrams
from stillhouse.screening.config import ScreenedConfig, ScreenedInputs
from stillhouse.screening.ngrams import Ngrams
from stillhouse.screening.rules import QuestionForm, Scorer, Screening, screen
from stillhouse.screening.tokenise import batches
from stillhouse.vocabulary import rows
from stillhouse.vocabulary.rows import Dropped, Response, Screened

FREQUENT = "frequent_ngrams.json"
"""The strings that occur too often, most frequent first, with their counts."""
FREQUENT_SHOWN = 1000


def screen_all(config: ScreenedConfig, inputs: ScreenedInputs) -> Outputs:
    """Screen the responses of this shard; see ``stages.screened.run``."""
    scorer = _scorer(config, inputs)
    questions = input_rows.question_forms(inputs.questions, with_prompts=config.max_perplexity is not None)
    frequent = _frequent(config, inputs)
    reasons: Counter[str] = Counter()
    drops = Parts(inputs.dropped, Dropped)
    let_go = LetGo("screened", questions, drops)
    screenings = _judged(config, inputs, questions, frequent, scorer, let_go)
    n_screened = tables.write(inputs.output, _rows(screenings, drops, reasons), Screened)
    unknown = let_go.reasons(inputs.shard)
    if not n_screened and inputs.shard.count == 1:
        msg = "screened: the responses have no row for this run; nothing to screen"
        raise NothingToDo(msg)
    inputs.progress(n_screened, n_screened, "responses")
    shown = sorted(frequent.texts.items(), key=lambda item: (-item[1], item[0]))[:FREQUENT_SHOWN] if frequent else []
    strings = [{"text": text, "count": count} for text, count in shown]
    (inputs.output / FREQUENT).write_text(json.dumps(strings), encoding="utf-8")
    kept = n_screened - reasons.total()
    metrics = {"n_screened": float(n_screened), "n_kept": float(kept), "kept_share": kept / max(n_screened, 1)}
    return Outputs(metrics, reasons | unknown, artifacts=[FREQUENT])


def _scorer(config: ScreenedConfig, inputs: ScreenedInputs) -> Scorer | None:
    if config.max_perplexity is None:
        return None
    model = inputs.scorer or config.perplexity_model
    if model is None:
        msg = "screened: max_perplexity needs a model: --input scorer=URI of a checkpoint, or perplexity_model, a name on the hub"
        raise BadConfig(msg)
    # Not at the top: the worker image, which screens without a model, has no torch.
    from stillhouse.screening import perplexity

    return perplexity.load(config.perplexity_engine, str(model), config.perplexity_tokens)


def _frequent(config: ScreenedConfig, inputs: ScreenedInputs) -> Ngrams | None:
    """The first pass: the strings of all responses, counted."""
    if config.max_ngram_count is None:
        return None
    scratch = inputs.scratch / "ngrams"
    scratch.mkdir()
    counter = Ngrams(config.ngram_tokens, config.max_ngram_count, ngrams.tokenizer(config.ngram_tokenizer), scratch)
    return ngrams.counted(input_rows.texts(inputs.responses), counter)


def _judged(
    config: ScreenedConfig, inputs: ScreenedInputs, questions: Mapping[str, QuestionForm], frequent: Ngrams | None,
    scorer: Scorer | None, let_go: LetGo,
) -> Iterator[tuple[Response, Screening]]:  # fmt: skip
    """The second pass, over this shard's responses. Strings are counted over all responses, so that all shards judge alike."""
    total, done = sum(tables.count(path) for path in inputs.responses), 0
    responses = chain.from_iterable(tables.read(path, Response) for path in inputs.responses)
    mine = (response for response in responses if inputs.shard.holds(response.question_id))
    for batch in batches(let_go.known(mine), lambda response: response.text):
        screenings = screen(config, [questions[response.question_id] for response in batch], batch, frequent, scorer)
        yield from zip(batch, screenings, strict=True)
        done += len(batch)
        inputs.progress(done, total, "responses")


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
