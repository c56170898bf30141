"""What came of each arm in each segment, counted in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.comparison import Cell, MetricSpec
from liftwright.tables import identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from liftwright.tables import Tables

_EVENTS = {"open_rate": "opened", "click_rate": "clicked", "conversion_rate": "converted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CellCounts:
    """What came of one arm in one segment; events and revenue are of delivered messages."""

    segment: str
    arm: str
    assigned: int
    delivered: int
    opened: int
    clicked: int
    converted: int
    revenue: float
    revenue_sq: float


def count_engagement(tables: Tables, engagement: str = "engagement") -> tuple[CellCounts, ...]:
    """The counts of every segment and arm, in one pass, in order of segment and arm."""
    rows = tables.rows(tables.sql("measure_counts", engagement=identifier(engagement)))
    return tuple(
        CellCounts(
            segment=str(segment),
            arm=str(arm),
            assigned=_whole(assigned),
            delivered=_whole(delivered),
            opened=_whole(opened),
            clicked=_whole(clicked),
            converted=_whole(converted),
            revenue=_real(revenue),
            revenue_sq=_real(revenue_sq),
        )
        for (
            segment,
            arm,
            assigned,
            delivered,
            opened,
            clicked,
            converted,
            revenue,
            revenue_sq,
        ) in sorted(rows, key=lambda row: (str(row[0]), str(row[1])))
    )


def cells_of_counts(
    counts: Iterable[CellCounts], metrics: Sequence[str]
) -> tuple[list[Cell], list[MetricSpec]]:
    """The counts as cells of a comparison, and the metrics that they hold."""
    cells = [_cell(count, metric) for count in counts for metric in metrics if count.delivered]
    specs = [
        MetricSpec(name=metric, kind="binary" if metric in _EVENTS else "mean")
        for metric in metrics
    ]
    return cells, specs


def _cell(count: CellCounts, metric: str) -> Cell:
    if metric in _EVENTS:
        return Cell(
            segment=count.segment,
            arm=count.arm,
            metric=metric,
            n=count.delivered,
            events=int(getattr(count, _EVENTS[metric])),
        )
    return Cell(
        segment=count.segment,
        arm=count.arm,
        metric=metric,
        n=count.delivered,
        total=count.revenue,
        total_sq=count.revenue_sq,
    )


def _whole(value: object) -> int:
    return int(str(value))


def _real(value: object) -> float:
    return float(str(value))
