"""The aliases of a registered model: set them by rank, and move the champion back by one command."""

from datetime import UTC, datetime

from stillhouse.errors import MissingInput
from stillhouse.execution import tracking
from stillhouse.registry.config import CANDIDATE, CHAMPION, RANKS, REPLACES, Rank, Version


def earlier_try(model: str, report: str, fingerprint: str) -> tuple[str | None, Version | None]:
    """The version that an earlier try registered, if it got that far, and the champion from before it."""
    candidate, champion = (tracking.tags_of(model, alias) for alias in (CANDIDATE, CHAMPION))
    if candidate is None or (candidate[1].get("report"), candidate[1].get("fingerprint")) != (report, fingerprint):
        return None, champion
    if champion is not None and champion[0] == candidate[0]:
        replaced = candidate[1].get(REPLACES)
        champion = tracking.tags_of(model, "", replaced) if replaced else None
    return candidate[0], champion


def set_aliases(model: str, version: str, rank: Rank) -> None:
    """Point the alias of the rank, and of every rank below it, at the version."""
    for alias in RANKS[: RANKS.index(rank) + 1]:
        tracking.set_alias(model, alias, version)


def rollback(model: str, version: str | None = None) -> tuple[str, str]:
    """Move the alias ``champion`` to the previous champion, or to ``version``. Returns the versions it moved from and to.

    Raises MissingInput if there is no champion, or no version to move to.
    """
    tracking.require_server("rollback")
    current = tracking.tags_of(model, CHAMPION)
    if current is None:
        msg = (
            f"model {model} has no alias {CHAMPION}, so there is nothing to roll back; check the name in MLflow's registered models"
        )
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
    """The checkpoint behind ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``; any other URI is returned as it is.

    Raises MissingInput if there is no such version or alias, or ``stillhouse registry`` did not register it.
    """
    if not uri.startswith("models:/"):
        return uri
    path, _, alias = uri.removeprefix("models:/").partition("@")
    name, _, version = path.partition("/")
    tracking.require_server("a models:/ URI")
    registered = tracking.tags_of(name, alias, version)
    if registered is None or not registered[1].get("checkpoint"):
        msg = f"{uri}: no such version, or `stillhouse registry` did not register it; write models:/NAME/VERSION"
        raise MissingInput(msg)
    return registered[1]["checkpoint"]
