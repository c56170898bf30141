"""Finds a table among the rows of a file: the header, the unnamed columns, and the footer."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

UNNAMED = "column 1"
"""The name given to a first column that has none."""

FOOTER_ROWS = 10
"""A footer has at most this many rows, blank ones included."""

_HEADER_SHARE = 0.8
_NOT_A_NAME = re.compile(r"[\d\s.,:/+%()'\"-]*\d[\d\s.,:/+%()'\"-]*|[^@\s]+@[^@\s]+\.[^@\s]+")
# The first words of a row of totals or of a count of rows, in the languages of the month names.
_TOTAL = (
    "(grand[ -]|sub[ -]?)?(totals?|totale|totaal|sum|sums|summe|gesamt(summe)?|insgesamt|suma|soma|"
    "somme|razem|summa|i alt|ialt|count|anzahl|nombre|aantal|antal|number of|end of|records?|rows?)"
)
_ROWS = (
    "(records?|rows?|customers?|contacts?|zeilen|eintr.ge|lignes|filas|righe|rijen|linhas|wiersz)"
)
_TOTALS = re.compile(rf"{_TOTAL}([\s:=(/].*)?|\d[\d.,]* {_ROWS}\W*.*", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableLayout:
    """Where the table is among the rows of a file.

    Attributes:
        columns: the names, all different.
        skipped: rows before the header.
        kept: the positions of the columns that are read.
        width: the number of fields in every row.
        notes: assumptions that a person should know about.
    """

    columns: tuple[str, ...]
    skipped: int
    kept: tuple[int, ...]
    width: int
    notes: tuple[str, ...]


def find_table(
    label: str, records: Sequence[Sequence[str]], skip_rows: int | None, separator: int
) -> TableLayout:
    """The layout of the table that begins among `records`.

    Args:
        label: the file, for messages.
        records: the first rows of the file.
        skip_rows: how many rows are before the header; None finds it.
        separator: 1 if the first row is `sep=` and a delimiter, otherwise 0.

    Raises:
        DataError: there is no header, no row, or a column with values has no name.
    """
    notes = ["the line sep= is skipped"] if separator else []
    skipped = skip_rows
    if skipped is None:
        skipped = _header_row(records, separator)
        if skipped > separator:
            above = skipped - separator
            count = "1 row" if above == 1 else f"{above} rows"
            notes.append(
                f"{count} before the header in row {skipped + 1} skipped (skip_rows sets how many)"
            )
    if skipped >= len(records) or not any(name.strip() for name in records[skipped]):
        raise DataError(f"{label}: line {skipped + 1} is blank, allowed: the column names")
    header, rows = records[skipped], [r for r in records[skipped + 1 :] if r]
    if not rows:
        raise DataError(f"{label}: found a header line but no rows, allowed: at least one row")
    named = _named(f"{label}: line {skipped + 1}", header, rows)
    if len(named) < len(header):
        empty = len(header) - len(named)
        columns = "1 column has" if empty == 1 else f"{empty} columns have"
        notes.append(f"{columns} neither a name nor values and is not read")
    if named.get(0) == UNNAMED:
        notes.append(f"the first column has no name; it is read as {UNNAMED!r}")
    unique, repeated = _unique(named)
    if repeated:
        notes.append(
            f"several columns are named {' or '.join(map(repr, repeated))}; they are read as "
            f"{', '.join(repr(name) for name in unique if name not in header)}"
        )
    return TableLayout(
        columns=unique,
        skipped=skipped,
        kept=tuple(named),
        width=len(header),
        notes=tuple(notes),
    )


def _named(where: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[int, str]:
    """The names of the columns that have a name or values, by position."""
    named: dict[int, str] = {}
    for position, name in enumerate(header):
        if name.lower() == "_row":
            raise DataError(f"{where}: the name {name!r} is reserved; rename the column")
        if name.strip():
            named[position] = name
        elif any(len(row) > position and row[position].strip() for row in rows):
            if position:
                raise DataError(f"{where}: column {position + 1} has no name")
            # pandas writes a table's index as a first column without a name.
            named[position] = UNNAMED
    return named


def _header_row(records: Sequence[Sequence[str]], start: int) -> int:
    """The position of the header: the first row that is about as full as the second fullest."""
    filled = [sum(1 for cell in row if cell.strip()) for row in records]
    # The first name may be blank, as in the files that pandas writes.
    filled = [n + (n > 0 and not row[0].strip()) for n, row in zip(filled, records, strict=True)]
    first = next((at for at, n in enumerate(filled) if at >= start and n), start)
    # The fullest row may be one with a stray delimiter.
    most = sorted(filled[start:])[-2:][0] if filled[start:] else 0
    for at in range(first, len(records)):
        if filled[at] >= _HEADER_SHARE * most:
            cells = [cell.strip() for cell in records[at] if cell.strip()]
            is_header = not any(_NOT_A_NAME.fullmatch(cell) for cell in cells)
            return at if is_header else first
    return first


def _unique(named: dict[int, str]) -> tuple[tuple[str, ...], list[str]]:
    """Names that differ even without case, and those that occur more than once."""
    folded = Counter(name.casefold() for name in named.values())
    unique = tuple(
        name if folded[name.casefold()] == 1 else f"{name} (column {position + 1})"
        for position, name in named.items()
    )
    repeated = [name for name in dict.fromkeys(named.values()) if folded[name.casefold()] > 1]
    return unique, repeated


def is_footer(record: Sequence[str], width: int, *, after_blank: bool) -> bool:
    """Whether a row at the end of a table is no part of it: totals, a count, or a remark.

    Args:
        record: its fields.
        width: the number of fields of the table's rows.
        after_blank: whether the row before it is blank.
    """
    filled = [cell.strip() for cell in record if cell.strip()]
    if not filled or not record[0].strip():
        return False
    if _TOTALS.fullmatch(filled[0]):
        return True
    is_remark = len(filled) == 1 and width > 2 and " " in filled[0]  # noqa: PLR2004 - not a pair
    return is_remark and (after_blank or len(record) == 1)
