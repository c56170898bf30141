"""How long one campaign takes: cold, with a warm index, and asked for a second time.

    python benchmarks/speed.py [--rounds 3]

The sample campaign of 500 customers is run end to end, each time in a process of its own and in a
workspace of its own. Medians are printed in seconds on the clock and of the processors, for on a
shared machine only the latter can be compared; then how long `liftwright --help` takes, as a
multiple of what an empty typer program takes in the same rounds.
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
    from collections.abc import Iterable, Sequence

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
    """Seconds on the clock, and of the processors (user and system, children included)."""

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
    """The sample campaign: with an empty index, with a warm one, and again."""
    cold, warm, again = [], [], []
    for number in range(rounds):
        place = folder / f"workspace-{number}"
        subprocess.run([COMMAND, "init", place], check=True, stdout=subprocess.DEVNULL)
        cold.append(measured_run(place))
        shutil.rmtree(place / "data" / "runs")
        warm.append(measured_run(place))
        before = calls_made(place)
        again.append(process_cost([str(COMMAND), "run", "--workspace", str(place)]))
        if calls_made(place) != before:
            sys.exit("an identical run made calls")
    print(f"\n{'seconds':<20}{'cold':>8}{'cpu':>7}{'warm':>10}{'cpu':>7}")
    for stage in cold[0]:
        ends = [median(one[stage] for one in several) for several in (cold, warm)]
        print(f"{stage:<20}" + "   ".join(f"{end.wall:>8.2f}{end.cpu:>7.2f}" for end in ends)[1:])
    print()
    for name, several in (("cold", cold), ("warm", warm)):
        wholes = [sum(one.values(), NOTHING) for one in several]
        rest = (whole - one[REPORT] for whole, one in zip(wholes, several, strict=True))
        tell(f"{name}, no report", median(rest), TARGETS[name])
        tell(f"{name}, with report", median(wholes), TARGET_WITH_REPORT)
    tell("again, no calls", median(again), TARGETS["again"])


def tell(name: str, cost: Cost, target: float) -> None:
    """A line of the table: what was measured, and its share of what is allowed."""
    ratio = cost.wall / target
    print(f"{name:<20}{cost.wall:>8.2f}{cost.cpu:>7.2f}   {ratio:>5.2f} x of {target:g} s allowed")


def measured_run(place: Path) -> dict[str, Cost]:
    """What each stage of a run costs; `start` is the interpreter, its imports and its end."""
    begun, used = time.perf_counter(), children_cpu()
    command = [sys.executable, __file__, "--one-run", str(place)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    whole = Cost(time.perf_counter() - begun, children_cpu() - used)
    stages = {name: Cost(*cost) for name, cost in json.loads(done.stdout).items()}
    return {START: whole - sum(stages.values(), NOTHING), **stages}


def one_run(place: Path) -> dict[str, Cost]:
    """A run in this process; what each stage cost."""
    from liftwright.campaign import RunRequest, Workspace

    stages: dict[str, Cost] = {}
    begun = NOTHING

    def note(step: StageProgress) -> None:
        nonlocal begun
        now = Cost(time.perf_counter(), own_cpu())
        if step.state == "started":
            begun = now
        elif step.state == "done":
            stages[step.stage] = now - begun

    Workspace(place).run(RunRequest(), notify=note)
    return stages


def calls_made(place: Path) -> int:
    """How many calls, paid or not, the workspace's log tells of."""
    lines = (place / "logs" / "system.log").read_text(encoding="utf-8").splitlines()
    return sum(json.loads(line)["action"] == "call_made" for line in lines)


# ── Starting up ───────────────────────────────────────────────────────────────────────────────


def start_up(folder: Path, rounds: int) -> None:
    """`liftwright --help` beside empty typer programs, one after the other in each round."""
    programs = {"liftwright --help": [str(COMMAND), "--help"]}
    for name, options in (("empty typer", ""), ("the same, no rich", ", rich_markup_mode=None")):
        script = folder / f"empty{len(programs)}.py"
        script.write_text(EMPTY_PROGRAM.format(options=options), encoding="utf-8")
        programs[name] = [sys.executable, str(script), "--help"]
    costs: dict[str, list[Cost]] = {name: [] for name in programs}
    for _ in range(rounds * HELPS_PER_ROUND):
        for name, command in programs.items():
            costs[name].append(process_cost(command))
    ours, *others = (median(several) for several in costs.values())
    print(f"\n{'liftwright --help':<20}{ours.wall:>8.3f}{ours.cpu:>7.3f}")
    for name, other in zip(list(programs)[1:], others, strict=True):
        ratios = (
            f"liftwright takes {ours.wall / other.wall:.2f} x, cpu {ours.cpu / other.cpu:.2f} x"
        )
        print(f"{name:<20}{other.wall:>8.3f}{other.cpu:>7.3f}   {ratios} ({TARGET_HELP} allowed)")


# ── Measuring ─────────────────────────────────────────────────────────────────────────────────


def process_cost(command: Sequence[str]) -> Cost:
    """What a process costs from its start to its end."""
    begun, used = time.perf_counter(), children_cpu()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return Cost(time.perf_counter() - begun, children_cpu() - used)


def own_cpu() -> float:
    """Seconds of the processors that this process and its ended children used."""
    return sum(map(cpu_of, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def children_cpu() -> float:
    """Seconds of the processors that ended children used."""
    return cpu_of(resource.RUSAGE_CHILDREN)


def cpu_of(who: int) -> float:
    """User and system seconds."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def median(costs: Iterable[Cost]) -> Cost:
    """The medians, each of its own."""
    several = list(costs)
    return Cost(
        statistics.median(cost.wall for cost in several),
        statistics.median(cost.cpu for cost in several),
    )


if __name__ == "__main__":
    main()
