"""The champion of a registered model: back to the one before it, by one command."""

from datetime import UTC, datetime

from stillhouse import tracking
from stillhouse.benchmarks.gate import CHAMPION
from stillhouse.errors import MissingInput

REPLACES = "replaces"
"""Tag of a version that became champion: the version that was champion before it."""


def rollback(model: str, version: str | None = None) -> tuple[str, str]:
    """Move the alias ``champion`` to the champion before, or to ``version``. Returns the versions it moved from and to.

    Raises MissingInput where there is no champion, or none before it.
    """
    tracking.require_server("rollback")
    current = tracking.tags_of(model, CHAMPION)
    if current is None:
        msg = f"model {model} has no alias {CHAMPION}; nothing to roll back: check the name against MLflow's registered models"
        raise MissingInput(msg)
    replaced, tags = current
    target = version or tags.get(REPLACES)
    if target is None:
        msg = f"champion version {replaced} of {model} replaced no other; name one: stillhouse rollback {model} --to VERSION"
        raise MissingInput(msg)
    tracking.set_alias(model, CHAMPION, target)
    tracking.set_version_tag(model, replaced, "rolled_back", f"to version {target} at {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    return replaced, target


def artifact(uri: str) -> str:
    """The checkpoint of ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``; any other URI as it is.

    Raises MissingInput for a version or alias that is not there or was not registered by this system.
    """
    if not uri.startswith("models:/"):
        return uri
    named, _, alias = uri.removeprefix("models:/").partition("@")
    name, _, version = named.partition("/")
    tracking.require_server("a models:/ URI")
    found = tracking.tags_of(name, alias, version)
    if found is None or not found[1].get("checkpoint"):
        msg = f"{uri}: no such version, or it was not registered by `stillhouse registry`; write models:/NAME/VERSION"
        raise MissingInput(msg)
    return found[1]["checkpoint"]
