"""JSON lines -> questions or responses: one's own rows become an artifact that any stage can run on.

A line is one row in the columns of ``rows.py``. What can be computed may be left out: ``question_id`` of a question, ``think`` and
``answer`` of a response; so may columns that only say how a response was sampled (see ``DEFAULTS``).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal, get_type_hints

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from stillhouse.artifacts import tables
from stillhouse.artifacts.digests import sha256
from stillhouse.artifacts.manifest import Manifest
from stillhouse.errors import BadConfig, BadRows
from stillhouse.exchange import SCHEMAS, files, refusal
from stillhouse.exchange.files import Bad
from stillhouse.execution.contract import Outputs, StageInputs
from stillhouse.execution.execute import execute
from stillhouse.vocabulary import categories, ids
from stillhouse.vocabulary.rows import Question, Response, Row
from stillhouse.vocabulary.settings import StageConfig

IMPORTED: dict[str, type[Row]] = {"questions": Question, "responses": Response}
DEFAULTS: dict[str, dict[str, Any]] = {
    "questions": {"question_id": None},
    "responses": {
        "prompt_kind": "question", "round": 1, "finish_reason": "stop", "prompt_tokens": 0, "completion_tokens": 0, "seed": 0,
        "sampling_id": "imported", "think": None, "answer": None,
    },
}  # fmt: skip


class Turn(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: Literal["system", "user", "assistant", "tool"]
    content: str


TYPES: dict[str, Any] = {
    "category": categories.Category,
    "messages": Annotated[list[Turn], Field(min_length=1)],
    "prompt_kind": Literal["question", "previous_answer", "summary"],
    "finish_reason": Literal["stop", "length", "error"],
}
"""Columns with fewer values than their type has."""
LOWEST = {"round": 1, "sample_index": 0}
BITS = {pa.int32(): 31, pa.int64(): 63}
SHOWN = 5
"""Bad lines named in the error."""


class Config(StageConfig):
    """What was imported."""

    imported: str
    """sha256 of the file."""


@dataclass
class Problems:
    """What is wrong with the file: the first lines, and how many."""

    first: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, line: int, what: str) -> None:
        """Note a bad line, counted from 1."""
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(f"line {line}: {what}")


def import_file(uri: str, row_type_name: str, output: str) -> Manifest:
    """Publish the rows of a file of JSON lines, compressed or not, at ``output``. The same again changes nothing.

    Raises BadConfig for another row type, MissingInput for an unreadable file, BadRows naming the first bad lines (then nothing
    is published), StaleOutput where ``output`` holds something else.
    """
    if row_type_name not in IMPORTED:
        msg = f"--as {row_type_name}: rows are imported as {', '.join([*IMPORTED, *SCHEMAS])}"
        raise BadConfig(msg)
    if not files.holds_lines(uri):
        msg = f"{uri}: {row_type_name} are imported from JSON lines; give a FILE.jsonl, FILE.jsonl.zst or FILE.jsonl.gz"
        raise BadConfig(msg)
    with files.local(uri) as path:
        return _import(path, row_type_name, output)


def _import(path: Path, row_type_name: str, output: str) -> Manifest:

    def run(config: Config, inputs: StageInputs) -> Outputs:
        problems = Problems()
        written = tables.write(inputs.output, _read(path, row_type_name, problems), IMPORTED[row_type_name])
        if problems.count:
            more = f" ({problems.count} bad lines in all)" if problems.count > len(problems.first) else ""
            msg = f"{path.name}: {'; '.join(problems.first)}{more}; nothing was imported: correct the lines and import again"
            raise BadRows(msg)
        if not written:
            msg = f"{path.name}: no rows, got an empty file; write one JSON object to a line"
            raise BadRows(msg)
        return Outputs(metrics={"n_imported": written})

    # In the form of a stage module, so that ``execute`` publishes it like any other output.
    stage: Any = SimpleNamespace(__name__=row_type_name, Config=Config, Inputs=StageInputs, run=run)
    return execute(stage, Config(imported=sha256(path)), {}, output).manifest


def _read(path: Path, row_type_name: str, problems: Problems) -> Iterator[Any]:
    """The good rows in the file's order; bad lines are noted in ``problems``."""
    line_type, complete = _line_type(row_type_name), COMPLETE[row_type_name]
    row_type = IMPORTED[row_type_name]
    seen: dict[tuple[Any, ...], int] = {}
    for number, line in files.lines(path):
        if isinstance(line, Bad):
            problems.add(number, line.detail)
            continue
        try:
            checked = line_type.model_validate_json(line)
        except ValidationError as error:
            problems.add(number, refusal.describe(error))
            continue
        row = row_type(**complete(dict(checked), checked.model_fields_set))
        key = tuple(getattr(row, name) for name in row_type.KEY)
        if (first := seen.setdefault(key, number)) != number:
            problems.add(number, f"same {', '.join(row_type.KEY)} as line {first}")
            continue
        yield row


def _line_type(row_type_name: str) -> type[BaseModel]:
    """A model of one line: the row type's columns, strict, without others; nested ones too."""
    row_type, hints = IMPORTED[row_type_name], get_type_hints(IMPORTED[row_type_name])
    columns: dict[str, Any] = {}
    for column in fields(row_type):
        hint = TYPES.get(column.name, hints[column.name])
        default = DEFAULTS[row_type_name].get(column.name, ... if column.default is MISSING else column.default)
        bits = BITS.get(row_type.SCHEMA.field(column.name).type)
        if bits:
            hint = Annotated[hint, Field(ge=LOWEST.get(column.name, -(2**bits)), lt=2**bits)]
        columns[column.name] = (hint | None if default is None else hint, default)
    return create_model(row_type.__name__, __config__=ConfigDict(extra="forbid", strict=True), **columns)


def _complete_question(values: dict[str, Any], given: set[str]) -> dict[str, Any]:
    values["messages"] = [turn.model_dump() for turn in values["messages"]]
    if values["question_id"] is None:
        values["question_id"] = ids.question_id(values["messages"], values["reference_answer"])
    return values


def _complete_response(values: dict[str, Any], given: set[str]) -> dict[str, Any]:
    from stillhouse.vocabulary.transcript import parse

    parsed = parse(values["text"])
    return {**values, **{name: getattr(parsed, name) for name in ("think", "answer") if name not in given}}


COMPLETE: Mapping[str, Callable[[dict[str, Any], set[str]], dict[str, Any]]] = {
    "questions": _complete_question,
    "responses": _complete_response,
}
