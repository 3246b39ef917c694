"""All runs of a store, by profile: those that DAGs recorded, and those that only their artifacts tell of.

A run that no DAG recorded is made of the artifacts ``{stage}/{profile}[-{suffix}]/{version}`` of one profile and one version, if a
report is among them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from stillhouse.artifacts import manifest as manifests
from stillhouse.artifacts import store
from stillhouse.artifacts.manifest import MANIFEST
from stillhouse.benchmarks.definitions import bare_name
from stillhouse.errors import MissingInput, StillhouseError
from stillhouse.execution import profile_folders, recipes
from stillhouse.reporting import run_facts
from stillhouse.reporting.run_record import DIRECTORY, DagRun, RunRecord, RunTask
from stillhouse.vocabulary.masking import one_line
from stillhouse.vocabulary.stage_names import STAGE_NAMES

LONG_AGO = datetime.min.replace(tzinfo=UTC)
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
    """The runs below the root of a store; ``only`` one profile's. Raises MissingInput if there is none."""
    root = store.absolute(root)
    names = [name.split("/") for name in store.store_of(root).names(root)]
    found = StoreRuns()
    recorded: set[tuple[str, str]] = set()
    for name in names:
        if name[0] == DIRECTORY and len(name) == 4 and name[3] == RunRecord.FILE and (only or name[1]) == name[1]:
            recorded.add((name[1], name[2]))
            _read_record(store.join(root, *name), found)
    versions = [(name[0], name[1], name[2]) for name in names if len(name) == 4 and name[3] == MANIFEST and name[0] in STAGE_NAMES]
    for run in _unrecorded(root, versions, recorded):
        if (only or run.profile) == run.profile:
            found.by_profile.setdefault(run.profile, []).append(run_facts.record(run, run_facts.read(run)))
    for records in found.by_profile.values():
        records.sort(key=lambda record: (record.finished or LONG_AGO, record.run))
    if not found.by_profile and not found.problems:
        raise MissingInput(_nothing(root, only, {name[1] for name in names if name[0] == DIRECTORY and len(name) == 4}))
    return found


def _nothing(root: str, only: str | None, known: set[str]) -> str:
    if only and known:
        return f"{root}: no run of profile {only}; it has runs of {', '.join(sorted(known))}"
    what = f"no run of profile {only}" if only else "no run with a report"
    return f"{root}: {what} below it; give the root of a store, which holds report/NAME/VERSION"


def _read_record(uri: str, found: StoreRuns) -> None:
    try:
        data = store.store_of(uri).read(uri)
        record = RunRecord.parse(data or b"", uri)
    except StillhouseError as error:
        found.problems.append(one_line(error))
        return
    found.by_profile.setdefault(record.profile, []).append(record)


def _unrecorded(root: str, versions: Iterable[tuple[str, str, str]], recorded: set[tuple[str, str]]) -> list[DagRun]:
    """The runs that have a report and no record. ``versions``: stage, name and version of every artifact."""
    versions = list(versions)
    known = {*profile_folders.folders(recipes.RECIPES), *(name for stage, name, _ in versions if stage == "registry")}
    tasks: dict[tuple[str, str], dict[str, RunTask]] = {}
    for stage, name, version in versions:
        profile = _profile_of(name, known)
        uri = store.join(root, stage, name, version)
        suffix = name.removeprefix(profile)
        task = RunTask(uri=uri, role=_role(uri, suffix.removeprefix("-")) if stage == "report" else "")
        tasks.setdefault((profile, version), {})[f"{stage}{suffix}"] = task
    return [
        DagRun(profile=profile, run=version, tasks=by_name)
        for (profile, version), by_name in tasks.items()
        if (profile, version) not in recorded and any(task.role for task in by_name.values())
    ]


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
