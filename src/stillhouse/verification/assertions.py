"""Reads one assertion of a question, or one test file of pytest's: what it needs from the program, and how it has to be run."""

import ast
import builtins
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from stillhouse.verification.code_blocks import names_in
from stillhouse.verification.sandbox.libraries import NAMES
from stillhouse.verification.sandbox.runner import HELPERS, TestOptions

_PROGRAM_MODULES = frozenset(
    {
        "solution", "solutions", "main", "program", "answer", "submission", "your_module", "my_module", "module", "implementation",
        "app",
    }
)  # fmt: skip
"""Modules that stand for the program in tests: KodCode writes ``from solution import f``."""
_SHARED = frozenset(
    {
        "asyncio", "contextlib", "copy", "gc", "importlib", "inspect", "io", "logging", "mock", "os", "pathlib", "pickle",
        "random", "shutil", "sys", "tempfile", "threading", "time", "types", "unittest", "warnings", "weakref",
    }
)  # fmt: skip
"""Modules whose state a test shares with the program where both run in one interpreter."""
_SHARED_NAMES = frozenset(
    {
        "open", "print", "input", "globals", "locals", "vars", "exec", "eval", "__import__", "setattr", "delattr", "type",
        "id", "dir", "isinstance", "issubclass", "callable", "hasattr", "getattr",
    }
)  # fmt: skip
"""Built-ins that tell an object of the program's from what stands for it in another process, or that reach such state."""
_TYPING_AND_COLLECTIONS = frozenset(
    {
        "bisect", "collections", "copy", "functools", "heapq", "itertools", "json", "math", "operator", "random", "re",
        "string", "sys", "List", "Dict", "Set", "Tuple", "Optional", "Union", "Any", "Callable", "Iterable", "Iterator",
        "Sequence", "Counter", "defaultdict", "deque", "namedtuple", "OrderedDict", "ChainMap", "UserDict", "UserList",
        "UserString",
    }
)  # fmt: skip
"""Names that every test has (``tester.TEST_IMPORTS``)."""


_FORGOTTEN = {
    "np": "import numpy as np",
    "numpy": "import numpy",
    "pd": "import pandas as pd",
    "pandas": "import pandas",
    "nx": "import networkx as nx",
    "networkx": "import networkx",
    "scipy": "import scipy",
    "sympy": "import sympy",
    "unittest": "import unittest",
}
"""Modules that tests use without importing them: theirs are not taken from the program."""


class RunsNothing(ValueError):
    """The test cannot tell a right program from a wrong one; the message says why."""


@dataclass(frozen=True)
class Assertion:
    """A test: its source, how it is run, and whether it depends on state that two processes do not share (``shares_state``)."""

    source: str
    options: TestOptions
    shares_state: bool


def parsed(source: str, fn_name: str | None, *, collect: bool) -> Assertion:
    """The assertion in a text. ``collect``: it is a test file of pytest's. Raises RunsNothing."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        msg = f"the test is not Python ({type(error).__name__}: {error})"
        raise RunsNothing(msg) from error
    collected = any(map(_is_collected, tree.body))
    runs = any(map(_runs, tree.body))
    if not runs and not collected:
        source = _with_call(source, tree, fn_name)
        tree = ast.parse(source)
    if collect and not collected and not runs:
        msg = "no test function and no test class in it"
        raise RunsNothing(msg)
    return _assertion(source, tree, fn_name, collect=collected and (collect or not runs))


def _assertion(source: str, tree: ast.Module, fn_name: str | None, *, collect: bool) -> Assertion:
    bound, used = names_in(tree)
    forgotten = [statement for name, statement in _FORGOTTEN.items() if name in used - bound]
    if forgotten:
        source = "\n".join([*forgotten, source])
        tree = ast.parse(source)
        bound, used = names_in(tree)
    unknown = used - bound - set(dir(builtins)) - _TYPING_AND_COLLECTIONS - {"__name__", "__file__"}
    modules, imports = _imports(tree, fn_name)
    options = TestOptions(
        own=_redefined(tree, fn_name, unknown, bound, from_program=bool(modules)),
        refused=tuple(sorted((set(HELPERS) | _comparers(tree, unknown)) - {fn_name} - bound)),
        unknown=tuple(sorted(unknown)), modules=tuple(sorted(modules)), imports=tuple(sorted(imports)),
        collect=collect, pytest="pytest" in tops(imports) or (collect and _has_fixtures(tree)),
    )  # fmt: skip
    return Assertion(source, options, bool(tops(imports) & _SHARED or used & _SHARED_NAMES or _compares_identity(tree)))


def _compares_identity(tree: ast.Module) -> bool:
    """Whether two objects, not an object and a constant, are asked whether they are the same."""
    return any(
        isinstance(node, ast.Compare)
        and any(isinstance(operator, ast.Is | ast.IsNot) for operator in node.ops)
        and not any(isinstance(operand, ast.Constant) for operand in (node.left, *node.comparators))
        for node in ast.walk(tree)
    )


def tops(modules: Iterable[str]) -> set[str]:
    """The packages of modules."""
    return {name.partition(".")[0] for name in modules}


def _is_collected(node: ast.stmt) -> bool:
    """Whether pytest would call this definition."""
    if isinstance(node, ast.ClassDef):
        return node.name.startswith("Test") or any("TestCase" in ast.unparse(base) for base in node.bases)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")


def _runs(node: ast.stmt) -> bool:
    """Whether a statement does more than define names."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom | ast.Pass):
        return False
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    if isinstance(node, ast.If) and any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test)):
        return False  # a test is not run as a script
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return any(isinstance(part, ast.Call | ast.Await) for part in ast.walk(node))
    return True


def _with_call(source: str, tree: ast.Module, fn_name: str | None) -> str:
    """The source with the call of its only checking function, HumanEval's ``check(candidate)``. Raises RunsNothing."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    checking = [node.name for node in functions if len(node.args.args) == 1] if len(functions) == 1 else []
    checking = checking or [node.name for node in functions if node.name == "check"]
    if checking and fn_name:
        return f"{source}\n{checking[0]}({fn_name})\n"
    defined = ", ".join(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef))
    msg = f"the test only defines {defined} and calls nothing" if defined else "the test runs nothing"
    raise RunsNothing(msg)


def _imports(tree: ast.Module, fn_name: str | None) -> tuple[set[str], set[str]]:
    """The modules that a test imports: those that stand for the program, and the others."""
    modules: set[str] = set()
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named = {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            named = {node.module}
            if fn_name and any(alias.name == fn_name for alias in node.names):
                modules |= named
        else:
            continue
        modules |= {name for name in named if name.partition(".")[0] in _PROGRAM_MODULES}
        imports |= named
    modules -= sys.stdlib_module_names | set(NAMES["scientific"])
    return modules, imports - modules - {"__future__"}


def _redefined(
    tree: ast.Module, fn_name: str | None, unknown: set[str], bound: set[str], *, from_program: bool
) -> tuple[str, ...]:  # fmt: skip
    """Built-ins that are the program's: the named function, or those that are called if the test calls nothing else."""
    if fn_name:
        return (fn_name,)
    if unknown or from_program or any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body):
        return ()
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    return tuple(sorted(name for name in called - bound if hasattr(builtins, name)))


def _comparers(tree: ast.Module, unknown: set[str]) -> set[str]:
    """Unknown functions that are asserted to be true of another's result and something else: a helper that the test forgot."""
    comparers: set[str] = set()
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Assert) and isinstance(node.test, ast.Call) and len(node.test.args) > 1):
            continue
        root: ast.expr = node.test.func
        while isinstance(root, ast.Attribute):
            root = root.value
        if isinstance(root, ast.Name) and root.id in unknown:
            calls = [part for argument in node.test.args for part in ast.walk(argument) if isinstance(part, ast.Call)]
            inner = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
            comparers |= {root.id} if inner & unknown - {root.id} else set()
    return comparers


def _has_fixtures(tree: ast.Module) -> bool:
    """Whether a test function takes arguments, which only pytest can give."""
    return any(
        isinstance(node, ast.FunctionDef) and node.name.startswith("test") and bool(node.args.args) and not node.decorator_list
        for node in tree.body
    )
