"""Executes the six notebooks in this folder, in order, to .ipynb files beside them."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from liftwright.agents.reporting.notebook import as_text, execute, notebook_of
from liftwright.errors import LiftwrightError
from liftwright.run_folder import write_whole

HERE = Path(__file__).parent


def main(folder: Path = HERE) -> int:
    """Execute every notebook; each is written whole, and only if all of its cells ran.

    Returns:
        0 if all ran, 1 if any failed.
    """
    failed = []
    for source in sorted(folder.glob("[0-9][0-9]_*.py")):
        started = time.perf_counter()
        notebook = notebook_of(source.read_text(encoding="utf-8"))
        try:
            execute(notebook, folder)
        except LiftwrightError as error:
            failed.append(source.name)
            print(f"{source.name}: FAILED: {error}", file=sys.stderr)
            continue
        target = source.with_suffix(".ipynb")
        write_whole(target, as_text(notebook).encode())
        print(f"{target.name}: {time.perf_counter() - started:.1f} s")
    print(f"{len(failed)} failed" if failed else "all notebooks ran")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
