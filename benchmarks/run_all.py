"""Runs the quick benchmarks one after the other, and lists the others.

    python benchmarks/run_all.py [--against DIR]

`--against` is the checkout of another version that `versions.py` compares with this one.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# Together a few minutes; the others need external data, or hours.
QUICK = {
    "versions.py": ("--rounds", "3"),
    "speed.py": ("--rounds", "3"),
    "overhead.py": ("--rounds", "1", "--workers", "4", "8"),
    "services.py": ("--workers", "4"),
    "scale.py": ("--rounds", "1", "--customers", "200000", "1000000"),
    "estimators.py": ("--draws", "2000"),
    "experiment.py": ("--null", "300", "--uplift", "300"),
}


def main() -> None:
    """Run the benchmarks; the exit status is that of the first failure."""
    against = sys.argv[1:]
    statuses = []
    for name, arguments in QUICK.items():
        print(f"── {name}: {summary(HERE / name)}\n", flush=True)
        command = [sys.executable, str(HERE / name), *arguments]
        command += against if name == "versions.py" else []
        statuses.append(subprocess.run(command, check=False).returncode)
        print()
    print("── Not run; see the top of each file for usage and requirements:\n")
    for path in sorted(HERE.glob("*.py")):
        if path.name not in QUICK and path != Path(__file__):
            print(f"{path.relative_to(HERE.parent)}: {summary(path)}")
    sys.exit(next((status for status in statuses if status), 0))


def summary(path: Path) -> str:
    """The first line of a benchmark's docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


if __name__ == "__main__":
    main()
