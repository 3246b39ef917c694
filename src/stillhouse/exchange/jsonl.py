"""Import JSON Lines as questions or responses: your own rows become an artifact that any stage can read.

A line is one row in the columns of ``vocabulary.rows``; ``checked_rows`` says which may be left out.
"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from stillhouse.artifacts import tables
from stillhouse.artifacts.digests import sha256
from stillhouse.artifacts.manifest import Manifest
from stillhouse.errors import BadConfig, BadRows
from stillhouse.exchange import files, line_files
from stillhouse.exchange.checked_rows import CHECKED, Problems, checked_rows
from stillhouse.exchange.config import RowsImportConfig
from stillhouse.exchange.schemas import SCHEMAS
from stillhouse.execution.contract import Outputs, StageInputs
from stillhouse.execution.execute import execute

IMPORTED = ("questions", "responses")
"""Row types that can be imported."""


def import_file(uri: str, row_type_name: str, output: str) -> Manifest:
    """Publish the rows of a JSON Lines file, compressed or not, at ``output``. A second, equal import changes nothing.

    Raises BadConfig for another row type, MissingInput for an unreadable file, BadRows naming the first bad lines (then nothing
    is published), StaleOutput if ``output`` holds something else.
    """
    if row_type_name not in IMPORTED:
        msg = f"--as {row_type_name}: rows are imported as {', '.join([*IMPORTED, *SCHEMAS])}"
        raise BadConfig(msg)
    if not files.holds_lines(uri):
        msg = f"{uri}: {row_type_name} are imported from JSON Lines; give a FILE.jsonl, FILE.jsonl.zst or FILE.jsonl.gz"
        raise BadConfig(msg)
    with files.local(uri) as path:
        return _import(path, row_type_name, output)


def _import(path: Path, row_type_name: str, output: str) -> Manifest:

    def run(config: RowsImportConfig, inputs: StageInputs) -> Outputs:
        problems = Problems()
        written = tables.write(inputs.output, checked_rows(line_files.lines(path), row_type_name, problems), CHECKED[row_type_name])
        if problems.count:
            msg = f"{path.name}: {problems.text}; nothing was imported: correct the lines and import again"
            raise BadRows(msg)
        if not written:
            msg = f"{path.name}: the file is empty; write one JSON object per line"
            raise BadRows(msg)
        return Outputs(metrics={"n_imported": written})

    # Looks like a stage module, so that ``execute`` publishes it like any other output.
    stage: Any = SimpleNamespace(__name__=row_type_name, Config=RowsImportConfig, Inputs=StageInputs, run=run)
    return execute(stage, RowsImportConfig(imported=sha256(path)), {}, output).manifest
