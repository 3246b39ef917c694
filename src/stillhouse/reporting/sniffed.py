"""Print what ``stillhouse sniff`` found out, and write it down as a recipe."""

import json
from pathlib import Path
from typing import Any

import yaml

from stillhouse.errors import BadConfig
from stillhouse.execution.console import PlainConsole
from stillhouse.sources.sniffing import Sniffed, tested
from stillhouse.vocabulary.rows import Question
from stillhouse.vocabulary.text import excerpt, shortened

SHOWN_ROWS = 3
ROW_CHARS = 600
ABOUT_LICENSE = "# license: write the data set's own; it goes into every row, and into the card of a release\n"


def print_sniffed(out: PlainConsole, sniffed: Sniffed) -> None:
    """The data, its source, rows before and after, what is left out, and what the self-test says."""
    out.print(sniffed.what)
    out.print(f"\nsource\n{_yaml([sniffed.source]).rstrip()}")
    for number, row in enumerate(sniffed.rows[:SHOWN_ROWS], start=1):
        out.print(f"\nrow {number}\n  {shortened(json.dumps(row, ensure_ascii=False, default=str), ROW_CHARS)}")
    for number, question in enumerate(sniffed.questions[:SHOWN_ROWS], start=1):
        _print_question(out, number, question)
    out.print(f"\n{len(sniffed.questions)} questions of the rows looked at")
    for reason, count in sorted(sniffed.dropped.items()):
        out.print(f"  dropped {reason} {count:,}")
    for detail in sniffed.details:
        out.print(f"  {detail}")
    for column, count in sniffed.unmapped.most_common():
        out.print(f"  nothing maps the column {column} ({count:,} rows)")
    out.print(f"self-test {tested(sniffed.questions)}")


def _print_question(out: PlainConsole, number: int, question: Question) -> None:
    out.print(f"\nquestion {number} ({question.category})")
    for turn in question.messages:
        out.print(f"  {turn['role']}: {excerpt(turn['content'], ROW_CHARS)}")
    for name in ("reference_answer", "test_cases", "constraints", "original_response", "difficulty_label"):
        if value := getattr(question, name):
            out.print(f"  {name}: {shortened(value, ROW_CHARS)}")


def write_recipe(sniffed: Sniffed, path: Path) -> None:
    """Write a recipe of ``questions`` with this source. Raises BadConfig if another file is there."""
    about = ABOUT_LICENSE if sniffed.source.get("license") == "not stated" else ""
    text = f"{about}sources:\n{_yaml([sniffed.source])}"
    if path.exists() and path.read_text(encoding="utf-8") != text:
        msg = f"{path}: another file is there; nothing was overwritten: choose another name with --recipe"
        raise BadConfig(msg)
    path.write_text(text, encoding="utf-8")


def _yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)
