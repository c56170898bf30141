"""The tables of the data plane: their columns, kinds and ranges."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container


class Kind(Enum):
    """What a column holds; the value is its type in DuckDB's dialect."""

    TEXT = "VARCHAR"
    NUMBER = "DOUBLE"
    INTEGER = "BIGINT"
    FLAG = "BOOLEAN"
    TIME = "TIMESTAMP WITH TIME ZONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table: its kind, whether a row may lack it, and the range it must keep."""

    name: str
    kind: Kind
    nullable: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table's name and columns, in order.

    Attributes:
        columns: Those that every such table has.
        optional: Those that follow them in a table whose source has them.
    """

    name: str
    columns: tuple[Column, ...]
    optional: tuple[Column, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns that every such table has, in order."""
        return tuple(column.name for column in self.columns)

    def having(self, names: Container[str]) -> Table:
        """The schema of a table that has these columns: its optional ones are no longer so."""
        found = tuple(column for column in self.optional if column.name in names)
        return replace(self, columns=(*self.columns, *found), optional=())


def _column(name: str, kind: Kind, *, nullable: bool = False, high: float | None = None) -> Column:
    low = 0.0 if kind in (Kind.NUMBER, Kind.INTEGER) else None
    return Column(name=name, kind=kind, nullable=nullable, low=low, high=high)


CUSTOMERS = Table(
    name="customers",
    columns=(
        _column("customer_id", Kind.TEXT),
        _column("age", Kind.NUMBER, nullable=True, high=120.0),
        _column("location", Kind.TEXT, nullable=True),
        _column("tier", Kind.TEXT, nullable=True),
        _column("purchase_frequency", Kind.NUMBER),
        _column("avg_order_value", Kind.NUMBER),
        _column("last_engagement_days", Kind.NUMBER),
        _column("historical_open_rate", Kind.NUMBER, high=1.0),
        _column("historical_click_rate", Kind.NUMBER, high=1.0),
    ),
)
"""One row per customer; frequency in orders per year, money in the brand's currency."""

FEATURES = tuple(column.name for column in CUSTOMERS.columns if column.kind is Kind.NUMBER)
"""The numeric features of a customer, in order."""

SEGMENTED = Table(
    name="segmented",
    columns=(
        _column("customer_id", Kind.TEXT),
        _column("segment", Kind.TEXT),
        _column("confidence", Kind.NUMBER, high=1.0),
        _column("reason", Kind.TEXT),
    ),
)
"""One row per customer: the one segment it is in, how sure, and why in words."""

ASSIGNMENTS = Table(
    name="assignments",
    columns=(
        _column("customer_id", Kind.TEXT),
        _column("segment", Kind.TEXT),
        _column("arm", Kind.TEXT),
        _column("variant_id", Kind.TEXT),
        _column("assigned_at", Kind.TIME),
    ),
)
"""One row per customer: the arm and the variant it is to be sent. Every variant is approved."""

UNASSIGNED = Table(
    name="unassigned",
    columns=(
        _column("customer_id", Kind.TEXT),
        _column("segment", Kind.TEXT),
        _column("reason", Kind.TEXT),
    ),
)
"""One row per customer who is sent nothing: of the holdout, or excluded, and why."""

ENGAGEMENT = Table(
    name="engagement",
    columns=(
        _column("customer_id", Kind.TEXT),
        _column("segment", Kind.TEXT),
        _column("arm", Kind.TEXT),
        _column("variant_id", Kind.TEXT),
        _column("delivered", Kind.FLAG),
        _column("opened", Kind.FLAG),
        _column("clicked", Kind.FLAG),
        _column("converted", Kind.FLAG),
        _column("revenue", Kind.NUMBER),
        _column("source", Kind.TEXT),
        _column("delivered_at", Kind.TIME, nullable=True),
        _column("opened_at", Kind.TIME, nullable=True),
        _column("clicked_at", Kind.TIME, nullable=True),
        _column("converted_at", Kind.TIME, nullable=True),
    ),
    optional=(
        _column("unsubscribed", Kind.FLAG),
        _column("complained", Kind.FLAG),
        _column("bounced", Kind.FLAG),
    ),
)
"""One row per assigned customer; `source` is `historical` (real) or `simulated`.

Without a delivery every outcome is false or 0. `bounced`: the message came back and none arrived.
"""
