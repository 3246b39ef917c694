"""Finds the program in an answer, as people write answers: fenced with or without a tag, indented, quoted, in several blocks."""

import ast
import builtins
import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice

_TAGS = {
    "python": re.compile(r"(?:c?python|ipython|pypy|py)[\d.]*"),
    "cpp": re.compile(r"(?:c|cpp|c\+\+|cc|cxx|g\+\+|gnu\+\+)(?:-?(?:\d\d|\d[a-z]))?"),
}
_FENCE = re.compile(r"^([ \t>]*)(`{3,}|~{3,})[ \t]*(?:\{?\.?)([^\s`~{}]*)[^\n`]*$", re.MULTILINE)
_CODE_LINE = {
    "python": re.compile(
        r"^(?:import \w|from [\w.]+ import |def \w+\(|class \w+[:(]|print\(|for \w+ in |\w+(?:, ?\w+)* = )", re.MULTILINE
    ),
    "cpp": re.compile(r"^\s*#include\s*[<\"]", re.MULTILINE),
}
_READS = re.compile(r"\binput\(|\bstdin\b|\bopen\(0\b")
_PRINTS = re.compile(r"\bprint\(|\bstdout\b|\.write\(")
_MAIN = re.compile(r"\bmain\s*\(")
_NO_CODE_CHARS = {0xA0: " ", 0x2007: " ", 0x202F: " ", 0x200B: None, 0xFEFF: None}
"""Spaces and invisible characters that chat windows put into code."""
_MOST_BLOCKS = 100
_MOST_CLOSINGS = 8
"""Fences that could close a block, if the first ones lie in a string of its program."""


@dataclass(frozen=True)
class Block:
    """One fenced block; ``tag`` is lower case, empty if there is none."""

    tag: str
    text: str


def program(answer: str, language: str, wanted: Collection[str] = ()) -> Block | None:
    """The program in an answer; an unclosed block runs to the end. None if there is no program in this language.

    Blocks tagged with the language go before untagged ones, and later blocks before earlier ones, unless only an earlier one
    defines what the tests want (``wanted``), is Python, or reads the input. Blocks that build on one another are joined.
    """
    blocks = _blocks(answer)
    if not blocks:
        return Block("", answer) if _CODE_LINE[language].search(answer) else None
    tagged = [block for block in blocks if _TAGS[language].fullmatch(block.tag) and block.text.strip()]
    untagged = [block for block in blocks if not block.tag and block.text.strip()]
    candidates = tagged or [block for block in untagged if _CODE_LINE[language].search(block.text)] or untagged
    if not candidates:
        return None
    if language == "cpp":
        return next((block for block in reversed(candidates) if _MAIN.search(block.text)), candidates[-1])
    return _python_program(candidates[-_MOST_BLOCKS:], wanted)


def _blocks(answer: str) -> list[Block]:
    blocks = []
    fences = list(_FENCE.finditer(answer))
    index = 0
    while index < len(fences):
        opening = fences[index]
        later = (place for place in range(index + 1, len(fences)) if _closes(opening, fences[place]))
        closings = list(islice(later, _MOST_CLOSINGS if len(fences) <= _MOST_BLOCKS else 1)) or [len(fences)]
        texts = [_between(answer, opening, fences[closing : closing + 1]) for closing in closings]
        # A fence in a string of a program does not close its block: then the program is complete at a later one.
        in_strings = _TAGS["python"].fullmatch(opening[3].lower()) and ('"""' in texts[0] or "'''" in texts[0])
        whole = [place for place, text in enumerate(texts) if _names(text) is not None] if in_strings else []
        place = whole[0] if whole else 0
        blocks.append(Block(opening[3].lower(), texts[place]))
        index = closings[place] + 1
    return blocks


def _between(answer: str, opening: "re.Match[str]", closing: "list[re.Match[str]]") -> str:
    end = closing[0].start() if closing else len(answer)
    return _unindented(answer[opening.end() + 1 : end], opening[1])


def _closes(opening: "re.Match[str]", fence: "re.Match[str]") -> bool:
    return not fence[3] and fence[2].startswith(opening[2])


def _unindented(text: str, margin: str) -> str:
    """The text without the margin that its fence has, as far as each line has it."""
    if not margin:
        return text
    lines = []
    for line in text.split("\n"):
        width = next((place for place, (one, other) in enumerate(zip(line, margin, strict=False)) if one != other), len(margin))
        lines.append(line[width:])
    return "\n".join(lines)


@dataclass(frozen=True)
class _BlockNames:
    """The names that a block defines at its top, and those it uses without defining them anywhere."""

    defined: frozenset[str]
    missing: frozenset[str]


def _python_program(blocks: list[Block], wanted: Collection[str]) -> Block:
    parsed = [(block, names) for block in blocks if (names := _names(block.text)) is not None]
    if not parsed:
        # Perhaps a chat window's spaces are in the way; if not, the compiler says what is wrong.
        cleaned = [Block(block.tag, block.text.translate(_NO_CODE_CHARS)) for block in blocks]
        parsed = [(block, names) for block in cleaned if (names := _names(block.text)) is not None]
    if not parsed:
        return blocks[-1]
    place = len(parsed) - 1
    defining = [index for index, (_, names) in enumerate(parsed) if names.defined & set(wanted)]
    if defining:
        place = defining[-1]
    elif not wanted:
        # An example or a detail may follow the solution.
        whole = [index for index, (block, _) in enumerate(parsed) if _READS.search(block.text) and _PRINTS.search(block.text)]
        place = whole[-1] if whole else place
    return _with_what_it_builds_on(parsed, place)


def _with_what_it_builds_on(parsed: list[tuple[Block, _BlockNames]], place: int) -> Block:
    """The block, after the earlier ones that define what it lacks."""
    chosen, missing = [parsed[place][0]], set(parsed[place][1].missing)
    for block, names in reversed(parsed[:place]):
        if names.defined & missing:
            chosen.insert(0, block)
            missing = (missing - names.defined) | names.missing
    return Block(chosen[-1].tag, "\n".join(block.text for block in chosen))


def _names(text: str) -> _BlockNames | None:
    """The names of a block; None if it is not Python."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    bound, used = names_in(tree)
    top = {name for statement in tree.body for name in names_in(statement, inside=False)[0]}
    return _BlockNames(frozenset(top), frozenset(used - bound - set(dir(builtins))))


def names_in(tree: ast.AST, *, inside: bool = True) -> tuple[set[str], set[str]]:
    """The names that code binds and those it uses, in any scope; if not ``inside``, not in bodies of functions and classes."""
    bound: set[str] = set()
    used: set[str] = set()
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            bound.add(node.name)
        if inside or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            pending.extend(ast.iter_child_nodes(node))
    return bound, used
