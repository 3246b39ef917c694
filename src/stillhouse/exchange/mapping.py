"""Rows of any data set -> records, as a ``Mapping`` says: by the paths of their columns or by templates over them."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from stillhouse.exchange import answer_extraction, chats, option_letters, published_tests, templates
from stillhouse.exchange.bad_rows import Bad, LeftOut, Object, shown
from stillhouse.exchange.column_paths import MAYBE, at, lifted, loaded
from stillhouse.exchange.config import Mapping
from stillhouse.exchange.record import IMPORTED, UNNAMED, Record, Unfit, parsed
from stillhouse.exchange.thoughts import one_form
from stillhouse.exchange.turns import split
from stillhouse.vocabulary import ids
from stillhouse.vocabulary.categories import CATEGORIES, SCALES, Category
from stillhouse.vocabulary.ids import prompt_text
from stillhouse.vocabulary.rows import Message
from stillhouse.vocabulary.text import shortened

LEVELS = ("1", "2", "3")
UNEXPECTED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a value of another form than a data set's may raise: one odd row is no reason to stop."""
NO_VALUE: tuple[object, ...] = (None, "", [], {})


@dataclass
class RowMapper:
    """A mapping, its templates compiled once; and the columns that it leaves out, counted."""

    mapping: Mapping
    unmapped: Counter[str] = field(default_factory=Counter)
    """Column that nothing maps -> rows with a value in it."""

    def __post_init__(self) -> None:
        paths = {name: path for name, path in self.mapping.columns if path is not None}
        self._texts: dict[str, Callable[[Object], str]] = {
            path: templates.compiled(path, f"columns.{name}") for name, path in paths.items() if templates.is_template(path)
        }
        self._wanted = templates.condition(self.mapping.where, "where") if self.mapping.where else None
        self._used = used_columns(self.mapping)

    def records(self, rows: Iterable[tuple[int, Object | Bad]]) -> Iterator[tuple[int, list[Record] | Bad | LeftOut]]:
        """The records of numbered rows: one, or one for each of a row's responses.

        Reasons for a bad row: ``bad_column`` (missing), ``bad_type``, ``bad_value``.
        """
        for number, row in rows:
            if isinstance(row, Bad):
                yield number, row
                continue
            try:
                yield number, self._of_row(row)
            except Unfit as unfit:
                yield number, Bad(unfit.reason, str(unfit), shown(row))
            except UNEXPECTED as error:
                what = " ".join(str(error).split())
                yield number, Bad("bad_type", f"the mapping does not fit this row ({type(error).__name__}: {what})", shown(row))

    def _of_row(self, row: Object) -> list[Record] | LeftOut:
        if self.mapping.inside is not None:
            row = lifted(row, self.mapping.inside)
        if self._wanted and not self._wanted(row):
            return LeftOut(f"where is {self.mapping.where}", shown(row))
        self.unmapped.update(name for name, value in row.items() if name not in self._used and value not in NO_VALUE)
        columns = self.mapping.columns
        messages, response = self._messages(row)
        messages, reference = self._reference(row, messages)
        source = self._text(row, "source", numbers=True)
        record = Record(
            messages, self._category(row, source), source, reference, self._tests(row), self._constraints(row),
            model=self._text(row, "model") or UNNAMED, language=self._text(row, "language"),
            difficulty_label=self._text(row, "difficulty_label", numbers=True), level=self._level(row),
            question_id=self._own_id(row),
        )  # fmt: skip
        if columns.responses is not None:
            return self._several(row, record)
        if columns.original_response is not None:
            value = self._value(row, "original_response")
            thinking = self._text(row, "thinking") if columns.thinking else None
            response = None if value is None else one_form(chats.reply(columns.original_response, value), thinking)
        if response is None:
            return [record]
        score = self._score(self._value(row, "verdicts"), record.category) if columns.verdicts else None
        return [_answered(record, response, score)]

    def _messages(self, row: Object) -> tuple[list[Message], str | None]:
        """The question's turns, and the response that ends them, if any."""
        columns, response = self.mapping.columns, None
        messages: list[Message]
        if columns.prompt is not None:
            messages = [{"role": "user", "content": _required(columns.prompt, self._text(row, "prompt"))}]
        else:
            path = str(columns.messages)
            messages, response = split(chats.messages(path, _required(path, self._value(row, "messages"))))
        system = self._text(row, "system") if columns.system else None
        return ([{"role": "system", "content": system}, *messages] if system else messages), response

    def _reference(self, row: Object, messages: list[Message]) -> tuple[list[Message], str | None]:
        """The messages, with the options if there are any, and the reference."""
        columns, mapping = self.mapping.columns, self.mapping
        if columns.choices is None:
            text = _joined(self._text(row, "reference_answer", numbers=True))
            return messages, text if text is None or mapping.extract is None else answer_extraction.extracted(mapping.extract, text)
        options = self._options(row, columns.choices)
        if columns.reference_answer in columns.choices.split(", "):
            options = option_letters.shuffled(prompt_text(messages), options)
        value = self._value(row, "reference_answer")
        if mapping.extract is not None and value is not None:
            value = answer_extraction.extracted(mapping.extract, str(value))
        *earlier, last = messages
        asked: Message = {"role": last["role"], "content": option_letters.prompt(last["content"], options)}
        labels = [] if ", " in columns.choices else option_letters.labels(self._at(row, columns.choices))
        return [*earlier, asked], None if value is None else option_letters.letter(value, options, mapping.first_choice, labels)

    def _options(self, row: Object, paths: str) -> list[str]:
        if paths in self._texts or ", " not in paths:
            return option_letters.options(paths, self._at(row, paths))
        values = [self._at(row, path) for path in paths.split(", ")]
        return option_letters.options(paths, [value for value in values if value not in NO_VALUE])

    def _tests(self, row: Object) -> str | None:
        columns = self.mapping.columns
        if columns.test_cases is None or (value := self._value(row, "test_cases")) in NO_VALUE:
            return None
        setup = self._value(row, "test_setup") if columns.test_setup else None
        lines = setup if isinstance(setup, list) else [setup or ""]
        if not all(isinstance(line, str) for line in lines):
            msg = f"{columns.test_setup}: not a text or a list of texts"
            raise Unfit(msg, "bad_type")
        return published_tests.normalised_tests(columns.test_cases, value, self._text(row, "function"), "\n".join(lines))

    def _constraints(self, row: Object) -> str | None:
        columns = self.mapping.columns
        value = self._value(row, "constraints")
        if isinstance(value, list):
            path = columns.constraint_arguments
            arguments = _listed(path, self._at(row, path)) if path else None
            value = {"instruction_id_list": value, "kwargs": [_not_null(of_one) for of_one in arguments or [{}] * len(value)]}
        return value if value is None or isinstance(value, str) else _json(value)

    def _category(self, row: Object, source: str | None) -> Category:
        mapping = self.mapping
        if mapping.category is not None:
            return mapping.category
        path = str(mapping.columns.category or mapping.columns.source)
        word = _required(path, self._text(row, "category", numbers=True) if mapping.columns.category else source)
        known: dict[str, Category] = {name: name for name in CATEGORIES} | mapping.categories
        if word not in known:
            msg = f"{path}: {word!r} is not a category and has no entry in categories"
            raise Unfit(msg)
        return known[word]

    def _own_id(self, row: Object) -> str | None:
        own_id = self._text(row, "question_id", numbers=True)
        if own_id is not None and (flaw := ids.flaw(own_id)):
            msg = f"{self.mapping.columns.question_id}: the id {shortened(own_id, 40)!r} {flaw}"
            raise Unfit(msg)
        return own_id

    def _level(self, row: Object) -> int | None:
        text = self._text(row, "level", numbers=True)
        if text is None:
            return None
        if text not in LEVELS:
            msg = f"{self.mapping.columns.level}: {text!r} is no level; levels are {', '.join(LEVELS)}"
            raise Unfit(msg)
        return int(text)

    def _several(self, row: Object, record: Record) -> list[Record]:
        """One record for each response of the row; the record alone if it has none."""
        columns = self.mapping.columns
        path = str(columns.responses)
        texts = _listed(path, self._value(row, "responses"))
        thoughts = _listed(str(columns.thinking), self._value(row, "thinking")) if columns.thinking else []
        verdicts = _listed(str(columns.verdicts), self._value(row, "verdicts")) if columns.verdicts else []
        for other, values in ((columns.thinking, thoughts), (columns.verdicts, verdicts)):
            if values and len(values) != len(texts):
                msg = f"{other}: {len(values)} values for {len(texts)} responses in {path}"
                raise Unfit(msg)
        answered = [
            _answered(
                record, one_form(chats.reply(path, text), thoughts[number] if thoughts else None),
                self._score(verdicts[number] if verdicts else None, record.category),
            )
            for number, text in enumerate(texts) if text is not None
        ]  # fmt: skip
        return answered or [record]

    def _score(self, verdict: Any, category: Category) -> float | None:
        """A verdict as a score on the category's scale."""
        if isinstance(verdict, bool):
            return SCALES[category] if verdict else 0.0
        if verdict is None or (isinstance(verdict, float) and math.isnan(verdict)):
            return None
        if isinstance(verdict, int | float):
            return float(verdict)
        msg = f"{self.mapping.columns.verdicts}: {type(verdict).__name__}, not true, false or a score"
        raise Unfit(msg, "bad_type")

    def _value(self, row: Object, name: str) -> Any:
        path = getattr(self.mapping.columns, name)
        return None if path is None else self._at(row, path)

    def _at(self, row: Object, path: str) -> Any:
        return (self._texts[path](row) or None) if path in self._texts else at(row, path)

    def _text(self, row: Object, name: str, *, numbers: bool = False) -> str | None:
        value = self._value(row, name)
        if isinstance(value, Decimal):
            value = int(value) if value == value.to_integral_value() else float(value)
        if numbers and isinstance(value, int | float):
            return _number(value)
        if value is not None and not isinstance(value, str):
            msg = f"{getattr(self.mapping.columns, name)}: {type(value).__name__}, not a text"
            raise Unfit(msg, "bad_type")
        return value


def used_columns(mapping: Mapping) -> set[str]:
    """The names of the columns that the mapping reads."""
    used = {templates.FILE_NAME} | (templates.columns(f"{{{{ {mapping.where} }}}}") if mapping.where else set())
    for name, path in mapping.columns:
        if path is None:
            continue
        if templates.is_template(path):
            used |= templates.columns(path)
        else:
            parts = path.split(", ") if name == "choices" else [path]
            used |= set(parts) | {part.removesuffix(MAYBE).split(".")[0] for part in parts}
    return used


def _joined(text: str | None) -> str | None:
    """The answers of a JSON list of texts, which a column of texts may hold: ``["24"]`` is 24."""
    answers = loaded(text) if text is not None and text.startswith('["') else None
    if isinstance(answers, list) and all(isinstance(answer, str) for answer in answers):
        return ", ".join(answers)
    return text


def _not_null(arguments: Any) -> dict[str, Any]:
    """The arguments of one constraint. On the hub each carries the arguments of all constraints; those of others are null."""
    return {key: value for key, value in arguments.items() if value is not None} if isinstance(arguments, dict) else {}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _number(value: float) -> str:
    """A number as text; a whole one, such as the 5.0 of a column of floats, without its fraction."""
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return json.dumps(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else json.dumps(value)


def _required(path: str, value: Any) -> Any:
    if value is None:
        msg = f"{path}: null"
        raise Unfit(msg)
    return value


def _listed(path: str, value: Any) -> list[Any]:
    values = loaded(value)
    if values is None:
        return []
    if not isinstance(values, list):
        msg = f"{path}: {type(value).__name__}, not a list"
        raise Unfit(msg, "bad_type")
    return values


def _answered(record: Record, text: str, score: float | None) -> Record:
    think, answer = parsed(text)
    return replace(record, text=text, think=think, answer=answer, sampling_id=IMPORTED, verify_score=score)
