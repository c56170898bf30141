"""Opens what a file contains: text, compressed or not, or the cells of a spreadsheet."""

from __future__ import annotations

import bz2
import contextlib
import datetime as dt
import gzip
import io
import lzma
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, cast

from liftwright.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from python_calamine import CalamineWorkbook

    from liftwright.model.remote_files import File

_MAGIC_BYTES = 8
_ZIP = b"PK\x03\x04"
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"
_PARQUET = b"PAR1"
_COMPRESSIONS = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ": ("xz", lzma.open),
}
_TABLES = (".csv", ".tsv", ".tab", ".txt", ".xlsx", ".xlsm", ".xls", ".ods")
_SPREADSHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
# Excel keeps 15 digits of a number.
_EXACT_IN_EXCEL = 1e15


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The one table in a file.

    Attributes:
        label: the file's name in messages; with the name of the archive's member.
        packing: `gzip`, `bzip2`, `xz`, `zip` or `spreadsheet`; None for a file that is the table.
        sheet: the name of the sheet; None for text.
        binary: opens the bytes of the text, or of the spreadsheet, from the start.
    """

    label: str
    packing: str | None
    sheet: str | None
    binary: Callable[[], BinaryIO]

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The bytes, uncompressed.

        Raises:
            DataError: the file is damaged or encrypted.
        """
        with _undamaged(self.label), self.binary() as file:
            yield file

    def cells(self) -> Iterator[list[str]]:
        """The rows of the sheet as text, from its first row.

        Raises:
            DataError: the file is damaged or encrypted.
        """
        with self.open() as file:
            sheet = _workbook(self.label, file).get_sheet_by_name(self.sheet or "")
            for row in sheet.iter_rows():
                yield [_text(value) for value in row]


def contents_of(path: File, sheet: str | None) -> Contents:
    """The table in `path`, which is not Parquet.

    Args:
        path: text, a spreadsheet, or one of them compressed.
        sheet: the name of the sheet to read; None takes the only one with rows.

    Raises:
        DataError: it holds no table or several, or is damaged.
    """
    label = str(path)
    with path.open("rb") as file:
        head = file.read(_MAGIC_BYTES)
    here = path if isinstance(path, Path) else path.local
    for magic, (name, opener) in _COMPRESSIONS.items():
        if head.startswith(magic):
            unpacked = _opener(opener, here)
            _refuse_packed_tables(label, unpacked)
            found = Contents(label=label, packing=name, sheet=None, binary=unpacked)
            break
    else:
        if head.startswith(_OLD_EXCEL):
            return _sheet_of(label, lambda: here.open("rb"), sheet)
        if head.startswith(_ZIP):
            return _in_zip(label, here, sheet)
        found = Contents(label=label, packing=None, sheet=None, binary=lambda: path.open("rb"))
    _refuse_sheet(label, sheet)
    return found


def _opener(opener: object, path: Path) -> Callable[[], BinaryIO]:
    return lambda: cast("Callable[[Path, str], BinaryIO]", opener)(path, "rb")


def _refuse_sheet(label: str, sheet: str | None) -> None:
    if sheet is not None:
        raise DataError(f"{label}: sheet: found {sheet!r}, but the file is not a spreadsheet")


def _refuse_packed_tables(label: str, binary: Callable[[], BinaryIO]) -> None:
    with _undamaged(label), binary() as file:
        if file.read(len(_PARQUET)) in (_PARQUET, _ZIP):
            raise DataError(
                f"{label}: the compressed file is not text, allowed: compressed CSV; unpack it"
            )


def _in_zip(label: str, path: Path, sheet: str | None) -> Contents:
    """The spreadsheet that a ZIP file is, or the only table in it."""
    with _undamaged(label), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.startswith("xl/workbook.") for name in names) or "content.xml" in names:
        return _sheet_of(label, lambda: path.open("rb"), sheet)
    visible = [
        name
        for name in names
        if not name.endswith("/")
        and not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
    ]
    tables = [name for name in visible if name.lower().endswith(_TABLES)]
    # A single file is the table, whatever its name.
    tables = tables or (visible if len(visible) == 1 else [])
    if len(tables) != 1:
        found = ", ".join(sorted(tables or visible)) or "no file"
        raise DataError(
            f"{label}: found {found}, allowed: one table in a ZIP file; unpack it and name the "
            "file to read"
        )
    (name,) = tables
    inner = f"{label}/{name}"

    def member() -> BinaryIO:
        with zipfile.ZipFile(path) as archive:
            try:
                return cast("BinaryIO", archive.open(name))
            except (RuntimeError, NotImplementedError):
                # A password, or a method of compression that Python does not have.
                raise DataError(f"{inner}: encrypted, or in a rare compression") from None

    if name.lower().endswith(_SPREADSHEETS):
        return _sheet_of(inner, member, sheet)
    _refuse_packed_tables(inner, member)
    _refuse_sheet(inner, sheet)
    return Contents(label=inner, packing="zip", sheet=None, binary=member)


def _sheet_of(label: str, binary: Callable[[], BinaryIO], sheet: str | None) -> Contents:
    with _undamaged(label), binary() as file:
        workbook = _workbook(label, file)
        names = workbook.sheet_names
        if sheet is None:
            filled = [name for name in names if workbook.get_sheet_by_name(name).height > 1]
            if len(filled) > 1:
                raise DataError(
                    f"{label}: several sheets have rows ({', '.join(filled)}); name one of them "
                    "with sheet"
                )
            sheet = (filled or names)[0]
        elif sheet not in names:
            raise DataError(f"{label}: sheet: found {sheet!r}, allowed: {', '.join(names)}")
    return Contents(label=label, packing="spreadsheet", sheet=sheet, binary=binary)


def _workbook(label: str, file: BinaryIO) -> CalamineWorkbook:
    # Imported here, because most runs read no spreadsheet.
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    try:
        return CalamineWorkbook.from_filelike(io.BytesIO(file.read()))
    except PasswordError:
        raise DataError(f"{label}: the spreadsheet is protected by a password") from None
    except CalamineError:
        raise DataError(f"{label}: the spreadsheet is damaged") from None


def _text(value: object) -> str:
    """A cell as the text that a CSV export would have."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if abs(value) >= _EXACT_IN_EXCEL:
            # Digits are lost: an id must not look like one.
            return f"{value:.14E}"
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, dt.datetime):
        is_midnight = value.time() == dt.time()
        return value.date().isoformat() if is_midnight else value.isoformat(sep=" ")
    return str(value)


@contextlib.contextmanager
def _undamaged(label: str) -> Iterator[None]:
    """Within the block, the errors of reading a compressed file are errors of the input.

    Raises:
        DataError: it is damaged.
    """
    damaged = f"{label}: the compressed file is damaged or incomplete"
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile):
        raise DataError(damaged) from None
    except OSError as error:
        # gzip and bz2 raise it without a number; with one, the system has raised it.
        if error.errno is not None:
            raise
        raise DataError(damaged) from None
