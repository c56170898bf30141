"""Copies of the table files that engines do not read as they are, as CSV in UTF-8."""

from __future__ import annotations

import csv
from collections import deque
from typing import TYPE_CHECKING

from liftwright.data.file_format import FileFormat, text_records
from liftwright.data.table_layout import FOOTER_ROWS, is_footer
from liftwright.errors import DataError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


def write_copy(form: FileFormat, path: Path) -> tuple[str, ...]:
    """Write the table to `path`: its header and its rows, in order, and nothing around them.

    Returns:
        What was left out at the end, as warnings.

    Raises:
        DataError: a row is not as wide as the header, or the file cannot be read as detected.
        InputError: the copy cannot be written.
    """
    label, name = form.contents.label, form.contents.label.rpartition("/")[2]
    # The rows that may be the footer.
    held: deque[tuple[int, list[str]]] = deque()
    rows = 0
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")

            def write(record: Sequence[str]) -> None:
                # The csv module quotes \r only if line ends have it, and Spark changes line ends in
                # fields to those between rows.
                if "\r" in "".join(record):
                    file.write(",".join(map(_quoted, record)) + "\n")
                else:
                    writer.writerow(record)

            write(form.csv.columns)
            for numbered in _rows(form):
                if len(held) == FOOTER_ROWS:
                    write(_cells(form, *held.popleft()))
                    rows += 1
                held.append(numbered)
            left_out = _drop_footer(held, form.width)
            for numbered in held:
                write(_cells(form, *numbered))
            rows += len(held)
    except OSError as error:
        raise InputError(f"{path.parent}: cannot be written: {error.strerror}") from None
    if not rows:
        raise DataError(f"{label}: found a header line but no rows, allowed: at least one row")
    if not left_out:
        return ()
    last = "1 row is" if left_out == 1 else f"{left_out} rows are"
    return (f"{name}: the last {last} a footer and left out",)


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if set(cell) & set('",\r\n') else cell


def _cells(form: FileFormat, line: int, record: list[str]) -> list[str]:
    """The cells of the columns that are kept; refuses a row of another shape."""
    label = form.contents.label
    if len(record) < form.width and max(form.kept) < len(record):
        # Only columns without a name are missing.
        record = [*record, *[""] * (form.width - len(record))]
    if len(record) != form.width:
        raise DataError(
            f"{label}: line {line}: found {len(record)} fields, but the header has {form.width}"
        )
    if len(form.kept) == form.width:
        return record
    for position in set(range(form.width)) - set(form.kept):
        if record[position].strip():
            raise DataError(f"{label}: line {line}: column {position + 1} has a value but no name")
    return [record[position] for position in form.kept]


def _rows(form: FileFormat) -> Iterator[tuple[int, list[str]]]:
    """The rows after the header, without blank lines, each with its line."""
    if form.encoding is None or form.delimiter is None:
        records: Iterator[tuple[int, list[str]]] = enumerate(form.contents.cells(), 1)
    else:
        records = text_records(
            form.contents, form.encoding, form.delimiter, backslashes=form.backslashes
        )
    for number, (line, record) in enumerate(records):
        if number > form.skipped and record:
            yield line, record


def _drop_footer(held: deque[tuple[int, list[str]]], width: int) -> int:
    """Remove the blank rows and the footer at the end; returns how many rows the footer had."""
    footer = 0
    records = [record for _, record in held]
    while records:
        after_blank = len(records) > 1 and not any(cell.strip() for cell in records[-2])
        if any(cell.strip() for cell in records[-1]):
            if not is_footer(records[-1], width, after_blank=after_blank):
                break
            footer += 1
        records.pop()
        held.pop()
    return footer
