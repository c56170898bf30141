"""Order files, one row per order or per order line, aggregated to three features per customer."""

from __future__ import annotations

import functools
import re
from collections import Counter
from dataclasses import dataclass, replace
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
from liftwright.data.inferred_types import infer_kinds, typed
from liftwright.data.row_checks import CheckedRows, check_rows, refuse_bad_rows
from liftwright.data.rules import columns_of, compile_amount, compile_rule
from liftwright.data.sql_fragments import identifier, literal
from liftwright.errors import ConfigurationError, DataError
from liftwright.model import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from liftwright.config import Customers, IdMap, Orders
    from liftwright.data.fields import SourceTable
    from liftwright.data.rules import Rule
    from liftwright.data.tables import Tables

FEATURES = ("purchase_frequency", "avg_order_value", "last_engagement_days")
"""The customer features that orders give."""

TOTALS = "_order_totals"
_CONTINUED = "_continued"
DAY = identifier("day")
DAYS_PER_YEAR = 365.25
_LARGEST_AMOUNT = 1e12
_UNITS = 10_000.0
# What exports call the column of an order's currency, in the main languages of Europe.
_CURRENCY_NAMES = frozenset({"currency", "ccy", "währung", "devise", "moneda", "valuta", "moeda"})
_WORDS = re.compile(r"[^\W_]+")
_MAX_CURRENCIES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersReport:
    """How many rows of the order files were used and left out, and why.

    Attributes:
        rows_in: rows_used + rows_excluded + rows_rejected + rows_unknown + rows_later.
        rows_excluded: rows that do not satisfy `where`.
        rows_unknown: rows whose id is not in the id map or not in the customer file.
        rows_later: rows after `as_of`.
        ids_unknown: customers with orders who are not in the customer file.
        first, last: the first and last day with orders.
    """

    rows_in: int
    rows_used: int
    rows_excluded: int
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
    rows_excluded: int
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
    currencies: Counter[str] = Counter()
    rows_in = rows_excluded = rows_rejected = 0
    for number, orders in enumerate(config.orders):
        source, excluded = _open_orders(tables, orders, number, root)
        rows = _check_orders(tables, orders, number, source)
        maps = [] if orders.id_map is None else [_check_map(tables, orders.id_map, number, root)]
        if config.on_bad_rows == "refuse":
            for file in (rows, *maps):
                refuse_bad_rows(file)
        currencies.update(_currencies(tables, orders, number, source, rows))
        checked.extend((rows, *maps))
        lines.append(_create_lines(tables, orders, rows, maps, number))
        rows_in += rows.rows + excluded
        rows_excluded += excluded
        rows_rejected += rows.rows_rejected
    _refuse_mixture(currencies)
    first, last = _date_range(tables, lines, config.as_of)
    as_of = config.as_of or last
    unmapped, later = _left_out(tables, lines, as_of)
    _create_totals(tables, config.orders, lines, as_of)
    return OrderFeatures(
        checked=tuple(checked),
        rows_in=rows_in,
        rows_excluded=rows_excluded,
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
    valid = features.rows_in - features.rows_excluded - features.rows_rejected
    return OrdersReport(
        rows_in=features.rows_in,
        rows_used=valid - features.rows_later - unknown,
        rows_excluded=features.rows_excluded,
        rows_rejected=features.rows_rejected,
        rows_unknown=unknown,
        rows_later=features.rows_later,
        ids_unknown=ids,
        first=features.first,
        last=features.last,
    )


def _open_orders(
    tables: Tables, orders: Orders, number: int, root: Path
) -> tuple[SourceTable, int]:
    """The rows of an order file that satisfy `where`, and the number of the others."""
    key = f"customers.yaml: orders[{number}]"
    source = open_source(tables, f"_orders_{number}_file", root, orders.path, orders)
    names = {f"{key}.id": as_conversion(orders.id, "text").from_, f"{key}.date": orders.date}
    if orders.order_id is not None:
        names[f"{key}.order_id"] = orders.order_id
    if orders.currency is not None:
        names[f"{key}.currency"] = orders.currency
    source.refuse_missing(names)
    where = f"{key}.where ({source.label})"
    used = columns_of(orders.where, source.types, where) if orders.where else frozenset()
    inferred = infer_kinds(tables, source, [name for name in used if name in source.kinds])
    kinds = {**source.kinds, **inferred}
    opened = source
    if orders.order_id is not None:
        fields = {*names.values(), *used} - {orders.order_id}
        source = _fill_order_fields(tables, orders, number, source, fields)
    if orders.where is None:
        return source, 0
    rule = compile_rule(
        orders.where, kinds, where, value=lambda name: typed(source, name, kinds[name])
    )
    counted = f"_orders_{number}_counted"
    statement = f"select * from {identifier(source.table)} where coalesce({rule.sql}, false)"  # noqa: S608 - compiled
    tables.keep(counted, statement, stored=source.parsed)
    excluded = tables.count(opened.table) - tables.count(counted)
    return replace(source, table=counted), excluded


def _fill_order_fields(
    tables: Tables, orders: Orders, number: int, source: SourceTable, fields: Collection[str]
) -> SourceTable:
    """The file with the blank fields of an order's further lines filled from its first line.

    Shops export an order of several items as several lines, and many write the order's own fields
    only on the first one.
    """
    amount = _amount(source, orders, number)
    blanks = [is_blank(source, name) for name in (*fields, *amount.columns)]
    ((count,),) = tables.rows(
        f"select count(*) from {identifier(source.table)} where {' or '.join(blanks)}"  # noqa: S608 - quoted
    )
    if not count:
        return source
    id_ = as_conversion(orders.id, "text").from_
    order_id = identifier(str(orders.order_id))
    columns = []
    for name in source.types:
        at = identifier(name)
        if name == id_:
            columns.append(f"_id as {at}")
        elif name in fields:
            first = f"max(case when _row = _start then {at} end)"
            filled = f"{first} over (partition by {order_id}, _who)"
            columns.append(
                f"case when {is_blank(source, name)} then {filled} else {at} end as {at}"
            )
        else:
            columns.append(at)
    statement = tables.sql(
        "order_fields",
        source=identifier(source.table),
        order_id=order_id,
        id=identifier(id_),
        id_blank=is_blank(source, id_),
        amount=amount.sql,
        amount_blank=f"({' and '.join(is_blank(source, name) for name in amount.columns)})",
        columns=", ".join(columns),
    )
    table = f"_orders_{number}_filled"
    tables.keep(table, statement, stored=source.parsed)
    return replace(source, table=table, types={**source.types, _CONTINUED: "BOOLEAN"})


def _check_orders(tables: Tables, orders: Orders, number: int, source: SourceTable) -> CheckedRows:
    key = f"customers.yaml: orders[{number}]"
    fields = [
        id_field(source, "id", as_conversion(orders.id, "text"), f"{key}.id"),
        _day_field(source, orders, key),
        _amount_field(source, orders, number),
    ]
    extra = {}
    if orders.order_id is not None:
        mapped = as_conversion(orders.order_id, "text")
        fields.append(id_field(source, "order_id", mapped, f"{key}.order_id"))
    else:
        extra["order_id"] = "cast(null as varchar)"
    if orders.refund is not None:
        fields.append(_refund_field(source, orders, number))
    if orders.currency is not None:
        fields.append(_currency_field(source, orders.currency))
    return check_rows(tables, f"_orders_{number}", source, fields, extra=extra)


def _day_field(source: SourceTable, orders: Orders, key: str) -> Field:
    return Field(
        name="date",
        value=day_of(source, orders.date, orders.formats, f"{key}.date"),
        blank=is_blank(source, orders.date),
        faults=(missing("date"), *unread_date("date", orders.formats)),
        text=f"cast({identifier(orders.date)} as varchar)",
    )


def _amount(source: SourceTable, orders: Orders, number: int) -> Rule:
    return _money(source, orders.amount, f"customers.yaml: orders[{number}].amount")


def _money(source: SourceTable, text: str, key: str) -> Rule:
    money = compile_amount(
        text,
        [name for name in source.types if name != _CONTINUED],
        f"{key} ({source.label})",
        number=functools.partial(number_of, source),
    )
    if not money.columns:
        raise ConfigurationError(f"{key}: {text!r} does not name a column")
    return money


def _amount_field(source: SourceTable, orders: Orders, number: int) -> Field:
    amount = _amount(source, orders, number)
    names = sorted(amount.columns)
    blank = "(" + " or ".join(is_blank(source, name) for name in names) + ")"
    value = amount.sql
    if _CONTINUED in source.types:
        value = f"case when {_CONTINUED} then 0e0 else {value} end"
        blank = f"(not {_CONTINUED} and {blank})"
    return Field(
        name="amount",
        value=value,
        blank=blank,
        faults=(missing("amount"), *_money_faults("amount")),
        quotable=names[0] if len(names) == 1 else None,
    )


def _refund_field(source: SourceTable, orders: Orders, number: int) -> Field:
    """The amount refunded, whatever its sign; 0 where the file has none."""
    refund = _money(source, str(orders.refund), f"customers.yaml: orders[{number}].refund")
    blank = "(" + " and ".join(is_blank(source, name) for name in refund.columns) + ")"
    return Field(
        name="refund",
        value=f"case when {blank} then 0e0 else abs({refund.sql}) end",
        blank=blank,
        faults=_money_faults("refund"),
    )


def _money_faults(name: str) -> tuple[tuple[str, str], ...]:
    return (
        unread(name, "is not a number"),
        not_finite(name),
        (
            f"abs({name}) > {literal(_LARGEST_AMOUNT)}",
            f"is out of range (at most {_LARGEST_AMOUNT:g} is allowed)",
        ),
    )


def _currency_field(source: SourceTable, column: str) -> Field:
    return Field(
        name="currency",
        value=f"upper(trim(cast({identifier(column)} as varchar)))",
        blank=is_blank(source, column),
        faults=(missing("currency"),),
    )


def _currencies(
    tables: Tables, orders: Orders, number: int, source: SourceTable, rows: CheckedRows
) -> dict[str, int]:
    """The orders of a file by currency, unless rates convert them.

    Raises:
        DataError: an order is in a currency without a rate.
    """
    if orders.currency is None:
        return _undeclared_currencies(tables, source)
    counted = tables.rows(
        f"select currency, count(*) from {identifier(rows.table)} "  # noqa: S608 - quoted
        "where _fault is null group by currency order by currency"
    )
    found = {str(code): int(str(count)) for code, count in counted}
    if not orders.rates:
        return found
    rated = {code.upper() for code in orders.rates}
    unknown = {code: count for code, count in found.items() if code not in rated}
    if unknown:
        raise DataError(
            f"customers.yaml: orders[{number}].rates: no rate for {_listed(unknown)}; "
            f"allowed: a rate for every currency of {source.label}"
        )
    return {}


def _undeclared_currencies(tables: Tables, source: SourceTable) -> dict[str, int]:
    """The currencies of a file with such a column that the configuration does not mention.

    With several such columns, amounts are taken to be in one that has a single currency.
    """
    fewest: dict[str, int] = {}
    for name, kind in source.kinds.items():
        if kind is not ColumnKind.TEXT or not _CURRENCY_NAMES & set(
            _WORDS.findall(name.casefold())
        ):
            continue
        code = f"upper(trim({identifier(name)}))"
        counted = tables.rows(
            f"select {code}, count(*) from {identifier(source.table)} "  # noqa: S608 - quoted
            f"where {code} <> '' group by {code} order by {code} limit {_MAX_CURRENCIES}"
        )
        found = {str(code): int(str(count)) for code, count in counted}
        fewest = found if not fewest or len(found) < len(fewest) else fewest
    return fewest


def _refuse_mixture(currencies: Counter[str]) -> None:
    if len(currencies) > 1:
        raise DataError(
            f"orders: several currencies ({_listed(currencies)}), which cannot be added; allowed: "
            "one, or for each file `currency` (its column) and `rates` in customers.yaml"
        )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{code} {count:,}" for code, count in sorted(counts.items()))


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
    tables: Tables,
    orders: Orders,
    rows: CheckedRows,
    maps: Sequence[CheckedRows],
    number: int,
) -> str:
    name = f"_order_lines_{number}"
    join = "".join(
        f"left join {identifier(id_map.table)} as m "
        "on folded(l.id) = folded(m.from_id) and m._fault is null"
        for id_map in maps
    )
    amount = "l.amount"
    if orders.refund is not None:
        # A refund takes back an order's amount at most; the order stays an order.
        amount = "case when l.amount >= 0e0 then greatest(l.amount - l.refund, 0e0) "
        amount += "else l.amount end"
    if orders.rates:
        cases = " ".join(
            f"when {literal(code.upper())} then {literal(float(rate))}"
            for code, rate in orders.rates.items()
        )
        amount = f"({amount}) * case l.currency {cases} end"
    statement = tables.sql(
        "order_lines",
        customer="m.to_id" if maps else "l.id",
        checked=identifier(rows.table),
        join=join,
        amount=amount,
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
