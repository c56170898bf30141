"""Wall-clock and CPU seconds, compared with those of another checkout in the same run.

    python benchmarks/versions.py [--against DIR] [--rounds 3] [--customers 10000000]

Measured are `liftwright --help`, the sample campaign of 500 customers in a new workspace (`init`
and `run`), and the data plane of `scale.py` compared with Polars. With `--against`, each command
runs alternately with the sources of both checkouts (A B A B), in this interpreter; the ratios are
medians of those pairs. On a shared machine compare CPU seconds, because other processes affect the
wall clock. Python files are compiled before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from scale import make_customers
from speed import Cost, median, process_cost

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HERE = Path(__file__).parents[1]
COMMAND = Path(sys.executable).with_name("liftwright")
HELPS = 5
HEADS = ("clock s", "CPU s", "other's clock", "other's CPU", "clock ratio", "CPU ratio")
WIDTH = 34


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--against", type=Path, help="a checkout of another version")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--customers", type=int, default=10_000_000)
    options = parser.parse_args()
    checkouts = [HERE, *([options.against.resolve()] if options.against else [])]
    for checkout in checkouts:
        compiled = [sys.executable, "-m", "compileall", "-q", str(checkout / "src")]
        subprocess.run(compiled, check=True)
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; medians of {options.rounds} rounds"
    )
    print(" " * WIDTH + "".join(f"{head:>15}" for head in HEADS))
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        make_customers(data, options.customers)
        size = f"{options.customers:,} customers"
        rows: dict[str, Callable[[Path], Cost]] = {
            "liftwright --help": help_text,
            "init and run, 500 customers": lambda checkout: campaign(checkout, data / "workspace"),
            size: lambda checkout: plane(checkout, data, "liftwright"),
        }
        for name, cost in rows.items():
            show(name, [[cost(checkout) for checkout in checkouts] for _ in range(options.rounds)])
        # Polars is the same for both checkouts, so this version is paired with Polars.
        sides = (rows[size], lambda checkout: plane(checkout, data, "polars"))
        show(
            f"{size}, against Polars",
            [[side(HERE) for side in sides] for _ in range(options.rounds)],
        )


def help_text(checkout: Path) -> Cost:
    """The median of several calls, because each is short."""
    command = [str(COMMAND), "--help"]
    return median(process_cost(command, environment(checkout)) for _ in range(HELPS))


def campaign(checkout: Path, workspace: Path) -> Cost:
    """The sample campaign, cold."""
    shutil.rmtree(workspace, ignore_errors=True)
    init = process_cost([str(COMMAND), "init", str(workspace)], environment(checkout))
    run = process_cost([str(COMMAND), "run", "--workspace", str(workspace)], environment(checkout))
    return init + run


def plane(checkout: Path, folder: Path, role: str) -> Cost:
    """One role of the checkout's scale.py, without imports."""
    script = str(checkout / "benchmarks" / "scale.py")
    command = [sys.executable, script, "--role", role, "--folder", str(folder)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=environment(checkout)
    )
    measured = json.loads(done.stdout)
    return Cost(measured["seconds"], measured["cpu_seconds"])


def environment(checkout: Path) -> dict[str, str]:
    """The current environment, with the checkout's sources first on the path."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(checkout / "src")}


def show(name: str, rounds: Sequence[Sequence[Cost]]) -> None:
    """Print a row of the table: the medians of each checkout, and of the paired ratios."""
    ours = [pair[0] for pair in rounds]
    cells = [statistics.median(cost.wall for cost in ours)]
    cells.append(statistics.median(cost.cpu for cost in ours))
    if len(rounds[0]) > 1:
        others = [pair[1] for pair in rounds]
        cells.append(statistics.median(cost.wall for cost in others))
        cells.append(statistics.median(cost.cpu for cost in others))
        cells.append(statistics.median(a.wall / b.wall for a, b in rounds))
        cells.append(statistics.median(a.cpu / b.cpu for a, b in rounds))
    print(f"{name:<{WIDTH}}" + "".join(f"{cell:>15.2f}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
