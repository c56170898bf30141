"""Duration of a run on slow services, relative to a lower bound from its calls.

    python benchmarks/services.py [--model 5] [--service 1] [--rounds 1] [--workers 4 16]

The local contract server replaces Azure: the model responds after `--model` seconds, search and
Content Safety after `--service`. Measured is the whole run up to its report, with loaded models.

The ideal is a lower bound: either all calls packed without gaps on the workers (sum of latencies /
workers), or a search, a draft and then, in rounds of as many as there are workers, the parts of all
drafts, whichever is longer. It includes no other work, such as grounding and the experiment.
`remote` is the duration of the stages that call services, without the others.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import campaign
from azure_campaign import ADAPTERS, KEYS, drafts_on, point, services
from azure_server.faults import Fault
from azure_server.server import AzureServer
from azure_server.tls import certificates

if TYPE_CHECKING:
    from collections.abc import Mapping

BOUND = 1.15
MODEL, SEARCH, SAFETY = "/openai/", "*/docs/search.post.search", "/contentsafety/"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Round:
    """One run: its duration, that of its stages, and the number of calls."""

    seconds: float
    stages: Mapping[str, float]
    drafts: int
    searches: int
    parts: int
    control_parts: int

    @property
    def remote_seconds(self) -> float:
        """The duration of the stages that call services."""
        return sum(self.stages[name] for name in ("retrieve", "generate", "ground", "screen"))

    def ideal(self, workers: int, model: float, service: float) -> float:
        """The lower bound for these calls, in seconds."""
        packed = (self.drafts * model + (self.searches + self.parts) * service) / workers
        # No part of a variant can be screened before the first draft is written.
        rounds = -(-(self.parts - self.control_parts) // workers)
        return max(packed, service + model + rounds * service)


def main() -> None:
    """Run the rounds and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=float, default=5.0, help="Seconds of a draft.")
    parser.add_argument("--service", type=float, default=1.0, help="Seconds of any other call.")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", type=int, nargs="+", default=[4, 16])
    options = parser.parse_args()
    os.environ.update({**certificates().environment, **KEYS})
    with tempfile.TemporaryDirectory(prefix="liftwright-") as folder:
        root = campaign.lay_down(Path(folder) / "workspace", screen="embedded")
        drafts = drafts_on(root)
        print(f"model {options.model:g} s, services {options.service:g} s, {len(drafts)} variants")
        print(
            f"{'workers':<9}{'calls':>7}{'ideal':>9}{'run':>9}{'ratio':>7}{'remote':>9}{'ratio':>7}"
        )
        for workers in options.workers:
            rounds = [
                one_round(root, Path(folder) / f"{workers}-{number}", drafts, workers, options)
                for number in range(options.rounds)
            ]
            last = rounds[-1]
            ideal = last.ideal(workers, options.model, options.service)
            seconds = statistics.median(result.seconds for result in rounds)
            calls = last.drafts + last.searches + last.parts
            remote = statistics.median(result.remote_seconds for result in rounds)
            print(
                f"{workers:<9}{calls:>7}{ideal:>7.1f} s{seconds:>7.1f} s{seconds / ideal:>7.3f}"
                f"{remote:>7.1f} s{remote / ideal:>7.3f}"
            )
            print("  " + ", ".join(f"{name} {taken:.1f}" for name, taken in last.stages.items()))
    print(f"target ratio: at most {BOUND}")


def one_round(
    root: Path,
    to: Path,
    drafts: Mapping[str, tuple[str, str]],
    workers: int,
    options: argparse.Namespace,
) -> Round:
    """One run in a separate workspace, with slow services from the first call."""
    with AzureServer(services(drafts)).running() as server:
        server.script(MODEL, itertools.repeat(Fault(kind="slow", seconds=options.model)))
        for route in (SEARCH, SAFETY):
            server.script(route, itertools.repeat(Fault(kind="slow", seconds=options.service)))
        workspace = campaign.copy(root, to)
        point(workspace, server, *ADAPTERS)
        timeout = max(options.model, options.service) * 4 + 10
        timeouts = [f"calls.timeout_seconds.{port}={timeout}" for port in ADAPTERS]
        concurrency = f"calls.concurrency={workers}"
        started = time.perf_counter()
        folder = campaign.stop_before(workspace, "report", concurrency, *timeouts)
        seconds = time.perf_counter() - started
        paths = [request.path for request in server.requests]
    first_draft = next(place for place, path in enumerate(paths) if path.startswith(MODEL))
    return Round(
        seconds=seconds,
        stages={stage.name: stage.seconds for stage in campaign.record(folder).stages},
        drafts=sum(path.startswith(MODEL) for path in paths),
        searches=sum(path.endswith(SEARCH[1:]) for path in paths),
        parts=sum(path.startswith(SAFETY) for path in paths),
        control_parts=sum(path.startswith(SAFETY) for path in paths[:first_draft]),
    )


if __name__ == "__main__":
    main()
