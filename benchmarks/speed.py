"""Duration of one campaign: cold, with a warm index, and repeated.

    python benchmarks/speed.py [--rounds 3]

The sample campaign of 500 customers runs end to end, each time in a separate process and workspace.
Medians are printed in wall-clock and CPU seconds, because only the latter are comparable on a
shared machine; then the duration of `liftwright --help` as a multiple of an empty typer program in
the same rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from liftwright.campaign.context import StageProgress

COMMAND = Path(sys.executable).with_name("liftwright")
REPORT = "report"
START = "start"
HELPS_PER_ROUND = 5
TARGETS = {"cold": 10.0, "warm": 6.0, "again": 3.0}
TARGET_WITH_REPORT = 25.0
TARGET_HELP = 1.3
EMPTY_PROGRAM = '''import typer

app = typer.Typer(add_completion=False{options})


@app.command()
def main() -> None:
    """Nothing."""


app()
'''


@dataclass(frozen=True, slots=True)
class Cost:
    """Wall-clock and CPU seconds (user and system, including children)."""

    wall: float
    cpu: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.wall - other.wall, self.cpu - other.cpu)


NOTHING = Cost(0.0, 0.0)


def main() -> None:
    """Run the rounds and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one-run", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one_run:
        print(json.dumps({name: [c.wall, c.cpu] for name, c in one_run(options.one_run).items()}))
        return
    load = os.getloadavg()[0]
    print(
        f"{os.cpu_count()} cores, load {load:.1f} at the start, median of {options.rounds} rounds"
    )
    with tempfile.TemporaryDirectory() as folder:
        campaign(Path(folder), options.rounds)
        start_up(Path(folder), options.rounds)


# ── A campaign ────────────────────────────────────────────────────────────────────────────────


def campaign(folder: Path, rounds: int) -> None:
    """Run the sample campaign with an empty index, with a warm one, and again."""
    cold, warm, again = [], [], []
    for number in range(rounds):
        root = folder / f"workspace-{number}"
        subprocess.run([COMMAND, "init", root], check=True, stdout=subprocess.DEVNULL)
        cold.append(measured_run(root))
        shutil.rmtree(root / "data" / "runs")
        warm.append(measured_run(root))
        before = calls_made(root)
        again.append(process_cost([str(COMMAND), "run", "--workspace", str(root)]))
        if calls_made(root) != before:
            sys.exit("an identical run made calls")
    print(f"\n{'seconds':<20}{'cold':>8}{'cpu':>7}{'warm':>10}{'cpu':>7}")
    for stage in cold[0]:
        costs = [median(run[stage] for run in runs) for runs in (cold, warm)]
        print(
            f"{stage:<20}" + "   ".join(f"{cost.wall:>8.2f}{cost.cpu:>7.2f}" for cost in costs)[1:]
        )
    print()
    for name, runs in (("cold", cold), ("warm", warm)):
        totals = [sum(run.values(), NOTHING) for run in runs]
        rest = (total - run[REPORT] for total, run in zip(totals, runs, strict=True))
        print_target(f"{name}, no report", median(rest), TARGETS[name])
        print_target(f"{name}, with report", median(totals), TARGET_WITH_REPORT)
    print_target("again, no calls", median(again), TARGETS["again"])


def print_target(name: str, cost: Cost, target: float) -> None:
    """Print a line of the table: the measured cost, relative to the target."""
    ratio = cost.wall / target
    print(
        f"{name:<20}{cost.wall:>8.2f}{cost.cpu:>7.2f}   {ratio:>5.2f} x the target of {target:g} s"
    )


def measured_run(root: Path) -> dict[str, Cost]:
    """The cost of each stage of a run; `start` is the interpreter, its imports and its exit."""
    started, used = time.perf_counter(), children_cpu()
    command = [sys.executable, __file__, "--one-run", str(root)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    whole = Cost(time.perf_counter() - started, children_cpu() - used)
    stages = {name: Cost(*cost) for name, cost in json.loads(done.stdout).items()}
    return {START: whole - sum(stages.values(), NOTHING), **stages}


def one_run(root: Path) -> dict[str, Cost]:
    """Run in this process; returns the cost of each stage."""
    from liftwright.campaign import RunRequest, Workspace

    stages: dict[str, Cost] = {}
    start = NOTHING

    def record(step: StageProgress) -> None:
        nonlocal start
        now = Cost(time.perf_counter(), own_cpu())
        if step.state == "started":
            start = now
        elif step.state == "done":
            stages[step.stage] = now - start

    Workspace(root).run(RunRequest(), notify=record)
    return stages


def calls_made(root: Path) -> int:
    """The number of calls, paid or not, in the workspace's log."""
    lines = (root / "logs" / "system.log").read_text(encoding="utf-8").splitlines()
    return sum(json.loads(line)["action"] == "call_made" for line in lines)


# ── Starting up ───────────────────────────────────────────────────────────────────────────────


def start_up(folder: Path, rounds: int) -> None:
    """Compare `liftwright --help` with empty typer programs, alternating in each round."""
    programs = {"liftwright --help": [str(COMMAND), "--help"]}
    for name, options in (("empty typer", ""), ("the same, no rich", ", rich_markup_mode=None")):
        script = folder / f"empty{len(programs)}.py"
        script.write_text(EMPTY_PROGRAM.format(options=options), encoding="utf-8")
        programs[name] = [sys.executable, str(script), "--help"]
    costs: dict[str, list[Cost]] = {name: [] for name in programs}
    for _ in range(rounds * HELPS_PER_ROUND):
        for name, command in programs.items():
            costs[name].append(process_cost(command))
    ours, *others = map(median, costs.values())
    print(f"\n{'liftwright --help':<20}{ours.wall:>8.3f}{ours.cpu:>7.3f}")
    for name, other in zip(list(programs)[1:], others, strict=True):
        ratios = (
            f"liftwright takes {ours.wall / other.wall:.2f} x, cpu {ours.cpu / other.cpu:.2f} x"
        )
        print(f"{name:<20}{other.wall:>8.3f}{other.cpu:>7.3f}   {ratios} (target {TARGET_HELP})")


# ── Measuring ─────────────────────────────────────────────────────────────────────────────────


def process_cost(command: Sequence[str], env: Mapping[str, str] | None = None) -> Cost:
    """The cost of a process and its children, from start to exit.

    Raises:
        CalledProcessError: the process failed.
    """
    started, used = time.perf_counter(), children_cpu()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=env)
    return Cost(time.perf_counter() - started, children_cpu() - used)


def own_cpu() -> float:
    """CPU seconds of this process and its finished children."""
    return sum(map(cpu_of, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def children_cpu() -> float:
    """CPU seconds of finished children."""
    return cpu_of(resource.RUSAGE_CHILDREN)


def cpu_of(who: int) -> float:
    """User and system seconds."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def median(costs: Iterable[Cost]) -> Cost:
    """The medians of wall-clock and CPU seconds."""
    values = list(costs)
    return Cost(
        statistics.median(cost.wall for cost in values),
        statistics.median(cost.cpu for cost in values),
    )


if __name__ == "__main__":
    main()
