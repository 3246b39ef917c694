"""Start a server without any package it does not need: ``python -S -s -P boot.py ISOLATION CONTROL_FD LIBRARIES HEADERS``.

``stillhouse`` and ``stillhouse.verification`` become empty packages that only locate the sandbox. Neither the server nor the
processes it forks can import anything outside the standard library and the directory LIBRARIES, unless that is
empty. HEADERS is what a compiler may read besides.
"""

import sys
from pathlib import Path
from types import ModuleType

_HERE = Path(__file__).parent


def main() -> None:
    """Serve until the control socket closes."""
    for name, directory in (("stillhouse", _HERE.parents[1]), ("stillhouse.verification", _HERE.parent)):
        module = ModuleType(name)
        module.__path__ = [str(directory)]
        sys.modules[name] = module
    from stillhouse.verification.sandbox import server

    isolation, control, *libraries = sys.argv[1:]
    server.main(isolation, int(control), libraries)


if __name__ == "__main__":
    main()
