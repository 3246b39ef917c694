"""Import a release as artifacts of the path: questions, responses, scores, perplexities and pass rates.

The imported responses can be verified and graded again: ``stillhouse verified --input questions=… --input responses=…``.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydantic import ValidationError

from stillhouse.artifacts.digests import sha256
from stillhouse.artifacts.manifest import Manifest
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.artifacts.tables import Parts
from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.exchange import files, refusal
from stillhouse.exchange.config import ReleaseImportConfig, ReleaseImportInputs
from stillhouse.exchange.conversion import Conversion, has_content
from stillhouse.exchange.files import Bad, bounded
from stillhouse.exchange.record import Record, Unfit
from stillhouse.exchange.schemas import SCHEMAS
from stillhouse.execution.contract import Outputs
from stillhouse.execution.execute import execute
from stillhouse.execution.recipes import resolve
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import ROW_TYPES, Dropped

PLACE = "{stage}"
"""Stands for the stage in ``--output``: a release becomes several artifacts."""
MADE_OF: dict[str, tuple[str, ...]] = {
    "questions": (), "responses": ("questions",), "verified": ("questions", "responses"), "screened": ("questions", "responses"),
    "graded": ("questions",),
}  # fmt: skip
"""The artifacts that a release may become, and the inputs of each."""


def records(
    path: Path, form: str, category: Category | None = None, max_line_bytes: int = files.MAX_LINE_BYTES
) -> Iterator[tuple[int, Record | Bad]]:  # fmt: skip
    """The records of a file in one of the schemas, by line number. Memory is bounded by one line."""
    decode: Callable[..., Record] = SCHEMAS[form].decode
    for number, row in files.objects(path, max_line_bytes):
        if isinstance(row, Bad):
            yield number, row
            continue
        try:
            yield number, decode(row, category)
        except ValidationError as error:
            yield number, refusal.bad(error, row)
        except Unfit as unfit:
            yield number, Bad(unfit.reason, str(unfit), files.shown(row))


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
        paths = [stack.enter_context(files.local(uri)) for uri in uris]
        config = resolve(ReleaseImportConfig, [json.dumps({"imported": list(map(sha256, paths)), **settings})])
        directory = stack.enter_context(scratch_directory())

        @cache
        def convert() -> Outputs:
            return _convert(dict(zip(uris, paths, strict=True)), config, directory)

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


def _convert(paths: Mapping[str, Path], config: ReleaseImportConfig, directory: Path) -> Outputs:
    """Write the rows of all artifacts below ``directory``. Raises TooManyErrors above the ceiling."""
    parts: dict[str, Parts[Any]] = {name: Parts(directory / name, ROW_TYPES[name]) for name in MADE_OF}
    drops: Parts[Any] = Parts(directory / "questions" / "dropped", Dropped)
    conversion, reasons, counts = Conversion(config.license), Counter[str](), Counter[str]()
    for uri, path in paths.items():
        for record in bounded(records(path, config.form, config.category), uri, config.max_bad_rate):
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
        msg = f"{', '.join(paths)}: no row in the schema {config.form}; dropped: {dict(reasons)}; nothing was imported"
        raise NothingToDo(msg)
    for writer in (*parts.values(), drops):
        writer.close()
    return Outputs(metrics={f"n_{name}": 0.0 for name in MADE_OF} | dict(counts), dropped=reasons)
