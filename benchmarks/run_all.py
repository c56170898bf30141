"""Every benchmark that is quick, one after the other; and where the others are.

    python benchmarks/run_all.py [--against DIR]

`--against` is the checkout of another version, beside which `versions.py` runs this one.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# A few minutes together; the others need data that is not shipped, or hours.
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
    """Run and tell; the exit status is that of the first benchmark that failed."""
    against = sys.argv[1:]
    statuses = []
    for name, arguments in QUICK.items():
        print(f"── {name}: {summary(HERE / name)}\n", flush=True)
        command = [sys.executable, str(HERE / name), *arguments]
        command += against if name == "versions.py" else []
        statuses.append(subprocess.run(command, check=False).returncode)
        print()
    print("── Not run; each says at its top how it is run, and what it needs:\n")
    for path in sorted(HERE.glob("*.py")):
        if path.name not in QUICK and path != Path(__file__):
            print(f"{path.relative_to(HERE.parent)}: {summary(path)}")
    sys.exit(next((status for status in statuses if status), 0))


def summary(path: Path) -> str:
    """The first line of what a benchmark says of itself."""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return said.partition("\n")[0]


if __name__ == "__main__":
    main()
