"""questions + responses -> screened: which responses are fit to learn from, by structure and repetition."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pydantic import Field

from stillhouse import rows
from stillhouse.errors import BadRows, NothingToDo
from stillhouse.rows import Dropped, Question, Response, Screened
from stillhouse.screening import repetition
from stillhouse.screening.structure import structure_flaw
from stillhouse.stage import Outputs, StageConfig, StageInputs

PROGRESS_EVERY = 500


class Config(StageConfig):
    """What makes a response unfit."""

    require_think: bool = True
    """Refuse responses without thinking (DeepDistill §2.5)."""
    max_repeat: int = Field(8, ge=1)
    """Times a phrase of up to 4 words may stand back to back; the paper gives no value."""
    ngram_words: int = Field(20, ge=1)
    """Length of the phrases counted across all responses (DeepDistill §2.5: 20 tokens; the tokenizer is not named, ours: words)."""
    max_ngram_count: int | None = Field(20, ge=1)
    """Times such a phrase may occur before all responses with it are dropped (DeepDistill §2.5: 20); null switches the rule off."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """Responses, and the questions they answer."""

    questions: Path
    responses: tuple[Path, ...]


def run(config: Config, inputs: Inputs) -> Outputs:
    """Count phrases over all responses, then judge each. Raises BadRows for a response to an unknown question."""
    questions = {row.question_id: row for row in rows.read(inputs.questions, Question)}
    ngrams = None
    if config.max_ngram_count is not None:
        texts = (response.text for response in _responses(inputs))
        ngrams = repetition.count(texts, config.ngram_words, config.max_ngram_count)
    total = sum(rows.count(path) for path in inputs.responses)
    made: list[Screened] = []
    drops: list[Dropped] = []
    for response in _responses(inputs):
        # Phrases are counted over all responses, so that shards judge alike; each judges its own.
        if not inputs.shard.holds(response.question_id):
            continue
        row = _screen(config, questions, response, ngrams)
        made.append(row)
        if row.reason:
            drops.append(rows.dropped(response, row.reason))
        if len(made) % PROGRESS_EVERY == 0:
            inputs.progress(len(made), total, "responses")
    if not made and inputs.shard.count == 1:
        msg = "screened: the responses have no row for this run; nothing to screen"
        raise NothingToDo(msg)
    inputs.progress(len(made), len(made), "responses")
    rows.write(inputs.output, made, Screened)
    rows.write(inputs.dropped, drops, Dropped)
    reasons = Counter(drop.reason for drop in drops)
    kept = len(made) - len(drops)
    return Outputs(
        metrics={"n_screened": float(len(made)), "n_kept": float(kept), "kept_share": kept / max(len(made), 1)}, dropped=reasons
    )


def _responses(inputs: Inputs) -> Iterator[Response]:
    return chain.from_iterable(rows.read(path, Response) for path in inputs.responses)


def _screen(config: Config, questions: dict[str, Question], response: Response, ngrams: repetition.Ngrams | None) -> Screened:
    question = questions.get(response.question_id)
    if question is None:
        msg = f"a response of {response.model} answers question {response.question_id}, which the questions input has not"
        raise BadRows(msg)
    flaw = structure_flaw(question, response, require_think=config.require_think)
    repeat = repetition.longest_repeat(response.text)
    frequent = ngrams.frequent(response.text) if ngrams else 0
    reason = flaw or ("repetition" if repeat > config.max_repeat else None) or ("frequent_ngrams" if frequent else None)
    return Screened(*rows.response_key(response), None, repeat, frequent, flaw is None, reason is None, reason)
