"""What keeps a program from deciding the test that runs in its own interpreter.

* It cannot look for the harness: frames outside its own code, the garbage collector's lists and ``ctypes`` are refused.
* What the test relies on (built-ins, functions of modules) is compared with what it was before the program was loaded.
* Objects of the program's classes are never equal to, ordered among, or subtracted from what the program did not define.
* A program's function that raises StopIteration ends no loop of the test.
"""

import _thread
import builtins
import functools
import gc
import inspect
import signal
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from types import FunctionType, MethodType, ModuleType, WrapperDescriptorType
from typing import Any

_COMPARING = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__")
_SUBTRACTING = ("__sub__", "__rsub__")
_ITERATING = (
    "__next__", "__anext__", "__iter__", "__aiter__", "__getattribute__", "__new__", "__init_subclass__", "__class_getitem__",
)  # fmt: skip
_PATCHED_BY_MANY = {
    "input", "print", "open", "excepthook", "unraisablehook", "displayhook", "breakpointhook", "setrecursionlimit", "stdout",
    "stdin", "stderr",
}  # fmt: skip
"""Names that programs replace for good reasons, and on which no test relies for its verdict."""
_REFUSED_EVENTS = frozenset(
    {
        "code.__new__", "gc.get_objects", "gc.get_referrers", "gc.get_referents", "sys._current_frames", "sys._current_exceptions",
        "sys.settrace", "sys.setprofile",
    }
)  # fmt: skip
_FRAMES = frozenset({"tb_frame", "gi_frame", "cr_frame", "ag_frame", "f_back"})
_MARK = "_stillhouse_guarded"
_REFUSED_MODULES = ("ctypes", "_ctypes", "_testcapi", "_testinternalcapi", "_xxsubinterpreters")


class Tampered(AssertionError):
    """The program reached for its test; the message says how."""

    def __init__(self, deed: str) -> None:
        super().__init__(f"the program {deed}")


class Guards:
    """The guards of one process: construct them before the program is loaded, ``close`` them, and ``check`` them afterwards."""

    def __init__(self, imports: Sequence[str]) -> None:
        """``imports``: modules of the test's that have been imported."""
        self._imports = imports
        self._before = {id(kind): kind for kind in _all_classes()}  # held, so that no other class gets its id
        self._programs: dict[int, type] = {}
        self._library = tuple(filter(None, (sysconfig.get_path("stdlib"), *sys.path, "<frozen")))
        self._trusted: list[tuple[str, Any, dict[str, tuple[Any, Any]]]] = []
        self._build_class = builtins.__build_class__

    def close(self) -> None:
        """From here on the program may not look for the harness, and its classes are guarded as they are made."""
        builtins.__build_class__ = self._built_class
        # A class that is made and dropped while the program is tested must be there when it is looked for.
        gc.disable()
        gc.enable, gc.collect = _no_collection, _no_collection  # type: ignore[assignment]
        owners = [(name, module) for name, module in sys.modules.items() if isinstance(module, ModuleType) and name != "__main__"]
        self._trusted = [(name, owner, _callables(owner)) for name, owner in [*owners, *_test_classes(self._imports)]]
        sys.addaudithook(_auditor(self._library))

    def quiet(self) -> None:
        """Stop what the program left to run beside the test. Raises Tampered for threads, which cannot be stopped."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for number in signal.valid_signals():
            if callable(signal.getsignal(number)) and signal.getsignal(number) is not signal.default_int_handler:
                signal.signal(number, signal.SIG_DFL)
        if _thread._count():
            deed = "left threads running"
            raise Tampered(deed)

    def check(self, test: str) -> None:
        """Raise Tampered if the program replaced what the test relies on; names in the text of ``test`` are its own affair."""
        for name, owner, before in self._trusted:
            if isinstance(owner, ModuleType) and sys.modules.get(name) is not owner:
                deed = f"replaced the module {name}"
                raise Tampered(deed)
            _compare(name, owner, before, test)
        for kind in _all_classes():
            if id(kind) not in self._before and (unguarded := self._unguarded(kind)):
                if test:
                    deed = f"changed {kind.__name__}.{unguarded[0]} while it was tested"
                    raise Tampered(deed)
                self._guard(kind)

    def guarded(self, value: Any) -> Any:
        """A value of the program as the test gets it: a function that cannot end the test's loops."""
        if isinstance(value, FunctionType | MethodType | functools.partial) and not _generates(value):
            return _without_stop_iteration(value)
        return value

    def _built_class(self, function: Callable[[], Any], name: str, /, *bases: Any, **named: Any) -> Any:
        kind = self._build_class(function, name, *bases, **named)
        if isinstance(kind, type) and function.__code__.co_filename == "program.py":
            self._guard(kind)
        return kind

    def _unguarded(self, kind: type) -> list[str]:
        """The methods of a class that compare by code which is neither a library's nor guarded."""
        return [name for name in (*_COMPARING, *_SUBTRACTING) if self._is_the_programs(vars(kind).get(name))]

    def _is_the_programs(self, method: Any) -> bool:
        if not callable(method) or isinstance(method, WrapperDescriptorType) or hasattr(method, _MARK):
            return False
        if not isinstance(method, FunctionType):
            return True
        code = method.__code__
        # What a data class generates compares objects of one class only.
        generated = code.co_filename == "<string>" and {"__class__", "NotImplemented"} <= {*code.co_names}
        return not (generated or code.co_filename in ("test", "test_program.py") or code.co_filename.startswith(self._library))

    def _guard(self, kind: type) -> None:
        """Replace the methods of a class of the program's that could decide a test, in place."""
        self._programs[id(kind)] = kind
        for name in self._unguarded(kind):
            _set(kind, name, self._among_programs(vars(kind)[name], subtracting=name in _SUBTRACTING))
        for name, value in list(vars(kind).items()):
            if isinstance(value, FunctionType) and name not in _ITERATING and not hasattr(value, _MARK) and not _generates(value):
                _set(kind, name, _without_stop_iteration(value))

    def _among_programs(self, method: Callable[..., Any], *, subtracting: bool) -> Callable[..., Any]:
        """The method, for operands of the program's classes alone; what subtracts refuses plain numbers only."""
        programs = self._programs
        bound = isinstance(method, FunctionType)

        def guarded(one: Any, other: Any) -> Any:
            plain = not any(id(kind) in programs for kind in type(other).__mro__)
            if plain and not (subtracting and not isinstance(other, int | float | complex)):
                return NotImplemented
            return method(one, other) if bound else method(other)

        setattr(guarded, _MARK, True)
        return guarded


def _no_collection(*_: Any) -> int:
    return 0


def _all_classes() -> Iterator[type]:
    """Every class of this interpreter."""
    pending, seen = [object], {id(object)}
    while pending:
        for kind in type.__subclasses__(pending.pop()):
            if id(kind) not in seen:
                seen.add(id(kind))
                pending.append(kind)
                yield kind


def _callables(owner: Any) -> dict[str, tuple[Any, Any]]:
    """The functions and classes of a module or class, with their code."""
    return {name: (value, _code(value)) for name, value in vars(owner).items() if callable(value)}


def _compare(name: str, owner: Any, before: dict[str, tuple[Any, Any]], test: str) -> None:
    """Raise Tampered if a function or class of a module or class is another one now, or a class has a new one."""
    now = vars(owner)
    if isinstance(owner, type) and any(callable(value) and attribute not in before for attribute, value in now.items()):
        deed = f"changed the class {name}"
        raise Tampered(deed)
    for attribute, (value, code) in before.items():
        changed = now.get(attribute) is not value or _code(value) is not code
        if changed and attribute not in _PATCHED_BY_MANY and not (test and attribute in test):
            deed = f"replaced {name}.{attribute}"
            raise Tampered(deed)


def _code(value: Any) -> Any:
    return value.__code__ if isinstance(value, FunctionType) else None


def _test_classes(imports: Sequence[str]) -> list[tuple[str, type]]:
    """The classes on whose methods tests of these modules rely."""
    modules = [module for name in (*imports, "unittest.case") if (module := sys.modules.get(name)) is not None]
    return [(value.__name__, value) for module in modules for value in vars(module).values() if isinstance(value, type)]


def _set(kind: type, name: str, value: Any) -> None:
    try:
        setattr(kind, name, value)
    except (AttributeError, TypeError):
        return  # a class that refuses changes, by its metaclass


def _generates(value: Any) -> bool:
    return inspect.isgeneratorfunction(value) or inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value)


def _without_stop_iteration(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapped(*values: Any, **named: Any) -> Any:
        try:
            return function(*values, **named)
        except (StopIteration, StopAsyncIteration) as error:
            msg = f"the program raised {type(error).__name__}"
            raise RuntimeError(msg) from None

    setattr(wrapped, _MARK, True)
    return wrapped


def _auditor(library: tuple[str, ...]) -> Callable[[str, tuple[Any, ...]], None]:
    """A hook that refuses the program, not the library, what leads to the harness."""
    frame_of, refused, frames, modules = sys._getframe, _REFUSED_EVENTS, _FRAMES, _REFUSED_MODULES
    error = PermissionError
    inside: list[int] = []

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        suspect = (
            event in refused
            or (event == "object.__getattr__" and arguments[1] in frames)
            or (event == "import" and arguments[0] in modules)
            or event == "sys._getframe"
            or event.startswith("ctypes.")
        )
        if not suspect or inside:
            return
        inside.append(1)
        try:
            name = frame_of(1).f_code.co_filename
        finally:
            inside.pop()
        if not name.startswith(library):
            msg = f"{event} is refused to a program that is tested"
            raise error(msg)

    return audit
