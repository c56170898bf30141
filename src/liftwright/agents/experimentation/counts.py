"""What came of each arm in each segment, counted in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.analysis import Cell, MetricSpec
from liftwright.data import identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from liftwright.data import Tables

_EVENTS = {"open_rate": "opened", "click_rate": "clicked", "conversion_rate": "converted"}

CLICK_TO_OPEN = MetricSpec(name="click_to_open", kind="ratio")


@dataclass(frozen=True, slots=True, kw_only=True)
class CellCounts:
    """What came of one arm in one segment; events and revenue are of delivered messages.

    Attributes:
        clicked_opened: messages that were opened and clicked; a click can come without an open.
    """

    segment: str
    arm: str
    assigned: int
    delivered: int
    opened: int
    clicked: int
    converted: int
    clicked_opened: int
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
            clicked_opened=_whole(both),
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
            both,
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


def click_to_open_cells(counts: Iterable[CellCounts]) -> list[Cell]:
    """Clicks per opened message, as a ratio of two sums over delivered messages."""
    return [
        Cell(
            segment=count.segment,
            arm=count.arm,
            metric=CLICK_TO_OPEN.name,
            n=count.delivered,
            total=count.clicked,
            total_sq=count.clicked,
            denominator=count.opened,
            denominator_sq=count.opened,
            product=count.clicked_opened,
        )
        for count in counts
        if count.delivered
    ]


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
