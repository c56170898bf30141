"""Detects a data file's format, encoding and columns from its bytes, before an engine reads it.

The whole file is scanned once, in chunks, for anything that an engine would misread silently (NUL
bytes, another encoding, a stray delimiter); rows do not become Python values. The result is cached
until the file changes, and shared by the engines and the data plane.
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
"""The name given to a first column that has none."""

_CHUNK_BYTES = 4 << 20
_HEAD_BYTES = 256 << 10
_SNIFFED_RECORDS = 50
_BOM = b"\xef\xbb\xbf"
_PARQUET = b"PAR1"
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
_COMPRESSED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip or a spreadsheet", b"BZh": "bzip2"}
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvFormat:
    """The dialect of a CSV file.

    Attributes:
        columns: the names in the header line.
        encoding: `utf-8` or `latin-1`.
        warnings: assumptions that a person should know about.
    """

    columns: tuple[str, ...]
    delimiter: str
    encoding: str
    warnings: tuple[str, ...] = ()


def parquet_files(path: File) -> tuple[File, ...]:
    """The Parquet files at `path`, in order of name; empty for a CSV file.

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


def csv_format(path: File) -> CsvFormat:
    """The dialect of the CSV file `path`.

    Raises:
        DataError: the file is not a single text table, or is ambiguous.
    """
    return _csv_format(path, _version(path))


def _version(path: File) -> tuple[object, ...]:
    """A key that changes whenever the file does."""
    if not isinstance(path, Path):
        return path.mark
    status = path.stat()
    return (status.st_size, status.st_mtime_ns, status.st_ino)


@functools.lru_cache(maxsize=32)
def _csv_format(path: File, _version: tuple[object, ...]) -> CsvFormat:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    _refuse_other_formats(path, head)
    encoding = _encoding(path)
    body = head.removeprefix(_BOM)
    text = body.decode(encoding, errors="ignore")
    delimiter = _delimiter(text)
    columns = _header(path, text, delimiter)
    dialect = CsvFormat(
        columns=columns,
        delimiter=delimiter,
        encoding=encoding,
        warnings=_warnings(path, encoding, delimiter, columns),
    )
    if _has_stray_delimiter(path, dialect):
        raise DataError(
            _misshapen(path, dialect) or f"{path}: a row has more fields than the header"
        )
    return dialect


def _refuse_other_formats(path: File, head: bytes) -> None:
    if head.startswith(_UTF16):
        raise DataError(f"{path}: the file is UTF-16; save it as UTF-8")
    for magic, name in _COMPRESSED.items():
        if head.startswith(magic):
            raise DataError(f"{path}: the file is compressed ({name}), allowed: CSV or Parquet")


def _encoding(path: File) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    utf8, pending, before = True, False, 0
    for chunk in _chunks(path):
        if (at := chunk.find(b"\0")) >= 0:
            raise DataError(
                f"{path}: a NUL byte at byte {before + at + 1}; "
                "UTF-8 text is expected (is the file UTF-16 or binary?)"
            )
        before += len(chunk)
        if utf8 and (pending or not chunk.isascii()):
            try:
                decoder.decode(chunk)
                pending = bool(decoder.getstate()[0])
            except UnicodeDecodeError:
                utf8 = False
    return "utf-8" if utf8 and not pending else "latin-1"


def _chunks(path: File) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _records(text: str, delimiter: str) -> list[list[str]]:
    with _wide_fields():
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        return list(itertools.islice(reader, _SNIFFED_RECORDS))


@contextlib.contextmanager
def _wide_fields() -> Iterator[None]:
    """Raises the csv module's limit of 128 KB per field within the block."""
    limit = csv.field_size_limit(_CHUNK_BYTES)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _delimiter(text: str) -> str:
    """The delimiter that splits the first records most evenly, into the most fields."""

    def rank(delimiter: str) -> tuple[bool, int]:
        # The last record may be cut off.
        records = [r for r in _records(text, delimiter) if r]
        whole = records[:-1] if len(records) > 2 else records  # noqa: PLR2004 - header, one row
        width = len(records[0]) if records else 0
        return width > 1 and all(len(r) == width for r in whole), width

    return max(DELIMITERS, key=rank)


def _header(path: File, text: str, delimiter: str) -> tuple[str, ...]:
    records = _records(text, delimiter)
    if not records or not any(name.strip() for name in records[0]):
        raise DataError(f"{path}: line 1 is blank, allowed: the column names")
    # pandas writes a table's index as a first column without a name.
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
    warnings = []
    if columns[0] == UNNAMED:
        warnings.append(f"{path.name}: the first column has no name; it is read as {UNNAMED!r}")
    if encoding != "utf-8":
        warnings.append(f"{path.name}: not valid UTF-8; read as Latin-1")
    if delimiter != ",":
        warnings.append(f"{path.name}: fields are separated by {_NAMES[delimiter]}")
    return tuple(warnings)


def _has_stray_delimiter(path: File, dialect: CsvFormat) -> bool:
    """Whether a line ends in an extra, empty field, which engines silently ignore."""
    mark = dialect.delimiter.encode()
    quotes = marks = lines = 0
    ends_in_mark, last = False, b""
    for chunk in _chunks(path):
        joined = last[-1:] + chunk
        if mark + b"\n" in joined or mark + b"\r" in joined:
            ends_in_mark = True
        quotes += chunk.count(b'"')
        marks += chunk.count(mark)
        lines += chunk.count(b"\n") if b"\n" in chunk else chunk.count(b"\r")
        last = chunk
    if not ends_in_mark and not last.endswith(mark):
        return False
    if not quotes:
        lines += not last.endswith((b"\n", b"\r"))
        return marks > (len(dialect.columns) - 1) * lines or _misshapen(path, dialect) is not None
    return _misshapen(path, dialect) is not None


def _misshapen(path: File, dialect: CsvFormat) -> str | None:
    record = misshapen_record(path, dialect)
    if record is None:
        return None
    line, fields = record
    return f"{path}: line {line}: found {fields} fields, but the header has {len(dialect.columns)}"


def misshapen_record(path: File, dialect: CsvFormat) -> tuple[int, int] | None:
    """The last line of the first record that is not as wide as the header, and its width."""
    width = len(dialect.columns)
    with _wide_fields(), _as_text(path, dialect) as file:
        reader = csv.reader(file, delimiter=dialect.delimiter)
        # A field over the limit ends the search; the engine then reports its own error.
        with contextlib.suppress(csv.Error):
            for record in reader:
                if record and len(record) != width:
                    return reader.line_num, len(record)
    return None


def refuse_misquoted(path: File, dialect: CsvFormat) -> None:
    """Refuse misplaced quotes and mixed line endings, which a lenient reader would accept.

    For engines that do not detect these themselves. A file without quotes is not parsed.

    Raises:
        DataError: naming the line.
    """
    _refuse_misquoted(path, dialect, _version(path))


@functools.lru_cache(maxsize=32)
def _refuse_misquoted(path: File, dialect: CsvFormat, _version: tuple[object, ...]) -> None:
    quotes = pairs = feeds = returns = 0
    last = b""
    for chunk in _chunks(path):
        quotes += chunk.count(b'"')
        pairs += (last + chunk).count(b"\r\n")
        feeds += chunk.count(b"\n")
        returns += chunk.count(b"\r")
        last = chunk[-1:] if chunk.endswith(b"\r") else b""
    if quotes:
        _refuse_bad_quotes(path, dialect)
    elif min(feeds, returns) and not pairs == feeds == returns:
        raise DataError(f"{path}: found mixed line endings, allowed: one kind")


def _refuse_bad_quotes(path: File, dialect: CsvFormat) -> None:
    with _wide_fields(), _as_text(path, dialect) as file:
        reader = csv.reader(file, delimiter=dialect.delimiter, strict=True)
        try:
            for _ in reader:
                pass
        except csv.Error:
            raise DataError(
                f'{path}: line {reader.line_num}: a quote (") that is not closed, or text after '
                "a closing quote"
            ) from None


def refuse_mixed(schemas: Sequence[tuple[File, Mapping[str, str]]]) -> None:
    """Refuse the files of a folder unless all have the same columns with the same types.

    Args:
        schemas: each file, and the type of each of its columns by name.

    Raises:
        DataError: naming the first file that differs from the first of the folder, and the column.
    """
    (first, expected), *others = schemas
    for path, types in others:
        for name in (*expected, *types):
            actual, wanted = types.get(name), expected.get(name)
            if actual == wanted:
                continue
            if actual is None or wanted is None:
                without, other = (path, first) if actual is None else (first, path)
                raise DataError(
                    f"{without}: no column {name!r}, which {other.name} has; the files "
                    "of a folder must have the same columns"
                )
            raise DataError(
                f"{path}: column {name!r} holds {actual}, but in {first.name} {wanted}; the "
                "files of a folder must agree"
            )


def _as_text(path: File, dialect: CsvFormat) -> io.TextIOWrapper:
    return io.TextIOWrapper(path.open("rb"), encoding=_codec(dialect), newline="")


def _codec(dialect: CsvFormat) -> str:
    return "utf-8-sig" if dialect.encoding == "utf-8" else dialect.encoding
