"""DuckDB as the engine of the data plane: in this process, on all cores, spilling to disk."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from liftwright.data import file_format, identifier, literal, scratch_folder, sql_fragments
from liftwright.errors import DataError, InputError
from liftwright.model import ColumnKind, Identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from liftwright.adapters.duckdb.filesystem import RemoteFileSystem
    from liftwright.model import TableSchema
    from liftwright.model.remote_files import File
    from liftwright.ports import CsvFormat, Row, Source

# `digest` is an integer with its bytes reversed, so that `u32` needs no conversion through hex.
# Times are computed from numbers, because looking up time zones is slow. So is trimming, which
# `folded` does only where an address of ASCII characters needs it. Without the guards DuckDB would
# read 1_000 as a number and `epoch` as a time.
_FUNCTIONS = f"""
create macro digest(t) as md5_number(t);
create macro nth(l, k) as l[k];
create macro key(t) as hash(t);
create macro byte_swap(w) as
    ((w & 255) << 24) | ((w & 65280) << 8) | ((w >> 8) & 65280) | (w >> 24);
create macro u32(d, k) as
    byte_swap(cast((d >> cast(32 * k as uhugeint)) & 4294967295 as bigint));
create macro micros(t) as epoch_us(cast(t as timestamptz));
create macro utc_day(t) as make_date(cast(
    case when micros(t) < 0 then -1 - (-1 - micros(t)) // 86400000000
    else micros(t) // 86400000000 end as integer
));
create macro later(t, seconds) as make_timestamptz(micros(t) + seconds * 1000000);
create macro number_of(t) as
    case when contains(t, '_') then null else try_cast(t as double) end;
create macro time_of(t) as case
    when regexp_matches(t, '{sql_fragments.TIME_BARE}') then try_cast(t as timestamp)
    when regexp_matches(t, '{sql_fragments.TIME_UTC}')
    then try_cast(trim(t, '{sql_fragments.TIME_SPACES}') as timestamp)
    when regexp_matches(t, '{sql_fragments.TIME_WITH_OFFSET}')
    then try_cast(
        replace(replace(trim(t, '{sql_fragments.TIME_SPACES}'), ' +', '+'), ' -', '-')
        as timestamptz
    ) at time zone 'UTC' end;
create macro is_address(t) as t like '%@%' and t not like '%@%@%';
create macro bare(t) as
    case when t < '!' or t[-1] <= ' ' then trim(t, ' ' || chr(9) || chr(10) || chr(11) || chr(12)
    || chr(13)) else t end;
create macro narrow(t) as
    translate(t, {literal(sql_fragments.ADDRESS_WIDE)}, {literal(sql_fragments.ADDRESS_NARROW)});
create macro folded(t) as case
    when strlen(t) = length(t) then case when is_address(t) then lower(bare(t)) else t end
    when is_address(narrow(t))
    then lower(trim(narrow(t), '{sql_fragments.ADDRESS_SPACES}')) else t end;
create macro time_as(t, format) as
    case when lower(trim(t)) in ('epoch', 'infinity', '-infinity') then null
    else try_strptime(trim(t), format) end;
"""
# To push a sum below a join, this optimizer inlines every expression between the two at each
# mention: seconds of planning for a sum over simulated engagement. Some versions do not have it.
_DISABLE = """
set variable steps = (
    select coalesce(string_agg(name, ','), '') from duckdb_optimizers()
    where name = 'partial_aggregate_pushdown'
);
set disabled_optimizers = getvariable('steps');
"""
# Objects are pinned to one version, so cached ranges stay valid: what does not fit into memory is
# spilled to disk instead of being fetched again.
_CACHE_OBJECTS = """
set external_file_cache_spill = true;
set validate_external_file_cache = 'NO_VALIDATION';
"""
# Level 1 takes half the time of the default and compresses our columns as well. A dictionary is not
# worth looking for in a column with more distinct values per row group than this, such as ids, nor
# in a file that is read once or twice and deleted.
_GROUPS = "format parquet, row_group_size 122880, "
_TEMPORARY_PARQUET = _GROUPS + "compression uncompressed, dictionary_size_limit 1"
_PARQUET = _GROUPS + "compression zstd, compression_level 1, dictionary_size_limit 5000"
_FILE = re.compile(r"^\s*file = (.+)$", re.MULTILINE)
_LINE = re.compile(r"CSV Error on Line: (\d+)")
# How DuckDB reports a damaged page, dictionary or footer of a Parquet file.
_DAMAGED = re.compile(
    r"Parquet|TProtocolException|thrift|Decompression|zstd|snappy|decompress|magic bytes|"
    r"dictionary offset|dictionary page|Out of buffer|don't read",
    re.IGNORECASE,
)


class DuckDBEngine:
    """Tables in memory that spill to disk when they exceed it.

    Statements run one at a time; each uses `threads` threads.
    """

    def __init__(
        self, temporary: Path, *, memory: str | None = None, threads: int | None = None
    ) -> None:
        """Start an engine.

        Args:
            temporary: the parent of the folder for spilling, which `close` removes.
            memory: how much it may use before it spills, such as `4GB`.
            threads: the number of threads per statement; all cores by default.
        """
        self._folder = str(scratch_folder(temporary))
        self._kinds: dict[str, str] = {}
        self._forms: dict[str, tuple[File, CsvFormat]] = {}
        self._filesystem: RemoteFileSystem | None = None
        self._parquet: dict[str, tuple[str, ...]] = {}
        config: dict[str, str | bool | int | float | list[str]] = {
            "temp_directory": self._folder,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        if memory is not None:
            config["memory_limit"] = memory.replace(" ", "")
        if threads is not None:
            config["threads"] = threads
        self._connection = duckdb.connect(":memory:", config=config)
        # A progress bar would mix with results on standard output. In a notebook without widgets
        # the setting does not exist and raises.
        with contextlib.suppress(duckdb.InvalidInputException):
            self._connection.execute("set enable_progress_bar = false")
        # Dates of zoned times must not depend on the machine's time zone.
        self._connection.execute("set TimeZone = 'UTC'")
        self._connection.execute(_DISABLE)
        self._connection.execute(_FUNCTIONS)

    @property
    def identity(self) -> Identity:
        """DuckDB and its version."""
        return Identity(provider="duckdb", version=duckdb.__version__)

    @property
    def metered(self) -> bool:
        """False: calls cost nothing."""
        return False

    def open(self, name: str, source: Source) -> tuple[str, ...]:
        """Make a file readable as the table `name`, with `_row` before its own columns.

        Raises:
            DataError: the file is missing, unreadable or ambiguous.
        """
        parquet = file_format.parquet_files(source.path)
        row = "row_number() over ()"
        if parquet:
            self._register(parquet)
            reader = _parquet_reader(parquet)
            self._parquet[name] = tuple(map(str, parquet))
            row = self._row_number(source.path, parquet)
        else:
            form = source.csv or file_format.csv_format(source.path)
            here = source.path if isinstance(source.path, Path) else source.path.local
            reader = _csv_reader(here, form)
            self._forms[str(here)] = (source.path, form)
        described = self._described(source.path, reader)
        names = tuple(str(row[0]) for row in described)
        if any(n.lower() == "_row" for n in names):
            raise DataError(f"{source.path}: the column name '_row' is reserved; rename it")
        columns = ", ".join(
            f"cast({identifier(n)} as varchar) as {identifier(n)}"
            if source.text and parquet
            else identifier(n)
            for n in names
        )
        self.keep(
            name,
            f"select {row} as _row, {columns} from {reader}",  # noqa: S608 - built
            stored=False,
        )
        return names

    def _register(self, parquet: Sequence[File]) -> None:
        """Let DuckDB read the files that are in object stores."""
        for file in parquet:
            if isinstance(file, Path):
                continue
            if self._filesystem is None:
                from liftwright.adapters.duckdb.filesystem import RemoteFileSystem

                self._filesystem = RemoteFileSystem()
                self._connection.register_filesystem(self._filesystem)
                self._connection.execute(_CACHE_OBJECTS)
            self._filesystem.files |= {str(file): file, _escaped(file): file}

    def _described(self, path: File, reader: str) -> list[tuple[object, ...]]:
        try:
            return self._connection.execute(f"describe from {reader}").fetchall()
        except duckdb.Error:
            self._raise_read_error()
            raise DataError(f"{path}: cannot be read; is the file complete?") from None

    def _raise_read_error(self) -> None:
        """Raise the error of an object store that DuckDB has wrapped."""
        if self._filesystem is not None and (error := self._filesystem.error) is not None:
            self._filesystem.error = None
            raise error from None

    def _row_number(self, path: File, parquet: Sequence[File]) -> str:
        """SQL for the row number across all files, which can be computed in parallel.

        Raises:
            DataError: a file cannot be read, or its columns differ from the previous file's.
        """
        schemas, starts, before = [], [], 0
        for file in parquet:
            described = self._described(file, _parquet_reader([file]))
            schemas.append((file, {str(row[0]): str(row[1]) for row in described}))
        file_format.refuse_mixed(schemas)
        names = {name.lower() for name in schemas[0][1]}
        if names & {"file_row_number", "file_index"}:
            # The file's own columns hide DuckDB's.
            return "row_number() over ()"
        if len(parquet) == 1:
            return "file_row_number + 1"
        for index, file in enumerate(parquet):
            starts.append(f"when {index} then {before}")
            counted = f"select count(*) from {_parquet_reader([file])}"  # noqa: S608 - built
            with self._translated(str(path)):
                ((rows,),) = self._connection.execute(counted).fetchall()
            before += int(rows)
        return f"file_row_number + 1 + case file_index {' '.join(starts)} end"

    def keep(self, name: str, statement: str, *, stored: bool = True) -> None:
        """Name a statement's result: a table if `stored`, otherwise a view."""
        kind = "table" if stored else "view"
        before = self._kinds.get(name)
        target = identifier(name)
        with self._translated(name):
            if before in (None, kind):
                self._connection.execute(f"create or replace {kind} {target} as {statement}")
            else:
                fresh = identifier(f"_fresh_{name}")
                self._connection.execute(f"create {kind} {fresh} as {statement}")
                self._connection.execute(f"drop {before} {target}")
                self._connection.execute(f"alter {kind} {fresh} rename to {target}")
        self._kinds[name] = kind

    def rows(self, statement: str) -> Sequence[Row]:
        """A statement's rows as Python values."""
        with self._translated("a statement"):
            return self._connection.execute(statement).fetchall()

    def write(
        self, statement: str, path: Path, table: TableSchema | None = None, *, lasting: bool = True
    ) -> int:
        """Write rows to Parquet under a temporary name, then rename it; returns the row count.

        Rows keep the statement's order, so equal rows give equal files.
        """
        if table is not None:
            with self._translated(str(path.parent)):
                described = self._connection.execute(f"describe {statement}").fetchall()
            types = {str(row[0]): str(row[1]) for row in described}
            statement = f"select {_typed(table, types)} from ({statement}) as typed"  # noqa: S608 - built
        part = path.with_name(f".{path.name}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._translated(str(path.parent)):
                ((count,),) = self._connection.execute(
                    f"copy ({statement}) to {_text(str(part))} "
                    f"({_PARQUET if lasting else _TEMPORARY_PARQUET})"
                ).fetchall()
            if lasting:
                _sync(part)
            part.replace(path)
            if lasting:
                _sync(path.parent)
        except OSError as error:
            raise InputError(f"{path.parent}: cannot be written: {error.strerror}") from None
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        return int(count)

    def close(self) -> None:
        """Release the memory and remove the folder for spilling."""
        self._connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextlib.contextmanager
    def _translated(self, where: str) -> Iterator[None]:
        try:
            yield
        except duckdb.OutOfMemoryException as error:
            raise InputError(_memory_message(str(error), self._folder)) from None
        except duckdb.Error as error:
            self._raise_read_error()
            # A damaged page raises the base class.
            message = self._file_message(str(error), damaged=type(error) is duckdb.Error)
            if message is not None:
                raise DataError(message) from None
            if isinstance(error, duckdb.IOException):
                raise InputError(_io_message(str(error), where)) from None
            raise

    def _file_message(self, text: str, *, damaged: bool) -> str | None:
        """The problem with an opened file; None if the error is not about one."""
        message = self._csv_message(text)
        if message is not None or not self._parquet or not (damaged or _DAMAGED.search(text)):
            return message
        opened = sorted({file for paths in self._parquet.values() for file in paths})
        # An error that names no file concerns one of those that are open.
        which = next((file for file in opened if file in text), None) or " or ".join(opened[:3])
        return f"{which}: cannot be read as Parquet; is the file complete and undamaged?"

    def _csv_message(self, text: str) -> str | None:
        """The problem with a CSV file, without any values; None for another error."""
        named = _FILE.search(text)
        if named is None or named.group(1).strip() not in self._forms:
            return None
        path, form = self._forms[named.group(1).strip()]
        found = file_format.misshapen_record(path, form)
        if found is not None and "unterminated quote" not in text:
            return (
                f"{path}: line {found[0]}: found {found[1]} fields, but the header has "
                f"{len(form.columns)}"
            )
        line = _LINE.search(text)
        at = f"{path}: line {line.group(1)}" if line else f"{path}"
        if "unterminated quote" in text:
            return f'{at}: a quote (") that is not closed, or text after a closing quote'
        if "invalid state" in text:
            return f"{at}: line ends are mixed, or quotes are misplaced; one kind is expected"
        if "line size" in text.lower():
            return f"{at}: the line is longer than 2 MB"
        return f"{at}: not a CSV row as the header says"


def _parquet_reader(paths: Sequence[File]) -> str:
    names = ", ".join(_text(_escaped(path)) for path in paths)
    return f"read_parquet([{names}], hive_partitioning = false)"


def _csv_reader(path: Path, form: CsvFormat) -> str:
    columns = ", ".join(f"{_text(name)}: 'VARCHAR'" for name in form.columns)
    return (
        f"read_csv({_text(_escaped(path))}, columns = {{{columns}}}, header = true, "
        f"delim = {_text(form.delimiter)}, quote = '\"', escape = '\"', nullstr = '', "
        f"encoding = 'utf-8', compression = 'none', auto_detect = false, "
        "strict_mode = true, null_padding = false, hive_partitioning = false)"
    )


def _escaped(path: File) -> str:
    """The path with DuckDB's wildcards escaped."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _typed(table: TableSchema, types: Mapping[str, str]) -> str:
    """The table's columns cast to its types; enums are written as text."""
    return ", ".join(
        identifier(c.name)
        if c.kind is ColumnKind.TEXT and types.get(c.name, "").startswith("ENUM(")
        else f"cast({identifier(c.name)} as {c.kind.value}) as {identifier(c.name)}"
        for c in table.columns
    )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _memory_message(text: str, folder: str) -> str:
    if "max_temp_directory_size" in text or "No space left" in text:
        return f"{folder}: the disk is full; the engine has no room to spill to"
    return "the engine ran out of memory; raise engine_memory in azure_config.yaml"


def _io_message(text: str, where: str) -> str:
    if "No space left" in text:
        return f"{where}: the disk is full"
    if "Permission denied" in text:
        return f"{where}: permission denied"
    if "No files found" in text or "does not exist" in text:
        return f"{where}: no such file"
    return f"{where}: cannot be read or written"
