"""Fakes we ship: toy rows, an engine that answers from a script, artifacts made from rows in memory.

For tests of stages, and for trying a stage without a model. Every value has a default that the contract in ``rows.py`` accepts;
``changes`` replace columns by name.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from stillhouse.artifacts import tables
from stillhouse.artifacts.manifest import Manifest
from stillhouse.execution.contract import Outputs, StageInputs
from stillhouse.execution.execute import execute
from stillhouse.sampling.engine import Completion, Request
from stillhouse.vocabulary import ids, rows
from stillhouse.vocabulary.categories import FACTS
from stillhouse.vocabulary.rows import (
    Dropped,
    Graded,
    Message,
    ModelGrade,
    Question,
    Response,
    Screened,
    Selected,
    VerdictKind,
    Verified,
)
from stillhouse.vocabulary.settings import StageConfig


def question(prompt: str = "What is 1 + 1?", reference: str | None = "2", **changes: Any) -> Question:
    """A math question; its id follows from the prompt and the reference."""
    messages: list[Message] = [{"role": "user", "content": prompt}]
    row = Question(
        ids.question_id(messages, reference), "math", messages, reference, source="toy", license="CC0-1.0", language="en"
    )
    return replace(row, **changes)


def questions(count: int) -> list[Question]:
    """Additions, all different: ``What is 0 + 7?``, ``What is 1 + 7?`` and so on."""
    return [question(f"What is {number} + 7?", str(number + 7)) for number in range(count)]


def response(question_row: Question, answer: str | None = None, **changes: Any) -> Response:
    """A whole response of model ``toy`` to a question; the reference unless another answer is given."""
    answer = question_row.reference_answer if answer is None else answer
    think = f"It must be {answer}."
    row = Response(
        question_row.question_id, "toy", "question", 1, 0, f"<think>{think}</think><answer>{answer}</answer>", think, answer,
        "stop", prompt_tokens=8, completion_tokens=12, seed=0, sampling_id="toy",
    )  # fmt: skip
    return replace(row, **changes)


def verified(response_row: Response, *, passed: bool | None = True, threshold: float = 0.99, **changes: Any) -> Verified:
    """The verdict on a response: right or wrong, or by the threshold if ``changes`` has a ``verify_score``."""
    kind: VerdictKind = "correct" if passed else "wrong"
    key = rows.response_key(response_row)
    row = replace(Verified(*key, kind, float(passed or 0), passed, "toy", "", 0.01, "", threshold), **changes)
    if "verify_score" not in changes:
        return row
    return replace(row, passed=None if row.verify_score is None else row.verify_score > threshold)


def screened(response_row: Response, *, kept: bool = True, **changes: Any) -> Screened:
    """The screening of a response."""
    key, reason = rows.response_key(response_row), None if kept else "structure"
    return replace(Screened(*key, None, 0, 0, structure_ok=kept, kept=kept, reason=reason), **changes)


def graded(question_row: Question, pass_rate: float = 0.5, **changes: Any) -> Graded:
    """The grade of a question by model ``toy`` from four responses."""
    grade: ModelGrade = {
        "model": "toy", "n": 4, "pass_rate": pass_rate, "mean_score": pass_rate, "cv": 0.5 if 0 < pass_rate < 1 else None,
        "low": max(0.0, pass_rate - 0.3), "high": min(1.0, pass_rate + 0.3),
    }  # fmt: skip
    category = question_row.category
    return replace(Graded(question_row.question_id, category, [grade], threshold=FACTS[category].pass_threshold), **changes)


def selected(question_row: Question, split: str = "sft_1", **changes: Any) -> Selected:
    """A training example: the question and a whole response to it."""
    messages: list[Message] = [*question_row.messages, {"role": "assistant", "content": response(question_row).text}]
    example = Selected(
        ids.content_id(question_row.question_id, split, "full"), question_row.question_id, split, "full", messages,
        question_row.category, "toy", threshold=FACTS[question_row.category].pass_threshold,
    )  # fmt: skip
    return replace(example, **changes)


def right_answer(request: Request) -> str:
    """A script for the additions of ``questions``: a whole response with the sum."""
    numbers = [int(word.strip("?.")) for word in request.messages[-1]["content"].split() if word.strip("?.").isdecimal()]
    return f"<think>{' + '.join(map(str, numbers))}</think><answer>{sum(numbers)}</answer>"


@dataclass
class ScriptedEngine:
    """An ``Engine`` that answers each request by ``script`` and keeps the requests in ``asked``. A token is a word."""

    script: Callable[[Request], str] = right_answer
    asked: list[Request] = field(default_factory=list)

    def sample(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Completion]]:
        """See ``sampling.engine.Engine``."""
        for request in requests:
            self.asked.append(request)
            text = self.script(request)
            n_prompt = sum(len(message["content"].split()) for message in request.messages)
            yield request, Completion(text, "stop", n_prompt, len(text.split()))


class Config(StageConfig):
    """The config of an artifact published by hand."""

    content: str
    """sha256 of its content."""


def publish(output_rows: Sequence[Any], row_type: type[Any], uri: str, dropped: Sequence[Dropped] = ()) -> Manifest:
    """Publish these rows at ``uri``, as the stage of the row type would."""
    name = next(name for name, stage_rows in rows.ROW_TYPES.items() if stage_rows is row_type)

    def run(config: Config, inputs: StageInputs) -> Outputs:
        tables.write(inputs.output, output_rows, row_type)
        if dropped:
            tables.write(inputs.dropped, dropped, Dropped)
        reasons = sorted({row.reason for row in dropped})
        return Outputs(dropped={reason: sum(row.n for row in dropped if row.reason == reason) for reason in reasons})

    content = json.dumps([asdict(row) for row in (*output_rows, *dropped)], sort_keys=True)
    return _publish(name, run, content.encode(), uri)


def publish_files(files: dict[str, bytes], stage: str, uri: str) -> Manifest:
    """Publish files by relative path, for example a checkpoint, as ``stage`` would."""

    def run(config: Config, inputs: StageInputs) -> Outputs:
        for name, data in files.items():
            path: Path = inputs.output / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return Outputs()

    return _publish(stage, run, b"".join(name.encode() + data for name, data in sorted(files.items())), uri)


def _publish(name: str, run: Callable[[Config, StageInputs], Outputs], content: bytes, uri: str) -> Manifest:
    stage: Any = SimpleNamespace(__name__=name, __doc__=None, Config=Config, Inputs=StageInputs, run=run)
    return execute(stage, Config(content=hashlib.sha256(content).hexdigest()), {}, uri).manifest
