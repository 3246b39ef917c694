"""A release -> artifacts of the path: its questions, responses, scores, perplexities and pass rates, each where it belongs.

Such a release can be verified and graded again: ``stillhouse verified --input questions=… --input responses=…``.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydantic import Field, ValidationError

from stillhouse.artifacts.digests import sha256
from stillhouse.artifacts.manifest import Manifest
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.artifacts.tables import Parts
from stillhouse.errors import BadConfig, NothingToDo
from stillhouse.exchange import SCHEMAS, files, refusal
from stillhouse.exchange.conversion import Conversion, says_something
from stillhouse.exchange.files import Bad, bounded
from stillhouse.exchange.record import Record, Unfit
from stillhouse.execution.contract import Outputs, StageInputs
from stillhouse.execution.execute import execute
from stillhouse.execution.recipes import resolve
from stillhouse.vocabulary.categories import Category
from stillhouse.vocabulary.rows import ROW_TYPES, Dropped
from stillhouse.vocabulary.settings import StageConfig

PLACE = "{stage}"
"""What ``--output`` has in the place of the stage: a release becomes several artifacts."""
MADE_OF: dict[str, tuple[str, ...]] = {
    "questions": (), "responses": ("questions",), "verified": ("questions", "responses"), "screened": ("questions", "responses"),
    "graded": ("questions",),
}  # fmt: skip
"""The artifacts a release may become, and what each names as its inputs."""


class Config(StageConfig):
    """What was imported, and how it was read."""

    imported: tuple[str, ...]
    """sha256 of each file."""
    form: str
    """The schema."""
    category: Category | None = None
    """Category of all questions; null takes the release's, or, where the schema has none, what references and tests tell."""
    license: str | None = None
    """What the questions' ``license`` column says."""
    max_bad_rate: float = Field(0.01, ge=0, le=1)
    """Share of the lines that may be no row of the schema; above it nothing is imported."""


@dataclass(frozen=True, kw_only=True)
class Inputs(StageInputs):
    """What the artifacts of one release name as their origin."""

    questions: Path | None = None
    responses: Path | None = None


def records(
    path: Path, form: str, category: str | None = None, max_line_bytes: int = files.MAX_LINE_BYTES
) -> Iterator[tuple[int, Record | Bad]]:  # fmt: skip
    """The records of a file in one of the schemas, by line number. Memory is bounded by one line."""
    decode: Callable[..., Record] = SCHEMAS[form].decode
    for number, given in files.objects(path, max_line_bytes):
        if isinstance(given, Bad):
            yield number, given
            continue
        try:
            yield number, decode(given, category)
        except ValidationError as error:
            yield number, refusal.bad(error, given)
        except Unfit as unfit:
            yield number, Bad(unfit.reason, str(unfit), files.shown(given))


def import_release(uris: Sequence[str], output: str, **settings: Any) -> dict[str, Manifest]:
    """Publish what the files hold at ``output``, in which ``{stage}`` stands for each artifact's stage.

    ``settings`` are the fields of ``Config`` that are not read off the files. Several files are read one after the other, so that a
    model's k-th passes become its responses 0 to k-1. The same files to the same place again change nothing.

    Raises BadConfig, MissingInput, NothingToDo for files without a row, TooManyErrors above ``max_bad_rate``, and StaleOutput where
    something else lies there.
    """
    if PLACE not in output:
        msg = f"--output {output}: a release becomes several artifacts; write ROOT/{PLACE}/NAME/VERSION"
        raise BadConfig(msg)
    with ExitStack() as stack:
        paths = [stack.enter_context(files.local(uri)) for uri in uris]
        config = resolve(Config, [json.dumps({"imported": list(map(sha256, paths)), **settings})])
        directory = stack.enter_context(scratch_directory())

        @cache
        def convert() -> Outputs:
            return _convert(dict(zip(uris, paths, strict=True)), config, directory)

        made: dict[str, Manifest] = {}
        for name, origins in MADE_OF.items():
            if name == "questions" or made["questions"].metrics[f"n_{name}"]:
                inputs = {origin: [output.replace(PLACE, origin)] for origin in origins}
                made[name] = _publish(name, inputs, config, output.replace(PLACE, name), directory, convert)
    return made


def _publish(
    name: str, origins: Mapping[str, Sequence[str]], config: Config, output: str, directory: Path, convert: Callable[[], Outputs]
) -> Manifest:
    """Publish one of the artifacts; the files are read when the first of those that are not there yet is made."""

    def run(config: Config, inputs: Inputs) -> Outputs:
        outputs = convert()
        (directory / name).rename(inputs.output)
        return outputs if name == "questions" else Outputs()

    # In the form of a stage module, so that ``execute`` publishes it like any other output.
    form: Any = SimpleNamespace(__name__=name, Config=Config, Inputs=Inputs, run=run)
    return execute(form, config, origins, output).manifest


def _convert(paths: Mapping[str, Path], config: Config, directory: Path) -> Outputs:
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
            made = list(conversion.rows_of(record))
            counts["n_repeated"] += not made
            for name, row in made:
                parts[name].add(row)
                counts[f"n_{name}"] += says_something(name, record)
    if not counts["n_records"]:
        msg = f"{', '.join(paths)}: no row of {config.form}, dropped: {dict(reasons)}; nothing was imported"
        raise NothingToDo(msg)
    for each in (*parts.values(), drops):
        each.close()
    return Outputs(metrics={f"n_{name}": 0.0 for name in MADE_OF} | dict(counts), dropped=reasons)
