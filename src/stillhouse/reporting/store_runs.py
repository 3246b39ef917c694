"""All runs of a store, by profile: those that DAGs recorded, and those that only their artifacts tell of.

A run that no DAG recorded is made of the artifacts ``{stage}/{profile}[-{suffix}]/{version}`` of one profile and one version, if a
report is among them.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import store
from stillhouse.artifacts.manifest import MANIFEST
from stillhouse.benchmarks.definitions import bare_name
from stillhouse.errors import MissingInput, StillhouseError
from stillhouse.execution import profile_folders, recipes
from stillhouse.reporting import run_facts
from stillhouse.reporting.run_record import DIRECTORY, DagRun, RunRecord, RunTask, record_uri
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.stage_names import STAGE_NAMES

LONG_AGO = datetime.min.replace(tzinfo=UTC)
READERS = 16
"""Records that are read at a time: a request to S3 takes some ten milliseconds."""
ALONE = "checkpoint"
"""The role of a report whose name is the profile's own."""


@dataclass(frozen=True)
class StoreRuns:
    """The runs of a store."""

    by_profile: dict[str, list[RunRecord]] = field(default_factory=dict)
    """Each profile's runs, the oldest first."""
    problems: list[str] = field(default_factory=list)
    """Records that could not be read, and why."""


def runs(root: str, only: str | None = None) -> StoreRuns:
    """The runs below the root of a store; ``only`` one profile's. Raises MissingInput if there is none.

    Reads the records, and lists the names and versions of reports; files of artifacts only for runs without a record.
    """
    root = store.absolute(root)
    found = StoreRuns()
    recorded: set[tuple[str, str]] = set()
    with ThreadPoolExecutor(READERS) as threads:
        for (profile, version), outcome in threads.map(partial(_record, root), _records(root, only)):
            if outcome is None:
                continue
            recorded.add((profile, version))
            if isinstance(outcome, RunRecord):
                found.by_profile.setdefault(outcome.profile, []).append(outcome)
            else:
                found.problems.append(outcome)
    for run in _unrecorded(root, recorded, only):
        found.by_profile.setdefault(run.profile, []).append(run_facts.record(run, run_facts.read(run)))
    for records in found.by_profile.values():
        records.sort(key=lambda record: (record.finished or LONG_AGO, record.run))
    if not found.by_profile and not found.problems:
        raise MissingInput(_nothing(root, only, _folders(root, DIRECTORY)))
    return found


def _nothing(root: str, only: str | None, known: Sequence[str]) -> str:
    if only and known:
        return f"{root}: no run of profile {only}; it has runs of {', '.join(known)}"
    what = f"no run of profile {only}" if only else "no run with a report"
    return f"{root}: {what} below it; give the root of a store, which holds report/NAME/VERSION"


def _folders(root: str, *names: str) -> list[str]:
    uri = store.join(root, *names)
    return store.store_of(uri).folders(uri)


def _records(root: str, only: str | None) -> list[tuple[str, str]]:
    """Profile and version of every run that may have a record."""
    profiles = [only] if only else _folders(root, DIRECTORY)
    return [(profile, version) for profile in profiles for version in _folders(root, DIRECTORY, profile)]


def _record(root: str, run: tuple[str, str]) -> tuple[tuple[str, str], RunRecord | str | None]:
    """The run's record; what is wrong with it; None if there is none."""
    uri = record_uri(root, *run)
    try:
        data = store.store_of(uri).read(uri)
        return run, RunRecord.parse(data, uri) if data is not None else None
    except StillhouseError as error:
        return run, one_line(error)


def _unrecorded(root: str, recorded: Collection[tuple[str, str]], only: str | None) -> Iterator[DagRun]:
    """The runs that have a report and no record."""
    known = {*profile_folders.folders(recipes.RECIPES), *_folders(root, "registry")}
    reported = {name: _profile_of(name, known) for name in _folders(root, "report")}
    runs = {
        (profile, version)
        for name, profile in reported.items()
        if only in {None, profile}
        for version in _folders(root, "report", name)
    } - set(recorded)
    names = [(stage, name) for stage in STAGE_NAMES for name in _folders(root, stage)] if runs else []
    for profile, version in sorted(runs):
        of_profile = [(stage, name) for stage, name in names if _profile_of(name, known) == profile]
        tasks = _tasks(root, profile, version, of_profile)
        if any(task.role for task in tasks.values()):
            yield DagRun(profile=profile, run=version, tasks=tasks)


def _tasks(root: str, profile: str, version: str, names: Iterable[tuple[str, str]]) -> dict[str, RunTask]:
    """The artifacts of this version that were published. ``names``: stage and name of those that the profile has."""
    tasks = {}
    for stage, name in names:
        uri, suffix = store.join(root, stage, name, version), name.removeprefix(profile)
        if store.store_of(uri).holds(store.join(uri, MANIFEST)):
            role = _role(uri, suffix.removeprefix("-")) if stage == "report" else ""
            tasks[f"{stage}{suffix}"] = RunTask(uri=uri, role=role)
    return tasks


def _profile_of(name: str, known: Iterable[str]) -> str:
    """The longest known profile that the artifact's name begins with; the whole name if no profile is known."""
    fitting = [profile for profile in known if name == profile or name.startswith(f"{profile}-")]
    return max(fitting, key=len, default=name)


def _role(uri: str, suffix: str) -> str:
    """The checkpoint's role: the name's suffix without the benchmark, if the report is about one alone."""
    try:
        manifest = manifests.find(uri)
    except StillhouseError:
        manifest = None  # ``run_facts.read`` meets it again, and tells
    config: Mapping[str, object] = manifest.config if manifest else {}
    benchmarks = config.get("benchmarks")
    if isinstance(benchmarks, list) and len(benchmarks) == 1:
        suffix = suffix.removesuffix(bare_name(str(benchmarks[0]))).removesuffix("-")
    return suffix or ALONE
