"""Arms, engagement and metrics."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from liftwright.agents.experimentation import assign, count_engagement
from liftwright.agents.experimentation import design_experiment as design_arms
from liftwright.api.records import (
    approved_decision,
    arm_aliases,
    to_variants,
)
from liftwright.api.rows import Rows, load_rows, open_tables, read_customers, to_frame, to_rows
from liftwright.api.session import apply_segmentation, open_customers, open_session
from liftwright.config import Uplift
from liftwright.data import identifier
from liftwright.model import CUSTOMERS, ENGAGEMENT, METRICS, Segment, utc_now
from liftwright.wiring import make_observer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from liftwright.agents.experimentation import Design
    from liftwright.campaign.context import RunContext
    from liftwright.data import Tables
    from liftwright.model import Variant

    Row = Mapping[str, Any]
    CustomersLike = pd.DataFrame | Sequence[Row] | str | Path
    SegmentLike = Segment | Row | str


def design_experiment(
    customers: CustomersLike,
    variants: Sequence[Row | Variant],
    *,
    workspace: str | Path | None = None,
) -> dict[str, Any]:
    """The variant of each arm and segment, and the shares of the arms."""
    with _arms(customers, variants, workspace) as (_, design, aliases, _):
        return {
            "arms": [{"arm": aliases[arm.name], "share": arm.share} for arm in design.arms],
            "segments": {
                segment: {aliases[arm]: variant for arm, variant in cells.items()}
                for segment, cells in design.cells.items()
            },
            "sizes": dict(design.sizes),
        }


def assign_customers_to_arms(
    customers: CustomersLike,
    variants: Sequence[Row | Variant],
    *,
    workspace: str | Path | None = None,
) -> Rows:
    """Assign every customer to one arm, stratified by segment and exactly balanced.

    Args:
        customers: as for `segment_customers`; a column `segment` is used if it exists.
        variants: approved messages; one without `segment` applies to every segment.
        workspace: provides the experiment's name, tones and shares.

    Returns:
        One row per customer: its columns, `segment`, `arm`, `variant_id`, `assigned_at`.
    """
    with _arms(customers, variants, workspace) as (tables, design, aliases, _):
        assign(tables, design, utc_now())
        frame = to_frame(
            tables,
            "(select * from customers inner join assignments using (customer_id))",
        )
    frame["arm"] = frame["arm"].map(aliases)
    return Rows(to_rows(frame))


def simulate_engagement(
    assignments: Sequence[Row] | pd.DataFrame,
    *,
    uplift: float | None = None,
    seed: int | None = None,
    workspace: str | Path | None = None,
) -> Rows:
    """SIMULATED outcomes of an assignment; equal seeds give equal outcomes.

    Args:
        assignments: the rows of `assign_customers_to_arms`.
        uplift: the mean relative uplift of every treatment; None for the configured ones.
        seed: None for the configured one.
        workspace: provides the simulation settings.
    """
    rows = to_rows(assignments)
    with contextlib.closing(open_session(workspace)) as context, open_tables() as tables:
        settings = context.settings
        aliases = arm_aliases(settings.experiment.tones)
        tones = {alias: tone for tone, alias in aliases.items()}
        named = [{**row, "arm": tones.get(row["arm"], row["arm"])} for row in rows]
        read_customers(tables, [{name: row.get(name) for name in CUSTOMERS.names} for row in named])
        load_rows(
            tables,
            "assignments",
            named,
            ("customer_id", "segment", "arm", "variant_id", "assigned_at"),
        )
        simulation = settings.experiment.simulation
        if uplift is not None:
            uplifts = dict.fromkeys(settings.experiment.tones, Uplift(mean=uplift))
            simulation = simulation.model_copy(update={"uplift": uplifts})
        changes = {
            "simulation": simulation,
            "seed": settings.experiment.seed if seed is None else seed,
        }
        experiment = settings.experiment.model_copy(update=changes)
        observe = make_observer(tables, replace(settings, experiment=experiment), None)
        frame = to_frame(tables, identifier(observe("assignments")))
    frame["arm"] = frame["arm"].map(lambda arm: aliases.get(arm, arm))
    return Rows(to_rows(frame[list(ENGAGEMENT.names)]))


def calculate_metrics(engagement: Sequence[Row] | pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Rates of delivered messages by arm, as fractions: `metrics['treatment_1']['open_rate']`."""
    rows = to_rows(engagement)
    optional = {column.name for column in ENGAGEMENT.optional}
    metrics = [m for m in METRICS if m.column not in optional or any(m.column in r for r in rows)]
    with open_tables() as tables:
        columns = ("customer_id", "segment", "arm", "delivered", *(m.column for m in metrics))
        load_rows(tables, "engagement", rows, columns)
        counts = count_engagement(tables)
    arms: dict[str, dict[str, Any]] = {}
    for row in counts:
        arm = arms.setdefault(row.arm, {"assigned": 0, "delivered": 0})
        arm["assigned"] += row.assigned
        arm["delivered"] += row.delivered
        for metric in metrics:
            total = row.totals[metric.column]
            arm.setdefault(metric.column, 0)
            arm[metric.column] += int(total) if metric.kind == "binary" else total
    for arm in arms.values():
        n = arm["delivered"]
        for metric in metrics:
            if metric.kind == "binary":
                arm[metric.name] = arm[metric.column] / n if n else None
    return arms


@contextlib.contextmanager
def _arms(
    customers: CustomersLike, variants: Sequence[Row | Variant], workspace: str | Path | None
) -> Iterator[tuple[Tables, Design, dict[str, str], RunContext]]:
    with open_customers(customers, workspace) as (tables, context):
        if "segment" in tables.columns("customers"):
            tables.keep(
                "segmented",
                "select customer_id, segment, 1e0 as confidence, 'given' as reason from customers",
            )
            names = [n for n in tables.columns("customers") if n != "segment"]
            tables.keep("features", "select * from customers")
            tables.keep("customers", f"select {', '.join(map(identifier, names))} from features")  # noqa: S608 - quoted
        else:
            apply_segmentation(tables, context, None)
        sizes = {
            str(segment): int(str(size))
            for segment, size in tables.rows(
                "select segment, count(*) from segmented group by segment order by segment"
            )
        }
        experiment = context.settings.experiment
        messages = to_variants(variants, tuple(sizes), experiment.tones)
        decisions = [approved_decision(message) for message in messages]
        design = design_arms(messages, decisions, experiment, sizes)
        yield tables, design, arm_aliases(experiment.tones), context
