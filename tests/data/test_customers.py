from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liftwright.config import Customers
from liftwright.data import REJECTED, load_customers
from liftwright.errors import ConfigurationError, DataError
from liftwright.model import CUSTOMERS, ColumnKind
from plane_samples import open_tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liftwright.data import CustomersReport, Tables

HEADER = ",".join(CUSTOMERS.names)
GOOD = "A1,30,Leeds,Gold,2,50,10,0.2,0.1"
REST: dict[str, Any] = {name: None for name in CUSTOMERS.names if name != "customer_id"}


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    made = open_tables(tmp_path / "spill")
    yield made
    made.close()


def load(
    tables: Tables, folder: Path, *lines: str, extra: tuple[str, ...] | None = None, **config: Any
) -> CustomersReport:
    (folder / "c.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shape = Customers.model_validate({"path": "c.csv", **config})
    return load_customers(tables, shape, folder, extra=extra)


def test_load_customers_plain_file_keeps_values_and_order(tables: Tables, tmp_path: Path) -> None:
    report = load(
        tables,
        tmp_path,
        HEADER,
        "007,30,Leeds,Gold,2,50.5,10,0.2,0.1",
        "=cmd|x,,,,0,0,0,0,1",
        "A'\"b,120,  ,Ü,1e2,+3,.5,1,0",
    )
    assert tables.rows("select * from customers") == [
        ("007", 30.0, "Leeds", "Gold", 2.0, 50.5, 10.0, 0.2, 0.1),
        ("=cmd|x", None, None, None, 0.0, 0.0, 0.0, 0.0, 1.0),
        ("A'\"b", 120.0, None, "Ü", 100.0, 3.0, 0.5, 1.0, 0.0),
    ]
    assert (report.rows_in, report.rows_kept, report.rows_rejected) == (3, 3, 0)
    assert tables.columns("customers") == {c.name: c.kind for c in CUSTOMERS.columns}
    assert tables.columns("rejected") == {c.name: c.kind for c in REJECTED.columns}
    assert tables.count("rejected") == 0
    assert report.features_absent == report.extra_columns == report.warnings == ()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",30,Leeds,Gold,2,50,10,0.2,0.1", "customer_id is missing"),
        ('" \t ",30,Leeds,Gold,2,50,10,0.2,0.1', "customer_id is missing"),
        ("A1,30,Leeds,Gold,2,50,10,0.2,0.1", "customer_id repeats"),
        ("A2,500,Leeds,Gold,2,50,10,0.2,0.1", "age is out of range (0 to 120 is allowed)"),
        ("A2,old,Leeds,Gold,2,50,10,0.2,0.1", "age is not a number"),
        ("A2,30,Leeds,Gold,,50,10,0.2,0.1", "purchase_frequency is missing"),
        ("A2,30,Leeds,Gold,nan,50,10,0.2,0.1", "purchase_frequency is not finite"),
        ("A2,30,Leeds,Gold,2,inf,10,0.2,0.1", "avg_order_value is not finite"),
        ('A2,30,Leeds,Gold,2,"1,000",10,0.2,0.1', "avg_order_value is not a number"),
        ("A2,30,Leeds,Gold,2,-5,10,0.2,0.1", "avg_order_value is out of range (at least 0"),
        ("A2,30,Leeds,Gold,2,50,10,1.2,0.1", "historical_open_rate is out of range (0 to 1"),
        ("A2,30,Leeds,Gold,2,50,10,0.2,1%0%", "historical_click_rate is not a number"),
    ],
)
def test_load_customers_bad_row_is_refused_or_set_aside(
    tables: Tables, tmp_path: Path, row: str, reason: str
) -> None:
    with pytest.raises(DataError, match=r"c\.csv: 1 of 2 rows") as raised:
        load(tables, tmp_path, HEADER, GOOD, row)
    assert reason in str(raised.value)
    assert "row 2:" in str(raised.value)
    report = load(tables, tmp_path, HEADER, GOOD, row, on_bad_rows="reject")
    assert (report.rows_in, report.rows_kept, report.rows_rejected) == (2, 1, 1)
    (found,) = report.rejected
    assert found.startswith(reason)
    ((file, number, column, why),) = tables.rows("select * from rejected")
    assert (file, number) == ("c.csv", 2)
    assert f"{column} {why}" == found


def test_load_customers_bad_rows_are_counted_once_by_their_first_fault(
    tables: Tables, tmp_path: Path
) -> None:
    report = load(
        tables,
        tmp_path,
        HEADER,
        ",500,L,G,2,50,10,9,0.1",
        GOOD,
        GOOD,
        "B,500,L,G,2,50,10,9,0.1",
        "B,50,L,G,2,50,10,0.9,0.1",
        GOOD,
        on_bad_rows="reject",
    )
    assert dict(report.rejected) == {
        "customer_id is missing": 1,
        "age is out of range (0 to 120 is allowed)": 1,
        "customer_id repeats an earlier row's": 2,
    }
    assert report.rows_in == report.rows_kept + report.rows_rejected == 6
    assert [(e.row, e.column) for e in report.examples] == [
        (1, "customer_id"),
        (3, "customer_id"),
        (4, "age"),
    ]
    # The first good row of an id is kept, a bad one does not take the id.
    assert tables.rows("select customer_id, age from customers") == [("A1", 30.0), ("B", 50.0)]
    assert tables.rows('select "row" from rejected') == [(1,), (3,), (4,), (6,)]


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("500", "found '500'"),
        ("1,5", "found '1,5'"),
        ("N/A", "found 'N/A'"),
        ("canary@example.com", "row 1: age is not a number."),
        ("0161 496 0000 canary", "row 1: age is not a number."),
        ("01614960000", "row 1: age is out of range (0 to 120 is allowed)."),
    ],
)
def test_load_customers_message_quotes_numbers_and_never_a_person(
    tables: Tables, tmp_path: Path, field: str, told: str
) -> None:
    with pytest.raises(DataError) as raised:
        load(tables, tmp_path, HEADER, f'canary-id,"{field}",L,G,2,50,10,0.2,0.1')
    assert told in str(raised.value)
    assert "canary" not in str(raised.value)


def test_load_customers_missing_columns_are_named_with_the_nearest(
    tables: Tables, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as raised:
        load(tables, tmp_path, HEADER.replace("age,", "aeg,").replace("tier", "x"), GOOD)
    assert "'age' (for columns.age)" in str(raised.value)
    assert "'tier' (for columns.tier)" in str(raised.value)
    assert "location" not in str(raised.value).partition("found: ")[0]


def test_load_customers_ids_with_outer_white_space_are_kept_and_told(
    tables: Tables, tmp_path: Path
) -> None:
    report = load(tables, tmp_path, "customer_id", '" a"', "a ", "a", "b\u00a0", columns=REST)
    assert [r[0] for r in tables.rows("select customer_id from customers")] == [
        " a",
        "a ",
        "a",
        "b\u00a0",
    ]
    assert len(report.warnings) == 1
    assert "2 customer ids" in report.warnings[0]


@pytest.mark.parametrize(
    ("mapped", "field", "value"),
    [
        ({"as": "years", "formats": ["%m/%d/%Y"]}, "3/1/1990", 36.0),
        ({"as": "years", "formats": ["%m/%d/%Y"]}, "3/2/1990", 35.0),
        ({"as": "years"}, "1990-02-28", 36.0),
        ({"as": "years", "formats": ["%d.%m.%Y", "%Y"]}, "1990", 36.0),
        ({"as": "number"}, " 41.5 ", 41.5),
        ({"as": "integer"}, "41.0", 41.0),
        ({"values": {"unknown": ""}}, "unknown", None),
        ({"as": "number", "values": {"old": "77"}}, "old", 77.0),
    ],
)
def test_load_customers_age_conversions_give_known_values(
    tables: Tables, tmp_path: Path, mapped: dict[str, Any], field: str, value: float | None
) -> None:
    load(
        tables,
        tmp_path,
        "customer_id,x",
        f'1,"{field}"',
        as_of="2026-03-01",
        columns={**REST, "age": {"from": "x", **mapped}},
    )
    assert tables.rows("select age from customers") == [(value,)]


@pytest.mark.parametrize(
    "case",
    [
        ("age", {"as": "years"}, "2026-03-02", "age is out of range"),
        ("age", {"as": "years"}, "1850-01-01", "age is out of range"),
        ("age", {"as": "years"}, "01/02/1990", "age is not a date"),
        ("age", {"as": "years", "formats": ["%m/%d/%Y"]}, "13/13/1990", "age is not a date"),
        ("age", {"as": "integer"}, "41.5", "age is not a whole number"),
        ("last_engagement_days", {"as": "days_since"}, "2026-03-02", "is out of range"),
        ("purchase_frequency", {"as": "number"}, "", "is missing"),
        ("historical_open_rate", {"as": "percent"}, "101%", "is out of range"),
        ("historical_open_rate", {"as": "percent"}, "5%5", "is not a number"),
    ],
)
def test_load_customers_what_does_not_convert_is_a_bad_row(
    tables: Tables, tmp_path: Path, case: tuple[str, dict[str, Any], str, str]
) -> None:
    column, mapped, field, reason = case
    with pytest.raises(DataError) as raised:
        load(
            tables,
            tmp_path,
            "customer_id,x",
            f"1,{field}",
            as_of="2026-03-01",
            columns={**REST, column: {"from": "x", **mapped}},
        )
    assert reason in str(raised.value)
    assert "1990" not in str(raised.value)


@pytest.mark.parametrize(
    ("column", "mapped", "cells", "options", "value"),
    [
        ("avg_order_value", {}, ("€1.299,00", ""), {"decimal": ","}, 1299.0),
        ("avg_order_value", {}, ("1.299", ""), {"decimal": ",", "thousands": "."}, 1299.0),
        ("avg_order_value", {"divide_by": "y"}, ("90.50", "2"), {}, 45.25),
        ("avg_order_value", {"divide_by": "y"}, ("0", "0"), {}, 0.0),
        ("historical_open_rate", {"divide_by": "y"}, ("3", "12"), {}, 0.25),
        ("historical_open_rate", {"divide_by": "y"}, ("0", "0"), {}, None),
        ("historical_open_rate", {}, ("23,5\u00a0%", ""), {"decimal": ","}, 0.235),
        ("historical_open_rate", {}, ("", ""), {}, None),
        ("historical_open_rate", {}, (" ", ""), {"missing": {"historical_open_rate": 0.2}}, 0.2),
        ("last_engagement_days", {}, ("", ""), {"missing": {"last_engagement_days": 365}}, 365.0),
        ("last_engagement_days", {}, ("3", ""), {"missing": {"last_engagement_days": 365}}, 3.0),
        ("purchase_frequency", {}, ("", ""), {"missing": {"purchase_frequency": 0}}, 0.0),
        ("tier", {"as": "text"}, ("", ""), {"missing": {"tier": "None"}}, "None"),
        (
            "purchase_frequency",
            {"as": "per_year", "since": "y"},
            ("6", "2024-03-01"),
            {"as_of": "2026-03-01"},
            6 * 365.25 / 730,
        ),
        (
            "purchase_frequency",
            {"as": "per_year", "since": "y"},
            ("2", "2026-02-01"),
            {"as_of": "2026-03-01"},
            2.0,
        ),
        (
            "last_engagement_days",
            {"as": "days_since", "values": {"Never": ""}},
            ("Never", ""),
            {"as_of": "2026-03-01"},
            None,
        ),
        (
            "last_engagement_days",
            {"as": "days_since", "formats": ["excel_serial"], "values": {"new": "46081"}},
            ("new", ""),
            {"as_of": "2026-03-01"},
            1.0,
        ),
    ],
)
def test_load_customers_values_as_people_write_them(  # noqa: PLR0913, PLR0917 - a table of cases
    tables: Tables,
    tmp_path: Path,
    column: str,
    mapped: dict[str, Any],
    cells: tuple[str, str],
    options: dict[str, Any],
    value: float | str | None,
) -> None:
    columns = {**REST, column: {"from": "x", "as": "number", **mapped}}
    load(
        tables, tmp_path, "customer_id;x;y", f"1;{cells[0]};{cells[1]}", columns=columns, **options
    )
    assert tables.rows(f"select {column} from customers") == [  # noqa: S608 - a known name
        (pytest.approx(value) if isinstance(value, float) else value,)
    ]


@pytest.mark.parametrize(
    ("column", "mapped", "cell", "options", "words"),
    [
        ("avg_order_value", "x", "1.299,00", {}, 'decimal: ","'),
        ("avg_order_value", "x", "1,299", {}, 'thousands: ","'),
        ("avg_order_value", "x", "1.299", {"decimal": ","}, 'thousands: "."'),
        ("avg_order_value", "x", "12.50", {"decimal": ","}, 'decimal: "."'),
        ("purchase_frequency", "x", "", {}, "missing"),
        ("historical_open_rate", "x", "25", {}, "as: percent"),
        ("age", {"from": "x", "as": "years"}, "1/2/1990", {}, "formats"),
        ("age", {"from": "x", "as": "years"}, "32874", {}, "excel_serial"),
        ("age", {"from": "x", "as": "years"}, "631152000", {}, "epoch_seconds"),
        ("age", {"from": "x", "as": "years"}, "631152000000", {}, "epoch_milliseconds"),
        ("age", {"from": "x", "as": "years", "formats": ["%Y"]}, "1.2.1990", {}, "(%Y)"),
    ],
)
def test_load_customers_message_names_the_key_that_mends_it(  # noqa: PLR0913, PLR0917 - the same
    tables: Tables,
    tmp_path: Path,
    column: str,
    mapped: object,
    cell: str,
    options: dict[str, Any],
    words: str,
) -> None:
    columns = {**REST, column: mapped}
    with pytest.raises(DataError) as raised:
        load(
            tables,
            tmp_path,
            "customer_id;x",
            f"1;{cell}",
            columns=columns,
            as_of="2026-03-01",
            **options,
        )
    assert words in str(raised.value)


def test_load_customers_unknown_rates_are_counted(tables: Tables, tmp_path: Path) -> None:
    columns = {**REST, "historical_open_rate": "x", "age": "y"}
    report = load(
        tables, tmp_path, "customer_id;x;y", "1;;", "2;0,5;", columns=columns, decimal=","
    )
    assert [w for w in report.warnings if "1 rows have no historical_open_rate" in w]
    assert not [w for w in report.warnings if "no age" in w]


@pytest.mark.parametrize("mapped", ["customer_id", {"from": "customer_id", "as": "integer"}])
def test_load_customers_ids_that_excel_has_shortened_are_bad_rows(
    tables: Tables, tmp_path: Path, mapped: object
) -> None:
    columns = {**REST, "customer_id": mapped}
    lines = ("1.23457E+12", "1,23457e+12", "1E+15", "12")
    report = load(
        tables, tmp_path, "customer_id;", *(f"{i};" for i in lines), columns=columns,
        on_bad_rows="reject",
    )  # fmt: skip
    assert [r[0] for r in tables.rows("select customer_id from customers")] == ["12"]
    assert [("Excel" in reason, n) for reason, n in report.rejected.items()] == [(True, 3)]


def test_load_customers_extra_columns_follow_the_decimal_sign(
    tables: Tables, tmp_path: Path
) -> None:
    load(tables, tmp_path, "customer_id;n;phone", "1;1,5;+49 171 234", columns=REST, decimal=",")
    assert tables.rows("select n, phone from customers") == [(1.5, "+49 171 234")]


@pytest.mark.parametrize(
    "options",
    [
        {"encoding": "klingon"},
        {"encoding": "rot13"},
        {"decimal": ",", "thousands": ","},
        {"delimiter": "ab"},
        {"missing": {"customer_id": "x"}},
        {"missing": {"age": "old"}},
        {"missing": {"historical_open_rate": 25}},
        {"columns": {"purchase_frequency": {"from": "x", "as": "per_year"}}},
    ],
)
def test_customers_option_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"validation error"):
        Customers.model_validate(options)


def test_load_customers_other_conversions_give_known_values(tables: Tables, tmp_path: Path) -> None:
    columns = {
        "customer_id": {"from": "id", "as": "integer"},
        "age": None,
        "location": {"from": "zip", "as": "integer"},
        "tier": {"from": "grade", "values": {"high": "Gold", "it's": "Odd"}},
        "purchase_frequency": None,
        "avg_order_value": None,
        "last_engagement_days": {"from": "seen", "as": "days_since"},
        "historical_open_rate": {"from": "opened", "as": "percent"},
        "historical_click_rate": {"from": "clicked", "as": "percent"},
    }
    report = load(
        tables,
        tmp_path,
        "id,zip,grade,seen,opened,clicked",
        "13085.0,10753.0,high,2026-02-27,25%,3",
        "007,,low,2026-03-01 10:00,12.5 %,0",
        "8,5,it's,2025-03-01,0,0",
        columns=columns,
        as_of="2026-03-01",
    )
    assert tables.rows(
        "select customer_id, location, tier, last_engagement_days, historical_open_rate, "
        "historical_click_rate from customers"
    ) == [
        ("13085", "10753", "Gold", 2.0, 0.25, 0.03),
        ("7", None, "low", 0.0, 0.125, 0.0),
        ("8", "5", "Odd", 365.0, 0.0, 0.0),
    ]
    assert report.as_of == date(2026, 3, 1)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"age": {"from": "x", "as": "years"}}, "columns.age: as: years needs a date"),
        ({"age": {"from": "x", "as": "text"}}, "columns.age: as: text cannot be used for a number"),
        ({"tier": {"from": "x", "as": "percent"}}, "columns.tier: as: percent"),
        ({"customer_id": {"from": "x", "as": "number"}}, "allowed: text or integer"),
    ],
)
def test_load_customers_conversion_that_cannot_be_is_refused_with_its_key(
    tables: Tables, tmp_path: Path, columns: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(tables, tmp_path, "customer_id,x", "1,2", columns={**REST, **columns})
    assert "customers.yaml: columns." in str(raised.value)
    assert said in str(raised.value)


@pytest.mark.parametrize("form", ["%Q", "dd.mm.yyyy", "%m/%d", "%Y %z", "%"])
def test_load_customers_format_that_is_none_is_refused(
    tables: Tables, tmp_path: Path, form: str
) -> None:
    columns = {**REST, "age": {"from": "x", "as": "years", "formats": [form]}}
    with pytest.raises(ConfigurationError):
        load(tables, tmp_path, "customer_id,x", "1,2", columns=columns, as_of="2026-01-01")


def test_load_customers_further_columns_are_typed_by_all_their_values(
    tables: Tables, tmp_path: Path
) -> None:
    report = load(
        tables,
        tmp_path,
        "customer_id,Number,Flag,Word,Empty,Not finite,Mostly,AGE",
        "1, 5 ,TRUE,x,,inf,1,3",
        "2,,false,,,1,,4",
        "3,1e2,,5,,2,y,5",
        columns=REST,
    )
    assert report.extra_columns == ("Number", "Flag", "Word", "Empty", "Not finite", "Mostly")
    kinds = tables.columns("customers")
    assert [kinds[name] for name in report.extra_columns] == [
        ColumnKind.NUMBER,
        ColumnKind.FLAG,
        ColumnKind.TEXT,
        ColumnKind.TEXT,
        ColumnKind.TEXT,
        ColumnKind.TEXT,
    ]
    assert tables.rows('select "Number", "Flag", "Word", age from customers') == [
        (5.0, True, "x", None),
        (None, False, None, None),
        (100.0, None, "5", None),
    ]
    assert "'AGE'" in report.warnings[0]


def parquet(tables: Tables, folder: Path, select: str) -> None:
    tables.write(select, folder / "c.parquet")


def test_load_customers_parquet_reads_stored_types(tables: Tables, tmp_path: Path) -> None:
    parquet(
        tables,
        tmp_path,
        "select cast(12345678901 as bigint) as customer_id, cast(30 as smallint) as age, "
        "date '2026-02-01' as seen, 0.25 as historical_open_rate, true as vip, "
        "timestamp '2020-01-01 10:00:00' as joined, 2.5 as score, [1] as listed, "
        "cast('nan' as double) as odd",
    )
    columns = {
        **REST,
        "age": "age",
        "historical_open_rate": "historical_open_rate",
        "last_engagement_days": {"from": "seen", "as": "days_since"},
    }
    config = Customers.model_validate(
        {"path": "c.parquet", "columns": columns, "as_of": "2026-03-01"}
    )
    report = load_customers(tables, config, tmp_path)
    assert tables.rows("select * from customers") == [
        (
            "12345678901",
            30.0,
            None,
            None,
            None,
            None,
            28.0,
            0.25,
            None,
            True,
            "2020-01-01 10:00:00",
            2.5,
            None,
        )
    ]
    assert report.extra_columns == ("vip", "joined", "score", "odd")
    assert "'listed'" in report.warnings[0]


@pytest.mark.parametrize(
    ("select", "said"),
    [
        ("select 10000000.0::double as customer_id", "as: integer"),
        ("select 'a'::blob as customer_id", "stores ids as BLOB"),
        ("select '1' as customer_id, true as age", "'age' holds BOOLEAN; numbers are expected"),
        ("select 'a' || chr(0) || 'b' as customer_id, 1 as age", "holds a NUL character"),
    ],
)
def test_load_customers_parquet_types_that_do_not_fit_are_refused(
    tables: Tables, tmp_path: Path, select: str, said: str
) -> None:
    parquet(tables, tmp_path, select)
    columns = REST if "age" not in select else {**REST, "age": "age"}
    config = Customers.model_validate({"path": "c.parquet", "columns": columns})
    with pytest.raises(DataError) as raised:
        load_customers(tables, config, tmp_path)
    assert said in str(raised.value)


def test_load_customers_float_ids_as_integer_are_digits_or_bad_rows(
    tables: Tables, tmp_path: Path
) -> None:
    parquet(
        tables,
        tmp_path,
        "select * from (values (13085.0::double), (1e7), (1.5), (null), "
        "('nan'::double), (1e300)) as t(x)",
    )
    config = Customers.model_validate(
        {
            "path": "c.parquet",
            "on_bad_rows": "reject",
            "columns": {**REST, "customer_id": {"from": "x", "as": "integer"}},
        }
    )
    report = load_customers(tables, config, tmp_path)
    assert tables.rows("select customer_id from customers") == [("13085",), ("10000000",)]
    assert dict(report.rejected) == {
        "customer_id is missing": 2,
        "customer_id is not a whole number": 2,
    }


cell = st.one_of(st.sampled_from(["", "0.5", "2", "x", "nan", "-1", " "]))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.tuples(st.sampled_from("ABC "), cell, cell), min_size=1, max_size=12))
def test_load_customers_any_rows_are_kept_or_rejected_and_none_is_lost(
    tables: Tables, tmp_path: Path, rows: list[tuple[str, str, str]]
) -> None:
    lines = [f'"{i}","{a}","{b}"' for i, a, b in rows]
    # Blank rows at the end are not rows.
    while rows and not "".join(rows[-1]).strip():
        rows = rows[:-1]
    columns = {**REST, "age": "a", "historical_open_rate": "b"}
    valid: dict[str, tuple[float | None, float | None]] = {}
    for i, a, b in rows:
        if i != " " and a.strip() in ("", "0.5", "2") and b.strip() in ("", "0.5"):
            known = (float(a) if a.strip() else None, float(b) if b.strip() else None)
            valid.setdefault(i, known)
    if not valid:
        with pytest.raises(DataError, match=r"no valid rows|no rows"):
            load(tables, tmp_path, "customer_id,a,b", *lines, columns=columns, on_bad_rows="reject")
        return
    report = load(
        tables, tmp_path, "customer_id,a,b", *lines, columns=columns, on_bad_rows="reject"
    )
    assert report.rows_in == len(rows) == report.rows_kept + report.rows_rejected
    kept = tables.rows("select customer_id, age, historical_open_rate from customers")
    assert {str(k): (a, o) for k, a, o in kept} == valid


SPELLINGS = ("Ana@x.com", "C1", " ana@X.com ", "c1", "\uff41na\uff20x.com", "a@b@c", "A@b@c")


@pytest.mark.parametrize("bad_rows", ["refuse", "reject"])
def test_load_customers_one_address_in_several_spellings_is_refused_or_merged(
    tables: Tables, tmp_path: Path, bad_rows: str
) -> None:
    lines = [f"{name},40,L,G,1,{n},1,0.1,0.1" for n, name in enumerate(SPELLINGS)]
    text = "\n".join((",".join(CUSTOMERS.names), *lines))
    (tmp_path / "c.csv").write_text(text, encoding="utf-8")
    config = {"path": "c.csv", "on_bad_rows": bad_rows}
    with pytest.raises(DataError, match=r"c\.csv: 2 of 7 rows.*row 3.*on_same_address"):
        load_customers(tables, Customers.model_validate(config), tmp_path)

    config["on_same_address"] = "merge"
    report = load_customers(tables, Customers.model_validate(config), tmp_path)

    rows = tables.rows("select customer_id, avg_order_value from customers")
    assert [tuple(row) for row in rows] == [
        *(("Ana@x.com", 0.0), ("C1", 1.0), ("c1", 3.0), ("a@b@c", 5.0), ("A@b@c", 6.0))
    ]
    assert (report.rows_in, report.rows_kept, report.rows_rejected) == (7, 5, 2)
    assert tables.rows("select row from rejected") == [(3,), (5,)]
    assert any("2 rows were merged" in warning for warning in report.warnings)
