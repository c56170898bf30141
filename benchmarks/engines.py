"""Compares DuckDB and Spark on the same customers: rows that differ, and run times.

    python benchmarks/engines.py [--customers 1000000] [--master local[2]] [--memory 4GB]

Both run the whole data plane, from customers to metrics, and write the three tables of a run, which
are joined by id and compared column by column. Needs the extra `spark` and Java. The exit status is
1 if a row differs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import scale

if TYPE_CHECKING:
    from liftwright.ports import Engine


def main() -> None:
    """Run both engines, compare the tables, print the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--master", default="local[2]")
    parser.add_argument("--memory", default="4GB", help="Spark's memory on this machine")
    options = parser.parse_args()
    from liftwright.adapters.duckdb.engine import DuckDBEngine
    from liftwright.adapters.spark import Spark
    from liftwright.adapters.spark.engine import SparkEngine

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        scale.make_customers(data, options.customers)
        started = time.perf_counter()
        spark = SparkEngine(Spark(master=options.master), memory=options.memory)
        print(f"Spark started in {time.perf_counter() - started:.1f} s")
        run(DuckDBEngine(data / "spill"), data, "duckdb")
        run(spark, data, "spark")
        differing = compare(DuckDBEngine(data / "spill"), data)
    sys.exit(1 if differing else 0)


def run(engine: Engine, data: Path, name: str) -> None:
    """Run the data plane on one engine."""
    out = data / name
    out.mkdir()
    started = time.perf_counter()
    scale.plane(engine, data / "customers.parquet", out, "rules", {})
    print(f"{name}: {time.perf_counter() - started:.1f} s", flush=True)


def compare(engine: Engine, data: Path) -> int:
    """Print and return the number of rows that differ in any column."""
    from liftwright.model import ASSIGNMENTS, ENGAGEMENT, SEGMENTED
    from liftwright.ports import Source

    total = 0
    for table in (SEGMENTED, ASSIGNMENTS, ENGAGEMENT):
        for name in ("duckdb", "spark"):
            file = data / name / f"{table.name}.parquet"
            engine.open(name, Source(path=file, text=False))
        unequal = " or ".join(f"d.{c} is distinct from s.{c}" for c in table.names)
        ((rows, differing),) = engine.rows(
            f"select count(*), count(*) filter (where {unequal}) "  # noqa: S608 - our own names
            "from duckdb as d full join spark as s on d.customer_id = s.customer_id"
        )
        print(f"{table.name:<12}{rows:>12,} rows{differing:>10,} differ")
        total += int(str(differing))
    engine.close()
    return total


if __name__ == "__main__":
    main()
