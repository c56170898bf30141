"""What came of each arm in each segment, counted in one pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from liftwright.analysis import Cell
from liftwright.data import identifier
from liftwright.model import METRICS, RATIOS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from liftwright.data import Tables
    from liftwright.model import MetricSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class CellCounts:
    """What came of one arm in one segment; outcomes are of delivered messages.

    Attributes:
        totals: By outcome column, how many have the event, or the sum of the amounts.
        products: By two outcome columns, the sum of their products, as far as metrics need them.
    """

    segment: str
    arm: str
    assigned: int
    delivered: int
    totals: Mapping[str, float]
    products: Mapping[tuple[str, str], float]

    def has(self, metric: MetricSpec) -> bool:
        """Whether the outcomes have the metric's columns."""
        return metric.column in self.totals and (metric.denominator or metric.column) in self.totals


def count_engagement(tables: Tables, engagement: str = "engagement") -> tuple[CellCounts, ...]:
    """The counts of every segment and arm, in one pass, in order of segment and arm.

    Columns that no metric needs, or that the table does not have, are not counted.
    """
    found = tables.columns(engagement)
    totals = {m.column: m.kind for m in METRICS if m.column in found}
    products = [(m.column, m.column) for m in METRICS if m.column in totals and m.kind == "mean"]
    products += [
        (m.column, m.denominator)
        for m in RATIOS
        if m.denominator is not None and {m.column, m.denominator} <= totals.keys()
    ]
    sums = [
        _sum(column, 18) if kind == "mean" else _sum_of_flags(column)
        for column, kind in totals.items()
    ]
    sums += [
        _sum(f"{one} * {other}", 28) if one == other else _sum_of_flags(one, other)
        for one, other in products
    ]
    rows = tables.rows(
        tables.sql("measure_counts", engagement=identifier(engagement), sums=", ".join(sums))
    )
    return tuple(
        CellCounts(
            segment=str(segment),
            arm=str(arm),
            assigned=int(str(assigned)),
            delivered=int(str(delivered)),
            totals=dict(zip(totals, map(_number, values), strict=False)),
            products=dict(zip(products, map(_number, values[len(totals) :]), strict=True)),
        )
        for segment, arm, assigned, delivered, *values in sorted(
            rows, key=lambda row: (str(row[0]), str(row[1]))
        )
    )


def cells_of_counts(counts: Iterable[CellCounts], metrics: Sequence[MetricSpec]) -> list[Cell]:
    """The counts as cells of a comparison."""
    return [_cell(count, metric) for count in counts for metric in metrics if count.delivered]


def _cell(count: CellCounts, metric: MetricSpec) -> Cell:
    column, other = metric.column, metric.denominator
    total = count.totals[column]
    cell = Cell(segment=count.segment, arm=count.arm, metric=metric.name, n=count.delivered)
    if metric.kind == "binary":
        return replace(cell, events=int(total))
    # The square of an event is the event.
    cell = replace(cell, total=total, total_sq=count.products.get((column, column), total))
    if other is None:
        return cell
    below = count.totals[other]
    return replace(
        cell, denominator=below, denominator_sq=below, product=count.products[column, other]
    )


def _sum_of_flags(*columns: str) -> str:
    return f"sum(case when delivered and {' and '.join(columns)} then 1 else 0 end)"


def _sum(number: str, digits: int) -> str:
    # Decimals add up to the same in any order.
    return f"sum(case when delivered then cast({number} as decimal({digits}, 4)) else 0 end)"


def _number(value: object) -> float:
    return float(str(value))
