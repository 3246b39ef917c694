"""Start a server without the packages it has no use for: ``python -S -s -P boot.py ISOLATION CONTROL_FD``.

``stillhouse.verification`` loads every verifier; here it is only a place to find the sandbox in. Nothing outside the standard
library can be imported, by the server or by what it forks.
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

    isolation, control = sys.argv[1:]
    server.main(isolation, int(control))


if __name__ == "__main__":
    main()
