"""The forms of a release, by the name given to ``--as``: the public schemas, and what trainers read as it is.

| form | rows | read by |
|---|---|---|
| ``messages`` | examples with a response | TRL's SFTTrainer, axolotl ``chat_template``, verl SFT, LLaMA-Factory |
| ``alpaca``, ``sharegpt`` | examples with a response | LLaMA-Factory, axolotl |
| ``prompts`` | prompts without a response | TRL's GRPOTrainer |
| ``verl`` | prompts without a response | verl's RL trainer |
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from stillhouse.exchange.features import Feature
from stillhouse.exchange.record import Record
from stillhouse.exchange.schemas import SCHEMAS
from stillhouse.vocabulary.rows import Message

TURNS: Feature = {"list": [{"name": "role", "dtype": "string"}, {"name": "content", "dtype": "string"}]}
SPOKEN: Feature = {"list": [{"name": "from", "dtype": "string"}, {"name": "value", "dtype": "string"}]}
ORIGIN = ("question_id", "split", "category", "source", "license")
"""Columns of every trainer's form that say where a row comes from."""
UNSAID = ("perplexity", "pass_rates", "language", "difficulty_label", "original_response", "sampling_id")
"""Fields of a record that no trainer's form has a column for."""


@dataclass(frozen=True)
class ReleaseForm:
    """How records are written."""

    name: str
    lost: tuple[str, ...]
    """Fields of a record that the form has no column for."""
    columns: Callable[[Collection[str]], list[Feature]]
    """The columns with their types; the argument holds the models that have pass rates."""
    encode: Callable[[Record], dict[str, Any]]
    answered: bool | None = None
    """Whether it has rows for records with a response (true) or without one (false) alone; None has rows for both."""
    llama_factory: dict[str, Any] = field(default_factory=dict)
    """What ``dataset_info.json`` of LLaMA-Factory says of its columns; empty if it cannot read the form."""

    def takes(self, record: Record) -> bool:
        """Whether the form has a row for the record."""
        return self.answered is None or (record.text is not None) is self.answered

    def without(self, count: int) -> str:
        """The rows that it has no place for, in words."""
        return f"{count:,} rows {'without' if self.answered else 'with'} a response"


def _columns(own: list[Feature], _: Collection[str]) -> list[Feature]:
    return [*own, *({"name": name, "dtype": "string"} for name in ORIGIN)]


def _origin(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in ORIGIN}


def _turns(record: Record) -> list[Message]:
    answer = [Message(role="assistant", content=record.text)] if record.text is not None else []
    return [*record.messages, *answer]


def _messages(record: Record) -> dict[str, Any]:
    return {"messages": _turns(record), "model": record.model, "verify_score": record.verify_score, **_origin(record)}


def _prompts(record: Record) -> dict[str, Any]:
    tasks = {name: getattr(record, name) for name in ("reference_answer", "test_cases", "constraints")}
    return {"prompt": record.messages, **tasks, **_origin(record)}


def _verl(record: Record) -> dict[str, Any]:
    truth = record.reference_answer or record.test_cases or record.constraints or ""
    return {
        "data_source": record.source or "unknown", "prompt": record.messages, "ability": record.category,
        "reward_model": {"style": "rule", "ground_truth": truth}, "extra_info": _origin(record),
    }  # fmt: skip


def _spoken(messages: list[Message]) -> tuple[str, list[Message]]:
    """The system prompt, and the turns without it."""
    system = "\n".join(message["content"] for message in messages if message["role"] == "system")
    return system, [message for message in messages if message["role"] != "system"]


def _alpaca(record: Record) -> dict[str, Any]:
    system, turns = _spoken(record.messages)
    texts = [message["content"] for message in turns[:-1]]
    return {
        "instruction": turns[-1]["content"], "input": "", "output": record.text, "system": system,
        "history": [list(pair) for pair in zip(texts[::2], texts[1::2], strict=False)], **_origin(record),
    }  # fmt: skip


def _sharegpt(record: Record) -> dict[str, Any]:
    system, turns = _spoken(_turns(record))
    roles = {"user": "human", "assistant": "gpt"}
    spoken = [{"from": roles.get(message["role"], message["role"]), "value": message["content"]} for message in turns]
    return {"conversations": spoken, "system": system, **_origin(record)}


def _text(*names: str) -> list[Feature]:
    return [{"name": name, "dtype": "string"} for name in names]


_NO_TASK = ("reference_answer", "test_cases", "constraints", *UNSAID)
_ROLES = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant", "system_tag": "system"}
TRAINER_FORMS = (
    ReleaseForm(
        "messages", _NO_TASK,
        partial(_columns, [{"name": "messages", **TURNS}, *_text("model"), {"name": "verify_score", "dtype": "float64"}]),
        _messages, True, {"formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": _ROLES},
    ),
    ReleaseForm(
        "alpaca", (*_NO_TASK, "model", "verify_score"),
        partial(_columns, [*_text("instruction", "input", "output", "system"), {"name": "history", "list": {"list": "string"}}]),
        _alpaca, True,
        {"columns": {"prompt": "instruction", "query": "input", "response": "output", "system": "system", "history": "history"}},
    ),
    ReleaseForm(
        "sharegpt", (*_NO_TASK, "model", "verify_score"),
        partial(_columns, [{"name": "conversations", **SPOKEN}, *_text("system")]), _sharegpt, True,
        {"formatting": "sharegpt", "columns": {"messages": "conversations", "system": "system"}},
    ),
    ReleaseForm(
        "prompts", ("verify_score", *UNSAID),
        partial(_columns, [{"name": "prompt", **TURNS}, *_text("reference_answer", "test_cases", "constraints")]),
        _prompts, False,
    ),
    ReleaseForm(
        "verl", ("verify_score", *UNSAID),
        lambda _: [
            *_text("data_source"), {"name": "prompt", **TURNS}, *_text("ability"),
            {"name": "reward_model", "struct": _text("style", "ground_truth")}, {"name": "extra_info", "struct": _text(*ORIGIN)},
        ],
        _verl, False,
    ),
)  # fmt: skip
FORMS: dict[str, ReleaseForm] = {
    schema.NAME: ReleaseForm(schema.NAME, schema.LOST, schema.columns, schema.encode) for schema in SCHEMAS.values()
} | {form.name: form for form in TRAINER_FORMS}
"""By the name given to ``--as``."""
