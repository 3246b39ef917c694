"""The commands that bring data in: ``import``, ``sniff`` and ``presets``."""

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from stillhouse.errors import BadConfig, nearest
from stillhouse.execution.console import PlainConsole
from stillhouse.vocabulary.categories import CATEGORIES

_out = PlainConsole(highlight=False, soft_wrap=True, markup=False)
MappingOption = Annotated[
    str | None, typer.Option(help="for --as mapped: columns, category … as in a source of kind file", metavar="@FILE.yaml|JSON")
]
CategoriesOption = Annotated[
    list[str] | None, typer.Option("--categories", help="category of one source in a release; repeat", metavar="SOURCE=CATEGORY")
]


def import_rows(
    files: Annotated[list[str], typer.Argument(help="files, folders, patterns, s3://, hf:// or - in any format", metavar="FILE…")],
    form: Annotated[
        str,
        typer.Option(
            "--as",
            help="questions or responses in our columns; am-1.4m, am-40m or conversations for a release; a preset; or mapped",
        ),
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", help="URI of the artifact; for a release with {stage} in it", metavar="URI")
    ],
    category: Annotated[
        str | None, typer.Option(help="category of all questions of a release that names none, or wrong ones")
    ] = None,
    categories: CategoriesOption = None,
    mapping: MappingOption = None,
    license_name: Annotated[str | None, typer.Option("--license", help="license of all questions of a release")] = None,
    max_bad_rate: Annotated[float, typer.Option(help="share of a release's lines that may be malformed")] = 0.01,
) -> None:
    """Turn your own rows or a public release into artifacts that any stage can run on."""
    from stillhouse.exchange.importing import MAPPED, import_release
    from stillhouse.exchange.jsonl import IMPORTED, import_file
    from stillhouse.exchange.presets import presets as known
    from stillhouse.exchange.schemas import SCHEMAS
    from stillhouse.reporting.terminal import print_imported

    if form in SCHEMAS or form in known() or form == MAPPED:
        settings: dict[str, Any] = {"form": form, "category": category, "license": license_name, "max_bad_rate": max_bad_rate}
        settings |= {"categories": _by_source(categories)} if categories else {}
        settings |= {"mapping": _mapping(mapping)} if mapping else {}
        manifests = import_release(files, output, **settings)
    elif len(files) == 1 and form in IMPORTED:
        manifests = {form: import_file(files[0], form, output)}
    elif form in IMPORTED:
        msg = f"--as {form}: {len(files)} files; concatenate them and give one"
        raise BadConfig(msg)
    else:
        raise _no_form(form, [*IMPORTED, *SCHEMAS, MAPPED, *known()])
    print_imported(_out, manifests, output)


def _no_form(form: str, forms: list[str]) -> BadConfig:
    return BadConfig(f"--as {form}: no such form; {nearest(form, forms, 'forms')}")


def sniff(
    location: Annotated[
        str, typer.Argument(help="a file, folder, pattern, s3:// or hf://datasets/ORG/NAME[@REVISION]", metavar="FILE|hf://…")
    ],
    name: Annotated[str | None, typer.Option(help="name of the source, written to every row")] = None,
    category: Annotated[str | None, typer.Option(help="category of all questions, if the guess is wrong")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="the recipe to write; default questions-NAME.yaml", metavar="FILE.yaml")
    ] = None,
) -> None:
    """Look at data of your own: the mapping it takes, rows before and after, and a recipe that reads it."""
    from stillhouse.reporting.sniffed import print_sniffed, write_recipe
    from stillhouse.sources.sniffing import sniff as look_at

    if category is not None and category not in CATEGORIES:
        msg = f"--category {category}: no such category; {nearest(category, CATEGORIES, 'categories')}"
        raise BadConfig(msg)
    sniffed = look_at(location, name, cast("Any", category))
    print_sniffed(_out, sniffed)
    path = Path(recipe or f"questions-{sniffed.source['name']}.yaml")
    write_recipe(sniffed, path)
    _out.print(f"recipe {path}: stillhouse questions --config @{path} --output ROOT/questions/{sniffed.source['name']}/v1")


def presets() -> None:
    """List the public data sets whose mapping is built in, for sources of kind preset and for import --as."""
    from stillhouse.exchange.presets import presets as known

    for name, facts in known().items():
        _out.print(f"{name}: {facts.hub} ({facts.license})")


def _by_source(items: list[str]) -> dict[str, str]:
    """``SOURCE=CATEGORY`` items as a mapping. Raises BadConfig."""
    named = {}
    for item in items:
        source, equals, category = item.rpartition("=")
        if not (source and equals and category):
            msg = f"--categories {item}: not of the form SOURCE=CATEGORY"
            raise BadConfig(msg)
        named[source] = category
    return named


def _mapping(layer: str) -> dict[str, Any]:
    """A mapping from JSON, a file, or the first source of a recipe that ``sniff`` wrote."""
    from stillhouse.exchange.config import Mapping
    from stillhouse.execution.recipes import read_layer
    from stillhouse.sources.stored import FileSource

    values = read_layer(layer)
    if isinstance(values.get("sources"), list) and values["sources"]:
        of_source = set(FileSource.model_fields) - set(Mapping.model_fields)
        values = {name: value for name, value in values["sources"][0].items() if name not in of_source}
    return values
