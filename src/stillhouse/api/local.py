"""Verify and grade rows in memory, without a store: runs the stages themselves in a scratch directory."""

from pathlib import Path
from typing import Any

import polars as pl

from stillhouse import stages
from stillhouse.api.row_input import Rows, write_rows
from stillhouse.artifacts import tables
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.execution.recipes import resolve_values


def verify(questions: Rows, responses: Rows, **settings: Any) -> pl.DataFrame:
    """Score every response against its question's reference, tests or constraints, or by a model.

    Args:
        questions: Rows with ``category``, ``messages`` and ``reference_answer``, ``test_cases`` or ``constraints``: a list of dicts
            or row objects, a polars frame, or the path of a JSON Lines file. ``question_id`` is computed if it is left out.
        responses: Rows with ``question_id``, ``model``, ``sample_index`` and ``text``, in the same forms.
        settings: Fields of the stage ``verified``, such as ``timeout_s=2`` or ``judge={…}``.

    Returns:
        One row per response, in order: its key, ``kind``, ``verify_score`` on the category's scale, ``passed`` (null if the
        verifier itself failed), ``threshold`` (what the score had to exceed), ``method`` and ``detail``.

    Raises:
        BadRows: A row lacks a column or has a wrong type, or a response answers an unknown question.
        BadConfig: A setting is wrong.
        TooManyErrors: The verifier failed on more responses than ``max_failure_rate`` allows.
        TypeError: An argument is not rows.

    Example:
        >>> import stillhouse as sh
        >>> asked = {"question_id": "q1", "category": "math", "messages": [{"role": "user", "content": "7 * 8?"}]}
        >>> answer = {"question_id": "q1", "model": "mine", "sample_index": 0, "text": "<think>…</think><answer>56</answer>"}
        >>> sh.verify([asked | {"reference_answer": "56"}], [answer])["passed"].to_list()
        [True]
    """
    return _rows_of("verified", {"questions": questions}, {"responses": responses}, settings)


def grade(questions: Rows, verified: Rows, *, small: str, medium: str, **settings: Any) -> pl.DataFrame:
    """Measure how hard each question is: pass rates with intervals, the spread of scores, and a level.

    Args:
        questions: As for ``verify``.
        verified: Verdicts on the responses of all models, as ``verify`` returns them.
        small: Name of the model in the role of R1-Distill-1.5B (DeepDistill §3).
        medium: Name of the model in the role of R1-Distill-7B; with one model, the same name.
        settings: Further fields of the stage ``graded``, such as ``reference="large"``.

    Returns:
        One row per question with a score: ``category``, ``models`` (pass rate, its Wilson interval and the CV by model), ``level``
        (1 to 3, null if none applies) and ``discard_reason``.

    Raises:
        BadRows: A row lacks a column or has a wrong type.
        BadConfig: A setting is wrong, or a named model has no verdicts.
        NothingToDo: No question has a verdict.
        TypeError: An argument is not rows.
    """
    return _rows_of("graded", {"questions": questions, "verified": verified}, {}, {"small": small, "medium": medium, **settings})


def _rows_of(stage_name: str, one: dict[str, Rows], many: dict[str, Rows], settings: dict[str, Any]) -> pl.DataFrame:
    """The rows that the stage makes from these inputs; inputs in ``many`` take several artifacts."""
    stage = stages.load(stage_name)
    config = resolve_values(stage.Config, settings)
    with scratch_directory() as scratch:
        inputs: dict[str, Path | tuple[Path, ...]] = {}
        for name, rows in one.items():
            inputs[name] = write_rows(rows, name, scratch / name)
        for name, rows in many.items():
            inputs[name] = (write_rows(rows, name, scratch / name),)
        arguments = stage.Inputs(scratch=scratch, **inputs)  # type: ignore[arg-type]
        arguments.output.mkdir()
        stage.run(config, arguments)
        return pl.read_parquet(tables.parts(arguments.output))
