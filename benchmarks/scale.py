"""Time and memory from customers to metrics at any size, compared with Polars, pandas and a floor.

    python benchmarks/scale.py [--customers 1000000 …] [--rounds 3] [--with polars pandas]
                               [--memory 1GB] [--threads 2] [--keep FILE] [--picture FILE]

The floor reads the same file, hashes every id once and writes ids and hashes; `writing` reads the
three result files and writes them again, the minimum for any engine. Each measurement runs in a
separate process, to measure its own memory peak, and the rounds alternate; the minimum time and the
highest peak are printed. The clock starts after imports. The top of scale_peers.py says what the
peers do and omit. Results are added to the file of `--keep`, and `--picture` draws all of them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from liftwright.model import SafetyDecision, Variant
    from liftwright.ports import Engine

ROOT = Path(__file__).parents[1]
TONES = ("urgent", "informational", "friendly")
KIB_PER_GIB = 1024**2
OURS, FLOOR, WRITING = "liftwright", "floor", "writing"
PEERS = ("polars", "pandas")
AT = "2026-01-02T03:04:05.000Z"

Measured = dict[str, float]


def main() -> None:
    """Run the rounds, print the table, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--customers", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--with", dest="peers", nargs="*", default=PEERS, choices=PEERS)
    parser.add_argument("--method", choices=("rules", "rfm", "kmeans"), default="rules")
    parser.add_argument("--memory", help="the engine's memory limit, such as 1GB")
    parser.add_argument("--threads", type=int, help="the engine's threads")
    parser.add_argument("--keep", type=Path, help="a JSON file to add the results to")
    parser.add_argument("--picture", type=Path, help="a PNG file to draw time and memory to")
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        print(json.dumps(measure_role(options.role, options.folder, options)))
        return
    results: dict[str, dict[str, Measured]] = {}
    if options.keep and options.keep.is_file():
        results = json.loads(options.keep.read_text())
    for customers in options.customers:
        with tempfile.TemporaryDirectory() as folder:
            measured = all_rounds(Path(folder), customers, options)
        print_table(customers, measured, options)
        if options.memory:
            # Results with a limit have their own name; the peers have no limit.
            measured = {
                **{name: values for name, values in measured.items() if name in PEERS},
                f"{OURS}, {options.memory}": measured[OURS],
            }
        results.setdefault(str(customers), {}).update(measured)
        if options.keep:
            options.keep.write_text(json.dumps(results, indent=1))
    if options.picture:
        draw(results, options.picture)


def all_rounds(folder: Path, customers: int, options: argparse.Namespace) -> dict[str, Measured]:
    """The minimum times over the rounds, and the highest memory peak, by role."""
    make_customers(folder, customers)
    measured: dict[str, list[Measured]] = defaultdict(list)
    for _ in range(options.rounds):
        # Ours runs before `writing`, which needs its files.
        for role in (FLOOR, OURS, WRITING, *options.peers):
            command = [sys.executable, __file__, "--role", role, "--folder", str(folder)]
            command += ["--method", options.method]
            if options.memory:
                command += ["--memory", options.memory]
            if options.threads:
                command += ["--threads", str(options.threads)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            measured[role].append(json.loads(done.stdout))
    return {
        role: {
            name: (max if name == "peak_gib" else min)(values[name] for values in rounds)
            for name in rounds[0]
        }
        for role, rounds in measured.items()
    }


def measure_role(role: str, folder: Path, options: argparse.Namespace) -> Measured:
    """Wall-clock seconds, CPU seconds and peak memory of one role."""
    work, phases = role_work(role, folder, options)
    cpu, started = time.process_time(), time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "cpu_seconds": time.process_time() - cpu,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_GIB,
        **{f"phase_{name}": value for name, value in phases.items()},
    }


def role_work(
    role: str, folder: Path, options: argparse.Namespace
) -> tuple[Callable[[], object], Measured]:
    """The work of a role, with imports done, and the dict for the times of its phases."""
    phases: Measured = {}
    out = folder / role
    out.mkdir(exist_ok=True)
    source, rules = folder / "customers.parquet", ROOT / "config" / "segments.yaml"
    if role in PEERS:
        import scale_peers

        # Imported before the clock starts.
        for module in ("polars", "pandas", "pyarrow.parquet") if role == "pandas" else ("polars",):
            importlib.import_module(module)
        work = scale_peers.with_pandas if role == "pandas" else scale_peers.with_polars
        return lambda: work(source, out, rules), phases

    from liftwright.adapters.duckdb.engine import DuckDBEngine

    engine = DuckDBEngine(folder / "spill", memory=options.memory, threads=options.threads)
    if role == OURS:
        for module in ("scipy.optimize", "sqlglot", "liftwright.campaign"):
            importlib.import_module(module)
        return lambda: plane(engine, source, out, options.method, phases), phases
    if role == WRITING:
        return lambda: write_again(engine, folder / OURS, out), phases
    return lambda: floor(engine, source, out), phases


def floor(engine: Engine, source: Path, out: Path) -> None:
    """Read, hash and write: the minimum for any data plane."""
    from liftwright.ports import Source

    engine.open("source", Source(path=source, text=False))
    hashed = "select customer_id, md5(customer_id) as hash from source"
    engine.write(hashed, out / "floor.parquet")
    engine.close()


def write_again(engine: Engine, finished: Path, out: Path) -> None:
    """Read the three result files and write them again."""
    from liftwright.model import ASSIGNMENTS, ENGAGEMENT, SEGMENTED
    from liftwright.ports import Source

    for table in (SEGMENTED, ASSIGNMENTS, ENGAGEMENT):
        engine.open(table.name, Source(path=finished / f"{table.name}.parquet", text=False))
        names = ", ".join(table.names)
        statement = f"select {names} from {table.name}"  # noqa: S608 - our own names
        engine.write(statement, out / f"{table.name}.parquet", table)
    engine.close()


def plane(engine: Engine, source: Path, out: Path, method: str, phases: Measured) -> None:
    """The data plane of a run, from the customer file to the metrics."""
    import yaml

    from liftwright.adapters.embedded.simulator import EmbeddedSimulator
    from liftwright.agents.experimentation import (
        assign,
        choose_eligible,
        design_experiment,
        measure,
    )
    from liftwright.agents.segmentation import segment_customers
    from liftwright.config import Customers, Experiment, Segments
    from liftwright.data import Tables, load_customers, scratch_folder
    from liftwright.model import ASSIGNMENTS, ENGAGEMENT, SEGMENTED

    config = ROOT / "config"
    segments = Segments.model_validate(
        {**yaml.safe_load((config / "segments.yaml").read_text()), "method": method}
    )
    experiment = Experiment.model_validate(
        yaml.safe_load((config / "experiment_config.yaml").read_text())
    )
    tables = Tables(engine, scratch=scratch_folder(source.parent))
    clock = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal clock
        phases[name] = time.perf_counter() - clock
        clock = time.perf_counter()

    load_customers(tables, Customers(path=str(source)), source.parent)
    lap("check")
    segmentation = segment_customers(tables, segments, seed=experiment.seed)
    lap("fit and summarise segments")
    tables.write("segmented", out / "segmented.parquet", SEGMENTED)
    tables.read("segmented", out / "segmented.parquet", SEGMENTED)
    lap("write segments")
    eligible = choose_eligible(tables, experiment, among="profiles")
    messages, decisions = all_approved(tuple(segmentation.sizes))
    design = design_experiment(messages, decisions, experiment, eligible.sizes)
    assignment = assign(tables, design, AT, among="eligible")
    lap("assign and balance arms")
    tables.write("assignments", out / "assignments.parquet", ASSIGNMENTS)
    lap("write assignments")
    EmbeddedSimulator(tables, experiment.simulation, seed=experiment.seed, salt=experiment.name)(
        "assignments"
    )
    tables.write("engagement", out / "engagement.parquet", ENGAGEMENT)
    tables.read("engagement", out / "engagement.parquet", ENGAGEMENT)
    lap("simulate and write engagement")
    measure(tables, assignment, experiment, simulated=True)
    lap("measure")
    tables.close()


def print_table(
    customers: int, measured: Mapping[str, Measured], options: argparse.Namespace
) -> None:
    """Print one line per role, then our phases."""
    limit = f", engine limited to {options.memory}" if options.memory else ""
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"\n{customers:,} customers, {options.method}{limit}; minimum of {options.rounds} rounds; "
    )
    print(f"{os.cpu_count()} cores, load {load}")
    heads = ("seconds", "CPU s", "peak GiB", "x floor", "x writing", "x polars")
    print(" " * 12 + "".join(f"{head:>10}" for head in heads))
    for role, values in measured.items():
        seconds = values["seconds"]
        print(
            f"{role:<12}{seconds:>10.2f}{values['cpu_seconds']:>10.2f}{values['peak_gib']:>10.2f}"
            + "".join(
                f"{seconds / measured[other]['seconds']:>10.2f}" if other in measured else ""
                for other in (FLOOR, WRITING, PEERS[0])
            )
        )
    for name, seconds in measured[OURS].items():
        if name.startswith("phase_"):
            print(f"  {name.removeprefix('phase_'):<30}{seconds:>8.2f} s")
    sys.stdout.flush()


def draw(results: Mapping[str, Mapping[str, Measured]], picture: Path) -> None:
    """Plot time and memory by number of customers, one line per role."""
    import altair as alt
    import pandas as pd

    points = pd.DataFrame(
        [
            {
                "customers": int(customers),
                "who": role.partition(", ")[0],
                "limit": role.partition(", ")[2] or "none",
                **values,
            }
            for customers, roles in results.items()
            for role, values in roles.items()
            if role != WRITING
        ]
    )
    # Lines connect the results without a memory limit, where available.
    ordered = points.sort_values("limit", key=lambda limit: limit != "none", kind="stable")
    through = ordered.drop_duplicates(["customers", "who"])
    log, size = alt.Scale(type="log"), {"width": 300, "height": 240}
    panels = []
    for name, title in (("seconds", "seconds"), ("peak_gib", "peak of memory, GiB")):
        shown = {
            "x": alt.X("customers:Q", scale=log, title="customers").axis(format="~s"),
            "y": alt.Y(f"{name}:Q", scale=log, title=title),
            "color": alt.Color("who:N", title=None),
        }
        marks = alt.Chart(points).mark_point(filled=True, size=60)
        limit = alt.Shape("limit:N", title="engine_memory")
        panels.append(
            (
                alt.Chart(through).mark_line().encode(**shown) + marks.encode(**shown, shape=limit)
            ).properties(**size)
        )
    picture.parent.mkdir(parents=True, exist_ok=True)
    alt.hconcat(*panels).save(picture, scale_factor=2)


def make_customers(folder: Path, customers: int) -> None:
    """Write varied customers, in a separate process that is not measured."""
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
    code = "import duckdb, sys; duckdb.execute('set enable_progress_bar = false; ' + sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, statement], check=True)


def all_approved(segments: tuple[str, ...]) -> tuple[list[Variant], list[SafetyDecision]]:
    """A control and a variant of each tone for each segment, and their decisions."""
    from liftwright.model import SafetyDecision, Variant

    cells = [("control", None), *((tone, segment) for segment in segments for tone in TONES)]
    variants = [
        Variant.bare(f"{tone}-{segment}", arm=tone, segment=segment) for tone, segment in cells
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
