"""Spark as the engine of the data plane, on this machine or on a cluster.

`dialect` translates the statements. Needs the extra `spark`, and Java 17 or newer on this machine.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from liftwright.adapters.spark import dialect
from liftwright.adapters.spark.errors import translated
from liftwright.adapters.spark.files import (
    CSV_OPTIONS,
    name_in_metadata,
    new_part,
    publish,
    reading_url,
    remove_parts,
    writing_url,
)
from liftwright.adapters.spark.session import new_session
from liftwright.data import file_format, identifier
from liftwright.errors import DataError, InputError
from liftwright.model import Identity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pyspark.sql import DataFrame

    from liftwright.adapters.spark import Spark
    from liftwright.model import TableSchema
    from liftwright.model.remote_files import File
    from liftwright.ports import CsvFormat, Row, Source


class SparkEngine:
    """Tables as views of one Spark session; the engines of one process share a JVM."""

    def __init__(
        self, options: Spark, *, memory: str | None = None, threads: int | None = None
    ) -> None:
        """Start a session, and Spark itself if this process has not started it yet.

        Args:
            options: the master and the properties.
            memory: how much the driver may use, such as `4GB`.
            threads: the number of threads of a local Spark; None leaves it to `options.master`.

        Raises:
            InputError: pyspark or Java is missing, or Spark does not start.
        """
        self._session = new_session(options, memory, threads)
        self._forms: dict[str, tuple[File, CsvFormat]] = {}
        self._kept: dict[str, DataFrame] = {}
        self._opened: list[str] = []
        for function in dialect.FUNCTIONS:
            self._session.sql(function)

    @property
    def identity(self) -> Identity:
        """Spark and its version."""
        return Identity(provider="spark", version=str(self._session.version))

    @property
    def metered(self) -> bool:
        """False: a cluster's costs are not counted per call."""
        return False

    def open(self, name: str, source: Source) -> tuple[str, ...]:
        """Make a file readable as the table `name`, with `_row` before its own columns.

        Raises:
            DataError: the file is missing, unreadable or ambiguous.
        """
        label = str(source.path)
        self._opened.append(label)
        with self._translated(label):
            parquet = file_format.parquet_files(source.path)
            if parquet:
                frame = self._parquet(label, parquet, text=source.text)
            else:
                frame = self._csv(source)
        frame.createOrReplaceTempView(name)
        return tuple(column for column in frame.columns if column != "_row")

    def keep(self, name: str, statement: str, *, stored: bool = True) -> None:
        """Name a statement's result: persisted at its first use if `stored`, otherwise a view."""
        spelled = dialect.to_spark(statement)
        before = self._kept.pop(name, None)
        with self._translated(name):
            if stored:
                self._kept[name] = frame = self._session.sql(spelled).persist()
                frame.createOrReplaceTempView(name)
            else:
                # As SQL text, so that it follows the tables that it names.
                view = _backticked(name)
                self._session.sql(f"create or replace temporary view {view} as {spelled}")
        if before is not None:
            before.unpersist()

    def rows(self, statement: str) -> Sequence[Row]:
        """A statement's rows as Python values."""
        with self._translated("a statement"):
            found = self._session.sql(dialect.to_spark(statement)).collect()
        return [tuple(row) for row in found]

    def write(
        self, statement: str, path: Path, table: TableSchema | None = None, *, lasting: bool = True
    ) -> int:
        """Write rows to Parquet under a temporary name, then rename it; returns the row count.

        One file if Spark writes one, otherwise a folder; in the statement's order.
        """
        if table is not None:
            typed = ", ".join(
                f"cast({identifier(c.name)} as {c.kind.value}) as {identifier(c.name)}"
                for c in table.columns
            )
            statement = f"select {typed} from ({statement}) as typed"  # noqa: S608 - built
        part = new_part(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            remove_parts(path)
            with self._translated(str(path.parent)):
                frame = self._session.sql(dialect.to_spark(statement))
                frame.write.option("compression", "zstd" if lasting else "snappy").parquet(
                    writing_url(part)
                )
                count = self._session.read.schema(frame.schema).parquet(writing_url(part)).count()
            publish(part, path)
        except OSError as error:
            raise InputError(f"{path.parent}: cannot be written: {error.strerror}") from None
        finally:
            with contextlib.suppress(OSError):
                remove_parts(path)
        return int(count)

    def close(self) -> None:
        """Release what this engine has persisted; Spark itself ends with the process."""
        for frame in self._kept.values():
            frame.unpersist()
        self._kept.clear()

    def _parquet(self, label: str, paths: Sequence[File], *, text: bool) -> DataFrame:
        """All files as one frame; row numbers continue from file to file in order of name."""
        urls = [reading_url(path) for path in paths]
        read = self._session.read.option("recursiveFileLookup", "false")
        schemas = {url: read.parquet(url).schema for url in urls}
        first = schemas[urls[0]]
        file_format.refuse_mixed(
            [
                (path, {f.name: f.dataType.simpleString() for f in schemas[url].fields})
                for path, url in zip(paths, urls, strict=True)
            ]
        )
        names = first.names
        _refuse_reserved(label, names)
        frame = read.schema(first).parquet(*urls)
        row = "cast(_metadata.row_index + 1 as bigint)"
        if len(urls) > 1:
            counts = {url: self._session.read.parquet(url).count() for url in urls}
            starts, before = [], 0
            for path, url in zip(paths, urls, strict=True):
                starts.append(f"when '{_escaped(name_in_metadata(path))}' then {before}L")
                before += counts[url]
            row += f" + case _metadata.file_name {' '.join(starts)} end"
        columns = [
            f"cast({_backticked(n)} as string) as {_backticked(n)}" if text else _backticked(n)
            for n in names
        ]
        return frame.selectExpr(f"{row} as _row", *columns)

    def _csv(self, source: Source) -> DataFrame:
        """A frame of text columns; one task reads it, because a field may span lines."""
        from pyspark.sql.types import StringType, StructField, StructType

        path, form = source.path, source.csv or file_format.csv_format(source.path)
        file_format.refuse_misquoted(path, form)
        self._forms[str(path)] = (path, form)
        schema = StructType([StructField(name, StringType()) for name in form.columns])
        frame = (
            self._session.read.schema(schema)
            .options(**CSV_OPTIONS, sep=form.delimiter, encoding="UTF-8")
            .csv(reading_url(path))
        )
        names = [_backticked(name) for name in form.columns]
        return frame.selectExpr("monotonically_increasing_id() + 1 as _row", *names)

    def _translated(self, where: str) -> contextlib.AbstractContextManager[None]:
        return translated(where, self._opened, self._misshapen)

    def _misshapen(self) -> DataError | None:
        """The first row of another width in the opened CSV files; None if there is none."""
        for path, form in self._forms.values():
            found = file_format.misshapen_record(path, form)
            if found is not None:
                return DataError(
                    f"{path}: line {found[0]}: found {found[1]} fields, but the header has "
                    f"{len(form.columns)}"
                )
        return None


def _refuse_reserved(label: str, names: Sequence[str]) -> None:
    if any(name.lower() == "_row" for name in names):
        raise DataError(f"{label}: the column name '_row' is reserved; rename it")


def _backticked(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
