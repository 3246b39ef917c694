"""Calls between the tested program and its tester, two confined processes: plain values by value, everything else by reference.

Both ends run this code. The program answers every operation; the tester answers only calls of functions that it passed as
arguments. Values are decoded to exact built-in types, so that the program's ``__eq__`` never decides a comparison in the tester.
"""

import builtins
import json
import struct
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, BinaryIO

MAX_BYTES = 64 * 1024 * 1024
MAX_PARTS = 2_000_000
"""Numbers, texts and containers in one message."""
_MUTABLE = (list, dict, set, bytearray)
_CONTROL = ("StopIteration", "StopAsyncIteration", "GeneratorExit")


class ProgramEnded(BaseException):
    """The other process closed the channel or sent something that is not a message. No ``except Exception`` of a test stops it."""


class RemoteError(Exception):
    """The program raised an exception that is not built in."""


class TooLarge(Exception):
    """A value has too many parts to be sent in time."""


class Peer:
    """One end of the channel."""

    def __init__(self, channel: BinaryIO, operations: dict[str, Callable[..., Any]] | None = None) -> None:
        """``operations``: what this end answers, besides calls of functions that it passed to the other end."""
        self._channel = channel
        self._operations = operations or {}
        self._passed: list[Any] = []
        self.ended = False
        """The other end is gone, whatever became of the exception that said so."""
        self.asked = False
        """This end has asked the other for something."""
        self.exact = True
        """Nothing has happened that plain Python would do otherwise in one process: calls and attributes, with plain values."""
        self._unused: dict[int, Remote] = {}
        self._parts = 0
        self.raised: BaseException | None = None
        """The last exception that the other end raised."""

    @property
    def is_exact(self) -> bool:
        """Whether plain Python would have done the same, also with objects that the test only handed on to its own functions."""
        return self.exact and not self._unused

    def send(self, *message: Any) -> None:
        """Send one message of JSON."""
        data = json.dumps(message).encode()
        self._channel.write(struct.pack("!I", len(data)) + data)
        self._channel.flush()

    def receive(self) -> list[Any]:
        """The next message. Raises ProgramEnded."""
        try:
            (length,) = struct.unpack("!I", self._channel.read(4))
            data = self._channel.read(length) if length <= MAX_BYTES else b""
            message = json.loads(data)
        except (struct.error, ValueError, OSError, RecursionError) as error:
            self.ended = True
            raise ProgramEnded from error
        if not isinstance(message, list) or not message:
            self.ended = True
            raise ProgramEnded
        return message

    def ask(self, operation: str, *values: Any) -> Any:
        """Request an operation from the other end, answering its requests meanwhile. Raises the exception that it raised."""
        self.asked = True
        self.exact = self.exact and operation in ("name", "attribute", "call")
        self._parts = 0
        self.send(operation, [self.encode(value) for value in values])
        while True:
            kind, *content = self.receive()
            if kind == "value" and len(content) == 2:
                changed = [(index, self.decode(value)) for index, value in content[1]]
                self.exact = self.exact and all(_is_flat(new) for _, new in changed)
                _copy_back(values, changed)
                result = self.decode(content[0])
                if isinstance(result, Remote) and operation != "name":
                    self._unused[id(result)] = result
                return result
            if kind == "raised" and len(content) == 2:
                self.raised = _exception(*map(str, content))
                self.exact = self.exact and not isinstance(self.raised, RemoteError)
                raise self.raised
            self.answer(kind, *content)

    def answer(self, operation: str, encoded: Any) -> None:
        """Carry out an operation for the other end."""
        self._parts = 0
        try:
            values = [self.decode(value) for value in encoded]
            before = [json.dumps(self.encode(value)) if isinstance(value, _MUTABLE) else "" for value in values]
            result = self.encode(self._do(operation, values))
            changed = [
                (index, self.encode(value)) for index, value in enumerate(values)
                if isinstance(value, _MUTABLE) and json.dumps(self.encode(value)) != before[index]
            ]  # fmt: skip
        except ProgramEnded:
            raise
        except BaseException as error:  # noqa: BLE001 - any exception, also SystemExit, is the call's result
            self.send("raised", type(error).__name__, str(error)[:500])
        else:
            self.send("value", result, changed)

    def _do(self, operation: str, values: list[Any]) -> Any:
        if operation == "call" and callable(values[0]):
            return values[0](*values[2:], **values[1])
        if operation not in self._operations:
            msg = f"no operation {operation!r} here"
            raise PermissionError(msg)
        return self._operations[operation](*values)

    def encode(self, value: Any) -> Any:
        """A value as JSON: scalars and lists unchanged, other plain types tagged, anything else as a number that refers to it."""
        if value is None or type(value) in (bool, float, str) or (type(value) is int and abs(value) < 1 << 53):
            return value
        if isinstance(value, Remote):
            return {"yours": value._number}
        if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
            return self._like(self.encode(value.tolist()))
        encoder = _ENCODERS.get(type(value)) or next((_ENCODERS[kind] for kind in _INHERITED if isinstance(value, kind)), None)
        if encoder is None:
            self.exact = self.exact and isinstance(value, FunctionType)
            self._passed.append(value)
            return {"mine": len(self._passed) - 1}
        tag, parts = encoder(value)
        self._parts += len(parts) if isinstance(parts, list) else 1
        if self._parts > MAX_PARTS:
            msg = f"more than {MAX_PARTS:,} parts"
            raise TooLarge(msg)
        encoded = [self.encode(part) for part in parts] if isinstance(parts, list) else parts
        encoded = encoded if tag == "list" else {tag: encoded}
        return encoded if type(value) in _ENCODERS else self._like(encoded)

    def _like(self, encoded: Any) -> Any:
        """A value whose type is lost on the way."""
        self.exact = False
        return {"like": [encoded]}

    def decode(self, value: Any) -> Any:
        """The value of its JSON. Raises ProgramEnded if it is malformed."""
        if isinstance(value, list):
            return [self.decode(part) for part in value]
        if not isinstance(value, dict):
            return value
        try:
            ((tag, content),) = value.items()
            if tag == "mine":
                return Remote(self, int(content))
            if tag == "yours":
                return self._passed[content]
            if tag == "like":
                self.exact = False
                return self.decode(content[0])
            return _DECODERS[tag]([self.decode(part) for part in content] if isinstance(content, list) else content)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            self.ended = True
            raise ProgramEnded from error


class Remote:
    """An object of the other end that is not a plain value: calls, attributes and special methods are forwarded to it."""

    def __init__(self, peer: Peer, number: int) -> None:
        """``number``: refers to the object at the other end."""
        self._peer, self._number = peer, number

    def __call__(self, *values: Any, **named: Any) -> Any:
        """Call it at the other end."""
        self._peer._unused.pop(id(self), None)
        return self._peer.ask("call", self, named, *values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._peer._unused.pop(id(self), None)
        return self._peer.ask("attribute", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in ("_peer", "_number"):
            msg = f"cannot set {name} on an object of the program's"
            raise TypeError(msg)
        object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        self._peer.exact = False
        # Only the program could decide whether its object equals a plain value: so it never does.
        return isinstance(other, Remote) and self._peer.ask("special", self, "__eq__", other) is True

    def __hash__(self) -> int:
        self._peer.exact = False
        return self._number

    def __len__(self) -> int:
        return int(self._peer.ask("special", self, "__len__"))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._peer.ask("items", self))

    def __getitem__(self, key: Any) -> Any:
        return self._peer.ask("special", self, "__getitem__", key)

    def __str__(self) -> str:
        return str(self._peer.ask("special", self, "__str__"))

    def __repr__(self) -> str:
        return str(self._peer.ask("special", self, "__repr__"))


_INHERITED = (bool, int, float, str, list, tuple, dict, frozenset, set)
"""Subclasses are encoded as these: a Counter equals its dict, a named tuple its tuple."""
_ENCODERS: dict[type, Callable[[Any], tuple[str, Any]]] = {
    bool: lambda value: ("int", hex(value)),
    int: lambda value: ("int", hex(value)),
    float: lambda value: ("float", float.hex(value)),
    str: lambda value: ("str", str.__str__(value)),
    list: lambda value: ("list", list(value)),
    tuple: lambda value: ("tuple", list(value)),
    set: lambda value: ("set", list(value)),
    frozenset: lambda value: ("frozenset", list(value)),
    dict: lambda value: ("dict", [list(item) for item in dict.items(value)]),
    bytes: lambda value: ("bytes", value.hex()),
    bytearray: lambda value: ("bytearray", value.hex()),
    complex: lambda value: ("complex", [value.real, value.imag]),
}
_DECODERS: dict[str, Callable[[Any], Any]] = {
    "int": lambda text: int(text, 16), "float": float.fromhex, "str": str, "tuple": tuple, "set": set, "frozenset": frozenset,
    "dict": dict, "bytes": bytes.fromhex, "bytearray": bytearray.fromhex, "complex": lambda parts: complex(*parts),
}  # fmt: skip


def _copy_back(values: tuple[Any, ...], changed: list[tuple[int, Any]]) -> None:
    """Update the caller's lists, dicts and sets with the changes that the call made to them."""
    for index, new in changed:
        old = values[index]
        if isinstance(old, list | bytearray) and type(new) is type(old):
            old[:] = new
        elif isinstance(old, dict | set) and type(new) is type(old):
            old.clear()
            old.update(new)


def _is_flat(value: Any) -> bool:
    """Whether a changed argument holds no further container, which other names may share."""
    parts = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list | set) else []
    return not any(isinstance(part, _MUTABLE) for part in parts)


def _exception(name: str, message: str) -> BaseException:
    if name in _CONTROL:
        # In the test's process these would end the loop around the call, as if it had nothing more to check.
        return RuntimeError(f"the program raised {name}")
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, BaseException):
        try:
            return kind(message)
        except TypeError:
            # Some exceptions take more than a message, such as UnicodeDecodeError.
            return RemoteError(f"{name}: {message}")
    return RemoteError(f"{name}: {message}")
