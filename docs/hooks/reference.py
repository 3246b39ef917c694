"""Generate the reference pages when the site is built: every Config field by its attribute docstring, and the Python API."""

import ast
import dataclasses
import inspect
import itertools
import re
import textwrap
import types
import typing
from collections.abc import Iterator
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import stillhouse
from stillhouse import stages
from stillhouse.execution.contract import input_names
from stillhouse.vocabulary.rows import ROW_TYPES, Dropped

LONGEST_DEFAULT = 70
"""Characters of a default that the table shows."""
LONGEST_SIGNATURE = 80
"""Characters of a signature on one line."""
API_MARK = "<!-- the functions of stillhouse.__all__ -->"
BOUNDS = {
    "ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "lt": "< {}", "min_length": "length ≥ {}", "max_length": "length ≤ {}",
}  # fmt: skip


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the config reference."""
    files.append(File.generated(config, "reference.md", content=reference()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the functions' signatures and docstrings into the API page."""
    return markdown.replace(API_MARK, api())


def reference() -> str:
    """The config of every stage, then the models nested in them, each once, then the rows."""
    parts = [
        "# Config reference\n",
        "The fields of every stage, as `stillhouse STAGE --help` shows them, then the columns of the [rows](#rows).",
        "`--set field=value` sets one field, `--config @PROFILE/STAGE` starts from a packaged recipe.\n",
    ]
    nested: dict[str, type[BaseModel]] = {}
    for name, entry in stages.REGISTRY.items():
        inputs = ", ".join(f"`{each}` ({kind})" for each, kind in input_names(stages.load(name).Inputs).items()) or "none"
        config_type = stages.config_of(name)
        parts.append(f"## {name}\n\n`{entry.help}`\n\nInputs: {inputs}\n\n{table(config_type)}")
        nested |= {model.__name__: model for model in models(config_type) if model is not config_type}
    parts += [f"## {name}\n\n{first_line(model)}\n\n{table(model)}" for name, model in sorted(nested.items())]
    parts.append(rows())
    return "\n\n".join(parts) + "\n"


def rows() -> str:
    """The columns of every row type, in path order."""
    named: dict[str, Any] = {**ROW_TYPES, "dropped": Dropped}
    about_all = "The columns of each artifact, as `stillhouse show` prints them and `stillhouse.read` returns them."
    parts = [f"## Rows\n\n{about_all} [Data](data.md#rows-of-your-own) says how to write rows of your own."]
    for name, row_type in named.items():
        nullable = {column.name: "may be null" if column.nullable else "" for column in row_type.SCHEMA}
        columns = [f"| `{column.name}` | {column.type} | {nullable[column.name]} |" for column in row_type.SCHEMA]
        about = (inspect.getdoc(row_type) or "").replace("``", "`")
        key = f"\n\nKey: {', '.join(f'`{column}`' for column in row_type.KEY)}." if row_type.KEY else ""
        parts.append(f"### Rows of {name}\n\n{about}{key}\n\n" + "\n".join(["| column | type | |", "|---|---|---|", *columns]))
    return "\n\n".join(parts)


def table(model: type[BaseModel]) -> str:
    """One row per field: name, type, default, bounds, description."""
    rows = ["| field | type | default | bounds | |", "|---|---|---|---|---|"]
    for name, info in model.model_fields.items():
        description = " ".join((info.description or "").split()).replace("<", "&lt;")
        cells = [f"`{name}`", type_name(info.annotation), default(info), bounds(info), description]
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The pydantic models in an annotation and, recursively, in their fields."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for info in annotation.model_fields.values():
            yield from models(info.annotation)
        return
    for argument in typing.get_args(annotation):
        yield from models(argument)


def type_name(annotation: Any) -> str:
    """A type in words; a nested model as a link to its section."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if annotation is type(None):
        return "null"
    inner = [type_name(argument) for argument in arguments if isinstance(argument, type) or typing.get_origin(argument)]
    forms = {
        typing.Annotated: "{0}", typing.Union: " or ".join(inner), types.UnionType: " or ".join(inner), tuple: "list of {0}",
        list: "list of {0}", dict: "mapping of {0} to {1}",
    }  # fmt: skip
    return forms[origin].format(*inner, "any") if origin in forms and inner else getattr(annotation, "__name__", str(annotation))


def default(info: FieldInfo) -> str:
    """The default as YAML would have it."""
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "its defaults"
    words = {None: "null", True: "true", False: "false"}
    text = words[value] if isinstance(value, bool | None) else str(list(value) if isinstance(value, tuple) else value) or '""'
    return f"`{textwrap.shorten(text, LONGEST_DEFAULT, placeholder=' …')}`"


def bounds(info: FieldInfo) -> str:
    """The limits that a value has to keep."""
    found = [text.format(getattr(limit, name)) for limit in info.metadata for name, text in BOUNDS.items() if hasattr(limit, name)]
    patterns = [f"`{limit.pattern}`" for limit in info.metadata if getattr(limit, "pattern", None)]
    return ", ".join([*found, *patterns])


def first_line(model: type[BaseModel]) -> str:
    """What the model's docstring begins with."""
    return " ".join((inspect.getdoc(model) or "").partition("\n\n")[0].split())


def api() -> str:
    """Every public function with its signature and docstring, then the public types."""
    members = {name: getattr(stillhouse, name) for name in stillhouse.__all__ if name != "__version__"}
    functions = {name: member for name, member in members.items() if inspect.isfunction(member)}
    parts = [f"## {name}\n\n```python\n{name}{signature(member)}\n```\n\n{docstring(member)}" for name, member in functions.items()]
    parts += [f"## {name}\n\n{docstring(member)}{attributes(member)}" for name, member in members.items() if name not in functions]
    return "\n\n".join(parts)


def signature(member: Any) -> str:
    """The signature, its types without their modules; a long one has a parameter to a line."""
    whole = inspect.signature(member)
    parameters = [str(parameter) for parameter in whole.parameters.values()]
    if first := next((name for name, parameter in whole.parameters.items() if parameter.kind is parameter.KEYWORD_ONLY), ""):
        parameters.insert(list(whole.parameters).index(first), "*")
    text = str(whole)
    if len(text) > LONGEST_SIGNATURE:
        text = "(\n" + "".join(f"    {parameter},\n" for parameter in parameters) + f"){text.rpartition(')')[2]}"
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", text)


def docstring(member: Any) -> str:
    """A Google-style docstring as Markdown: sections become bold words with lists."""
    lines: list[str] = []
    section = ""
    for line in (inspect.getdoc(member) or "").replace("``", "`").splitlines():
        if line in {"Args:", "Returns:", "Raises:", "Example:"}:
            section = line
            lines += ["", f"**{line.removesuffix(':')}**", ""]
        elif section in {"Args:", "Raises:"} and line.startswith("    ") and not line.startswith("     "):
            name, _, text = line.strip().partition(": ")
            lines.append(f"- `{name}`: {text}")
        elif section == "Example:" and line.strip():
            lines.append(line if line.startswith("    ") else f"    {line}")
        else:
            lines.append(line.strip() if section == "Returns:" else line)
    return "\n".join(lines)


def attributes(member: Any) -> str:
    """The fields of a public dataclass, with their attribute docstrings."""
    if not dataclasses.is_dataclass(member):
        return ""
    source = textwrap.dedent(inspect.getsource(typing.cast("type", member)))
    statements = typing.cast("ast.ClassDef", ast.parse(source).body[0]).body
    texts = {
        field.target.id: f": {' '.join(text.value.value.split())}".replace("``", "`")
        for field, text in itertools.pairwise(statements)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }
    return "\n\n**Fields**\n\n" + "\n".join(f"- `{each.name}`{texts.get(each.name, '')}" for each in dataclasses.fields(member))
