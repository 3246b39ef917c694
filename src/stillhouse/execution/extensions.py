"""Verifiers, sources, benchmarks, rewards, losses, engines, environments and tools of the user's own, by the name a config gives.

A name is one of three things: a built-in name, the name of an entry point that an installed distribution declares in the group
``stillhouse.KIND``, or ``module:attribute`` of a module on Python's path. A config field that takes such a name runs ``pinned``
as its validator: an extension is then dumped as ``NAME@VERSION``, so that its version is part of the fingerprint, while a
built-in name is dumped as it is.
"""

import hashlib
import importlib
import importlib.util
import inspect
import traceback
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from stillhouse.errors import BadConfig, nearest

Kind = Literal["verifiers", "sources", "benchmarks", "rewards", "losses", "engines", "environments", "tools"]

NO_BUILT_IN: Mapping[str, object] = MappingProxyType({})
DIGEST_CHARS = 16
"""Hex digits of a module's sha256 that stand in a version."""


def load(kind: Kind, name: str, built_in: Mapping[str, object] = NO_BUILT_IN) -> object:
    """The object behind a name, imported now.

    ``built_in`` maps built-in names to their objects; a string among them is ``module:attribute`` and is imported on demand.
    Raises BadConfig if the name is unknown, cannot be imported, or pins another version than the installed one.
    """
    try:
        bare = _checked(kind, name, built_in)
        value = built_in[bare] if bare in built_in else bare if ":" in bare else _entry_point(kind, bare, built_in).value
    except ValueError as error:
        raise BadConfig(str(error)) from error
    return _imported(value, f"{_noun(kind)} {bare}") if isinstance(value, str) else value


def pinned(kind: Kind, name: str, built_in: Mapping[str, object] = NO_BUILT_IN) -> str:
    """``mine`` or ``mine@1.0`` -> ``mine@1.0``; a built-in name stays as it is. Imports nothing of the extension.

    Raises ValueError if the name is unknown, or pins another version than the installed one.
    """
    bare = _checked(kind, name, built_in)
    return bare if bare in built_in else f"{bare}@{version(kind, bare, built_in)}"


def version(kind: Kind, name: str, built_in: Mapping[str, object] = NO_BUILT_IN) -> str:
    """The version of the extension's distribution; for ``module:attribute`` ``sha256-`` and digits of the module's own source.

    Raises ValueError if there is no such extension.
    """
    bare = name.partition("@")[0]
    if ":" in bare:
        return f"sha256-{hashlib.sha256(_source(kind, bare).read_bytes()).hexdigest()[:DIGEST_CHARS]}"
    point = _entry_point(kind, bare, built_in)
    if point.dist is None:
        msg = f"{_noun(kind)} {bare}: its entry point belongs to no distribution; install the package that declares it"
        raise ValueError(msg)
    return point.dist.version


def _noun(kind: Kind) -> str:
    return "loss" if kind == "losses" else kind.removesuffix("s")


def _checked(kind: Kind, name: str, built_in: Mapping[str, object]) -> str:
    """The name without its version. Raises ValueError if that version is not the installed one."""
    bare, at, wanted = name.partition("@")
    if not at:
        return bare
    if bare in built_in:
        msg = f"{_noun(kind)} {bare} is built in and has no version of its own, got {name!r}; write {bare}"
        raise ValueError(msg)
    installed = version(kind, bare, built_in)
    if wanted != installed:
        msg = f"{_noun(kind)} {bare} is at version {installed} here, got {name!r}; install {wanted or 'it'}, or write {bare}"
        raise ValueError(msg)
    return bare


def _entry_point(kind: Kind, name: str, built_in: Mapping[str, object]) -> EntryPoint:
    """The one entry point of this name. Raises ValueError if there is none, or several distributions declare it."""
    installed = entry_points(group=f"stillhouse.{kind}")
    matching = [point for point in installed if point.name == name]
    if len(matching) == 1:
        return matching[0]
    if matching:
        owners = ", ".join(sorted(_owner(point) for point in matching))
        msg = f"{_noun(kind)} {name!r} is declared by several distributions: {owners}; uninstall all but one"
        raise ValueError(msg)
    listed = ", ".join(f"{point.name} ({_owner(point)})" for point in installed) or "none"
    hint = nearest(name, [*built_in, *(point.name for point in installed)], f"{kind} built in", built_in or ["none"])
    msg = f"no {_noun(kind)} {name!r}; {hint}; installed as extensions: {listed}; or write module:attribute"
    raise ValueError(msg)


def _owner(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "no distribution"


def _source(kind: Kind, target: str) -> Path:
    """The file of the module in ``module:attribute``; the module is not run, the packages around it are."""
    module = target.partition(":")[0]
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError) as error:
        msg = f"{_noun(kind)} {target}: cannot find module {module!r} ({error}); install it, or put it on PYTHONPATH"
        raise ValueError(msg) from error
    if spec is None or not spec.has_location or spec.origin is None:
        msg = f"{_noun(kind)} {target}: no source file for module {module!r}; install it, or put it on PYTHONPATH"
        raise ValueError(msg)
    return Path(spec.origin)


def _imported(target: str, subject: str) -> object:
    """What ``module:attribute`` names. Raises BadConfig."""
    module_name, _, attribute = target.partition(":")
    try:
        value: object = importlib.import_module(module_name)
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = "" if isinstance(error, SyntaxError) else f", at {Path(frame.filename).name} line {frame.lineno}"
        what = f"{type(error).__name__}: {error}{where}"
        remedy = "install what it needs in this image" if isinstance(error, ImportError) else "correct it"
        msg = f"{subject}: cannot import {module_name} ({what}); {remedy}"
        raise BadConfig(msg) from error
    for part in attribute.split("."):
        if not hasattr(value, part):
            msg = f"{subject}: {module_name} has no attribute {attribute!r}; {nearest(part, dir(value), 'attributes')}"
            raise BadConfig(msg)
        value = getattr(value, part)
    return value


def require_one_argument(function: Callable[..., object], subject: str, argument: str) -> None:
    """Raise BadConfig, which begins with ``subject``, unless the function can be called with one argument, ``argument`` in words.

    A built-in without a signature is taken as it is.
    """
    try:
        signature = inspect.signature(function)
    except ValueError:
        return
    try:
        signature.bind(object())
    except TypeError as error:
        msg = f"{subject}: it takes {signature}, and is called with one argument, {argument}: {error}"
        raise BadConfig(msg) from error
