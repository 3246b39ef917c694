"""Import a release as artifacts of the path: questions, responses, scores, perplexities and pass rates.

The imported responses can be verified and graded again: ``stillhouse verified --input questions=… --input responses=…``.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydantic import ValidationError

from stillhouse.artifacts.manifest import Manifest
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.artifacts.tables import Parts
from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.exchange import bad_rows, files, locations, refusal
from stillhouse.exchange.bad_rows import Bad, LeftOut, Object, bounded
from stillhouse.exchange.config import ReleaseImportConfig, ReleaseImportInputs
from stillhouse.exchange.conversion import Conversion, has_content
from stillhouse.exchange.locations import FileOfRows
from stillhouse.exchange.mapping import RowMapper
from stillhouse.exchange.presets import presets
from stillhouse.exchange.record import Record, Unfit
from stillhouse.exchange.schemas import SCHEMAS
from stillhouse.exchange.templates import FILE_NAME
from stillhouse.execution.contract import Outputs
from stillhouse.execution.execute import execute
from stillhouse.execution.recipes import resolve
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import ROW_TYPES, Dropped

MAPPED = "mapped"
"""Names the form of rows that are read as ``mapping`` says."""
PLACE = "{stage}"
"""Stands for the stage in ``--output``: a release becomes several artifacts."""
MADE_OF: dict[str, tuple[str, ...]] = {
    "questions": (), "responses": ("questions",), "verified": ("questions", "responses"), "screened": ("questions", "responses"),
    "graded": ("questions",),
}  # fmt: skip
"""The artifacts that a release may become, and the inputs of each."""


def records(
    file: FileOfRows, config: ReleaseImportConfig, unmapped: Counter[str]
) -> Iterator[tuple[int, Record | Bad | LeftOut]]:  # fmt: skip
    """The records of a file by line number: in one of the schemas, or as a mapping says. Memory is bounded by one line."""
    rows = files.objects(file.path, form=file.form)
    if config.mapping is None:
        yield from decoded(rows, config.form, config.category, config.categories)
        return
    named = ((number, row if isinstance(row, Bad) else {FILE_NAME: file.name} | row) for number, row in rows)
    for number, mapped in RowMapper(config.mapping, unmapped).records(named):
        for record in mapped if isinstance(mapped, list) else [mapped]:
            yield number, record


def decoded(
    rows: Iterable[tuple[int, Object | Bad]], form: str, category: Category | None, categories: Mapping[str, Category]
) -> Iterator[tuple[int, Record | Bad]]:  # fmt: skip
    """The records of numbered rows in one of the schemas. ``categories``: source of a question -> its category."""
    decode: Callable[..., Record] = SCHEMAS[form].decode
    for number, row in rows:
        if isinstance(row, Bad):
            yield number, row
            continue
        try:
            record = decode({name: value for name, value in row.items() if name != FILE_NAME}, category)
            named = categories.get(record.source or "")
            yield number, replace(record, category=named) if named else record
        except ValidationError as error:
            yield number, refusal.bad(error, row)
        except Unfit as unfit:
            yield number, Bad(unfit.reason, str(unfit), bad_rows.shown(row))


def import_release(uris: Sequence[str], output: str, **settings: Any) -> dict[str, Manifest]:
    """Publish the contents of the files at ``output``, in which ``{stage}`` stands for each artifact's stage.

    ``settings`` are the fields of ``ReleaseImportConfig`` except ``imported``. Several files are read one after the other, so that
    a model's first to k-th passes become its responses 0 to k-1. Importing the same files to the same place again changes nothing.

    Raises BadConfig, MissingInput, NothingToDo for files without a row, TooManyErrors above ``max_bad_rate``, and StaleOutput if
    ``output`` holds something else.
    """
    if PLACE not in output:
        msg = f"--output {output}: a release becomes several artifacts; write ROOT/{PLACE}/NAME/VERSION"
        raise BadConfig(msg)
    with ExitStack() as stack:
        found = {uri: stack.enter_context(locations.fetched(uri)) for uri in uris}
        settings = {"imported": [locations.digest(of_uri) for of_uri in found.values()], **_of_preset(settings)}
        config = resolve(ReleaseImportConfig, [json.dumps(settings)])
        directory = stack.enter_context(scratch_directory())

        @cache
        def convert() -> Outputs:
            return _convert(found, config, directory)

        published: dict[str, Manifest] = {}
        for name, origins in MADE_OF.items():
            if name == "questions" or published["questions"].metrics[f"n_{name}"]:
                inputs = {origin: [output.replace(PLACE, origin)] for origin in origins}
                published[name] = _publish(name, inputs, config, output.replace(PLACE, name), directory, convert)
    return published


def _publish(
    name: str,
    origins: Mapping[str, Sequence[str]],
    config: ReleaseImportConfig,
    output: str,
    directory: Path,
    convert: Callable[[], Outputs],
) -> Manifest:
    """Publish one of the artifacts; the files are read once, when the first missing artifact is made."""

    def run(config: ReleaseImportConfig, inputs: ReleaseImportInputs) -> Outputs:
        outputs = convert()
        (directory / name).rename(inputs.output)
        return outputs if name == "questions" else Outputs()

    # Looks like a stage module, so that ``execute`` publishes it like any other output.
    stage: Any = SimpleNamespace(__name__=name, Config=ReleaseImportConfig, Inputs=ReleaseImportInputs, run=run)
    return execute(stage, config, origins, output).manifest


def _of_preset(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, with the mapping and licence of the preset if ``form`` is the name of one."""
    if (settings["form"] == MAPPED) != bool(settings.get("mapping")):
        what = "needs --mapping" if settings["form"] == MAPPED else f"takes no --mapping, which goes with --as {MAPPED}"
        msg = f"--as {settings['form']}: {what}"
        raise BadConfig(msg)
    facts = presets().get(settings["form"])
    if facts is None or settings["form"] in SCHEMAS:
        return dict(settings)
    license_name = settings.get("license") or facts.license
    if facts.form:
        return {**settings, "form": facts.form, "license": license_name}
    return {**settings, "license": license_name, "mapping": facts.mapping}


def _convert(found: Mapping[str, Sequence[FileOfRows]], config: ReleaseImportConfig, directory: Path) -> Outputs:
    """Write the rows of all artifacts below ``directory``. Raises TooManyErrors above the ceiling."""
    parts: dict[str, Parts[Any]] = {name: Parts(directory / name, ROW_TYPES[name]) for name in MADE_OF}
    drops: Parts[Any] = Parts(directory / "questions" / "dropped", Dropped)
    conversion, reasons, counts, unmapped = Conversion(config.license), Counter[str](), Counter[str](), Counter[str]()
    for uri, file in ((uri, file) for uri, of_uri in found.items() for file in of_uri):
        for record in bounded(records(file, config, unmapped), uri, config.max_bad_rate):
            if isinstance(record, Dropped):
                reasons[record.reason] += 1
                drops.add(record)
                continue
            counts.update(["n_records", *(f"n_ignored/{name}" for name in record.ignored)])
            rows = list(conversion.rows_of(record))
            counts["n_repeated"] += not rows
            for name, row in rows:
                parts[name].add(row)
                counts[f"n_{name}"] += has_content(name, record)
    if not counts["n_records"]:
        msg = f"{', '.join(found)}: no row in the schema {config.form}; dropped: {dict(reasons)}; nothing was imported"
        raise NothingToDo(msg)
    counts.update({f"n_ignored/{name}": n for name, n in unmapped.items()})
    for writer in (*parts.values(), drops):
        writer.close()
    return Outputs(metrics={f"n_{name}": 0.0 for name in MADE_OF} | dict(counts), dropped=reasons)
