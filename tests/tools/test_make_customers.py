from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]


def _load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_customers", ROOT / "tools" / "make_customers.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


tool = _load_tool()


def test_main_with_defaults_gives_the_customers_that_are_shipped(tmp_path: Path) -> None:
    out = tmp_path / "customers.csv"

    tool.main(["--out", str(out)])

    assert out.read_bytes() == (ROOT / "data" / "raw" / "customers.csv").read_bytes()


def test_main_with_equal_seeds_writes_equal_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.parquet" for name in ("first", "second", "other")]

    for path, seed in zip(paths, ["11", "11", "12"], strict=True):
        tool.main(["--rows", "300", "--seed", seed, "--out", str(path)])

    first, second, other = (path.read_bytes() for path in paths)
    assert first == second
    assert first != other


def test_write_customers_to_parquet_holds_the_rows_of_the_csv(tmp_path: Path) -> None:
    customers = tool.make_customers(200, 5)
    tool.write_customers(customers, tmp_path / "c.parquet")
    tool.write_customers(customers, tmp_path / "c.csv")

    with duckdb.connect() as connection:
        difference = connection.execute(
            "SELECT count(*) FROM (FROM read_parquet($parquet) EXCEPT FROM read_csv($csv))",
            {"parquet": str(tmp_path / "c.parquet"), "csv": str(tmp_path / "c.csv")},
        ).fetchall()
        kept = connection.read_parquet(str(tmp_path / "c.parquet")).shape

    assert difference == [(0,)]
    assert kept == (200, 9)


@pytest.mark.parametrize(
    ("arguments", "key"),
    [(["--rows", "0"], "rows"), (["--rows", "-4"], "rows"), (["--seed", "-1"], "seed")],
)
def test_main_with_an_impossible_number_returns_2_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], key: str
) -> None:
    out = tmp_path / "customers.csv"

    assert tool.main([*arguments, "--out", str(out)]) == 2

    assert capsys.readouterr().err.startswith(f"{key}: found {arguments[1]}")
    assert not out.exists()


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 400), seed=st.integers(0, 2**32))
def test_make_customers_with_any_seed_stays_in_range(rows: int, seed: int) -> None:
    customers = tool.make_customers(rows, seed)

    assert len(customers) == rows
    assert customers["customer_id"].is_unique
    assert customers["age"].dropna().between(18, 85).all()
    assert set(customers["location"].dropna()) <= set(tool.LOCATIONS)
    assert set(customers["tier"]) <= {"Bronze", "Silver", "Gold"}
    assert (customers["purchase_frequency"] >= 0.5).all()
    assert (customers["avg_order_value"] > 0).all()
    assert customers["last_engagement_days"].between(0, 730).all()
    assert customers["historical_open_rate"].between(0, 1).all()
    assert (customers["historical_click_rate"] <= customers["historical_open_rate"]).all()
    required = customers.drop(columns=["age", "location"])
    assert not required.isna().to_numpy().any()
