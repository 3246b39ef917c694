"""Guess how the rows of a file map to questions, from the names of their columns and what stands in them."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from stillhouse.exchange import am_1_4m, am_40m, answer_extraction, conversations, templates
from stillhouse.exchange.bad_rows import Object
from stillhouse.exchange.column_paths import MAYBE, at, lifted, loaded
from stillhouse.exchange.config import Mapping as ColumnMapping
from stillhouse.exchange.mapping import RowMapper, used_columns
from stillhouse.exchange.presets import presets
from stillhouse.exchange.record import RELEASE_CATEGORIES, Unfit
from stillhouse.vocabulary.categories import CATEGORIES

PROMPTS = (
    "problem", "question", "prompt", "instruction", "query", "task", "input", "text", "question_text", "problem_text",
    "description", "question_content", "problem_description", "user", "stem", "ctx", "sentence", "goal",
)  # fmt: skip
MESSAGES = ("messages", "conversations", "conversation", "prompt", "chat", "turns", "dialogue", "chosen")
REFERENCES = (
    "reward_model.ground_truth", "ground_truth", "reference_answer", "expected_answer", "final_answer", "answer_letter",
    "correct_answer", "correct_option", "answerkey", "answer_key", "correct", "answer", "answer.value", "answer.text",
    "answers.text.0", "answers.0", "solution.answer", "gold", "target", "label", "result", "reference", "solution",
)  # fmt: skip
CHOICES = ("choices", "options", "candidates", "endings", "answers")
CHOICE_COLUMNS = (
    ("A", "B", "C", "D"), ("a", "b", "c", "d"), ("option_a", "option_b", "option_c", "option_d"), ("opa", "opb", "opc", "opd"),
)  # fmt: skip
CHOICE_STEMS = ("option", "option_", "choice", "choice_", "sol", "ending", "ending_", "answer_")
"""Beginnings of the names of columns with an option each, before its number."""
TESTS = ("test_cases", "test_case", "tests", "test_list", "unit_tests", "input_output", "public_tests", "public_test_cases", "test")
FUNCTIONS = ("entry_point", "fn_name", "function_name", "metadata.func_name")
RESPONSES = ("generations", "responses", "completions", "samples", "solutions")
SINGLE_RESPONSES = ("response", "completion", "generated_solution", "output", "assistant", "chosen", "solution", "answer")
SYSTEMS = ("system", "system_prompt")
DIFFICULTIES = ("difficulty", "level", "difficulty_label")
KINDS = ("category", "ability", "domain", "type")
CONTEXTS = ("Body", "body", "context", "passage", "input")
"""Columns that may belong to a question beside its own, by the names that data sets give them."""
_CAN_BE_MISSING = re.compile(r"\b(\w+) (?:\| default|is (?:not )?defined)")
USUAL = 0.8
"""Share of the rows that have to look alike for a guess."""
DEEPEST = 3
"""Objects in one another that are looked into for a row's columns."""
MIN_COLUMNS = 3
"""Columns that a row must share with a public data set to be mapped as it is."""


def unwrapped(rows: Sequence[Object]) -> tuple[str, list[Object]] | None:
    """The path to the object that holds each row's columns, and the rows without it; None if the columns are the row's own.

    ``{"row_idx": 0, "row": {…}}``, as the hub's server writes rows, ``{"item": {…}}``, ``{"data": {"item": {…}}}``.
    """
    for path in _objects_inside(rows[0]):
        inner = [lifted_row for row in rows if (lifted_row := _lifted(row, path))]
        if len(inner) >= USUAL * len(rows) and (like_a_preset(inner) or guess(inner)):
            return path, inner
    return None


def _lifted(row: Object, path: str) -> Object | None:
    """The row with the columns of the object at the path; None if there is none, which the source says of the row."""
    try:
        return lifted(row, path)
    except Unfit:
        return None


def _objects_inside(row: Object) -> Iterator[str]:
    """The paths to objects in the row, the outermost first, down to ``DEEPEST`` levels."""
    level = {name: value for name, value in row.items() if "." not in name}
    for _ in range(DEEPEST):
        level = {path: value for path, text in level.items() if isinstance(value := loaded(text), dict) and value}
        yield from level
        level = {f"{path}.{name}": value for path, inner in level.items() for name, value in inner.items() if "." not in name}


def release(rows: Sequence[Object]) -> str | None:
    """The release schema of the rows; None if they are in none."""
    first = rows[0]
    for name, column in (("am-1.4m", "messages"), ("conversations", "conversations")):
        turns = first.get(column)
        if isinstance(turns, list) and turns and isinstance(turns[0], dict) and isinstance(turns[0].get("info"), dict):
            known = am_1_4m.Am14mInfo if name == "am-1.4m" else conversations.ConversationInfo
            return name if set(turns[0]["info"]) & set(known.model_fields) else None
    flat = {"question", "answer", "question_source", "category", "ground_truth"}
    return am_40m.NAME if flat <= set(first) and any(name.startswith(am_40m.RATE) for name in first) else None


def like_a_preset(rows: Sequence[Object]) -> tuple[str, dict[str, Any]] | None:
    """The preset whose columns the rows have, the one of most columns, with its mapping; None without one that reads them all."""
    names, fits = set(rows[0]), []
    for name, facts in presets().items():
        if facts.form:
            continue
        mapping = ColumnMapping(**facts.mapping)
        shared = used_columns(mapping) & names
        # A row that is a list has numbers for columns: too few columns prove nothing about others.
        enough = len(shared) >= MIN_COLUMNS or (shared == names and all(map(str.isdecimal, names)))
        if enough and _needed(mapping) <= names and _reads(mapping, rows):
            fits.append((len(shared), name, facts.mapping))
    return max(fits)[1:] if fits else None


def _needed(mapping: ColumnMapping) -> set[str]:
    """The columns that every row must have."""
    needed: set[str] = set()
    for name, path in mapping.columns:
        if path is None or path.endswith(MAYBE):
            continue
        if templates.is_template(path):
            needed |= templates.columns(path) - set(_CAN_BE_MISSING.findall(path))
        else:
            needed |= {part if " " in part else part.split(".")[0] for part in (path.split(", ") if name == "choices" else [path])}
    return {column for column in needed if not column.startswith("_")}


def _reads(mapping: ColumnMapping, rows: Sequence[Object]) -> bool:
    made = [records for _, records in RowMapper(mapping).records(enumerate(rows, start=1))]
    return sum(isinstance(records, list) for records in made) >= USUAL * len(rows) / 2 and not any(
        getattr(records, "reason", "") in {"bad_column", "bad_type", "bad_value"} for records in made
    )


def guess(rows: Sequence[Object]) -> dict[str, Any] | None:
    """A mapping by the usual names of columns; None if no column looks like a question."""
    columns = _question(rows)
    if columns is None:
        return None
    mapping: dict[str, Any] = {}
    columns |= _named(rows, {"system": SYSTEMS, "difficulty_label": DIFFICULTIES}, _is_scalar)
    tests = _first(rows, TESTS, lambda value: isinstance(value, list | dict | str) and bool(value))
    constraints = "instruction_id_list" if "instruction_id_list" in rows[0] else None
    if tests:
        columns |= {"test_cases": tests} | _named(rows, {"function": FUNCTIONS}, lambda value: isinstance(value, str))
        mapping["category"] = "code"
    elif constraints:
        columns |= {"constraints": constraints} | ({"constraint_arguments": "kwargs"} if "kwargs" in rows[0] else {})
        mapping["category"] = "instruction_following"
    else:
        _add_reference(rows, columns, mapping)
    return {**mapping, "columns": columns}


def _question(rows: Sequence[Object]) -> dict[str, str] | None:
    """The columns of the question itself."""
    if turns := _first(rows, MESSAGES, _are_turns):
        return {"messages": turns}
    by_plain = _by_plain_name(rows[0])
    names = [by_plain[name] for name in PROMPTS if name in by_plain]
    asked = [name for name in names if any(isinstance(row.get(name), str) and row[name].strip() for row in rows)]
    prompt = _first(rows, asked, lambda value: isinstance(value, str))
    if prompt is None:
        return None
    beside = next((name for name in CONTEXTS if name in rows[0] and name != prompt), None)
    has_context = beside is not None and all(isinstance(row.get(beside), str | None) for row in rows)
    if beside is None or not has_context or not (prompt.isidentifier() and beside.isidentifier()):
        return {"prompt": prompt}
    if beside == "input":
        return {"prompt": f"{{{{ {prompt} }}}}{{% if {beside} %}}\n\n{{{{ {beside} }}}}{{% endif %}}"}
    return {"prompt": f"{{% if {beside} %}}{{{{ {beside} }}}} {{% endif %}}{{{{ {prompt} }}}}"}


def _add_reference(rows: Sequence[Object], columns: dict[str, str], mapping: dict[str, Any]) -> None:
    """The reference, how it is found, the options, the responses, and the category that they suggest."""
    used = columns.get("prompt", columns.get("messages", ""))
    names = [name for name in _spelt(rows, REFERENCES) if name != used]
    reference = _first(rows, names, lambda value: value is not None and not isinstance(value, dict))
    options = _first(rows, CHOICES, _are_options) or _choice_columns(rows[0])
    if reference and options and reference.startswith(f"{options}."):
        options = None  # several forms of the answer
    responses = _first(rows, RESPONSES, lambda value: isinstance(value, list) and bool(value) and isinstance(value[0], str | dict))
    values = _values(rows, reference) if reference else []
    if reference and reference.lower() in SINGLE_RESPONSES and not options and _way(values) is None and all(map(_is_long, values)):
        reference = None  # a response, not a reference
    if reference is None:
        mapping["category"] = "other"
    elif options:
        mapping["category"] = "science"
        columns |= {"choices": options, "reference_answer": reference}
        if all(isinstance(value, int) or str(value).isdecimal() for value in values) and not {0, "0"} & set(values):
            mapping["first_choice"] = 1
    else:
        _add_answer(rows, reference, values, columns, mapping)
    if responses:
        columns["responses"] = responses
        verdicts = [name for name, value in rows[0].items() if _is_verdicts(value, rows[0][responses])]
        columns |= {"verdicts": f"{verdicts[0]}{MAYBE}"} if verdicts else {}
    elif "messages" not in columns:
        single = [name for name in _spelt(rows, SINGLE_RESPONSES) if name not in {used, reference}]
        response = _first(rows, single, lambda value: isinstance(value, str) and bool(value))
        columns |= {"original_response": response} if response and response not in columns.values() else {}


def _add_answer(
    rows: Sequence[Object], reference: str, values: Sequence[Any], columns: dict[str, str], mapping: dict[str, Any]
) -> None:  # fmt: skip
    is_list = all(isinstance(value, list) for value in values)
    columns["reference_answer"] = f"{{{{ {reference} | join(', ') }}}}" if is_list and reference.isidentifier() else reference
    texts = [str(value) for value in values if not isinstance(value, list)]
    way = _way(values)
    mapping |= {"extract": way} if way else {}
    empty = [text for text in texts if text.strip().lower() in {"proof", "nan", "n/a", "none", "notfound", ""}]
    if (empty or len(values) < len(rows)) and reference.isidentifier():
        mapping["where"] = f'{reference} and {reference} | lower not in ("proof", "nan", "n/a", "none", "notfound")'
    answers = [text for text in texts if text not in empty]
    is_prose = way is None and sum(map(am_1_4m.is_prose, answers)) > len(answers) / 2
    kind = _first(rows, KINDS, lambda value: isinstance(value, str) and value.lower() in RELEASE_CATEGORIES)
    if kind:
        words = sorted({str(value) for value in _values(rows, kind)})
        columns["category"] = kind
        translated = {word: RELEASE_CATEGORIES[word.lower()] for word in words if word not in CATEGORIES}
        mapping |= {"categories": translated} if translated else {}
    else:
        # Letters of options that stand in the question.
        is_letter = bool(answers) and all(re.fullmatch(r"\(?[A-J]\)?", text.strip()) for text in answers)
        mapping["category"] = "science" if is_prose or is_letter else "math"


def _way(values: Sequence[Any]) -> str | None:
    """How the answer is found in a longer text."""
    texts = [value for value in values if isinstance(value, str)]
    ways: dict[str, Callable[[str], str | None]] = {"hash_answer": answer_extraction.hash_answer, "boxed": answer_extraction.boxed}
    shares = {name: sum(bool(find(text)) for text in texts) / max(len(texts), 1) for name, find in ways.items()}
    return next((name for name, share in shares.items() if share >= USUAL), None)


def _named(rows: Sequence[Object], wanted: Mapping[str, Sequence[str]], fits: Callable[[Any], bool]) -> dict[str, str]:
    found = {column: _first(rows, names, fits) for column, names in wanted.items()}
    return {column: f"{path}{MAYBE}" for column, path in found.items() if path}


def _first(rows: Sequence[Object], names: Sequence[str], fits: Callable[[Any], bool]) -> str | None:
    """The first of these columns, however it is spelt, whose values fit in most of the rows that have one."""
    for name in _spelt(rows, names):
        values = _values(rows, name)
        if values and sum(map(fits, values)) >= USUAL * len(values) and len(values) >= len(rows) / 2:
            return name
    return None


def _values(rows: Sequence[Object], path: str) -> list[Any]:
    values = []
    for row in rows:
        try:
            value = at(row, f"{path}{MAYBE}") if path not in row else row[path]
        except Unfit:
            continue
        if value is not None:
            values.append(value)
    return values


def _spelt(rows: Sequence[Object], names: Sequence[str]) -> list[str]:
    """The names as the rows spell them: ``Final Answer`` for ``final_answer``."""
    by_plain = _by_plain_name(rows[0])
    return [by_plain.get(name, name) for name in names]


def _by_plain_name(row: Object) -> dict[str, str]:
    """A row's columns by their names in lower case, with underscores between words; of equal ones the first."""
    return {re.sub(r"[\s-]+", "_", name.strip().lower()): name for name in reversed(row)}


def _are_options(value: Any) -> bool:
    """Whether the value holds several options, or is their JSON; SQuAD's answers, each with its place in a text, are none."""
    value = loaded(value)
    if isinstance(value, dict):
        return "answer_start" not in value and len(value["text"] if isinstance(value.get("text"), list) else value) > 1
    return isinstance(value, list) and len(value) > 1


def _choice_columns(row: Object) -> str | None:
    """The columns that hold an option each: ``A, B, C, D``, or ``option1, option2``."""
    numbered = ([name for number in range(10) if (name := f"{stem}{number}") in row] for stem in CHOICE_STEMS)
    every = (*(names for names in CHOICE_COLUMNS if all(name in row for name in names)), *numbered)
    return next((", ".join(names) for names in every if len(names) > 1), None)


def _are_turns(value: Any) -> bool:
    """Whether the value is a list of turns, or its JSON text."""
    turns = loaded(value) if isinstance(value, str) and value[:1] == "[" else value
    return isinstance(turns, list) and bool(turns) and isinstance(turns[0], dict) and ("role" in turns[0] or "from" in turns[0])


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and (len(value) > 200 or am_1_4m.is_prose(value) or not value.strip().isascii())


def _is_verdicts(value: Any, responses: Any) -> bool:
    return isinstance(value, list) and len(value) == len(responses) and all(isinstance(verdict, bool) for verdict in value)
