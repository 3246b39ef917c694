"""Run every hostile program as whoever runs this: ``python unprivileged.py SRC VICTIM``, with a Python that the user can read.

Prints a line of JSON that says the isolation, then one to a program: its name, how it ended, what it wrote, whether it left traces.
"""

import json
import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent


def main(source: str, victim: str) -> None:
    sys.path[:0] = [source, str(HERE)]
    verification = sys.modules["stillhouse.verification"] = ModuleType("stillhouse.verification")
    verification.__path__ = [f"{source}/stillhouse/verification"]
    import hostile
    import traces

    from stillhouse.errors import EngineFailed
    from stillhouse.verification.sandbox.runner import Sandbox

    try:
        sandbox = Sandbox()
    except EngineFailed as error:
        print(json.dumps({"refused": str(error)}))
        return
    with sandbox:
        print(json.dumps({"isolation": sandbox.isolation}))
        before = traces.traces(sandbox)
        for name, program in hostile.PROGRAMS.items():
            if name not in hostile.SLOW:
                outcome = sandbox.python(hostile.whole(program, victim), b"input", hostile.LIMITS)
                clean = traces.traces(sandbox) == before
                written = outcome.stdout[-300:].decode(errors="replace") + outcome.errors[-300:]
                print(json.dumps({"name": name, "ending": outcome.ending, "written": written, "clean": clean}))


if __name__ == "__main__":
    main(*sys.argv[1:])
