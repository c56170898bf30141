"""The customers of a workspace: read, checked and joined with their orders into one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.data.fields import as_conversion, column_field, id_field, open_source
from liftwright.data.inferred_types import infer_kinds, typed
from liftwright.data.orders import FEATURES, TOTALS, OrdersReport, read_orders, report_orders
from liftwright.data.row_checks import (
    SAME_ADDRESS,
    CheckedRows,
    Example,
    check_rows,
    create_rejected,
    refuse_bad_rows,
)
from liftwright.data.sql_fragments import identifier
from liftwright.errors import DataError
from liftwright.model import CUSTOMERS, ColumnKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from liftwright.config import Conversion, Customers
    from liftwright.data.fields import Field, SourceTable
    from liftwright.data.orders import OrderFeatures
    from liftwright.data.tables import Tables
    from liftwright.model import Column

_BEHAVIOUR = frozenset(
    column.name
    for column in CUSTOMERS.columns
    if column.kind is ColumnKind.NUMBER and column.nullable and column.name != "age"
)
_FILE, _CHECKED = "_customers_file", "_customers_checked"
_SAME_ADDRESS = f"customer_id {SAME_ADDRESS}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomersReport:
    """How many rows of the customer file were used and rejected, and why.

    Attributes:
        rows_in: rows_kept + rows_rejected; without a customer file, the number of ids with orders.
        rejected: bad customer rows by `column reason`; each row counts once, by its first fault.
        examples: the first bad rows of each file.
        orders: the same counts for the order files; None without orders.
        features_absent: columns of `CUSTOMERS` that the file lacks; null in every row.
        extra_columns: the file's other columns that were kept.
        as_of: the day to which conversions and orders count; None if no day is needed.
        warnings: anything unusual that does not make a row bad.
    """

    rows_in: int
    rows_kept: int
    rejected: Mapping[str, int]
    examples: tuple[Example, ...]
    orders: OrdersReport | None
    features_absent: tuple[str, ...]
    extra_columns: tuple[str, ...]
    as_of: date | None
    warnings: tuple[str, ...]

    @property
    def rows_rejected(self) -> int:
        """The number of rejected customer rows."""
        return sum(self.rejected.values())


def load_customers(
    tables: Tables, config: Customers, root: Path, *, extra: Collection[str] | None = None
) -> CustomersReport:
    """Create the tables `customers` and `rejected`.

    `customers` has one row per customer: the columns of `CUSTOMERS` in order (null in every row
    where the file lacks one), then the file's other columns as numbers, flags or texts. `rejected`
    has one row per rejected row of any file.

    Args:
        tables: where the tables are created.
        config: customers.yaml.
        root: the workspace; paths are relative to it.
        extra: names of the other columns to keep; None keeps all.

    Raises:
        DataError: a file is ambiguous, has bad rows while `on_bad_rows` is `refuse`, or has no
            valid row.
        ConfigurationError: a conversion is not possible.
    """
    opened = len(tables.warnings)
    features = read_orders(tables, config, root) if config.orders else None
    if config.path is None:
        loaded = _load_of_orders(tables, features)
    else:
        loaded = _load_of_file(tables, config, root, features, extra)
    files = (*(features.checked if features else ()), *loaded.checked)
    create_rejected(tables, files)
    rows = sum(file.rows - file.rows_rejected for file in loaded.checked)
    kept = rows if loaded.checked else tables.count(CUSTOMERS.name)
    if not kept:
        raise DataError(f"{config.path or 'orders'}: no valid rows left, allowed: at least one")
    known = None if config.path is None else CUSTOMERS.name
    orders = report_orders(tables, features, known) if features else None
    excluded = (
        (f"orders: {orders.rows_excluded:,} of {orders.rows_in:,} rows do not satisfy `where`",)
        if orders and orders.rows_excluded
        else ()
    )
    return CustomersReport(
        rows_in=sum(file.rows for file in loaded.checked) or kept,
        rows_kept=kept,
        rejected={reason: n for file in loaded.checked for reason, n in file.counts.items()},
        examples=tuple(example for file in files for example in file.examples),
        orders=orders,
        features_absent=loaded.absent,
        extra_columns=loaded.extra,
        as_of=features.as_of if features else config.as_of,
        warnings=(*dict.fromkeys(tables.warnings[opened:]), *excluded, *loaded.warnings),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """Facts about the customers that the table itself does not show."""

    checked: tuple[CheckedRows, ...] = ()
    absent: tuple[str, ...]
    extra: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def _load_of_orders(tables: Tables, features: OrderFeatures | None) -> _Loaded:
    if features is None:
        raise DataError("customers.yaml: path is null and there are no orders")
    values = {"customer_id": "o.customer_id", **features.columns()}
    columns = [f"{_sql_or_null(values, c)} as {identifier(c.name)}" for c in CUSTOMERS.columns]
    statement = tables.sql(
        "customers_of_orders", totals=identifier(TOTALS), columns=", ".join(columns)
    )
    tables.keep(CUSTOMERS.name, statement)
    return _Loaded(absent=tuple(name for name in CUSTOMERS.names if name not in values))


def _load_of_file(
    tables: Tables,
    config: Customers,
    root: Path,
    features: OrderFeatures | None,
    wanted: Collection[str] | None,
) -> _Loaded:
    path, as_of = str(config.path), features.as_of if features else config.as_of
    source = open_source(tables, _FILE, root, path, config)
    mapped = _mapped(config, ordered=features is not None)
    source.refuse_missing(
        {
            f"columns.{name}" + (f" ({column})" if position else ""): column
            for name, m in mapped.items()
            for position, column in enumerate(as_conversion(m, "text").sources)
        }
    )
    fields = _fields(source, mapped, as_of, config.missing)
    extra, odd_columns = _extra(tables, source, mapped, wanted)
    merge = config.on_same_address == "merge"
    checked = check_rows(
        tables, _CHECKED, source, fields, unique="customer_id", merged=merge, extra=extra
    )
    merged = _same_addresses(tables, checked, merge=merge)
    if config.on_bad_rows == "refuse":
        refuse_bad_rows(checked, apart_from=_SAME_ADDRESS)
    _create_customers(tables, mapped, tuple(extra), features, clean=not checked.counts)
    ordered = FEATURES if features else ()
    return _Loaded(
        checked=(checked,),
        absent=tuple(n for n in CUSTOMERS.names if n not in mapped and n not in ordered),
        extra=tuple(extra),
        warnings=(
            *odd_columns,
            *merged,
            *_odd_ids(checked),
            *_unknown(tables, source, fields),
        ),
    )


def _unknown(tables: Tables, source: SourceTable, fields: Sequence[Field]) -> list[str]:
    """Warnings about the customers whose rates or last engagement are blank."""
    names = [field.name for field in fields if field.name in _BEHAVIOUR]
    if not names:
        return []
    counts = ", ".join(f"count(*) - count({identifier(name)})" for name in names)
    (found,) = tables.rows(f"select {counts} from customers")  # noqa: S608 - quoted
    return [
        f"{source.label}: {count} rows have no {name}; it is unknown there (missing sets a default)"
        for name, count in zip(names, found, strict=True)
        if count
    ]


def _mapped(config: Customers, *, ordered: bool) -> dict[str, str | Conversion]:
    """The columns of `CUSTOMERS` that come from the customer file, with their mapping."""
    configured = {name: getattr(config.columns, name) for name in CUSTOMERS.names}
    return {
        name: mapped
        for name, mapped in configured.items()
        if mapped is not None and not (ordered and name in FEATURES)
    }


def _fields(
    source: SourceTable,
    mapped: Mapping[str, str | Conversion],
    as_of: date | None,
    missing: Mapping[str, str | float | None],
) -> list[Field]:
    columns = {column.name: column for column in CUSTOMERS.columns}
    return [
        id_field(source, name, conversion, "customers.yaml: columns.customer_id")
        if name == "customer_id"
        else column_field(source, columns[name], conversion, as_of=as_of, default=missing.get(name))
        for name, conversion in mapped.items()
    ]


def _extra(
    tables: Tables,
    source: SourceTable,
    mapped: Mapping[str, str | Conversion],
    wanted: Collection[str] | None,
) -> tuple[dict[str, str], list[str]]:
    """SQL of the file's other columns by name, each with the type that all its values have."""
    read = {as_conversion(m, "text").from_ for m in mapped.values()}
    ours = {name.casefold() for name in CUSTOMERS.names}
    warnings, names = [], []
    for name in source.types:
        if name in read or (wanted is not None and name not in wanted):
            continue
        if name.casefold() in ours:
            warnings.append(
                f"{source.label}: column {name!r} is ignored, as customers.yaml maps another "
                "column to that name"
            )
        elif name not in source.kinds or name.startswith("_"):
            warnings.append(f"{source.label}: column {name!r} ({source.types[name]}) is not kept")
        else:
            names.append(name)
    inferred = infer_kinds(tables, source, names)
    return {name: typed(source, name, inferred[name]) for name in names}, warnings


def _create_customers(
    tables: Tables,
    mapped: Collection[str],
    extra: Collection[str],
    features: OrderFeatures | None,
    *,
    clean: bool,
) -> None:
    values = {name: f"c.{identifier(name)}" for name in mapped}
    values |= features.columns() if features else {}
    columns = [f"{_sql_or_null(values, c)} as {identifier(c.name)}" for c in CUSTOMERS.columns]
    columns += [f"c.{identifier(name)} as {identifier(name)}" for name in extra]
    listed, checked = ", ".join(columns), identifier(_CHECKED)
    if features is None:
        # A view: the checked rows are stored or quick to read. Without bad rows, the filter is
        # left out, so that the checks do not run again at each use.
        good = "" if clean else "where c._fault is null"
        statement = tables.sql("customers_checked", checked=checked, columns=listed, good=good)
    else:
        statement = tables.sql(
            "customers_with_orders", checked=checked, totals=identifier(TOTALS), columns=listed
        )
    tables.keep(CUSTOMERS.name, statement, stored=features is not None)


def _same_addresses(tables: Tables, checked: CheckedRows, *, merge: bool) -> tuple[str, ...]:
    """A warning about the rows that were merged into an earlier row of the same address.

    Raises:
        DataError: there are such rows, and `on_same_address` is `refuse`.
    """
    rows = checked.counts.get(_SAME_ADDRESS, 0)
    if not rows:
        return ()
    if merge:
        return (f"{checked.label}: {rows} rows were merged into an earlier row of their address",)
    fault = checked.faults.index(("customer_id", SAME_ADDRESS))
    ((first,),) = tables.rows(f"select min(_row) from {_CHECKED} where _fault = {fault}")  # noqa: S608 - ours
    raise DataError(
        f"{checked.label}: {rows} of {checked.rows} rows have the e-mail address of an earlier row "
        "in another spelling (case, surrounding space or full-width characters), first in row "
        f"{first}. Remove them, or set on_same_address: merge in customers.yaml to keep the first"
    )


def _sql_or_null(values: Mapping[str, str], column: Column) -> str:
    return values.get(column.name, f"cast(null as {column.kind.value})")


def _odd_ids(checked: CheckedRows) -> tuple[str, ...]:
    if not checked.odd_ids:
        return ()
    odd = f"{checked.odd_ids} customer ids start or end with white space"
    return (f"{checked.label}: {odd}; they are used unchanged",)
