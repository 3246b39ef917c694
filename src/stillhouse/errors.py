"""Every error a user can meet.

    StillhouseError
    ├── BadConfig        a recipe, a flag or a config value is wrong
    ├── MissingInput     an input has no manifest, or a file it should have is gone
    ├── StaleOutput      the output holds a result of another fingerprint
    ├── LeaseLost        another process took over the output while this one was paused or cut off
    ├── WriterStalled    another process holds the output, and its work does not go on
    ├── DamagedArtifact  a manifest or a file is not what was published
    ├── BadRows          rows do not have the columns, types or keys of the contract
    ├── StoreFailed      the store failed or could not be reached
    ├── StoreRefused     the store does not know the credentials or the bucket, or forbids the request
    ├── HubFailed        the Hugging Face hub failed or could not be reached
    ├── EngineFailed     a model or its engine could not be loaded or run
    │   └── EngineLost   a server that runs it for others is gone
    ├── RankLost         another process of the same training is gone
    ├── TrackingFailed   the MLflow server could not be reached, or refused a request
    │   └── TrackingRefused  it refuses the credentials, or MLFLOW_TRACKING_URI names no server
    ├── TooManyErrors    per-row failures passed the ceiling in the config
    ├── NothingToDo      a stage would run on no rows
    └── ServiceFailed    a laptop service did not start, stop or answer

A message is one line: what was wrong, what was got, what to do next. ``Preempted`` is no error but an interruption, like Ctrl-C.
"""

import difflib
from collections.abc import Iterable

REFUSED = 1
"""Exit code of a failure that the same input would meet again."""
TRY_AGAIN = 75
"""Exit code of a failure that may pass (``EX_TEMPFAIL`` of sysexits.h): Airflow tries the task again."""


class StillhouseError(Exception):
    """Base of all errors that are the user's to read: printed as one line, with this exit code."""

    exit_code = REFUSED


class BadConfig(StillhouseError):
    """A recipe, a command-line flag or a config value is wrong."""


class MissingInput(StillhouseError):
    """An input has no manifest, or a file that its manifest lists is gone."""


class StaleOutput(StillhouseError):
    """The output already holds a result with another fingerprint."""


class LeaseLost(StillhouseError):
    """Another process took over the output while this one was paused or could not reach the store."""

    exit_code = TRY_AGAIN


class WriterStalled(StillhouseError):
    """Another process holds the output and renews its claim, but has made no progress for a long time."""

    exit_code = TRY_AGAIN


class DamagedArtifact(StillhouseError):
    """A manifest or a file of an artifact is not what was published, or must not be trusted."""


class BadRows(StillhouseError):
    """Rows do not follow the contract in ``rows.py``."""


class StoreFailed(StillhouseError):
    """The artifact store failed or could not be reached."""

    exit_code = TRY_AGAIN


class StoreRefused(StillhouseError):
    """The artifact store does not know the credentials or the bucket, or forbids the request: trying again would not help."""


class HubFailed(StillhouseError):
    """The Hugging Face hub failed, refused so many requests, or could not be reached."""

    exit_code = TRY_AGAIN


class EngineFailed(StillhouseError):
    """A model or the engine that runs it could not be loaded or run."""


class EngineLost(EngineFailed):
    """A server that runs a model for this stage is gone, or does not answer in time."""

    exit_code = TRY_AGAIN


class RankLost(StillhouseError):
    """Another process of the same training is gone: its own message names the cause."""

    exit_code = TRY_AGAIN


class TrackingFailed(StillhouseError):
    """The MLflow server could not be reached, or refused a request."""

    exit_code = TRY_AGAIN


class TrackingRefused(TrackingFailed):
    """The MLflow server refuses the credentials, or MLFLOW_TRACKING_URI names none: trying again would not help."""

    exit_code = REFUSED


class TooManyErrors(StillhouseError):
    """More rows failed than the ceiling in the stage's config allows."""


class NothingToDo(StillhouseError):
    """A stage has no row to work on."""


class ServiceFailed(StillhouseError):
    """A service of the laptop set-up did not start, stop or answer."""


class Preempted(KeyboardInterrupt):
    """SIGTERM: Kubernetes, Airflow or a scheduler ends this process. What is finished is kept, and the next try goes on."""


def nearest(name: str, known: Iterable[str], kind: str, listed: Iterable[str] | None = None) -> str:
    """What a mistyped name was meant to be: ``did you mean X?`` or, if none is close, the known names (or ``listed``)."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]}?" if close else f"{kind}: {', '.join(listed or names)}"
