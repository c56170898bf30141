"""From customers to metrics at a million rows: seconds per stage, and the peak of memory.

    python benchmarks/scale.py [--customers 1000000] [--rounds 3] [--method rules]

Each round is a process of its own, so that the peak is a round's. Medians are printed, and each
stage as a multiple of the floor: reading the same file, hashing every id and writing the result.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from liftwright.domain import SafetyDecision, Variant

ROOT = Path(__file__).parents[1]
TONES = ("urgent", "informational", "friendly")
KIB_PER_GIB = 1024**2
FLOOR = "floor"


def main() -> None:
    """Run the rounds and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--method", choices=("rules", "rfm", "kmeans"), default="rules")
    parser.add_argument("--one-round", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one_round:
        print(json.dumps(one_round(options.customers, options.method)))
        return
    command = [sys.executable, __file__, "--one-round", "--method", options.method]
    command += ["--customers", str(options.customers)]
    rounds = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(options.rounds)
    ]
    medians = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
    peak = medians.pop("peak_gib")
    print(f"{options.customers:,} customers, {options.method}, median of {options.rounds} rounds")
    for name, seconds in medians.items():
        print(f"{name:<12}{seconds:>8.2f} s{seconds / medians[FLOOR]:>8.1f} x floor")
    total = sum(seconds for name, seconds in medians.items() if name != FLOOR)
    print(f"{'total':<12}{total:>8.2f} s{total / medians[FLOOR]:>8.1f} x floor")
    print(f"peak of memory {peak:.2f} GiB")


def one_round(customers: int, method: str) -> dict[str, float]:
    """Seconds of each stage, once, and the peak of memory in GiB."""
    import yaml

    from liftwright.adapters.duckdb import DuckDBEngine
    from liftwright.adapters.embedded_simulator import EmbeddedSimulator
    from liftwright.agents.experimentation import assign, design_experiment, measure
    from liftwright.agents.segmentation import segment_customers
    from liftwright.domain import ASSIGNMENTS, ENGAGEMENT, SEGMENTED
    from liftwright.settings import Experiment, Segments
    from liftwright.tables import Tables

    config = ROOT / "config"
    segments = Segments.model_validate(
        {**yaml.safe_load((config / "segments.yaml").read_text()), "method": method}
    )
    experiment = Experiment.model_validate(
        yaml.safe_load((config / "experiment_config.yaml").read_text())
    )
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make_customers(place, customers)
        tables = Tables(DuckDBEngine(place / "spill"))
        clock = time.perf_counter()

        def lap(name: str) -> None:
            nonlocal clock
            seconds[name] = time.perf_counter() - clock
            clock = time.perf_counter()

        tables.open("source", place / "customers.parquet", text=False)
        tables.write(
            "select customer_id, md5(customer_id) as hash from source", place / "floor.parquet"
        )
        lap(FLOOR)
        tables.keep("customers", "select * exclude (_row) from source")
        lap("load")
        found = segment_customers(tables, segments, seed=experiment.seed)
        tables.write("segmented", place / "segmented.parquet", SEGMENTED)
        lap("segment")
        messages, decisions = all_approved(tuple(found.sizes))
        design = design_experiment(messages, decisions, experiment, found.sizes)
        assignment = assign(tables, design, "2026-01-01T00:00:00.000Z")
        tables.write("assignments", place / "assignments.parquet", ASSIGNMENTS)
        lap("assign")
        EmbeddedSimulator(tables, experiment.simulation, seed=experiment.seed)("assignments")
        tables.write("engagement", place / "engagement.parquet", ENGAGEMENT)
        lap("observe")
        measure(tables, assignment, experiment, simulated=True)
        lap("measure")
        tables.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_GIB
    return {**seconds, "peak_gib": peak}


def make_customers(folder: Path, customers: int) -> None:
    """Write so many varied customers, in a process of its own: their making is not measured."""
    statement = (
        "copy (select 'C' || i as customer_id, cast(18 + h0 % 60 as double) as age, "  # noqa: S608 - of numbers alone
        "'City ' || h1 % 40 as location, ['Gold', 'Silver', 'Bronze'][1 + h2 % 3] as tier, "
        "round(-3 * ln((h3 + 1) / 4294967297e0), 1) as purchase_frequency, "
        "round(60 * exp(sqrt(-2 * ln((h0 + 1) / 4294967297e0)) * cos(h1 / 683565275e0) * 0.6), 2) "
        "as avg_order_value, floor(-120 * ln((h2 + 1) / 4294967297e0)) as last_engagement_days, "
        "round(0.1 + 0.3 * (h3 / 4294967296e0), 4) as historical_open_rate, "
        "round(0.02 + 0.1 * (h1 / 4294967296e0), 4) as historical_click_rate "
        "from (select i, "
        + ", ".join(f"cast('0x' || substr(h, {k * 8 + 1}, 8) as bigint) as h{k}" for k in range(4))
        + f" from (select i, md5(i::varchar) as h from range({customers}) as r(i)))) "  # noqa: S608 - of numbers alone
        f"to '{folder / 'customers.parquet'}' (format parquet)"
    )
    code = "import duckdb, sys; duckdb.sql(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, statement], check=True)


def all_approved(segments: tuple[str, ...]) -> tuple[list[Variant], list[SafetyDecision]]:
    """A control and a variant of each tone for each segment, and their decisions."""
    from liftwright.domain import SafetyDecision, Tokens, Variant

    cells = [("control", None), *((tone, segment) for segment in segments for tone in TONES)]
    variants = [
        Variant(
            variant_id=f"{tone}-{segment}",
            arm=tone,
            segment=segment,
            tone=tone if segment else None,
            subject="",
            body="",
            citations=(),
            passages=(),
            prompt="",
            prompt_sha256="",
            model="",
            tokens=Tokens(),
            cost_usd=0.0,
            attempts=1,
            created_at="",
            latency_ms=0.0,
        )
        for tone, segment in cells
    ]
    decisions = [
        SafetyDecision(
            variant_id=f"{tone}-{segment}",
            content_sha256="",
            status="pass",
            reasons=(),
            severities={},
            decided_by="benchmark",
            decided_at="",
        )
        for tone, segment in cells
    ]
    return variants, decisions


if __name__ == "__main__":
    main()
