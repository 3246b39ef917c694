"""The champion of a registered model: back to the one before it, by one command."""

from datetime import UTC, datetime

from stillhouse.errors import MissingInput
from stillhouse.execution import tracking
from stillhouse.registry.gate import CANDIDATE, CHAMPION

REPLACES = "replaces"
"""Tag of a version that became champion: the version that was champion before it."""


Version = tuple[str, dict[str, str]]
"""A version's number, and its tags."""


def earlier_try(model: str, report: str, fingerprint: str) -> tuple[str | None, Version | None]:
    """The version that an earlier try registered, if it came so far, and the champion from before it."""
    candidate, champion = (tracking.tags_of(model, alias) for alias in (CANDIDATE, CHAMPION))
    if candidate is None or (candidate[1].get("report"), candidate[1].get("fingerprint")) != (report, fingerprint):
        return None, champion
    if champion is not None and champion[0] == candidate[0]:
        replaced = candidate[1].get(REPLACES)
        champion = tracking.tags_of(model, "", replaced) if replaced else None
    return candidate[0], champion


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
    if target == replaced or tracking.tags_of(model, "", target) is None:
        msg = f"model {model} has no other version {target} to go back to, its champion is {replaced}; name one: --to VERSION"
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
