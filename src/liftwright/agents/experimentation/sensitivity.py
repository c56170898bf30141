"""Sensitivity analyses: over all assigned customers, and with extreme amounts capped."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from liftwright.agents.experimentation.counts import cells_of_counts
from liftwright.data import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from liftwright.agents.experimentation.counts import CellCounts
    from liftwright.analysis import Cell
    from liftwright.data import Tables
    from liftwright.model import MetricSpec


def assigned_cells(counts: Sequence[CellCounts], metrics: Sequence[MetricSpec]) -> list[Cell]:
    """The cells of all assigned customers; without a delivery there is no outcome.

    Delivery happens after the assignment; over all who were assigned the arms are alike whatever
    became of the messages (intention to treat).
    """
    return cells_of_counts([replace(one, delivered=one.assigned) for one in counts], metrics)


def winsorised_cells(
    tables: Tables, engagement: str, counts: Sequence[CellCounts], metric: MetricSpec
) -> tuple[list[Cell], float] | None:
    """The cells of a mean with each customer's amount capped, and the cap.

    The cap is the 99th percentile of the amounts above 0, over all arms together; None where
    there is no amount above 0.

    Source: Kohavi, Tang, Xu (2020), Trustworthy Online Controlled Experiments, chapter 22.
    """
    column = metric.column
    tables.keep(
        "spent", tables.sql("measure_spent", engagement=identifier(engagement), amount=column)
    )
    ((found,),) = tables.rows(tables.sql("measure_cap"))
    if found is None:
        return None
    cap = float(str(found))
    rows = tables.rows(tables.sql("measure_capped", cap=literal(cap)))
    sums = {(str(segment), str(arm)): (total, square) for segment, arm, total, square in rows}
    capped = []
    for one in counts:
        total, square = sums.get((one.segment, one.arm), (0, 0))
        capped.append(
            replace(
                one,
                totals={**one.totals, column: float(str(total))},
                products={**one.products, (column, column): float(str(square))},
            )
        )
    return cells_of_counts(capped, [metric]), cap
