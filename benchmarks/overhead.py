"""Overhead of a run on a slow provider: seconds relative to ceil(N / c) times the latency.

    python benchmarks/overhead.py [--latency 1] [--rounds 3] [--workers 1 4 8]

A local server writes the messages of a small campaign, each after the given latency. Measured are
the generate stage, and the whole run without its report, with a warm index and loaded models.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import campaign
import metered_writer

if TYPE_CHECKING:
    from compatible_server import Answer, Request
    from metered_writer import Before, MeteredWriter

BOUND = 1.15


def main() -> None:
    """Run the rounds and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=1.0, help="Seconds of each call.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4, 8])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="liftwright-") as folder:
        root = campaign.lay_down(Path(folder) / "workspace", screen="embedded")
        # Builds the index, loads the models, and returns the drafts.
        drafts = metered_writer.drafts_of(campaign.stop_before(root, "screen"))
        print(f"{len(drafts)} calls of {options.latency:g} s, median of {options.rounds} rounds")
        print(
            f"{'workers':<9}{'ideal':>8}{'generate':>10}{'ratio':>7}{'whole run':>11}{'ratio':>7}"
        )
        for workers in options.workers:
            floor = math.ceil(len(drafts) / workers) * options.latency
            rounds = [
                one_round(root, Path(folder) / f"{workers}-{number}", drafts, workers, options)
                for number in range(options.rounds)
            ]
            writing, whole = (statistics.median(times) for times in zip(*rounds, strict=True))
            print(
                f"{workers:<9}{floor:>6.1f} s{writing:>8.2f} s{writing / floor:>7.3f}"
                f"{whole:>9.2f} s{whole / floor:>7.3f}"
            )
    print(f"target ratio: at most {BOUND}")


def one_round(
    root: Path,
    to: Path,
    drafts: dict[str, tuple[str, str]],
    workers: int,
    options: argparse.Namespace,
) -> tuple[float, float]:
    """Seconds of the generate stage, and of the run up to its report."""
    with metered_writer.MeteredWriter(drafts).running() as writer:
        writer.before_reply = _late(writer, options.latency)
        workspace = campaign.copy(root, to)
        writer.serve(workspace)
        started = time.perf_counter()
        folder = campaign.stop_before(workspace, "report", f"calls.concurrency={workers}")
        whole = time.perf_counter() - started
    stages = {stage.name: stage.seconds for stage in campaign.record(folder).stages}
    return stages["generate"], whole


def _late(writer: MeteredWriter, seconds: float) -> Before:
    def answer(request: Request, _: int) -> Answer | None:
        return dataclasses.replace(writer.write(request), delay_seconds=seconds)

    return answer


if __name__ == "__main__":
    main()
