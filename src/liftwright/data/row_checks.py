"""All fields of a file over its rows: which rows are bad, how many, for what reason, and where.

One statement a file: one row per row of the file, with the number of its first fault.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from liftwright.data.fields import gap_at
from liftwright.data.rules import identifier, literal
from liftwright.errors import DataError
from liftwright.model import Column, ColumnKind, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from liftwright.data.fields import Field, Origin
    from liftwright.data.tables import Tables

REJECTED = Table(
    name="rejected",
    columns=(
        Column(name="file", kind=ColumnKind.TEXT),
        Column(name="row", kind=ColumnKind.INTEGER),
        Column(name="column", kind=ColumnKind.TEXT),
        Column(name="reason", kind=ColumnKind.TEXT),
    ),
)
"""One row per bad row that was set aside: where it stood and why, never what it held."""

EXAMPLES = 3
_ODD = "{id} < '!' or regexp_matches({id}, '\\s$')"
# Only what can hardly be a person's: a number of moderate length, or a word for nothing.
_SHOWABLE = re.compile(
    r"[+-]?[0-9.,]{1,9}(e[+-]?[0-9]{1,3})? ?%?|[+-]?(nan|inf|infinity)|n/?a|null|none|-",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One bad row: the file, its number (1 is the first row of data), and what is wrong."""

    file: str
    row: int
    column: str
    reason: str
    found: str | None = None

    def __str__(self) -> str:
        found = f", found {self.found!r}" if self.found is not None else ""
        return f"row {self.row}: {self.column} {self.reason}{found}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRows:
    """A file's rows, checked, as a table with `_row`, our columns and `_fault`.

    Attributes:
        faults: column and reason by the number in `_fault`.
        counts: bad rows by `column: reason`.
        odd_ids: good rows whose unique id begins or ends with white space.
    """

    table: str
    label: str
    faults: tuple[tuple[str, str], ...]
    rows: int
    counts: Mapping[str, int]
    examples: tuple[Example, ...]
    odd_ids: int = 0

    @property
    def rows_rejected(self) -> int:
        """How many rows are bad."""
        return sum(self.counts.values())


def check(  # noqa: PLR0913 - the parts of one statement
    tables: Tables,
    table: str,
    origin: Origin,
    fields: Sequence[Field],
    *,
    unique: str | None = None,
    extra: Mapping[str, str] | None = None,
) -> CheckedRows:
    """Make `table` of an opened file: `_row`, the fields, extra columns, and `_fault`.

    Args:
        tables: where both live.
        table: the name to give it.
        origin: the file.
        fields: our columns, in order; a row's first fault is told.
        unique: a field that no two good rows may share; the first row keeps it.
        extra: SQL of further columns by name, which cannot be at fault.
    """
    faults = tuple((f.name, reason) for f in fields for _, reason in f.faults)
    conditions = [condition for f in fields for condition, _ in f.faults]
    kept = [identifier(f.name) for f in fields] + [identifier(name) for name in extra or {}]
    statement = tables.sql(
        "checked",
        source=identifier(origin.table),
        values=", ".join(_values(fields, extra or {})),
        columns=", ".join(kept),
        fault=_first(conditions),
    )
    first = table if unique is None else f"{table}_read"
    # A file that is quick to read again is not kept: a table of all customers would fill memory.
    tables.keep(first, statement, stored=origin.parsed)
    if unique is not None:
        faults = (*faults, (unique, "repeats an earlier row's"))
        fault = len(faults) - 1
        _mark_repeated(tables, first, table, unique, kept, fault=fault, stored=origin.parsed)
    return _summary(
        tables,
        CheckedRows(table=table, label=origin.label, faults=faults, rows=0, counts={}, examples=()),
        origin,
        fields,
        odd="false" if unique is None else _ODD.format(id=identifier(unique)),
    )


def _values(fields: Sequence[Field], extra: Mapping[str, str]) -> Iterable[str]:
    for field in fields:
        yield f"{field.value} as {identifier(field.name)}"
        yield f"{field.gap} as {gap_at(field.name)}"
    for name, sql in extra.items():
        yield f"{sql} as {identifier(name)}"


def _first(conditions: Sequence[str]) -> str:
    if not conditions:
        return "cast(null as integer)"
    cases = " ".join(f"when {condition} then {n}" for n, condition in enumerate(conditions))
    return f"case {cases} end"


def _mark_repeated(  # noqa: PLR0913 - the same
    tables: Tables,
    first: str,
    table: str,
    unique: str,
    kept: Sequence[str],
    *,
    fault: int,
    stored: bool,
) -> None:
    """Make `table` of `first`, with a fault on good rows whose id an earlier good row has."""
    repeated, keys = f"{table}_repeated", f"{table}_repeated_keys"
    parts = {"table": identifier(first), "id": identifier(unique)}
    tables.keep(keys, tables.sql("repeated_keys", **parts))
    found = tables.count(keys)
    if found:
        tables.keep(repeated, tables.sql("repeated", keys=identifier(keys), **parts))
        found = tables.count(repeated)
    if not found:
        tables.keep(table, f"select * from {identifier(first)}", stored=False)  # noqa: S608 - quoted
        return
    statement = tables.sql(
        "marked",
        table=identifier(first),
        repeated=identifier(repeated),
        id=identifier(unique),
        columns=", ".join(f"c.{name}" for name in kept),
        fault=str(fault),
        # Each use of a view would sort again.
        ordered="order by c._row" if stored else "",
    )
    tables.keep(table, statement, stored=stored)


def _summary(
    tables: Tables, checked: CheckedRows, origin: Origin, fields: Sequence[Field], *, odd: str
) -> CheckedRows:
    found = tables.rows(tables.sql("faults", table=identifier(checked.table), odd=odd))
    numbers = [(_int(fault), _int(rows)) for fault, rows, _ in found if fault is not None]
    counts = {" ".join(checked.faults[fault]): rows for fault, rows in sorted(numbers)}
    statement = tables.sql("first_faults", table=identifier(checked.table), rows=str(EXAMPLES))
    first = tables.rows(statement) if counts else ()
    shown = {field.name: field.shown for field in fields}
    examples = []
    for row, fault in first:
        column, reason = checked.faults[_int(fault)]
        found_text = _found(tables, origin, _int(row), shown.get(column))
        examples.append(
            Example(
                file=checked.label, row=_int(row), column=column, reason=reason, found=found_text
            )
        )
    return replace(
        checked,
        rows=sum(_int(rows) for _, rows, _ in found),
        counts=counts,
        examples=tuple(examples),
        odd_ids=sum(_int(odd_ids) for fault, _, odd_ids in found if fault is None),
    )


def _found(tables: Tables, origin: Origin, row: int, column: str | None) -> str | None:
    if column is None:
        return None
    ((value,),) = tables.rows(
        f"select cast({identifier(column)} as varchar) "  # noqa: S608 - quoted
        f"from {identifier(origin.table)} where _row = {row}"
    )
    text = str(value).strip()
    return text if value is not None and _SHOWABLE.fullmatch(text) else None


def refuse_bad_rows(checked: CheckedRows) -> None:
    """Raise where a file has bad rows, with their number and the first of them."""
    if not checked.counts:
        return
    reasons = "; ".join(f"{reason}: {rows}" for reason, rows in checked.counts.items())
    examples = "; ".join(str(example) for example in checked.examples)
    raise DataError(
        f"{checked.label}: {checked.rows_rejected} of {checked.rows} rows are invalid ({reasons}). "
        f"First: {examples}. Correct them, or set on_bad_rows: reject in customers.yaml"
    )


def keep_rejected(tables: Tables, checked: Sequence[CheckedRows]) -> None:
    """Make the table `rejected` of all files' bad rows, in order of file and row."""
    parts = [_rejected_rows(tables, one) for one in checked if one.counts]
    if not parts:
        nulls = ", ".join(
            f"cast(null as {c.kind.value}) as {identifier(c.name)}" for c in REJECTED.columns
        )
        parts = [f"select {nulls} where false"]
    tables.keep(REJECTED.name, " union all ".join(f"({part})" for part in parts))


def _rejected_rows(tables: Tables, checked: CheckedRows) -> str:
    def told(position: int) -> str:
        cases = " ".join(
            f"when {n} then {literal(fault[position])}" for n, fault in enumerate(checked.faults)
        )
        return f"case _fault {cases} end"

    return tables.sql(
        "rejected",
        file=literal(checked.label),
        table=identifier(checked.table),
        column=told(0),
        reason=told(1),
    )


def _int(value: object) -> int:
    return int(str(value))
