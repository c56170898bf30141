"""What a file of rows is, found by its bytes before an engine reads it: form, encoding, names.

The whole file is scanned once in pieces, for what an engine would read wrongly without a word
(NUL bytes, another encoding, a stray delimiter); no row is made a Python value. Engines and the
data plane share the result, which is remembered for as long as the file does not change.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import functools
import io
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from liftwright.model.remote_files import File

DELIMITERS = (",", ";", "\t", "|")
UNNAMED = "column 1"
"""What a first column without a name is called."""

_PIECE_BYTES = 4 << 20
_HEAD_BYTES = 256 << 10
_SNIFFED_RECORDS = 50
_BOM = b"\xef\xbb\xbf"
_PARQUET = b"PAR1"
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
_COMPRESSED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip or a spreadsheet", b"BZh": "bzip2"}
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvForm:
    """How a CSV file is written.

    Attributes:
        columns: the names in its first line.
        encoding: `utf-8` or `latin-1`.
        warnings: what a person should know of how it is read.
    """

    columns: tuple[str, ...]
    delimiter: str
    encoding: str
    warnings: tuple[str, ...] = ()


def parquet_files(path: File) -> tuple[File, ...]:
    """The Parquet files that `path` stands for, in order of name; none where it is a CSV file.

    Raises:
        DataError: the path is missing, unreadable, empty, or a folder without Parquet files.
    """
    if path.is_dir():
        inside = [p for p in path.glob("*.parquet") if p.is_file()]
        found = tuple(sorted(inside, key=lambda file: file.name))
        if not found:
            raise DataError(
                f"{path}: a folder without .parquet files, allowed: a file or a folder of them"
            )
        return found
    try:
        head = _first_bytes(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if not head:
        raise DataError(f"{path}: the file is empty, allowed: a header line and rows")
    if head == _PARQUET:
        return (path,)
    if path.suffix.lower() == ".parquet":
        raise DataError(f"{path}: not a Parquet file (its first bytes are not PAR1)")
    return ()


def _first_bytes(path: File) -> bytes:
    if not isinstance(path, Path):
        return path.read(0, len(_PARQUET))
    with path.open("rb") as file:
        return file.read(len(_PARQUET))


def csv_form(path: File) -> CsvForm:
    """How the CSV file `path` is written.

    Raises:
        DataError: the file is not one table of text that can be read without guessing.
    """
    return _csv_form(path, _version(path))


def _version(path: File) -> tuple[object, ...]:
    """What changes whenever the file does."""
    if not isinstance(path, Path):
        return path.mark
    status = path.stat()
    return (status.st_size, status.st_mtime_ns, status.st_ino)


@functools.lru_cache(maxsize=32)
def _csv_form(path: File, _version: tuple[object, ...]) -> CsvForm:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    _refuse_other_formats(path, head)
    encoding = _encoding(path)
    body = head.removeprefix(_BOM)
    text = body.decode(encoding, errors="ignore")
    delimiter = _delimiter(text)
    columns = _header(path, text, delimiter)
    form = CsvForm(
        columns=columns,
        delimiter=delimiter,
        encoding=encoding,
        warnings=_warnings(path, encoding, delimiter, columns),
    )
    if _has_stray_delimiter(path, form):
        raise DataError(_misshapen(path, form) or f"{path}: a row has more fields than the header")
    return form


def _refuse_other_formats(path: File, head: bytes) -> None:
    if head.startswith(_UTF16):
        raise DataError(f"{path}: the file is UTF-16; save it as UTF-8")
    for magic, name in _COMPRESSED.items():
        if head.startswith(magic):
            raise DataError(f"{path}: the file is compressed ({name}), allowed: CSV or Parquet")


def _encoding(path: File) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    utf8, pending, before = True, False, 0
    for piece in _pieces(path):
        if (at := piece.find(b"\0")) >= 0:
            raise DataError(
                f"{path}: a NUL byte at byte {before + at + 1}; "
                "UTF-8 text is expected (is the file UTF-16 or binary?)"
            )
        before += len(piece)
        if utf8 and (pending or not piece.isascii()):
            try:
                decoder.decode(piece)
                pending = bool(decoder.getstate()[0])
            except UnicodeDecodeError:
                utf8 = False
    return "utf-8" if utf8 and not pending else "latin-1"


def _pieces(path: File) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _records(text: str, delimiter: str) -> list[list[str]]:
    with _wide_fields():
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        return list(itertools.islice(reader, _SNIFFED_RECORDS))


@contextlib.contextmanager
def _wide_fields() -> Iterator[None]:
    """Within the block, fields may be as long as an engine admits, not 128 KB."""
    limit = csv.field_size_limit(_PIECE_BYTES)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _delimiter(text: str) -> str:
    """The delimiter by which the first records agree best, the more fields the better."""

    def rank(delimiter: str) -> tuple[bool, int]:
        # The head may end inside its last record.
        records = [r for r in _records(text, delimiter) if r]
        whole = records[:-1] if len(records) > 2 else records  # noqa: PLR2004 - header, one row
        width = len(records[0]) if records else 0
        return width > 1 and all(len(r) == width for r in whole), width

    return max(DELIMITERS, key=rank)


def _header(path: File, text: str, delimiter: str) -> tuple[str, ...]:
    records = _records(text, delimiter)
    if not records or not any(name.strip() for name in records[0]):
        raise DataError(f"{path}: line 1 is blank, allowed: the column names")
    # A table's index, written before its columns, has no name.
    first, *others = records[0]
    names = [first if first.strip() else UNNAMED, *others]
    for position, name in enumerate(names, 1):
        if not name.strip():
            raise DataError(f"{path}: line 1: column {position} has no name")
        if name.lower() == "_row":
            raise DataError(f"{path}: line 1: the name {name!r} is reserved; rename the column")
    seen: dict[str, str] = {}
    for name in names:
        if name.casefold() in seen:
            first = seen[name.casefold()]
            raise DataError(f"{path}: line 1: two columns are named {first!r} and {name!r}")
        seen[name.casefold()] = name
    if not any(records[1:]):
        raise DataError(f"{path}: found a header line but no rows, allowed: at least one row")
    return tuple(names)


def _warnings(path: File, encoding: str, delimiter: str, columns: Sequence[str]) -> tuple[str, ...]:
    found = []
    if columns[0] == UNNAMED:
        found.append(f"{path.name}: the first column has no name; it is read as {UNNAMED!r}")
    if encoding != "utf-8":
        found.append(f"{path.name}: not valid UTF-8; read as Latin-1")
    if delimiter != ",":
        found.append(f"{path.name}: fields are separated by {_NAMES[delimiter]}")
    return tuple(found)


def _has_stray_delimiter(path: File, form: CsvForm) -> bool:
    """Whether a line ends in an extra, empty field, which engines pass over in silence."""
    mark = form.delimiter.encode()
    quotes = marks = lines = 0
    ends_in_mark, last = False, b""
    for piece in _pieces(path):
        joined = last[-1:] + piece
        if mark + b"\n" in joined or mark + b"\r" in joined:
            ends_in_mark = True
        quotes += piece.count(b'"')
        marks += piece.count(mark)
        lines += piece.count(b"\n") if b"\n" in piece else piece.count(b"\r")
        last = piece
    if not ends_in_mark and not last.endswith(mark):
        return False
    if not quotes:
        lines += not last.endswith((b"\n", b"\r"))
        return marks > (len(form.columns) - 1) * lines or _misshapen(path, form) is not None
    return _misshapen(path, form) is not None


def _misshapen(path: File, form: CsvForm) -> str | None:
    found = misshapen_record(path, form)
    if found is None:
        return None
    line, fields = found
    return f"{path}: line {line}: found {fields} fields, but the header has {len(form.columns)}"


def misshapen_record(path: File, form: CsvForm) -> tuple[int, int] | None:
    """The line that ends the first record of another width than the header, and its fields."""
    width = len(form.columns)
    with _wide_fields(), _as_text(path, form) as file:
        reader = csv.reader(file, delimiter=form.delimiter)
        # A field beyond all limits ends the search: the engine's own message serves.
        with contextlib.suppress(csv.Error):
            for record in reader:
                if record and len(record) != width:
                    return reader.line_num, len(record)
    return None


def refuse_misquoted(path: File, form: CsvForm) -> None:
    """Refuse what a lenient reader would pass over: misplaced quotes, and line ends of two kinds.

    For engines that do not find these themselves; without quotes in the file no row is parsed.

    Raises:
        DataError: naming the line.
    """
    _refuse_misquoted(path, form, _version(path))


@functools.lru_cache(maxsize=32)
def _refuse_misquoted(path: File, form: CsvForm, _version: tuple[object, ...]) -> None:
    quotes = pairs = feeds = returns = 0
    last = b""
    for piece in _pieces(path):
        quotes += piece.count(b'"')
        pairs += (last + piece).count(b"\r\n")
        feeds += piece.count(b"\n")
        returns += piece.count(b"\r")
        last = piece[-1:] if piece.endswith(b"\r") else b""
    if quotes:
        _refuse_bad_quotes(path, form)
    elif min(feeds, returns) and not pairs == feeds == returns:
        raise DataError(f"{path}: found mixed line endings, allowed: one kind")


def _refuse_bad_quotes(path: File, form: CsvForm) -> None:
    with _wide_fields(), _as_text(path, form) as file:
        reader = csv.reader(file, delimiter=form.delimiter, strict=True)
        try:
            for _ in reader:
                pass
        except csv.Error:
            raise DataError(
                f'{path}: line {reader.line_num}: a quote (") that is not closed, or text after '
                "a closing quote"
            ) from None


def refuse_mixed(schemas: Sequence[tuple[File, Mapping[str, str]]]) -> None:
    """Refuse files of one folder that do not hold the same columns in the same types.

    Args:
        schemas: each file, and the type of each of its columns by name.

    Raises:
        DataError: naming the first file that differs from the one before, and the column.
    """
    (first, expected), *others = schemas
    for path, found in others:
        for name in (*expected, *found):
            here, there = found.get(name), expected.get(name)
            if here == there:
                continue
            if here is None or there is None:
                lacking, having = (path, first) if here is None else (first, path)
                raise DataError(
                    f"{lacking}: no column {name!r}, which {having.name} has; the files "
                    "of a folder must have the same columns"
                )
            raise DataError(
                f"{path}: column {name!r} holds {here}, but in {first.name} {there}; the "
                "files of a folder must agree"
            )


def _as_text(path: File, form: CsvForm) -> io.TextIOWrapper:
    return io.TextIOWrapper(path.open("rb"), encoding=_codec(form), newline="")


def _codec(form: CsvForm) -> str:
    return "utf-8-sig" if form.encoding == "utf-8" else form.encoding
