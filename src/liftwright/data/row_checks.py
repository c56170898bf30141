"""Checks every row of a file: which rows are bad, why, and where they are.

One statement per file gives one row per row of the file, with the number of its first fault.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from liftwright.data.fields import blank_flag, text_flag
from liftwright.data.sql_fragments import identifier, literal
from liftwright.errors import DataError
from liftwright.model import Column, ColumnKind, TableSchema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from liftwright.data.fields import Field, SourceTable
    from liftwright.data.tables import Tables

REJECTED = TableSchema(
    name="rejected",
    columns=(
        Column(name="file", kind=ColumnKind.TEXT),
        Column(name="row", kind=ColumnKind.INTEGER),
        Column(name="column", kind=ColumnKind.TEXT),
        Column(name="reason", kind=ColumnKind.TEXT),
    ),
)
"""One row per rejected row: its position and the reason, never its contents."""

SAME_ADDRESS = "is an earlier row's e-mail address in another spelling"

EXAMPLES = 3
_ODD = "{id} < '!' or regexp_matches({id}, '\\s$')"
_IS_ADDRESS = "strpos(min(folded({id})), '@') > 0 and strpos(substr(min(folded({id})), "
_IS_ADDRESS += "strpos(min(folded({id})), '@') + 1), '@') = 0"
# Text that is unlikely to be personal: a number of moderate length, or a placeholder for null.
_QUOTABLE = re.compile(
    r"[+-]?[0-9.,]{1,9}(e[+-]?[0-9]{1,3})? ?%?|[+-]?(nan|inf|infinity)|n/?a|null|none|-",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One bad row: its file, its number (1 is the first row of data), and what is wrong."""

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
    """A file's checked rows: a table with `_row`, our columns and `_fault`.

    Attributes:
        faults: column and reason; `_fault` is the index.
        counts: bad rows by `column reason`.
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
        """The number of bad rows."""
        return sum(self.counts.values())


def check_rows(  # noqa: PLR0913 - the parts of one statement
    tables: Tables,
    table: str,
    source: SourceTable,
    fields: Sequence[Field],
    *,
    unique: str | None = None,
    merged: bool = False,
    extra: Mapping[str, str] | None = None,
) -> CheckedRows:
    """Create `table` from an opened file: `_row`, the fields, the extra columns, and `_fault`.

    Args:
        tables: holds both tables.
        table: the name of the new table.
        source: the file.
        fields: our columns, in order; only a row's first fault is recorded.
        unique: an id whose values must differ between good rows; the first row wins.
        merged: whether a row that repeats an e-mail address exactly has the fault `SAME_ADDRESS`
            too, like one that repeats it in another spelling.
        extra: SQL of other columns by name, which are not checked.
    """
    faults = tuple((f.name, reason) for f in fields for _, reason in f.faults)
    conditions = [condition for f in fields for condition, _ in f.faults]
    columns = [identifier(f.name) for f in fields] + [identifier(name) for name in extra or {}]
    statement = tables.sql(
        "checked",
        source=identifier(source.table),
        values=", ".join(_values(fields, extra or {})),
        columns=", ".join(columns),
        fault=_first_fault(conditions),
    )
    first = table if unique is None else f"{table}_read"
    # Parquet is quick to read again, so it is not stored: all customers would fill the memory.
    tables.keep(first, statement, stored=source.parsed)
    if unique is not None:
        faults = (*faults, (unique, "repeats an earlier row's"), (unique, SAME_ADDRESS))
        id_ = identifier(unique)
        spellings = f"count(distinct {id_}) > 1"
        respelled = f"({spellings} or {_IS_ADDRESS.format(id=id_)})" if merged else spellings
        _flag_repeats(
            tables,
            first,
            table,
            unique,
            columns,
            faults=(len(faults) - 2, len(faults) - 1),
            respelled=respelled,
            stored=source.parsed,
        )
    return _summary(
        tables,
        CheckedRows(table=table, label=source.label, faults=faults, rows=0, counts={}, examples=()),
        source,
        fields,
        odd="false" if unique is None else _ODD.format(id=identifier(unique)),
    )


def _values(fields: Sequence[Field], extra: Mapping[str, str]) -> Iterable[str]:
    for field in fields:
        yield f"{field.value} as {identifier(field.name)}"
        yield f"{field.blank} as {blank_flag(field.name)}"
        if field.text is not None:
            yield f"{field.text} as {text_flag(field.name)}"
    for name, sql in extra.items():
        yield f"{sql} as {identifier(name)}"


def _first_fault(conditions: Sequence[str]) -> str:
    if not conditions:
        return "cast(null as integer)"
    cases = " ".join(f"when {condition} then {n}" for n, condition in enumerate(conditions))
    return f"case {cases} end"


def _flag_repeats(  # noqa: PLR0913 - the same
    tables: Tables,
    first: str,
    table: str,
    unique: str,
    columns: Sequence[str],
    *,
    faults: tuple[int, int],
    respelled: str,
    stored: bool,
) -> None:
    """Create `table` from `first`, flagging good rows that repeat an earlier good row's id.

    `faults` are the numbers of a repeated id and of the same address in another spelling.
    """
    repeated, keys = f"{table}_repeated", f"{table}_repeated_keys"
    parts = {"table": identifier(first), "id": identifier(unique)}
    tables.keep(keys, tables.sql("repeated_keys", **parts))
    count = tables.count(keys)
    if count:
        statement = tables.sql("repeated", keys=identifier(keys), respelled=respelled, **parts)
        tables.keep(repeated, statement)
        count = tables.count(repeated)
    if not count:
        tables.keep(table, f"select * from {identifier(first)}", stored=False)  # noqa: S608 - quoted
        return
    statement = tables.sql(
        "flag_repeats",
        table=identifier(first),
        repeated=identifier(repeated),
        id=identifier(unique),
        columns=", ".join(f"c.{name}" for name in columns),
        fault=str(faults[0]),
        respelled=str(faults[1]),
        # A view would sort again at each use.
        ordered="order by c._row" if stored else "",
    )
    tables.keep(table, statement, stored=stored)


def _summary(
    tables: Tables, checked: CheckedRows, source: SourceTable, fields: Sequence[Field], *, odd: str
) -> CheckedRows:
    totals = tables.rows(tables.sql("faults", table=identifier(checked.table), odd=odd))
    numbers = [(_int(fault), _int(rows)) for fault, rows, _ in totals if fault is not None]
    counts = {" ".join(checked.faults[fault]): rows for fault, rows in sorted(numbers)}
    statement = tables.sql("first_faults", table=identifier(checked.table), rows=str(EXAMPLES))
    first = tables.rows(statement) if counts else ()
    quotable = {field.name: field.quotable for field in fields}
    examples = []
    for row, fault in first:
        column, reason = checked.faults[_int(fault)]
        found = _quoted_text(tables, source, _int(row), quotable.get(column))
        examples.append(
            Example(file=checked.label, row=_int(row), column=column, reason=reason, found=found)
        )
    return replace(
        checked,
        rows=sum(_int(rows) for _, rows, _ in totals),
        counts=counts,
        examples=tuple(examples),
        odd_ids=sum(_int(odd_ids) for fault, _, odd_ids in totals if fault is None),
    )


def _quoted_text(tables: Tables, source: SourceTable, row: int, column: str | None) -> str | None:
    if column is None:
        return None
    ((value,),) = tables.rows(
        f"select cast({identifier(column)} as varchar) "  # noqa: S608 - quoted
        f"from {identifier(source.table)} where _row = {row}"
    )
    text = str(value).strip()
    return text if value is not None and _QUOTABLE.fullmatch(text) else None


def refuse_bad_rows(checked: CheckedRows, *, apart_from: str = "") -> None:
    """Raise if a file has bad rows; the message has their number and the first examples.

    Args:
        checked: the file.
        apart_from: a `column reason` that is allowed.
    """
    counts = {reason: rows for reason, rows in checked.counts.items() if reason != apart_from}
    if not counts:
        return
    reasons = "; ".join(f"{reason}: {rows}" for reason, rows in counts.items())
    examples = "; ".join(str(example) for example in checked.examples)
    raise DataError(
        f"{checked.label}: {sum(counts.values())} of {checked.rows} rows are invalid ({reasons}). "
        f"First: {examples}. Correct them, or set on_bad_rows: reject in customers.yaml"
    )


def create_rejected(tables: Tables, checked: Sequence[CheckedRows]) -> None:
    """Create the table `rejected` from the bad rows of all files, in order of file and row."""
    parts = [_rejected_rows(tables, file) for file in checked if file.counts]
    if not parts:
        nulls = ", ".join(
            f"cast(null as {c.kind.value}) as {identifier(c.name)}" for c in REJECTED.columns
        )
        parts = [f"select {nulls} where false"]
    tables.keep(REJECTED.name, " union all ".join(f"({part})" for part in parts))


def _rejected_rows(tables: Tables, checked: CheckedRows) -> str:
    def by_fault(texts: Iterable[str]) -> str:
        cases = " ".join(f"when {n} then {literal(text)}" for n, text in enumerate(texts))
        return f"case _fault {cases} end"

    return tables.sql(
        "rejected",
        file=literal(checked.label),
        table=identifier(checked.table),
        column=by_fault(column for column, _ in checked.faults),
        reason=by_fault(reason for _, reason in checked.faults),
    )


def _int(value: object) -> int:
    return int(str(value))
