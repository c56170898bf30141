"""Moves rows between Python and the data plane, through files, so that they are validated."""

from __future__ import annotations

import contextlib
import csv
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from liftwright.config import Customers
from liftwright.data import FileResolver, Tables, identifier, load_customers
from liftwright.errors import DataError
from liftwright.model import ASSIGNMENTS, CUSTOMERS, ENGAGEMENT, ColumnKind
from liftwright.wiring import make_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    Row = Mapping[str, Any]
    RowsLike = pd.DataFrame | Sequence[Row]


class Rows(list[dict[str, Any]]):
    """Rows as a list of dicts; indexing by a column name gives a pandas Series."""

    @overload  # type: ignore[override]
    def __getitem__(self, key: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, key: slice) -> list[dict[str, Any]]: ...
    @overload
    def __getitem__(self, key: str) -> pd.Series[Any]: ...
    def __getitem__(self, key: int | slice | str) -> Any:
        """A row by position, or a column by name."""
        return self.to_frame()[key] if isinstance(key, str) else super().__getitem__(key)

    def to_frame(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame.from_records(list(self))


@contextlib.contextmanager
def open_tables(file_resolver: FileResolver | None = None) -> Iterator[Tables]:
    """A temporary data plane; `file_resolver` finds files in object stores."""
    with tempfile.TemporaryDirectory(prefix="liftwright-") as folder:
        tables = Tables(make_engine(Path(folder)), files=file_resolver)
        with contextlib.closing(tables):
            yield tables


def read_customers(tables: Tables, customers: RowsLike) -> None:
    """Create the table `customers` from rows, with the checks of the file reader."""
    rows = to_rows(customers)
    with tempfile.TemporaryDirectory(prefix="liftwright-") as folder:
        file = Path(folder) / "customers.csv"
        write_csv(file, rows, tuple(rows[0]) if rows else CUSTOMERS.names)
        try:
            load_customers(tables, Customers(path=str(file)), Path(folder))
        except DataError as error:
            # The temporary file means nothing to the caller.
            raise DataError(str(error).replace(str(file), "customers")) from None


def load_rows(tables: Tables, name: str, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Load rows into a table, typed as declared in `ASSIGNMENTS` and `ENGAGEMENT`, else text."""
    kinds = {
        c.name: c.kind for c in (*ASSIGNMENTS.columns, *ENGAGEMENT.columns, *ENGAGEMENT.optional)
    }
    with tempfile.TemporaryDirectory(prefix="liftwright-") as folder:
        file = Path(folder) / f"{name}.csv"
        write_csv(file, rows, columns)
        tables.open(f"{name}_text", file)
        casts = ", ".join(
            f"cast({identifier(c)} as {kinds[c].value if c in kinds else 'VARCHAR'}) "
            f"as {identifier(c)}"
            for c in columns
        )
        tables.keep(name, f"select {casts} from {identifier(name + '_text')}")  # noqa: S608 - quoted


def write_csv(file: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Write rows to a CSV file; None and NaN are empty."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(columns)
        writer.writerows([_text(row.get(name)) for name in columns] for row in rows)


def _text(value: object) -> object:
    # Missing values in pandas (NaN, NaT) are not equal to themselves.
    return "" if value is None or value != value else value  # noqa: PLR0124


def to_rows(rows: RowsLike) -> list[dict[str, Any]]:
    """The rows of a DataFrame or of a sequence, as dicts."""
    if isinstance(rows, Sequence):
        return [dict(row) for row in rows]
    return [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]


def to_frame(tables: Tables, source: str) -> pd.DataFrame:
    """A table of customers as a DataFrame, ordered by id; times are ISO-8601 text in UTC."""
    import pandas as pd

    tables.keep("answer", f"select * from {source}", stored=False)  # noqa: S608 - our own text
    kinds = tables.columns("answer")
    columns = ", ".join(
        f"strftime({identifier(name)} at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ') "
        f"as {identifier(name)}"
        if kind is ColumnKind.TIME
        else identifier(name)
        for name, kind in kinds.items()
    )
    rows = tables.rows(f"select {columns} from answer order by customer_id")  # noqa: S608 - quoted
    return pd.DataFrame.from_records(rows, columns=list(kinds))
