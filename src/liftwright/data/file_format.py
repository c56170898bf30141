"""Detects how a table file is written: encoding, delimiter, header, and what surrounds the rows.

A CSV file is scanned once, in chunks, for anything that an engine would misread silently (NUL
bytes, another encoding, a stray delimiter); rows do not become Python values. A file that no engine
reads as it is (another encoding, a spreadsheet, title rows) is read from a copy; see
`file_copies.py`. The result is cached until the file changes.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import functools
import io
import itertools
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.config import FileOptions
from liftwright.data.file_contents import Contents, contents_of
from liftwright.data.table_layout import TableLayout, find_table, is_footer
from liftwright.errors import DataError
from liftwright.ports import CsvFormat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from liftwright.model.remote_files import File

DELIMITERS = (",", ";", "\t", "|")
AUTOMATIC = FileOptions()
"""Everything is detected."""

UTF8 = "utf-8"
_CHUNK_BYTES = 4 << 20
_HEAD_BYTES = 256 << 10
_TAIL_BYTES = 16 << 10
_SNIFFED_RECORDS = 50
_BOM = b"\xef\xbb\xbf"
_PARQUET = b"PAR1"
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_SPELLED = {UTF8: "UTF-8", "utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}
_SPELLED |= {"cp1252": "Windows-1252", "mac-roman": "Mac Roman", "cp932": "Shift-JIS"}
# Two codecs of Python that lack characters which the files called so contain.
_WIDER = {"shift_jis": "cp932", "gb2312": "gb18030"}
_WINDOWS = "cp1252"
_MEND = "set encoding in customers.yaml to the file's, such as mac_roman, shift_jis or cp1250"
# The share of NUL bytes at even or odd positions that shows UTF-16.
_NULS_ON_ONE_SIDE = 0.95
_NUL_SHARE = 0.1
_FEWEST_NULS = 4
_SUSPICIOUS_SHARE = 0.2
# Apostrophes, hyphens, dashes, a middle dot, a soft hyphen and a no-break space.
_INSIDE_WORDS = "\u2019\u2018\u00b4`\u00b7\u2013\u2014-\xad\xa0"
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[ \t]*\r?\n', re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """How a table file is written.

    Attributes:
        contents: the table's text or cells.
        encoding: the codec of the text; None for a spreadsheet.
        csv: the format as an engine reads it: of the file, or of its copy.
        delimiter: the delimiter in the file; None for a spreadsheet.
        skipped: rows before the header.
        kept: the positions of the columns that are read.
        width: the number of fields in every row of the file.
        backslashes: whether a backslash, not a second quote, escapes a quote.
        direct: whether engines read the file as it is.
        warnings: assumptions that a person should know about.
    """

    contents: Contents
    encoding: str | None
    csv: CsvFormat
    delimiter: str | None
    skipped: int
    kept: tuple[int, ...]
    width: int
    backslashes: bool
    direct: bool
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
    """The format of a CSV file that an engine reads as it is.

    Raises:
        DataError: the file is not a single text table, is ambiguous, or needs a copy.
    """
    found = file_format(path)
    if not found.direct:
        raise DataError(
            f"{path}: not a CSV file in UTF-8 with the header in its first line; open it with "
            "liftwright.data.Tables"
        )
    return found.csv


def file_format(path: File, options: FileOptions = AUTOMATIC) -> FileFormat:
    """How the table file `path`, which is not Parquet, is written.

    Raises:
        DataError: the file is not a single table, is ambiguous, or contradicts the options.
    """
    return _file_format(path, file_version(path), options)


def file_version(path: File) -> tuple[object, ...]:
    """A key that changes whenever the file does."""
    if not isinstance(path, Path):
        return path.mark
    status = path.stat()
    return (status.st_size, status.st_mtime_ns, status.st_ino)


@functools.lru_cache(maxsize=32)
def _file_format(path: File, _version: tuple[object, ...], options: FileOptions) -> FileFormat:
    contents = contents_of(path, options.sheet)
    if contents.sheet is not None:
        return _sheet_format(contents, options)
    with contents.open() as file:
        head = file.read(_HEAD_BYTES)
    text_scan = _scan(contents, options, head)
    encoding = text_scan.encoding
    text = codecs.getincrementaldecoder(encoding)("ignore").decode(head.removeprefix(_BOM))
    separator = _SEPARATOR_LINE.match(text) if options.skip_rows is None else None
    given = options.delimiter or (separator[1] if separator else None)
    allowed = DELIMITERS if given is None else (given,)
    is_even, delimiter = _delimiter(text, allowed, backslashes=False)
    escaped = False
    if text_scan.backslashes and not is_even:
        escaped, other = _delimiter(text, allowed, backslashes=True)
        delimiter = other if escaped else delimiter
    records = _records(text, delimiter, backslashes=escaped)
    found = find_table(contents.label, records, options.skip_rows, 1 if separator else 0)
    is_utf8 = encoding == UTF8
    backslashes = text_scan.backslashes and _escapes_with_backslashes(
        contents, encoding, delimiter, found
    )
    direct = (
        contents.packing is None
        and is_utf8
        and not backslashes
        and not found.skipped
        and len(found.kept) == found.width
        and not _has_footer(contents, delimiter, found.width)
    )
    csv_form = CsvFormat(columns=found.columns, delimiter=delimiter if direct else ",")
    if direct and _has_stray_delimiter(path, csv_form):
        raise DataError(
            _misshapen(path, csv_form) or f"{path}: a row has more fields than the header"
        )
    return FileFormat(
        contents=contents,
        encoding=encoding,
        csv=csv_form,
        delimiter=delimiter,
        skipped=found.skipped,
        kept=found.kept,
        width=found.width,
        backslashes=backslashes,
        direct=direct,
        warnings=_labelled(
            contents,
            *found.notes,
            *_notes(encoding, delimiter, options),
            *(["a backslash escapes quotes"] if backslashes else []),
        ),
    )


def _sheet_format(contents: Contents, options: FileOptions) -> FileFormat:
    records = list(itertools.islice(contents.cells(), _SNIFFED_RECORDS))
    found = find_table(contents.label, records, options.skip_rows, 0)
    return FileFormat(
        contents=contents,
        encoding=None,
        csv=CsvFormat(columns=found.columns, delimiter=","),
        delimiter=None,
        skipped=found.skipped,
        kept=found.kept,
        width=found.width,
        backslashes=False,
        direct=False,
        warnings=_labelled(contents, f"the sheet {contents.sheet!r} is read", *found.notes),
    )


def _labelled(contents: Contents, *notes: str) -> tuple[str, ...]:
    name = contents.label.rpartition("/")[2]
    return tuple(f"{name}: {note}" for note in notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    """What the whole text shows: its encoding, and whether a backslash may be an escape."""

    encoding: str
    backslashes: bool


def _scan(contents: Contents, options: FileOptions, head: bytes) -> _Scan:
    chosen = options.encoding
    if chosen is not None:
        chosen = _WIDER.get(chosen, chosen)
    marked = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)
    guessed = marked or _utf16_without_mark(head)
    if chosen is None and guessed:
        return _Scan(encoding=guessed, backslashes=True)
    is_utf8, is_ascii, nul, backslashes = _read_bytes(contents)
    if chosen not in (None, UTF8, "utf-8-sig", "ascii"):
        _refuse_another_encoding(contents, chosen or "", is_utf8=is_utf8, is_ascii=is_ascii)
        return _Scan(encoding=chosen or "", backslashes=True)
    if nul:
        raise DataError(
            f"{contents.label}: a NUL byte at byte {nul}; text is expected (is the file binary?)"
        )
    if is_utf8:
        return _Scan(encoding=UTF8, backslashes=backslashes)
    if chosen is not None:
        raise DataError(f"{contents.label}: encoding: found {chosen}, but the file is not UTF-8")
    _check_windows_1252(contents)
    return _Scan(encoding=_WINDOWS, backslashes=backslashes)


def _utf16_without_mark(head: bytes) -> str | None:
    even, odd = head[::2].count(0), head[1::2].count(0)
    nuls = even + odd
    is_rare = nuls < max(_FEWEST_NULS, _NUL_SHARE * len(head))
    if is_rare or max(even, odd) < _NULS_ON_ONE_SIDE * nuls:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _read_bytes(contents: Contents) -> tuple[bool, bool, int, bool]:
    """Whether the bytes are UTF-8, and ASCII; the first NUL byte (0: none); escapes, maybe."""
    decoder = codecs.getincrementaldecoder(UTF8)()
    is_utf8, is_ascii, pending, before, nul, backslashes = True, True, False, 0, 0, False
    last = b""
    for chunk in _chunks(contents):
        if not nul and (at := chunk.find(b"\0")) >= 0:
            nul = before + at + 1
        before += len(chunk)
        if not backslashes and b"\\" in chunk:
            joined = last + chunk
            backslashes = any(b"\\" + sign in joined for sign in (b'"', b",", b";", b"\t", b"|"))
        last = chunk[-1:]
        if is_utf8 and (pending or not chunk.isascii()):
            is_ascii = False
            try:
                decoder.decode(chunk)
                pending = bool(decoder.getstate()[0])
            except UnicodeDecodeError:
                is_utf8 = False
    return is_utf8 and not pending, is_ascii, nul, backslashes


def _refuse_another_encoding(
    contents: Contents, chosen: str, *, is_utf8: bool, is_ascii: bool
) -> None:
    """Refuse an encoding if the bytes show that the file has another."""
    try:
        reads_ascii = b"a,b".decode(chosen) == "a,b"
    except UnicodeDecodeError:
        reads_ascii = False
    if is_utf8 and not (is_ascii and reads_ascii):
        raise DataError(
            f"{contents.label}: encoding: found {chosen}, but the file is UTF-8; leave encoding out"
        )


def _check_windows_1252(contents: Contents) -> None:
    """Refuse text whose bytes beyond ASCII make no sense as Windows-1252."""
    seen = odd = 0
    for chunk in _chunks(contents):
        try:
            text = chunk.decode(_WINDOWS)
        except UnicodeDecodeError:
            raise DataError(
                f"{contents.label}: the text is neither UTF-8 nor Windows-1252; {_MEND}"
            ) from None
        for match in re.finditer(r"(.?)([^\x00-\x7f])(?=(.?))", text, re.DOTALL):
            seen += 1
            odd += _is_odd(*match.groups())
    if odd > _SUSPICIOUS_SHARE * seen:
        raise DataError(
            f"{contents.label}: the text is not UTF-8, and read as Windows-1252 it makes no sense; "
            f"{_MEND}"
        )


def _is_odd(before: str, character: str, after: str) -> bool:
    """Whether a character is at a place where no word of a European language has it."""
    if character.isalpha():
        return character.isupper() and before.isalpha() and after.islower()
    return before.isalpha() and after.isalpha() and character not in _INSIDE_WORDS


def _chunks(contents: Contents) -> Iterator[bytes]:
    with contents.open() as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _records(text: str, delimiter: str, *, backslashes: bool) -> list[list[str]]:
    with wide_fields():
        reader = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=delimiter,
            escapechar="\\" if backslashes else None,
        )
        return list(itertools.islice(reader, _SNIFFED_RECORDS))


@contextlib.contextmanager
def wide_fields() -> Iterator[None]:
    """Raises the csv module's limit of 128 KB per field within the block."""
    limit = csv.field_size_limit(_CHUNK_BYTES)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _delimiter(text: str, allowed: Sequence[str], *, backslashes: bool) -> tuple[bool, str]:
    """The delimiter that splits the first records most evenly, into the most fields.

    Returns:
        Whether it gives all records the same width, and the delimiter.
    """

    def rank(delimiter: str) -> tuple[bool, int, int]:
        # The last record may be cut off, the first may be titles, the last may be a footer.
        records = [r for r in _records(text, delimiter, backslashes=backslashes) if r]
        whole = records[:-1] if len(records) > 2 else records  # noqa: PLR2004 - header, one row
        widths = [len(record) for record in whole]
        if not widths:
            return False, 0, 0
        usual = max(Counter(widths).items(), key=lambda item: (item[1], item[0]))[0]
        inner = list(itertools.dropwhile(lambda width: width != usual, widths))
        while inner and inner[-1] == 1:
            inner.pop()
        is_even = usual > 1 and all(width == usual for width in inner)
        return is_even and 2 * len(inner) >= len(widths), usual, len(inner)

    best = max(allowed, key=rank)
    return rank(best)[0], best


def _notes(encoding: str, delimiter: str, options: FileOptions) -> list[str]:
    """What was assumed about the encoding and the delimiter."""
    notes = []
    if options.encoding is None and encoding == _WINDOWS:
        notes.append("not valid UTF-8; read as Windows-1252 (if letters look wrong, set encoding)")
    elif options.encoding is None and encoding != UTF8:
        notes.append(f"read as {spelled(encoding)}")
    if options.delimiter is None and delimiter != ",":
        notes.append(f"fields are separated by {_NAMES.get(delimiter, repr(delimiter))}")
    return notes


def spelled(encoding: str) -> str:
    """The name of an encoding for people."""
    return _SPELLED.get(encoding, encoding)


def _has_footer(contents: Contents, delimiter: str, width: int) -> bool:
    """Whether the last line of text in UTF-8 is blank between its delimiters, or a footer."""
    with contents.open() as file:
        file.seek(0, io.SEEK_END)
        file.seek(max(0, file.tell() - _TAIL_BYTES))
        lines = re.split(r"[\r\n]+", file.read().decode(UTF8, "ignore").rstrip("\r\n"))
    if len(lines) < 2 or lines[-1].count('"') % 2:  # noqa: PLR2004 - header, one row
        return False
    (record,) = csv.reader([lines[-1]], delimiter=delimiter)
    if not any(cell.strip() for cell in record):
        return width > 1 and len(record) == width
    return is_footer(record, width, after_blank=False)


def _escapes_with_backslashes(
    contents: Contents, encoding: str, delimiter: str, found: TableLayout
) -> bool:
    """Whether more rows have the header's width if backslashes are escapes."""

    def bad_rows(*, backslashes: bool) -> float:
        records = text_records(contents, encoding, delimiter, backslashes=backslashes)
        try:
            rows = itertools.islice(records, found.skipped, None)
            return sum(1 for _, row in rows if row and len(row) != found.width)
        except DataError:
            return math.inf

    standard = bad_rows(backslashes=False)
    return standard > 0 and bad_rows(backslashes=True) < standard


def text_records(
    contents: Contents, encoding: str, delimiter: str, *, backslashes: bool
) -> Iterator[tuple[int, list[str]]]:
    """The records of a text, blank lines included, each with the number of its last line.

    Raises:
        DataError: bytes are not of the encoding, or quotes are misplaced.
    """
    line = 0
    with wide_fields(), contents.open() as file:
        codec = "utf-8-sig" if encoding == UTF8 else encoding
        text = io.TextIOWrapper(file, encoding=codec, newline="")
        escape = "\\" if backslashes else None
        lines = _without_nulls(text, delimiter) if backslashes else iter(text)
        reader = csv.reader(lines, delimiter=delimiter, escapechar=escape, strict=True)
        try:
            for record in reader:
                line = reader.line_num
                yield line, record
        except csv.Error:
            raise DataError(
                f'{contents.label}: line {reader.line_num}: a quote (") that is not closed, or '
                "text after a closing quote"
            ) from None
        except UnicodeError:
            raise DataError(
                f"{contents.label}: the text after line {line} is not {spelled(encoding)}; {_MEND}"
            ) from None


def _without_nulls(lines: Iterable[str], delimiter: str) -> Iterator[str]:
    """The lines of a dump with an empty field for a null, which it writes as backslash N."""
    mark = re.escape(delimiter)
    null = re.compile(rf"(^|(?<={mark}))\\N(?={mark}|\r|\n|$)")
    return (null.sub("", line) for line in lines)


def _has_stray_delimiter(path: File, dialect: CsvFormat) -> bool:
    """Whether a line ends in an extra, empty field, which engines silently ignore."""
    mark = dialect.delimiter.encode()
    quotes = marks = lines = 0
    ends_in_mark, last = False, b""
    for chunk in _path_chunks(path):
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
    with wide_fields(), _as_text(path) as file:
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
    _refuse_misquoted(path, dialect, file_version(path))


@functools.lru_cache(maxsize=32)
def _refuse_misquoted(path: File, dialect: CsvFormat, _version: tuple[object, ...]) -> None:
    quotes = pairs = feeds = returns = 0
    last = b""
    for chunk in _path_chunks(path):
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
    with wide_fields(), _as_text(path) as file:
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


def _path_chunks(path: File) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _as_text(path: File) -> io.TextIOWrapper:
    return io.TextIOWrapper(path.open("rb"), encoding="utf-8-sig", newline="")
