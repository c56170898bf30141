"""The result seen otherwise: over all who were assigned, and with extreme revenue capped."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from liftwright.agents.experimentation.counts import cells_of_counts
from liftwright.data import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from liftwright.agents.experimentation.counts import CellCounts
    from liftwright.analysis import Cell, MetricSpec
    from liftwright.data import Tables


def assigned_cells(
    counts: Sequence[CellCounts], metrics: Sequence[str]
) -> tuple[list[Cell], list[MetricSpec]]:
    """The cells of all assigned customers: whose message did not arrive did nothing.

    Delivery happens after the assignment; over all who were assigned the arms are alike whatever
    became of the messages (intention to treat).
    """
    return cells_of_counts([replace(one, delivered=one.assigned) for one in counts], metrics)


def winsorised_cells(
    tables: Tables, engagement: str, counts: Sequence[CellCounts]
) -> tuple[list[Cell], MetricSpec, float] | None:
    """The cells of revenue with each customer's capped, the metric, and the cap.

    The cap is the 99th percentile of the revenues above 0, over all arms together; None where
    there was no revenue.

    Source: Kohavi, Tang, Xu (2020), Trustworthy Online Controlled Experiments, chapter 22.
    """
    tables.keep("spent", tables.sql("measure_spent", engagement=identifier(engagement)))
    ((found,),) = tables.rows(tables.sql("measure_cap"))
    if found is None:
        return None
    cap = float(str(found))
    rows = tables.rows(tables.sql("measure_capped", cap=literal(cap)))
    sums = {(str(segment), str(arm)): (total, square) for segment, arm, total, square in rows}
    capped = []
    for one in counts:
        total, square = sums.get((one.segment, one.arm), (0, 0))
        capped.append(replace(one, revenue=float(str(total)), revenue_sq=float(str(square))))
    cells, (metric,) = cells_of_counts(capped, ["revenue"])
    return cells, metric, cap
