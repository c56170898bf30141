from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from liftwright.errors import DataError
from liftwright.model import SEGMENTED, ColumnKind
from plane_samples import open_tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liftwright.data import Tables


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tables]:
    made = open_tables(tmp_path_factory.mktemp("plane"))
    yield made
    made.close()


def test_open_csv_is_text_with_row_numbers_and_warnings(tables: Tables, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes("id;name\n007;José\n".encode("latin-1"))
    before = len(tables.warnings)
    assert tables.open("rows", path) == ("id", "name")
    assert tables.rows("select * from rows") == [(1, "007", "José")]
    assert tables.warnings[before:] == (
        "rows.csv: not valid UTF-8; read as Windows-1252 (if letters look wrong, set encoding)",
        "rows.csv: fields are separated by semicolons",
    )


def test_columns_tell_kinds_and_leave_out_what_has_none(tables: Tables) -> None:
    tables.keep(
        "kinds",
        "select 'a' as t, 1 as i, 1.5 as d, 2e0 as f, true as b, date '2020-01-01' as day, "
        "[1] as l, cast('x' as blob) as raw",
    )
    assert tables.columns("kinds") == {
        "t": ColumnKind.TEXT,
        "i": ColumnKind.INTEGER,
        "d": ColumnKind.NUMBER,
        "f": ColumnKind.NUMBER,
        "b": ColumnKind.FLAG,
        "day": ColumnKind.TIME,
    }


def test_write_and_read_give_the_same_table(tables: Tables, tmp_path: Path) -> None:
    tables.keep(
        "segmented_here",
        "select 'why' as reason, 'Ü1' as customer_id, 'A' as segment, 0.25e0 as confidence, 1 as z",
    )
    path = tmp_path / "segmented.parquet"
    assert tables.write("segmented_here", path, SEGMENTED) == 1
    tables.read("segmented_back", path, SEGMENTED)
    assert tables.rows("select * from segmented_back") == [("Ü1", "A", 0.25, "why")]


def test_read_file_of_other_columns_is_refused(tables: Tables, tmp_path: Path) -> None:
    tables.write(
        "select 'x' as customer_id, 'A' as segment, 'high' as confidence, '' as reason",
        tmp_path / "odd.parquet",
    )
    with pytest.raises(DataError, match=r"'confidence'.*DOUBLE"):
        tables.read("odd", tmp_path / "odd.parquet", SEGMENTED)
