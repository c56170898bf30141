"""The types of a file's columns that no configuration declares, from their values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.data.conversions import plain_number
from liftwright.data.sql_fragments import identifier
from liftwright.model import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Collection

    from liftwright.data.fields import SourceTable
    from liftwright.data.tables import Tables


def infer_kinds(
    tables: Tables, source: SourceTable, names: Collection[str]
) -> dict[str, ColumnKind]:
    """The kind of each column: numbers or flags if every value is one, otherwise as stored."""
    texts = [name for name in names if source.kinds[name] is ColumnKind.TEXT]
    kinds = {name: source.kinds[name] for name in names}
    if not texts:
        return kinds
    counts = []
    for name in texts:
        at = identifier(name)
        filled = f"{at} is not null and trim({at}) <> ''"
        counts.append(f"count(*) filter (where {filled})")
        counts.append(f"count(*) filter (where {_finite(plain_number(at, source.options))})")
        counts.append(f"count(*) filter (where lower(trim({at})) in ('true', 'false'))")
    (counted,) = tables.rows(f"select {', '.join(counts)} from {identifier(source.table)}")  # noqa: S608 - quoted
    for position, name in enumerate(texts):
        filled_rows, numbers, flags = counted[3 * position : 3 * position + 3]
        if filled_rows and filled_rows == numbers:
            kinds[name] = ColumnKind.NUMBER
        elif filled_rows and filled_rows == flags:
            kinds[name] = ColumnKind.FLAG
    return kinds


def typed(source: SourceTable, name: str, kind: ColumnKind) -> str:
    """SQL of a column's value as another kind."""
    at, parsed = identifier(name), source.kinds[name] is ColumnKind.TEXT
    if kind is ColumnKind.FLAG and parsed:
        return f"case when trim({at}) <> '' then lower(trim({at})) = 'true' end"
    if kind in (ColumnKind.NUMBER, ColumnKind.INTEGER):
        number = plain_number(at, source.options) if parsed else f"cast({at} as double)"
        return f"case when {_finite(number)} then {number} end"
    return f"cast({at} as varchar)" if kind is ColumnKind.TIME else at


def _finite(number: str) -> str:
    return f"abs({number}) <= 1.7976931348623157e308"
