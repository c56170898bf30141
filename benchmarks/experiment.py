"""The whole experiment, many times: assign, simulate, measure; with no effect, then with one.

Run as `python benchmarks/experiment.py [--null 2000] [--uplift 5000] [--customers 2000]`. Each
replication assigns by a salt of its own, simulates by a seed of its own, and is measured by the
code that a run is measured by. Without an effect a test at 5 % may reject 5 %, and its p-values are
uniform; with one, the interval of the lift must hold what was put in.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scipy.stats import kstest

from liftwright.adapters.duckdb.engine import DuckDBEngine
from liftwright.adapters.embedded.simulator import EmbeddedSimulator
from liftwright.agents.experimentation import assign, design_experiment, measure
from liftwright.config import Experiment
from liftwright.data import Tables, literal
from liftwright.model import SafetyDecision, Variant

if TYPE_CHECKING:
    from collections.abc import Iterator

ALPHA = 0.05
TONES = ("urgent", "informational", "friendly")
SEGMENTS = ("Few Orders", "Regulars", "Lapsing", "Newcomers")
UPLIFT = 0.2
AT = "2026-01-02T03:04:05.678Z"
# What is asked of the share of intervals that hold the uplift.
LEAST_RECOVERY = 0.935


def main() -> None:
    """Print both tables; exit 1 where a demand is missed."""
    options = read_options()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tables = Tables(DuckDBEngine(Path(folder), memory="1GB", threads=1))
        sizes = make_customers(tables, options.customers)
        sound = no_effect(tables, sizes, options.null)
        sound &= with_effect(tables, sizes, options.uplift)
        tables.close()
    say(f"\n{time.perf_counter() - started:.0f} s")
    sys.exit(0 if sound else 1)


def read_options() -> argparse.Namespace:
    """The number of replications and of customers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--null", type=int, default=2000, help="replications without an effect")
    parser.add_argument("--uplift", type=int, default=5000, help="replications with one")
    parser.add_argument("--customers", type=int, default=2000)
    return parser.parse_args()


def say(line: str) -> None:
    """Write one line at once."""
    print(line, flush=True)


def make_customers(tables: Tables, count: int) -> dict[str, int]:
    """Customers with rates of their own, in four segments that differ; the segments' sizes."""
    draw = random.Random(20_261)  # noqa: S311 - a repeatable sample
    rows = []
    for index in range(count):
        segment = draw.choices(range(4), weights=(4, 3, 2, 1))[0]
        opened = draw.betavariate(3 + segment, 9)
        clicked = opened * draw.betavariate(4, 8)
        value = draw.lognormvariate(4, 0.6)
        rows.append(
            f"('C{index:06}', {literal(SEGMENTS[segment])}, {opened:.6f}, {clicked:.6f}, "
            f"{value:.2f})"
        )
    names = "customer_id, segment, open_rate, click_rate, order_value"
    tables.keep("raw", f"select * from (values {', '.join(rows)}) as t({names})")  # noqa: S608 - numbers
    tables.keep("segmented", "select customer_id, segment from raw")
    tables.keep(
        "customers",
        "select customer_id, cast(40 as double) as age, cast(2 as double) as purchase_frequency, "
        "cast(order_value as double) as avg_order_value, "
        "cast(30 as double) as last_engagement_days, "
        "cast(open_rate as double) as historical_open_rate, "
        "cast(click_rate as double) as historical_click_rate from raw",
    )
    found = tables.rows("select segment, count(*) from segmented group by segment")
    return {str(segment): int(str(size)) for segment, size in found}


def configuration(name: str, uplift: float) -> Experiment:
    """An experiment of this name; revenue and conversions are simulated beside the rates."""
    return Experiment.model_validate(
        {
            "name": name,
            "brand": {"name": "B", "postal_address": "A", "unsubscribe_url": "https://b.example"},
            "tones": list(TONES),
            "analysis": {"correction": "none"},
            "simulation": {
                "uplift": {tone: {"mean": uplift, "sd": 0.05 if uplift else 0.0} for tone in TONES},
                "conversion_rate_of_clicks": 0.3,
            },
        }
    )


def replications(
    tables: Tables, sizes: dict[str, int], count: int, uplift: float
) -> Iterator[list[dict[str, Any]]]:
    """The rows over all segments of so many experiments."""
    variants = [message("control", None)]
    variants += [message(tone, segment) for segment in sizes for tone in TONES]
    decisions = [decision(one) for one in variants]
    for number in range(count):
        config = configuration(f"replication {number}", uplift)
        design = design_experiment(variants, decisions, config, sizes)
        assignment = assign(tables, design, AT)
        EmbeddedSimulator(tables, config.simulation, seed=number, salt=config.name)("assignments")
        # As a run writes it to a file before it is measured.
        tables.keep("outcomes", "select * from engagement")
        found: dict[str, Any] = measure(
            tables, assignment, config, simulated=True, engagement="outcomes"
        )
        yield [row for row in found["comparisons"] if row["segment"] == "all"]


def no_effect(tables: Tables, sizes: dict[str, int], count: int) -> bool:
    """Rejections, uniformity and coverage where no arm differs."""
    found: dict[str, list[dict[str, Any]]] = {}
    for rows in replications(tables, sizes, count, 0.0):
        for row in rows:
            found.setdefault(row["metric"], []).append(row)
    say(f"No effect, {count} experiments of {sum(sizes.values())} customers, alpha {ALPHA}\n")
    say("metric           | tests  rejected   KS p   difference CI  lift CI  given")
    sound = True
    for metric, rows in found.items():
        tested = [row["p_value"] for row in rows if row["p_value"] is not None]
        rejected = sum(p < ALPHA for p in tested) / len(tested)
        # Arms share a control: one arm of each experiment is an independent draw.
        one = [row["p_value"] for row in rows if row["arm"] == "urgent" and row["p_value"]]
        uniform = kstest(one, "uniform").pvalue
        covered = coverage(rows, "difference_ci", 0.0)
        lifts = [row for row in rows if row["lift_ci"]]
        say(
            f"{metric:16} | {len(tested):6d} {rejected:8.4f} {uniform:7.3f} {covered:13.4f}"
            f" {coverage(lifts, 'lift_ci', 0.0):9.4f} {len(lifts) / len(rows):6.3f}"
        )
        sound &= rejected <= ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / count)
    return sound


def with_effect(tables: Tables, sizes: dict[str, int], count: int) -> bool:
    """How often the interval holds the uplift that was put in."""
    found: dict[str, list[dict[str, Any]]] = {}
    for rows in replications(tables, sizes, count, UPLIFT):
        for row in rows:
            found.setdefault(row["metric"], []).append(row)
    say(f"\nUplift {UPLIFT:+.0%} put in, {count} experiments\n")
    say("metric           | mean lift  held by the interval  given  found (p < alpha)")
    sound = True
    for metric, rows in found.items():
        lifts = [row for row in rows if row["lift_ci"]]
        mean = sum(row["lift"] for row in lifts) / len(lifts)
        held = coverage(lifts, "lift_ci", UPLIFT)
        power = sum(row["p_value"] is not None and row["p_value"] < ALPHA for row in rows)
        say(
            f"{metric:16} | {mean:+9.4f} {held:21.4f} {len(lifts) / len(rows):6.3f}"
            f" {power / len(rows):10.3f}"
        )
        sound &= held >= LEAST_RECOVERY
    return sound


def coverage(rows: list[dict[str, Any]], name: str, truth: float) -> float:
    """The share of the intervals that hold `truth`; an open end is infinite."""
    held = [
        row[name][0] <= truth and (row[name][1] is None or truth <= row[name][1])
        for row in rows
        if row[name]
    ]
    return sum(held) / len(held) if held else math.nan


def message(arm: str, segment: str | None) -> Variant:
    """A message of which only who gets it counts."""
    return Variant.bare(f"{arm}@{segment}", arm=arm, segment=segment)


def decision(variant: Variant) -> SafetyDecision:
    """That it may be sent."""
    return SafetyDecision(
        variant_id=variant.variant_id,
        content_sha256="",
        status="pass",
        reasons=(),
        severities={},
        decided_by="benchmark",
        decided_at=AT,
    )


if __name__ == "__main__":
    main()
