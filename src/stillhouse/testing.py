"""Fakes we ship: toy rows, an engine that answers from a script, artifacts made of rows at hand.

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
    made = Question(
        ids.question_id(messages, reference), "math", messages, reference, source="toy", license="CC0-1.0", language="en"
    )
    return replace(made, **changes)


def questions(count: int) -> list[Question]:
    """Additions, one unlike the other: ``What is 0 + 7?``, ``What is 1 + 7?`` and so on."""
    return [question(f"What is {number} + 7?", str(number + 7)) for number in range(count)]


def response(asked: Question, answer: str | None = None, **changes: Any) -> Response:
    """A whole response of model ``toy`` to a question; the reference unless another answer is given."""
    answer = asked.reference_answer if answer is None else answer
    think = f"It must be {answer}."
    made = Response(
        asked.question_id, "toy", "question", 1, 0, f"<think>{think}</think><answer>{answer}</answer>", think, answer, "stop",
        prompt_tokens=8, completion_tokens=12, seed=0, sampling_id="toy",
    )  # fmt: skip
    return replace(made, **changes)


def verified(given: Response, *, passed: bool | None = True, threshold: float = 0.99, **changes: Any) -> Verified:
    """The verdict on a response: right or wrong, or what a ``verify_score`` among the changes means by the threshold."""
    kind: VerdictKind = "correct" if passed else "wrong"
    row = replace(Verified(*rows.response_key(given), kind, float(passed or 0), passed, "toy", "", 0.01, "", threshold), **changes)
    if "verify_score" not in changes:
        return row
    return replace(row, passed=None if row.verify_score is None else row.verify_score > threshold)


def screened(given: Response, *, kept: bool = True, **changes: Any) -> Screened:
    """The screening of a response."""
    made = Screened(*rows.response_key(given), None, 0, 0, structure_ok=kept, kept=kept, reason=None if kept else "structure")
    return replace(made, **changes)


def graded(asked: Question, pass_rate: float = 0.5, **changes: Any) -> Graded:
    """The grade of a question by model ``toy`` from four responses."""
    grade: ModelGrade = {
        "model": "toy", "n": 4, "pass_rate": pass_rate, "mean_score": pass_rate, "cv": 0.5 if 0 < pass_rate < 1 else None,
        "low": max(0.0, pass_rate - 0.3), "high": min(1.0, pass_rate + 0.3),
    }  # fmt: skip
    return replace(Graded(asked.question_id, asked.category, [grade], threshold=FACTS[asked.category].pass_threshold), **changes)


def selected(asked: Question, split: str = "sft_1", **changes: Any) -> Selected:
    """A training example: the question and a whole response to it."""
    messages: list[Message] = [*asked.messages, {"role": "assistant", "content": response(asked).text}]
    example = Selected(
        ids.content_id(asked.question_id, split, "full"), asked.question_id, split, "full", messages, asked.category, "toy",
        threshold=FACTS[asked.category].pass_threshold,
    )  # fmt: skip
    return replace(example, **changes)


def right_answer(request: Request) -> str:
    """A script for additions such as those of ``questions``: a whole response with the sum."""
    numbers = [int(word.strip("?.")) for word in request.messages[-1]["content"].split() if word.strip("?.").isdecimal()]
    return f"<think>{' + '.join(map(str, numbers))}</think><answer>{sum(numbers)}</answer>"


@dataclass
class ScriptedEngine:
    """An ``Engine`` that says what ``script`` makes of each request; ``asked`` keeps the requests. A token is a word."""

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
    """What was published by hand."""

    content: str
    """sha256 of what was published."""


def publish(made: Sequence[Any], row_type: type[Any], uri: str, dropped: Sequence[Dropped] = ()) -> Manifest:
    """An artifact of these rows at ``uri``, as the stage of the row type would publish it."""
    name = next(name for name, each in rows.ROW_TYPES.items() if each is row_type)

    def run(config: Config, inputs: StageInputs) -> Outputs:
        tables.write(inputs.output, made, row_type)
        if dropped:
            tables.write(inputs.dropped, dropped, Dropped)
        reasons = sorted({each.reason for each in dropped})
        return Outputs(dropped={reason: sum(each.n for each in dropped if each.reason == reason) for reason in reasons})

    content = json.dumps([asdict(each) for each in (*made, *dropped)], sort_keys=True)
    return _publish(name, run, content.encode(), uri)


def publish_files(files: dict[str, bytes], stage: str, uri: str) -> Manifest:
    """An artifact of files by relative path, such as a checkpoint, as ``stage`` would publish it."""

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
