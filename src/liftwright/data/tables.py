"""The data plane's door: open, keep, ask and write tables, whatever engine holds them.

SQL is written in DuckDB's dialect, inside the subset that every engine answers alike. Each engine
adds functions to it: `digest(text)`, a text's md5 in a form of the engine's own, and
`u32(digest, k)`, its k-th 32 bits; `number_of(text)`, the double that a text spells, else null;
`time_of(text)`, the time in UTC that an ISO 8601 text spells (`times.py` says how), else null;
`nth(list, k)`, the k-th value, from 1; `key(text)`, a number that equal texts share, and others
hardly ever; `utc_day(time)`; `later(time, seconds)`.
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
from liftwright.data.rules import identifier
from liftwright.errors import DataError
from liftwright.model import FEATURES, ColumnKind
from liftwright.ports import Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from liftwright.model import Table
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
    """Named tables in an engine; the only place that knows how statements reach it."""

    def __init__(
        self, engine: Engine, scratch: Path | None = None, places: FileResolver | None = None
    ) -> None:
        """Tables in `engine`.

        Args:
            engine: runs the statements; closed with this.
            scratch: a folder for what is parked, removed at `close`; without it nothing is parked.
            places: finds files by path or URL; None knows paths alone.
        """
        self._engine = engine
        self._scratch = scratch
        self._places = places or FileResolver()
        self._parked = 0
        self._warnings: list[str] = []
        self._known: set[str] = set()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was found odd in the files that were opened."""
        return tuple(self._warnings)

    def find(self, root: Path, place: str | Path) -> File:
        """The file at a path relative to `root`, or at a URL.

        Raises:
            DataError: a URL is not one of a store, names nothing, or its store does not answer.
        """
        return self._places.find(root, place)

    def open(self, name: str, path: File, *, text: bool = True) -> tuple[str, ...]:
        """Make a file readable as table `name`; the names of its own columns.

        The table has `_row` (1 is the first row of data) before them. CSV is always text.

        Raises:
            DataError: the file is missing or cannot be read without guessing.
        """
        if not file_format.parquet_files(path):
            self._warnings.extend(file_format.csv_form(path).warnings)
        return self._engine.open(name, Source(path=path, text=text))

    def sql(self, name: str, **parts: str) -> str:
        """The statement of `sql/<name>.sql`, each `${part}` filled with a fragment of SQL.

        Parts are made by code from `identifier`, `literal` and checked rules, never by a user.
        """
        return _template(name).substitute(parts)

    def keep(self, table: str, sql: str, *, stored: bool = True) -> None:
        """Name a statement's rows: stored now, or computed again at each use."""
        self._engine.keep(table, sql, stored=stored)
        self._known.add(table)

    def park(self, table: str, sql: str) -> None:
        """Name a large statement's rows: computed once, into a file beside, not into memory."""
        if self._scratch is None:
            self.keep(table, sql, stored=False)
            return
        self._parked += 1
        file, source = self._scratch / f"{table}-{self._parked}.parquet", f"_parked_{table}"
        self._engine.write(sql, file, lasting=False)
        columns = ", ".join(map(identifier, self.open(source, file, text=False)))
        self.keep(table, f"select {columns} from {identifier(source)}", stored=False)  # noqa: S608 - quoted

    def knows(self, table: str) -> bool:
        """Whether this process has made `table`."""
        return table in self._known

    def rows(self, sql: str) -> Sequence[Row]:
        """A statement's rows. For counts and sums, never for customers."""
        return self._engine.rows(sql)

    def count(self, table: str) -> int:
        """The number of rows of `table`."""
        ((found,),) = self.rows(f"select count(*) from {identifier(table)}")  # noqa: S608 - quoted
        return int(str(found))

    def write(self, table_or_sql: str, path: Path, schema: Table | None = None) -> int:
        """Write a table, or a statement's rows, to Parquet, whole or not at all; rows written."""
        if _NAME.fullmatch(table_or_sql):
            if schema is not None and schema.optional:
                schema = schema.having(self.columns(table_or_sql))
            names = schema.names if schema else ()
            columns = ", ".join(map(identifier, names)) or "*"
            table_or_sql = f"select {columns} from {identifier(table_or_sql)}"  # noqa: S608 - quoted
        return self._engine.write(table_or_sql, path, schema)

    def read(self, table: str, path: Path, schema: Table) -> None:
        """Make a Parquet file that we wrote readable as `table`, with the schema's columns.

        Optional columns are read where the file has them.

        Raises:
            DataError: the file is missing, or lacks a column or has it in another kind.
        """
        source = f"_file_{table}"
        self.open(source, path, text=False)
        found = self.columns(source)
        schema = schema.having(found)
        for column in schema.columns:
            if found.get(column.name) is not column.kind:
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
        """Each column of `table` and what it holds; columns of no such kind are left out."""
        found = {}
        for name, kind in self.types(table).items():
            plain = kind.partition("(")[0]
            if plain in _KINDS:
                found[name] = _KINDS[plain]
        return found

    def with_features(self, table: str) -> tuple[str, str]:
        """What to select from to see each row of `table` (as `a`) beside its customer's features.

        Returns:
            The sources, and the name under which the features stand: `a` where `table` carries
            them itself, `c` where they are joined from `customers`.
        """
        rows = f"{identifier(table)} as a"
        if set(FEATURES) <= self.columns(table).keys():
            return rows, "a"
        return f"{rows} left join customers as c on a.customer_id = c.customer_id", "c"

    def close(self) -> None:
        """Give back the engine's memory and files."""
        self._engine.close()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)


@functools.cache
def _template(name: str) -> Template:
    path = resources.files("liftwright.data") / "sql" / f"{name}.sql"
    return Template(path.read_text(encoding="utf-8").strip().removesuffix(";"))
