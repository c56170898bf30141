"""Simulates the whole experiment many times, without and with an effect.

    python benchmarks/experiment.py [--null 2000] [--uplift 5000] [--customers 2000]

Each replication has its own salt and seed, and is measured by the code of a real run. Without an
effect, a test at 5 % may reject 5 % of the time, with uniform p-values; with an effect, the
interval of the lift must cover the true uplift.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from scipy.stats import kstest

from liftwright.adapters.duckdb.engine import DuckDBEngine
from liftwright.adapters.embedded.simulator import EmbeddedSimulator
from liftwright.agents.experimentation import assign, design_experiment, measure
from liftwright.config import Experiment
from liftwright.data import Tables, literal
from liftwright.model import SafetyDecision, Variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from liftwright.analysis import ArmComparison
    from liftwright.analysis.result import Interval

ALPHA = 0.05
TONES = ("urgent", "informational", "friendly")
SEGMENTS = ("Few Orders", "Regulars", "Lapsing", "Newcomers")
UPLIFT = 0.2
AT = "2026-01-02T03:04:05.678Z"
MIN_COVERAGE = 0.935


def main() -> None:
    """Print both tables; exit 1 if a requirement is not met."""
    options = read_options()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tables = Tables(DuckDBEngine(Path(folder), memory="1GB", threads=1))
        sizes = make_customers(tables, options.customers)
        sound = no_effect(tables, sizes, options.null)
        sound &= with_effect(tables, sizes, options.uplift)
        tables.close()
    print_line(f"\n{time.perf_counter() - started:.0f} s")
    sys.exit(0 if sound else 1)


def read_options() -> argparse.Namespace:
    """The number of replications and of customers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--null", type=int, default=2000, help="replications without an effect")
    parser.add_argument("--uplift", type=int, default=5000, help="replications with one")
    parser.add_argument("--customers", type=int, default=2000)
    return parser.parse_args()


def print_line(line: str) -> None:
    """Print and flush one line."""
    print(line, flush=True)


def make_customers(tables: Tables, count: int) -> dict[str, int]:
    """Create customers with individual rates in four segments; returns the segment sizes."""
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
    sizes = tables.rows("select segment, count(*) from segmented group by segment")
    return {str(segment): int(str(size)) for segment, size in sizes}


def configuration(name: str, uplift: float) -> Experiment:
    """An experiment with this name; conversions and revenue are simulated, too."""
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
) -> Iterator[tuple[ArmComparison, ...]]:
    """The overall comparisons of each experiment."""
    variants = [message("control", None)]
    variants += [message(tone, segment) for segment in sizes for tone in TONES]
    decisions = [decision(variant) for variant in variants]
    for number in range(count):
        config = configuration(f"replication {number}", uplift)
        design = design_experiment(variants, decisions, config, sizes)
        assignment = assign(tables, design, AT)
        EmbeddedSimulator(tables, config.simulation, seed=number, salt=config.name)("assignments")
        # Materialised, as in a run, which writes it to a file before measuring.
        tables.keep("outcomes", "select * from engagement")
        result = measure(tables, assignment, config, simulated=True, engagement="outcomes")
        yield result.rows()


def no_effect(tables: Tables, sizes: dict[str, int], count: int) -> bool:
    """Print rejections, uniformity and coverage without an effect."""
    by_metric = collect(replications(tables, sizes, count, 0.0))
    print_line(
        f"No effect, {count} experiments of {sum(sizes.values())} customers, alpha {ALPHA}\n"
    )
    print_line("metric           | tests  rejected   KS p   difference CI  lift CI  given")
    sound = True
    for metric, rows in by_metric.items():
        tested = [row.p_value for row in rows if row.p_value is not None]
        rejected = sum(p < ALPHA for p in tested) / len(tested)
        # Arms share a control, so only one arm per experiment is an independent draw.
        independent = [row.p_value for row in rows if row.arm == "urgent" and row.p_value]
        uniform = kstest(independent, "uniform").pvalue
        covered = coverage((row.difference_ci for row in rows), 0.0)
        lifts = [row.lift_ci for row in rows if row.lift_ci]
        print_line(
            f"{metric:16} | {len(tested):6d} {rejected:8.4f} {uniform:7.3f} {covered:13.4f}"
            f" {coverage(lifts, 0.0):9.4f} {len(lifts) / len(rows):6.3f}"
        )
        sound &= rejected <= ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / count)
    return sound


def with_effect(tables: Tables, sizes: dict[str, int], count: int) -> bool:
    """Print how often the interval covers the true uplift."""
    by_metric = collect(replications(tables, sizes, count, UPLIFT))
    print_line(f"\nTrue uplift {UPLIFT:+.0%}, {count} experiments\n")
    print_line("metric           | mean lift  coverage  given  power")
    sound = True
    for metric, rows in by_metric.items():
        known = [row for row in rows if row.lift_ci]
        mean = sum(row.lift or 0.0 for row in known) / len(known)
        covered = coverage((row.lift_ci for row in known), UPLIFT)
        power = sum(row.p_value is not None and row.p_value < ALPHA for row in rows)
        print_line(
            f"{metric:16} | {mean:+9.4f} {covered:9.4f} {len(known) / len(rows):6.3f}"
            f" {power / len(rows):6.3f}"
        )
        sound &= covered >= MIN_COVERAGE
    return sound


def collect(experiments: Iterable[tuple[ArmComparison, ...]]) -> dict[str, list[ArmComparison]]:
    """The comparisons of all experiments by metric."""
    by_metric: dict[str, list[ArmComparison]] = {}
    for rows in experiments:
        for row in rows:
            by_metric.setdefault(row.metric, []).append(row)
    return by_metric


def coverage(intervals: Iterable[Interval | None], truth: float) -> float:
    """The share of intervals that cover `truth`; an open end is infinite."""
    covers = [
        (ends[0] is None or ends[0] <= truth) and (ends[1] is None or truth <= ends[1])
        for ends in intervals
        if ends
    ]
    return sum(covers) / len(covers) if covers else math.nan


def message(arm: str, segment: str | None) -> Variant:
    """A message without content."""
    return Variant.bare(f"{arm}@{segment}", arm=arm, segment=segment)


def decision(variant: Variant) -> SafetyDecision:
    """A `pass` decision."""
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
