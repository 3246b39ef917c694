"""questions -> responses: sample answers to every question from one model."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from stillhouse import rows
from stillhouse.errors import NothingToDo
from stillhouse.rows import Question, Response, ResponseKey
from stillhouse.sampling.engine import Request, Sampling, response, row_seed
from stillhouse.sampling.prompts import conversation
from stillhouse.stage import Outputs, StageInputs

PART_RESPONSES = 2048
"""Responses to a published part: what a killed run loses at most."""


class Config(Sampling):
    """What to sample."""

    model: str
    """The model's name in the rows; without a checkpoint input, the model itself on the Hugging Face hub."""
    samples: int = Field(4, ge=1)
    """Responses to a question (DeepDistill §2.3: 4)."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """Questions, and the checkpoint that answers them."""

    questions: Path
    checkpoint: Path | None = None


def run(config: Config, inputs: Inputs) -> Outputs:
    """Sample what no finished part holds yet, part by part."""
    from stillhouse.sampling.engine import load

    done = _carry_over(inputs)
    requests = [request for request in _requests(config, inputs) if request.key not in done]
    if not requests and not done and inputs.shard.count == 1:
        msg = "responses: the questions artifact has no row; nothing to sample"
        raise NothingToDo(msg)
    total = len(requests) + len(done)
    inputs.progress(len(done), total, "responses")
    engine = load(config, inputs.checkpoint or config.model) if requests else None
    first_part = len(list(inputs.output.glob("part-*.parquet")))
    for part, start in enumerate(range(0, len(requests), PART_RESPONSES), start=first_part):
        made: list[Response] = []
        for request, completion in engine.sample(requests[start : start + PART_RESPONSES]) if engine else ():
            made.append(response(config, request, completion))
            inputs.progress(len(done) + start + len(made), total, "responses")
        path = inputs.output / f"part-{part:05d}.parquet"
        rows.write_part(path, sorted(made, key=rows.response_key), Response)
        inputs.publish_part(path)
    if not total:
        # A shard that no key fell into: without its part the whole could never be put together.
        rows.write(inputs.output, [], Response)
    return Outputs(metrics=_metrics(list(rows.read(inputs.output, Response))))


def _requests(config: Config, inputs: Inputs) -> Iterator[Request]:
    for question in rows.read(inputs.questions, Question):
        if not inputs.shard.holds(question.question_id):
            continue
        messages = conversation(question.messages, config.system_prompt, config.suffix)
        for index in range(config.samples):
            key: ResponseKey = (question.question_id, config.model, "question", 1, index)
            yield Request(key, messages, row_seed(config.seed, key))


def _carry_over(inputs: Inputs) -> set[ResponseKey]:
    """Take over the parts an earlier try finished, under their names, and name their rows."""
    if inputs.finished is None:
        return set()
    for path in rows.parts(inputs.finished):
        inputs.output.mkdir(exist_ok=True)
        shutil.copyfile(path, inputs.output / path.name)
    return {rows.response_key(row) for row in rows.read(inputs.output, Response)}


def _metrics(made: list[Response]) -> dict[str, float]:
    """Counts of responses, tokens and finish reasons, and the share that has both parts."""
    whole = sum(row.think is not None and row.answer is not None for row in made)
    return {
        "n_responses": len(made),
        "n_prompt_tokens": sum(row.prompt_tokens for row in made),
        "n_completion_tokens": sum(row.completion_tokens for row in made),
        "n_truncated": sum(row.finish_reason == "length" for row in made),
        "think_and_answer_share": whole / max(len(made), 1),
    }
