"""The tables of the data plane: their columns, kinds and ranges."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from liftwright.model.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Container

    from liftwright.model.metrics import MetricSpec


class ColumnKind(Enum):
    """A column's type; the value is its name in DuckDB's dialect."""

    TEXT = "VARCHAR"
    NUMBER = "DOUBLE"
    INTEGER = "BIGINT"
    FLAG = "BOOLEAN"
    TIME = "TIMESTAMP WITH TIME ZONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table: its type, whether it may be null, and its allowed range."""

    name: str
    kind: ColumnKind
    nullable: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSchema:
    """A table's name and columns, in order.

    Attributes:
        columns: The columns of every such table.
        optional: Columns that follow them if the table's source has them.
    """

    name: str
    columns: tuple[Column, ...]
    optional: tuple[Column, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the required columns, in order."""
        return tuple(column.name for column in self.columns)

    def having(self, names: Container[str]) -> TableSchema:
        """The schema with those of its optional columns that are in `names` required."""
        present = tuple(column for column in self.optional if column.name in names)
        return replace(self, columns=(*self.columns, *present), optional=())


def _column(
    name: str, kind: ColumnKind, *, nullable: bool = False, high: float | None = None
) -> Column:
    low = 0.0 if kind in (ColumnKind.NUMBER, ColumnKind.INTEGER) else None
    return Column(name=name, kind=kind, nullable=nullable, low=low, high=high)


def _outcome(metric: MetricSpec) -> Column:
    kind = ColumnKind.FLAG if metric.kind == "binary" else ColumnKind.NUMBER
    return _column(metric.column, kind)


CUSTOMERS = TableSchema(
    name="customers",
    columns=(
        _column("customer_id", ColumnKind.TEXT),
        _column("age", ColumnKind.NUMBER, nullable=True, high=120.0),
        _column("location", ColumnKind.TEXT, nullable=True),
        _column("tier", ColumnKind.TEXT, nullable=True),
        _column("purchase_frequency", ColumnKind.NUMBER),
        _column("avg_order_value", ColumnKind.NUMBER),
        _column("last_engagement_days", ColumnKind.NUMBER, nullable=True),
        _column("historical_open_rate", ColumnKind.NUMBER, nullable=True, high=1.0),
        _column("historical_click_rate", ColumnKind.NUMBER, nullable=True, high=1.0),
    ),
)
"""One row per customer; frequency in orders per year, money in the brand's currency."""

FEATURES = tuple(column.name for column in CUSTOMERS.columns if column.kind is ColumnKind.NUMBER)
"""The numeric features of a customer, in order."""

SEGMENTED = TableSchema(
    name="segmented",
    columns=(
        _column("customer_id", ColumnKind.TEXT),
        _column("segment", ColumnKind.TEXT),
        _column("confidence", ColumnKind.NUMBER, high=1.0),
        _column("reason", ColumnKind.TEXT),
    ),
)
"""One row per customer: its segment, the confidence, and the reason in words."""

ASSIGNMENTS = TableSchema(
    name="assignments",
    columns=(
        _column("customer_id", ColumnKind.TEXT),
        _column("segment", ColumnKind.TEXT),
        _column("arm", ColumnKind.TEXT),
        _column("variant_id", ColumnKind.TEXT),
        _column("assigned_at", ColumnKind.TIME),
    ),
)
"""One row per customer: its arm and variant. Every variant is approved."""

UNASSIGNED = TableSchema(
    name="unassigned",
    columns=(
        _column("customer_id", ColumnKind.TEXT),
        _column("segment", ColumnKind.TEXT),
        _column("reason", ColumnKind.TEXT),
    ),
)
"""One row per customer who receives no message (holdout or excluded), and the reason."""

ENGAGEMENT = TableSchema(
    name="engagement",
    columns=(
        _column("customer_id", ColumnKind.TEXT),
        _column("segment", ColumnKind.TEXT),
        _column("arm", ColumnKind.TEXT),
        _column("variant_id", ColumnKind.TEXT),
        _column("delivered", ColumnKind.FLAG),
        *(_outcome(metric) for metric in METRICS if metric.simulated),
        _column("source", ColumnKind.TEXT),
        _column("delivered_at", ColumnKind.TIME, nullable=True),
        _column("opened_at", ColumnKind.TIME, nullable=True),
        _column("clicked_at", ColumnKind.TIME, nullable=True),
        _column("converted_at", ColumnKind.TIME, nullable=True),
    ),
    optional=(
        *(_outcome(metric) for metric in METRICS if not metric.simulated),
        _column("bounced", ColumnKind.FLAG),
    ),
)
"""One row per assigned customer, except those whose every outcome row is set aside.

`source` is `historical` (real) or `simulated`.

Its outcomes are the columns of `METRICS`; those of metrics that are not simulated are optional.
Without a delivery every outcome is false or 0. `bounced`: the message came back and none arrived.
"""
