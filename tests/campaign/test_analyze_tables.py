"""`analyze` on tables in Python: the same answer from every kind of table."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import liftwright
from liftwright.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [
    {
        "group": "new one" if n % 2 else "as is",
        "bought": n % (7 if n % 2 else 9) == 0,
        "spent": 12.5 + n % 11 if n % 3 == 0 else None,
        "at": dt.datetime(2026, 3, 1 + n % 9, 8),  # noqa: DTZ001 - of a file without zones
        "place": "north" if n % 5 else "south",
    }
    for n in range(600)
]
OPTIONS: dict[str, Any] = {
    "arm": "group",
    "control": "as is",
    "metrics": ["bought", "spent"],
    "segment": "place",
    "time": "at",
}


def as_is(rows: list[dict[str, object]], _: Path) -> object:
    return rows


def to_csv(rows: list[dict[str, object]], folder: Path) -> object:
    pd.DataFrame(rows).to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def to_parquet(rows: list[dict[str, object]], folder: Path) -> object:
    pl.DataFrame(rows).write_parquet(folder / "t.parquet")
    return str(folder / "t.parquet")


@pytest.mark.parametrize(
    "make",
    [
        as_is,
        to_csv,
        to_parquet,
        lambda rows, _: pd.DataFrame(rows),
        lambda rows, _: pl.DataFrame(rows),
        lambda rows, _: pl.DataFrame(rows).lazy(),
        lambda rows, _: pa.Table.from_pylist(rows),
    ],
    ids=["dicts", "csv", "parquet", "pandas", "polars", "lazy", "pyarrow"],
)
def test_analyze_of_any_kind_of_table_gives_one_answer(make: Any, tmp_path: Path) -> None:
    expected = liftwright.analyze(tuple(ROWS), **OPTIONS)
    assert liftwright.analyze(make(ROWS, tmp_path), **OPTIONS) == expected
    assert expected.n == 600
    kinds = {row.metric: row.kind for row in expected.comparisons}
    assert kinds == {"bought": "binary", "spent": "mean"}


def test_analyze_takes_the_options_of_the_command() -> None:
    found = liftwright.analyze(
        pd.DataFrame(ROWS).assign(before=lambda t: t["spent"] + 1),
        arm="group",
        control="as is",
        metrics="spent:mean",
        covariates={"spent": "before"},
        shares={"as is": 0.5, "new one": 0.5},
        guardrails=(),
        bayes=True,
    )
    assert found.variance_reduction["spent"] == pytest.approx(1.0)
    assert found.cuped
    assert found.allocation.shares


def test_analyze_of_what_is_no_table_says_what_is_allowed() -> None:
    with pytest.raises(InputError, match=r"int.*DataFrame"):
        liftwright.analyze(7, arm="a", control="b", metrics="y")
