"""DuckDB as the engine of the data plane: one process, every core, spilling to a folder."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from liftwright.data import file_format, identifier, scratch_folder, sql_fragments
from liftwright.errors import DataError, InputError
from liftwright.model import ColumnKind, Identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from liftwright.adapters.duckdb.filesystem import RemoteFileSystem
    from liftwright.model import TableSchema
    from liftwright.model.remote_files import File
    from liftwright.ports import Row, Source

# A digest is a whole number here, whose bytes stand in reverse: its words come without spelling
# them in hex and reading that again. Times are made from numbers, as zones are slow to look up.
# Without the guards DuckDB reads 1_000 as a number and `epoch` as a time.
_FUNCTIONS = f"""
create macro digest(t) as md5_number(t);
create macro nth(l, k) as l[k];
create macro key(t) as hash(t);
create macro turned(w) as
    ((w & 255) << 24) | ((w & 65280) << 8) | ((w >> 8) & 65280) | (w >> 24);
create macro u32(d, k) as
    turned(cast((d >> cast(32 * k as uhugeint)) & 4294967295 as bigint));
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
create macro time_as(t, format) as
    case when lower(trim(t)) in ('epoch', 'infinity', '-infinity') then null
    else try_strptime(trim(t), format) end;
"""
# To push a sum below a join, this step writes every expression between the two into the next, again
# for each mention: seconds of planning for a sum over simulated engagement. A version of DuckDB
# that does not have the step is left as it is.
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
# Level 1 is half as slow as the default and packs our columns as well. A column with more values
# than this in a group of rows, as ids are, is not worth the search for a dictionary; for a file
# that is read once or twice and deleted, none is.
_GROUPS = "format parquet, row_group_size 122880, "
_PASSING = _GROUPS + "compression uncompressed, dictionary_size_limit 1"
_PARQUET = _GROUPS + "compression zstd, compression_level 1, dictionary_size_limit 5000"
_FILE = re.compile(r"^\s*file = (.+)$", re.MULTILINE)
_LINE = re.compile(r"CSV Error on Line: (\d+)")
# What DuckDB says where a page, a dictionary or a footer of a Parquet file is damaged.
_BROKEN = re.compile(
    r"Parquet|TProtocolException|thrift|Decompression|zstd|snappy|decompress|magic bytes|"
    r"dictionary offset|dictionary page|Out of buffer|don't read",
    re.IGNORECASE,
)


class DuckDBEngine:
    """Tables in memory, spilled to a folder of its own where they outgrow it.

    Statements of one engine run one at a time; each uses `threads` threads.
    """

    def __init__(
        self, temporary: Path, *, memory: str | None = None, threads: int | None = None
    ) -> None:
        """Start an engine.

        Args:
            temporary: where a folder for spilling is made; it is removed by `close`.
            memory: the most it may hold before it spills, such as `4GB`.
            threads: how many threads a statement may use; all cores by default.
        """
        self._folder = str(scratch_folder(temporary))
        self._kinds: dict[str, str] = {}
        self._forms: dict[str, tuple[File, file_format.CsvFormat]] = {}
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
        # Its bar would stand among the answers on standard output. A notebook without widgets has
        # none, and refuses to be told so.
        with contextlib.suppress(duckdb.InvalidInputException):
            self._connection.execute("set enable_progress_bar = false")
        # Days and texts of times that know their zone: the same wherever the machine stands.
        self._connection.execute("set TimeZone = 'UTC'")
        self._connection.execute(_DISABLE)
        self._connection.execute(_FUNCTIONS)

    @property
    def identity(self) -> Identity:
        """DuckDB and its version."""
        return Identity(provider="duckdb", version=duckdb.__version__)

    @property
    def metered(self) -> bool:
        """No: it runs in this process."""
        return False

    def open(self, name: str, source: Source) -> tuple[str, ...]:
        """Make a file readable as `name`, with `_row` before its own columns.

        Raises:
            DataError: the file is missing or cannot be read without guessing.
        """
        parquet = file_format.parquet_files(source.path)
        place = "row_number() over ()"
        if parquet:
            self._register(parquet)
            reader = _parquet_reader(parquet)
            self._parquet[name] = tuple(map(str, parquet))
            place = self._place(source.path, parquet)
        else:
            form = file_format.csv_format(source.path)
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
            f"select {place} as _row, {columns} from {reader}",  # noqa: S608 - built
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

    def _place(self, path: File, parquet: Sequence[File]) -> str:
        """SQL of a row's number through all files, which many threads can compute at once.

        Raises:
            DataError: a file cannot be read, or has other columns than those before it.
        """
        schemas, starts, before = [], [], 0
        for file in parquet:
            described = self._described(file, _parquet_reader([file]))
            schemas.append((file, {str(row[0]): str(row[1]) for row in described}))
        file_format.refuse_mixed(schemas)
        names = {name.lower() for name in schemas[0][1]}
        if names & {"file_row_number", "file_index"}:
            # The file's own columns hide those that count.
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
        """Name a statement's rows: a table in memory, or a view."""
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
        """Write rows to Parquet under another name, then give it its own; the number of rows.

        Rows keep the statement's order, so equal rows make equal files.
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
                    f"({_PARQUET if lasting else _PASSING})"
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
        """Give back memory and the folder for spilling."""
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
            # Damaged pages raise the plain error, without a class of their own.
            message = self._file_message(str(error), damaged=type(error) is duckdb.Error)
            if message is not None:
                raise DataError(message) from None
            if isinstance(error, duckdb.IOException):
                raise InputError(_io_message(str(error), where)) from None
            raise

    def _file_message(self, text: str, *, damaged: bool) -> str | None:
        """What is wrong with a file that was opened; None where the error is not of one."""
        message = self._csv_message(text)
        if message is not None or not self._parquet or not (damaged or _BROKEN.search(text)):
            return message
        opened = sorted({file for paths in self._parquet.values() for file in paths})
        # Where the error names no file, it can only be one of those that are open.
        which = next((file for file in opened if file in text), None) or " or ".join(opened[:3])
        return f"{which}: cannot be read as Parquet; is the file complete and undamaged?"

    def _csv_message(self, text: str) -> str | None:
        """What is wrong with a CSV file, without the row's values; None for another error."""
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


def _csv_reader(path: Path, form: file_format.CsvFormat) -> str:
    columns = ", ".join(f"{_text(name)}: 'VARCHAR'" for name in form.columns)
    return (
        f"read_csv({_text(_escaped(path))}, columns = {{{columns}}}, header = true, "
        f"delim = {_text(form.delimiter)}, quote = '\"', escape = '\"', nullstr = '', "
        f"encoding = '{form.encoding}', compression = 'none', auto_detect = false, "
        "strict_mode = true, null_padding = false, hive_partitioning = false)"
    )


def _escaped(path: File) -> str:
    """The path with the characters that DuckDB takes for patterns made plain."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _typed(table: TableSchema, types: Mapping[str, str]) -> str:
    """The table's columns in its types; words of a type of their own are written as texts."""
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
