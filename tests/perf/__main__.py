"""``python -m tests.perf [NAME…]``: run the benchmarks ``bench_NAME.py`` beside this file, all of them by default.

A benchmark is a module whose first docstring line says what it measures, with ``main() -> None`` that prints its table (see
``measure.table``). Each runs in a process of its own, so that one's peak memory is not another's.
"""

import ast
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    known = {path.stem.removeprefix("bench_"): path for path in sorted(HERE.glob("bench_*.py"))}
    wanted = sys.argv[1:] or list(known)
    if unknown := sorted(set(wanted) - set(known)):
        print(f"error: no benchmark {', '.join(unknown)}; there are {', '.join(known) or 'none'}", file=sys.stderr)
        return 1
    failed = []
    for name in wanted:
        title = (ast.get_docstring(ast.parse(known[name].read_text(encoding="utf-8"))) or "").splitlines()[0]
        print(f"\n== {name}: {title}", flush=True)
        if subprocess.run([sys.executable, "-c", f"from tests.perf.bench_{name} import main; main()"]).returncode:
            failed.append(name)
    if failed:
        print(f"\nerror: {', '.join(failed)} did not end", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
