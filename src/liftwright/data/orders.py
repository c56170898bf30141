"""Order files, one row per order or per order line, aggregated to three features per customer."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from liftwright.data.fields import (
    Field,
    as_conversion,
    day_of,
    id_field,
    is_blank,
    missing,
    not_finite,
    number_of,
    open_source,
    unread,
    unread_date,
)
from liftwright.data.row_checks import CheckedRows, check_rows, refuse_bad_rows
from liftwright.data.rules import compile_amount
from liftwright.data.sql_fragments import identifier, literal
from liftwright.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from liftwright.config import Customers, IdMap, Orders
    from liftwright.data.fields import SourceTable
    from liftwright.data.tables import Tables

FEATURES = ("purchase_frequency", "avg_order_value", "last_engagement_days")
"""The customer features that orders give."""

TOTALS = "_order_totals"
DAY = identifier("day")
DAYS_PER_YEAR = 365.25
_LARGEST_AMOUNT = 1e12
_UNITS = 10_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersReport:
    """How many rows of the order files were used and left out, and why.

    Attributes:
        rows_in: rows_used + rows_rejected + rows_unknown + rows_later.
        rows_unknown: rows whose id is not in the id map or not in the customer file.
        rows_later: rows after `as_of`.
        ids_unknown: customers with orders who are not in the customer file.
        first, last: the first and last day with orders.
    """

    rows_in: int
    rows_used: int
    rows_rejected: int
    rows_unknown: int
    rows_later: int
    ids_unknown: int
    first: date
    last: date

    @property
    def days(self) -> int:
        """The number of days from the first to the last, both included."""
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFeatures:
    """Orders summed per customer in the table `TOTALS`, and the SQL of the features.

    Attributes:
        checked: all checked files: orders and id maps.
        unmapped: rows whose id is not in the id map.
    """

    checked: tuple[CheckedRows, ...]
    rows_in: int
    rows_rejected: int
    rows_later: int
    unmapped: int
    first: date
    last: date
    as_of: date

    def columns(self) -> dict[str, str]:
        """SQL of the three features from a row `o` of `TOTALS`, which is null without orders."""
        years = ((self.last - self.first).days + 1) / DAYS_PER_YEAR
        # Customers without orders count as last engaged the day before the first order.
        never = (self.as_of - self.first).days + 1
        today = f"cast({literal(self.as_of.isoformat())} as date)"
        return {
            # Not round(): engines round a five differently.
            "purchase_frequency": "floor("
            f"coalesce(o.orders, 0e0) / {literal(years)} * 1e6 + 5e-1) / 1e6",
            "avg_order_value": "case when o.orders > 0 then "
            f"floor(greatest(o.total, 0e0) / {literal(_UNITS)} / o.orders * 1e6 + 5e-1) / 1e6 "
            "else 0e0 end",
            "last_engagement_days": "cast(coalesce("
            f"date_diff('day', o.last_day, {today}), {never}) as double)",
        }


def read_orders(tables: Tables, config: Customers, root: Path) -> OrderFeatures:
    """Check all order files and sum them per customer.

    Raises:
        DataError: a file cannot be read, has bad rows while `on_bad_rows` is `refuse`, or no file
            has a valid row.
        ConfigurationError: an amount or a date format is not valid.
    """
    checked: list[CheckedRows] = []
    lines: list[str] = []
    rows_in = rows_rejected = 0
    for number, orders in enumerate(config.orders):
        rows = _check_orders(tables, orders, number, root)
        maps = [] if orders.id_map is None else [_check_map(tables, orders.id_map, number, root)]
        if config.on_bad_rows == "refuse":
            for file in (rows, *maps):
                refuse_bad_rows(file)
        checked.extend((rows, *maps))
        lines.append(_create_lines(tables, rows, maps, number))
        rows_in += rows.rows
        rows_rejected += rows.rows_rejected
    first, last = _date_range(tables, lines, config.as_of)
    as_of = config.as_of or last
    unmapped, later = _left_out(tables, lines, as_of)
    _create_totals(tables, config.orders, lines, as_of)
    return OrderFeatures(
        checked=tuple(checked),
        rows_in=rows_in,
        rows_rejected=rows_rejected,
        rows_later=later,
        unmapped=unmapped,
        first=first,
        last=last,
        as_of=as_of,
    )


def report_orders(tables: Tables, features: OrderFeatures, customers: str | None) -> OrdersReport:
    """Count the rows, given the table of customers; None if every id with orders is a customer."""
    ids = lines = 0
    if customers is not None:
        statement = tables.sql(
            "unknown_orders", totals=identifier(TOTALS), customers=identifier(customers)
        )
        ((unknown_ids, unknown_lines),) = tables.rows(statement)
        ids, lines = int(str(unknown_ids)), int(str(unknown_lines))
    unknown = features.unmapped + lines
    return OrdersReport(
        rows_in=features.rows_in,
        rows_used=features.rows_in - features.rows_rejected - features.rows_later - unknown,
        rows_rejected=features.rows_rejected,
        rows_unknown=unknown,
        rows_later=features.rows_later,
        ids_unknown=ids,
        first=features.first,
        last=features.last,
    )


def _check_orders(tables: Tables, orders: Orders, number: int, root: Path) -> CheckedRows:
    key = f"customers.yaml: orders[{number}]"
    source = open_source(tables, f"_orders_{number}_file", root, orders.path, orders)
    conversion = as_conversion(orders.id, "text")
    names = {f"{key}.id": conversion.from_, f"{key}.date": orders.date}
    if orders.order_id is not None:
        names[f"{key}.order_id"] = orders.order_id
    source.refuse_missing(names)
    fields = [
        id_field(source, "id", conversion, f"{key}.id"),
        _day_field(source, orders, key),
        _amount_field(source, orders, key),
    ]
    if orders.order_id is not None:
        mapped = as_conversion(orders.order_id, "text")
        fields.append(id_field(source, "order_id", mapped, f"{key}.order_id"))
        extra = {}
    else:
        extra = {"order_id": "cast(null as varchar)"}
    return check_rows(tables, f"_orders_{number}", source, fields, extra=extra)


def _day_field(source: SourceTable, orders: Orders, key: str) -> Field:
    return Field(
        name="date",
        value=day_of(source, orders.date, orders.formats, f"{key}.date"),
        blank=is_blank(source, orders.date),
        faults=(missing("date"), *unread_date("date", orders.formats)),
        text=f"cast({identifier(orders.date)} as varchar)",
    )


def _amount_field(source: SourceTable, orders: Orders, key: str) -> Field:
    amount = compile_amount(
        orders.amount,
        tuple(source.types),
        f"{key}.amount ({source.label})",
        number=functools.partial(number_of, source),
    )
    if not amount.columns:
        raise ConfigurationError(f"{key}.amount: {orders.amount!r} does not name a column")
    names = sorted(amount.columns)
    return Field(
        name="amount",
        value=amount.sql,
        blank="(" + " or ".join(is_blank(source, name) for name in names) + ")",
        faults=(
            missing("amount"),
            unread("amount", "is not a number"),
            not_finite("amount"),
            (
                f"abs(amount) > {literal(_LARGEST_AMOUNT)}",
                f"is out of range (at most {_LARGEST_AMOUNT:g} is allowed)",
            ),
        ),
        quotable=names[0] if len(names) == 1 else None,
    )


def _check_map(tables: Tables, id_map: IdMap, number: int, root: Path) -> CheckedRows:
    key = f"customers.yaml: orders[{number}].id_map"
    source = open_source(tables, f"_map_{number}_file", root, id_map.path, id_map)
    from_id, to_id = as_conversion(id_map.from_, "text"), as_conversion(id_map.to, "text")
    source.refuse_missing({f"{key}.from": from_id.from_, f"{key}.to": to_id.from_})
    fields = [
        id_field(source, "from_id", from_id, f"{key}.from"),
        id_field(source, "to_id", to_id, f"{key}.to"),
    ]
    return check_rows(tables, f"_map_{number}", source, fields, unique="from_id")


def _create_lines(
    tables: Tables, orders: CheckedRows, maps: Sequence[CheckedRows], number: int
) -> str:
    name = f"_order_lines_{number}"
    join = "".join(
        f"left join {identifier(id_map.table)} as m on l.id = m.from_id and m._fault is null"
        for id_map in maps
    )
    statement = tables.sql(
        "order_lines",
        customer="m.to_id" if maps else "l.id",
        checked=identifier(orders.table),
        join=join,
        units=literal(_UNITS),
    )
    tables.keep(name, statement, stored=False)
    return name


def _union(lines: Sequence[str], columns: str) -> str:
    return " union all ".join(f"select {columns} from {identifier(name)}" for name in lines)  # noqa: S608 - quoted


def _date_range(tables: Tables, lines: Sequence[str], as_of: date | None) -> tuple[date, date]:
    until = "" if as_of is None else f' where "day" <= {_date(as_of)}'
    statement = (
        'select cast(min("day") as varchar), cast(max("day") as varchar) '  # noqa: S608 - built
        f"from ({_union(lines, DAY)}) as every_line{until}"
    )
    ((first, last),) = tables.rows(statement)
    if first is None:
        limit = "" if as_of is None else f" up to as_of {as_of.isoformat()}"
        raise DataError(f"orders: no valid rows left{limit}, allowed: at least one")
    return date.fromisoformat(str(first)), date.fromisoformat(str(last))


def _left_out(tables: Tables, lines: Sequence[str], as_of: date) -> tuple[int, int]:
    """Rows without a customer, and rows after `as_of`."""
    within = f'"day" <= {_date(as_of)}'
    statement = (
        f"select count(*) filter (where {within} and customer_id is null), "  # noqa: S608 - built
        f"count(*) filter (where not {within}) "
        f"from ({_union(lines, f'customer_id, {DAY}')}) as every_line"
    )
    ((unmapped, later),) = tables.rows(statement)
    return int(str(unmapped)), int(str(later))


def _create_totals(
    tables: Tables, orders: Sequence[Orders], lines: Sequence[str], as_of: date
) -> None:
    totals = [
        tables.sql(
            "order_totals",
            orders="count(*) filter (where amount >= 0)"
            if file.order_id is None
            else "count(distinct order_id) filter (where amount >= 0)",
            lines=identifier(name),
            as_of=_date(as_of),
        )
        for file, name in zip(orders, lines, strict=True)
    ]
    union = " union all ".join(f"({statement})" for statement in totals)
    tables.keep(TOTALS, tables.sql("order_sums", totals=union))


def _date(day: date) -> str:
    return f"cast({literal(day.isoformat())} as date)"
