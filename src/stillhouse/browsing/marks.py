"""Verdicts marked right or wrong by a person: kept as they are made, published as an artifact in the end."""

import dataclasses
import json
import secrets
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import naming, store, tables
from stillhouse.artifacts.manifest import Link, Manifest
from stillhouse.artifacts.publishing import Publisher
from stillhouse.artifacts.scratch import scratch_directory
from stillhouse.browsing.row_view import RowView
from stillhouse.errors import BadConfig, BadRows, NothingToDo
from stillhouse.vocabulary.ids import content_id
from stillhouse.vocabulary.rows import Mark, ResponseKey, response_key
from stillhouse.vocabulary.stage_names import MARKS

SCHEMA_VERSION = 1
REVIEWED = ("verified", "report")
"""Stages whose rows are verdicts."""


class Marking:
    """The marks of one review. Every mark is saved beside the output at once: the same command goes on with them."""

    def __init__(self, output: str, reviewed: str, marked_by: str) -> None:
        """Reads the marks of an earlier try. Raises StaleOutput if something is published at ``output``."""
        self.output, self._marked_by = store.absolute(output), marked_by
        if len(naming.version_of(self.output).split("/")) != 2 or self.output.rsplit("/", 3)[-3] != MARKS:
            msg = f"--output {output}: marks are an artifact of their own; write ROOT/{MARKS}/NAME/VERSION"
            raise BadConfig(msg)
        reviewed = store.absolute(reviewed)
        manifest = manifests.load(reviewed)
        if manifest.stage not in REVIEWED:
            msg = f"{reviewed} is a {manifest.stage} artifact, whose rows have no verdict; give one of {', '.join(REVIEWED)}"
            raise BadConfig(msg)
        self._link = Link(uri=reviewed, fingerprint=manifest.fingerprint)
        if manifests.find(self.output) is not None:
            msg = f"{self.output} is published already, and is never changed; choose another version in --output"
            raise BadConfig(msg)
        self._lock = threading.Lock()
        self.marks = {response_key(mark): mark for mark in self._saved()}

    def mark(self, view: RowView, *, right: bool | None) -> None:
        """Mark the verdict on a row; None takes the mark away. Raises BadRows if the row has no verdict that can be judged."""
        mark = self._marked(view, right=bool(right))
        with self._lock:
            if right is None:
                self.marks.pop(response_key(mark), None)
            else:
                self.marks[response_key(mark)] = mark
            rows = [dataclasses.asdict(row) for row in self.marks.values()]
            journal = {"reviewed": self._link.fingerprint, "marks": rows}
            store.store_of(self.output).write(self._journal, json.dumps(journal, ensure_ascii=False).encode())

    def of(self, key: ResponseKey) -> bool | None:
        """The mark on a response: whether its verdict is right; None without one."""
        mark = self.marks.get(key)
        return None if mark is None else mark.right

    def publish(self) -> Manifest:
        """Publish the marks as an artifact, with the reviewed one as its input. Raises NothingToDo without a mark."""
        marks = sorted(self.marks.values(), key=response_key)
        if not marks:
            msg = "no verdict was marked; nothing is published"
            raise NothingToDo(msg)
        started = datetime.now(UTC)
        config = {"marked_by": self._marked_by, "marks": content_id(json.dumps([dataclasses.asdict(mark) for mark in marks]))}
        with scratch_directory() as scratch:
            rows = scratch / "rows"
            tables.write(rows, marks, Mark)
            publisher = Publisher(self.output, secrets.token_hex(4), {}, None)
            manifest = Manifest(
                stage=MARKS, version=self.output.rsplit("/", 1)[1],
                fingerprint=manifests.fingerprint(MARKS, SCHEMA_VERSION, config, {"reviewed": [self._link.fingerprint]}),
                config=config, inputs={"reviewed": [self._link]}, files=publisher.upload_all(rows), metrics=_counts(marks),
                provenance=manifests.provenance(started, None),
            )  # fmt: skip
            publisher.publish(manifest)
        store.store_of(self.output).remove(self._journal)
        return manifest

    @property
    def _journal(self) -> str:
        """Where marks are kept until they are published: beside the version, not in it."""
        parent, version = self.output.rsplit("/", 1)
        return store.join(parent, f"{version}.marks.json")

    def _saved(self) -> list[Mark]:
        data = store.store_of(self.output).read(self._journal)
        if data is None:
            return []
        try:
            journal = json.loads(data)
            marks = [Mark(**row) for row in journal["marks"]]
        except (ValueError, KeyError, TypeError) as error:
            msg = f"{self._journal} does not hold marks ({error!r}); remove it, or choose another version in --output"
            raise BadRows(msg) from error
        if journal["reviewed"] != self._link.fingerprint:
            msg = f"{self._journal} holds marks on another artifact than {self._link.uri}; choose another version in --output"
            raise BadConfig(msg)
        return marks

    def _marked(self, view: RowView, *, right: bool) -> Mark:
        verdict, response, question = view.verdict, view.response, view.question
        if not response.get("text") or not question.get("messages"):
            msg = f"row {view.number}: its response or its question is not in this view, so its verdict cannot be marked"
            raise BadRows(msg)
        if verdict.get("passed") is None:
            msg = f"row {view.number}: the verifier failed on it ({verdict.get('kind')}), so there is no verdict to mark"
            raise BadRows(msg)
        columns = {field.name for field in dataclasses.fields(Mark)}
        known: Mapping[str, Any] = {**question, **response, **verdict}
        return Mark(
            **{name: value for name, value in known.items() if name in columns},
            right=right, marked_by=self._marked_by, marked_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip


def _counts(marks: Sequence[Mark]) -> dict[str, float]:
    right = sum(mark.right for mark in marks)
    return {"n_marks": float(len(marks)), "n_right": float(right), "n_wrong": float(len(marks) - right)}
