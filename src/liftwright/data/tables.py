"""`Tables`: opens, creates, queries and writes tables in any engine.

SQL is written in the subset of DuckDB's dialect that gives the same results on every engine. Each
engine adds functions: `digest(text)`, the text's md5 in an engine-specific form, and
`u32(digest, k)`, its k-th 32 bits; `number_of(text)`, the text as a double, or null;
`time_of(text)`, the ISO 8601 text as a time in UTC (see `sql_fragments.py`), or null;
`nth(list, k)`, the k-th value, from 1; `key(text)`, a hash of the text; `utc_day(time)`;
`later(time, seconds)`; `folded(id)`, an id with one `@` without differences of case, surrounding
space and full-width characters, any other id unchanged.
"""

from __future__ import annotations

import functools
import re
import shutil
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

from liftwright.data import file_format
from liftwright.data.file_resolver import FileResolver
from liftwright.data.sql_fragments import identifier
from liftwright.errors import DataError
from liftwright.model import FEATURES, ColumnKind
from liftwright.ports import Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from liftwright.config import FileOptions
    from liftwright.model import TableSchema
    from liftwright.model.remote_files import File
    from liftwright.ports import Engine, Row

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KINDS = {
    "VARCHAR": ColumnKind.TEXT,
    "ENUM": ColumnKind.TEXT,
    "STRING": ColumnKind.TEXT,
    "BOOLEAN": ColumnKind.FLAG,
    "DOUBLE": ColumnKind.NUMBER,
    "FLOAT": ColumnKind.NUMBER,
    "DECIMAL": ColumnKind.NUMBER,
    "DATE": ColumnKind.TIME,
    "TIMESTAMP": ColumnKind.TIME,
    "TIMESTAMP_NTZ": ColumnKind.TIME,
    "TIMESTAMP_S": ColumnKind.TIME,
    "TIMESTAMP_MS": ColumnKind.TIME,
    "TIMESTAMP_NS": ColumnKind.TIME,
    "TIMESTAMP WITH TIME ZONE": ColumnKind.TIME,
    "TINYINT": ColumnKind.INTEGER,
    "SMALLINT": ColumnKind.INTEGER,
    "INTEGER": ColumnKind.INTEGER,
    "INT": ColumnKind.INTEGER,
    "BIGINT": ColumnKind.INTEGER,
    "HUGEINT": ColumnKind.INTEGER,
    "UTINYINT": ColumnKind.INTEGER,
    "USMALLINT": ColumnKind.INTEGER,
    "UINTEGER": ColumnKind.INTEGER,
    "UBIGINT": ColumnKind.INTEGER,
}


class Tables:
    """Named tables in an engine, and the files that they come from."""

    def __init__(
        self, engine: Engine, scratch: Path | None = None, files: FileResolver | None = None
    ) -> None:
        """Tables in `engine`.

        Args:
            engine: runs the statements; `close` closes it.
            scratch: a folder for materialized tables, removed by `close`; None materializes none.
            files: finds files by path or URL; None supports only paths.
        """
        self._engine = engine
        self._scratch = scratch
        self._files = files or FileResolver()
        self._materialized = 0
        self._warnings: list[str] = []
        self._created: set[str] = set()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the opened files."""
        return tuple(self._warnings)

    def find(self, root: Path, location: str | Path) -> File:
        """The file at a path relative to `root`, or at a URL.

        Raises:
            DataError: the URL is not supported or does not exist, or its store does not answer.
        """
        return self._files.find(root, location)

    def open(
        self, name: str, path: File, *, text: bool = True, options: FileOptions | None = None
    ) -> tuple[str, ...]:
        """Make a file readable as table `name`, and return the names of the file's columns.

        The table begins with `_row` (1 is the first row of data). CSV columns are always text.

        Raises:
            DataError: the file is missing or cannot be read without guessing.
        """
        form = None
        if not file_format.parquet_files(path):
            read = options.file_options if options else file_format.AUTOMATIC
            path, form, warnings = self._files.readable(path, read)
            self._warnings.extend(warnings)
        return self._engine.open(name, Source(path=path, text=text, csv=form))

    def sql(self, name: str, **parts: str) -> str:
        """The statement in `sql/<name>.sql`, with each `${part}` replaced by a piece of SQL.

        Parts are built from `identifier`, `literal` and compiled rules, never from raw user text.
        """
        return _template(name).substitute(parts)

    def keep(self, table: str, sql: str, *, stored: bool = True) -> None:
        """Create `table` from a statement: stored now, or a view that is computed at each use."""
        self._engine.keep(table, sql, stored=stored)
        self._created.add(table)

    def materialize(self, table: str, sql: str) -> None:
        """Create a large table once, in a scratch file instead of in memory."""
        if self._scratch is None:
            self.keep(table, sql, stored=False)
            return
        self._materialized += 1
        file = self._scratch / f"{table}-{self._materialized}.parquet"
        source = f"_materialized_{table}"
        self._engine.write(sql, file, lasting=False)
        columns = ", ".join(map(identifier, self.open(source, file, text=False)))
        self.keep(table, f"select {columns} from {identifier(source)}", stored=False)  # noqa: S608 - quoted

    def has(self, table: str) -> bool:
        """Whether this process has created `table`."""
        return table in self._created

    def rows(self, sql: str) -> Sequence[Row]:
        """A statement's rows; for counts and sums, never for customers."""
        return self._engine.rows(sql)

    def count(self, table: str) -> int:
        """The number of rows of `table`."""
        ((count,),) = self.rows(f"select count(*) from {identifier(table)}")  # noqa: S608 - quoted
        return int(str(count))

    def write(self, table_or_sql: str, path: Path, schema: TableSchema | None = None) -> int:
        """Write a table, or a statement's rows, to Parquet atomically; returns the row count."""
        if _NAME.fullmatch(table_or_sql):
            if schema is not None and schema.optional:
                schema = schema.having(self.columns(table_or_sql))
            names = schema.names if schema else ()
            columns = ", ".join(map(identifier, names)) or "*"
            table_or_sql = f"select {columns} from {identifier(table_or_sql)}"  # noqa: S608 - quoted
        return self._engine.write(table_or_sql, path, schema)

    def read(self, table: str, path: Path, schema: TableSchema) -> None:
        """Make a Parquet file written by Liftwright readable as `table`, with the schema's columns.

        Optional columns are read if the file has them.

        Raises:
            DataError: the file is missing, or a column is missing or has another type.
        """
        source = f"_file_{table}"
        self.open(source, path, text=False)
        kinds = self.columns(source)
        schema = schema.having(kinds)
        for column in schema.columns:
            if kinds.get(column.name) is not column.kind:
                raise DataError(
                    f"{path}: column {column.name!r} should hold {column.kind.value}; "
                    "the file was not written by this version"
                )
        columns = ", ".join(map(identifier, schema.names))
        self.keep(table, f"select {columns} from {identifier(source)}", stored=False)  # noqa: S608 - quoted

    def types(self, table: str) -> dict[str, str]:
        """Each column of `table` and the engine's name of its type."""
        names = self._engine.rows(f"describe {identifier(table)}")
        return {str(row[0]): str(row[1]).upper() for row in names}

    def columns(self, table: str) -> dict[str, ColumnKind]:
        """Each column of `table` and its kind; columns of unsupported types are left out."""
        types = {name: kind.partition("(")[0] for name, kind in self.types(table).items()}
        return {name: _KINDS[kind] for name, kind in types.items() if kind in _KINDS}

    def with_features(self, table: str) -> tuple[str, str]:
        """The `from` clause for each row of `table` (as `a`) with its customer's features.

        Returns:
            The clause, and the alias of the features: `a` if they are columns of `table`, `c` if
            they are joined from `customers`.
        """
        rows = f"{identifier(table)} as a"
        if set(FEATURES) <= self.columns(table).keys():
            return rows, "a"
        return f"{rows} left join customers as c on a.customer_id = c.customer_id", "c"

    def close(self) -> None:
        """Release the engine's memory and files, and remove the copies of files."""
        self._engine.close()
        self._files.close()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)


@functools.cache
def _template(name: str) -> Template:
    path = resources.files("liftwright.data") / "sql" / f"{name}.sql"
    return Template(path.read_text(encoding="utf-8").strip().removesuffix(";"))
