from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from liftwright.config import Customers
from liftwright.data import load_customers
from liftwright.errors import ConfigurationError, DataError
from liftwright.model import CUSTOMERS
from plane_samples import open_tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liftwright.data import CustomersReport, Tables

NAMES = "customer_id, purchase_frequency, avg_order_value, last_engagement_days"
REST: dict[str, Any] = {name: None for name in CUSTOMERS.names if name != "customer_id"}


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    made = open_tables(tmp_path / "spill")
    yield made
    made.close()


def written(folder: Path, name: str, *lines: str) -> str:
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return name


def orders(folder: Path, *lines: str, **keys: Any) -> dict[str, Any]:
    path = written(folder, "orders.csv", "id,date,amount", *lines)
    return {"path": path, "id": "id", "date": "date", "amount": "amount", **keys}


def load(tables: Tables, folder: Path, *files: dict[str, Any], **config: Any) -> CustomersReport:
    shape = Customers.model_validate({"path": None, "orders": files, **config})
    return load_customers(tables, shape, folder)


def features(tables: Tables) -> dict[str, tuple[float, ...]]:
    found = tables.rows(f"select {NAMES} from customers order by customer_id")  # noqa: S608 - a test
    return {str(row[0]): tuple(float(str(v)) for v in row[1:]) for row in found}


def test_load_customers_orders_alone_make_the_customers(tables: Tables, tmp_path: Path) -> None:
    # 731 days, both ends included, are 731 / 365.25 years.
    report = load(
        tables,
        tmp_path,
        orders(
            tmp_path,
            "b,2020-01-01,10",
            "a,2020-06-30,20.10",
            "a,2021-12-31,0",
            "a,2021-12-31,-5.05",
            "r,2021-01-01,-9",
            "n,2021-12-30,5",
            "n,2021-12-30,-50",
        ),
    )
    years = 731 / 365.25
    assert features(tables) == {
        "a": (round(2 / years, 6), round(15.05 / 2, 6), 0.0),
        "b": (round(1 / years, 6), 10.0, 730.0),
        "n": (round(1 / years, 6), 0.0, 1.0),
    }
    assert report.features_absent == (
        "age",
        "location",
        "tier",
        "historical_open_rate",
        "historical_click_rate",
    )
    assert (report.rows_in, report.rows_kept) == (3, 3)
    assert report.as_of == date(2021, 12, 31)
    assert report.orders is not None
    assert (report.orders.rows_in, report.orders.rows_used, report.orders.days) == (7, 7, 731)
    assert tables.rows("select distinct age, tier, historical_open_rate from customers") == [
        (None, None, None)
    ]


def test_load_customers_with_orders_takes_their_features_for_each_customer(
    tables: Tables, tmp_path: Path
) -> None:
    path = written(
        tmp_path, "c.csv", "customer_id,avg_order_value,note", "z,999,1", "a,999,2", "r,999,3"
    )
    columns = {**REST, "avg_order_value": "avg_order_value", "purchase_frequency": "not there"}
    report = load(
        tables,
        tmp_path,
        orders(
            tmp_path,
            "a,2020-01-01,10",
            "a,2020-01-11,30",
            "r,2020-01-02,-5",
            "x,2020-01-03,7",
            "x,2020-01-03,8",
            "y,2020-01-04,1",
        ),
        path=path,
        columns=columns,
    )
    years = 11 / 365.25
    assert features(tables) == {
        "a": (round(2 / years, 6), 20.0, 0.0),
        "r": (0.0, 0.0, 11.0),
        "z": (0.0, 0.0, 11.0),
    }
    assert tables.rows("select customer_id, note from customers") == [
        ("z", 1.0),
        ("a", 2.0),
        ("r", 3.0),
    ]
    told = report.orders
    assert told is not None
    assert (told.rows_in, told.rows_used, told.rows_unknown, told.ids_unknown) == (6, 3, 3, 2)
    assert report.features_absent == (
        "age",
        "location",
        "tier",
        "historical_open_rate",
        "historical_click_rate",
    )


def test_load_customers_order_id_makes_one_order_of_several_lines(
    tables: Tables, tmp_path: Path
) -> None:
    path = written(
        tmp_path,
        "lines.csv",
        "who;no;when;Quantity;Unit Price",
        "a;1;01.02.2020;2;5.5",
        "a;1;01.02.2020;1;4",
        "a;2;01.02.2020;3;1",
        "b;1;01.02.2020;1;1",
        "a;3;01.02.2020;-1;1",
    )
    report = load(
        tables,
        tmp_path,
        {
            "path": path,
            "id": "who",
            "order_id": "no",
            "date": "when",
            "formats": ["%d.%m.%Y"],
            "amount": 'Quantity * "Unit Price"',
        },
    )
    assert features(tables) == {"a": (730.5, 8.5, 0.0), "b": (365.25, 1.0, 0.0)}
    assert [one.partition(":")[0] for one in report.warnings] == ["lines.csv"]


def test_load_customers_two_files_two_ids_two_formats_become_one(
    tables: Tables, tmp_path: Path
) -> None:
    online = orders(tmp_path, "a,1/2/2020,10", "b,2020-01-05,20", formats=["%m/%d/%Y", "%Y-%m-%d"])
    till = {
        "path": written(
            tmp_path,
            "till.csv",
            "card,day,sum",
            "77,2020-01-11,30",
            "78,2020-01-11,1",
            "79,2020-01-11,1",
        ),
        "id": {"from": "card", "as": "integer"},
        "date": "day",
        "amount": "sum",
        "id_map": {
            "path": written(tmp_path, "m.csv", "card,who", "77,a", "79,zz"),
            "from": "card",
            "to": "who",
        },
    }
    path = written(tmp_path, "c.csv", "customer_id", "a", "b")
    report = load(tables, tmp_path, online, till, path=path, columns=REST)
    years = 10 / 365.25
    assert features(tables) == {
        "a": (round(2 / years, 6), 20.0, 0.0),
        "b": (round(1 / years, 6), 20.0, 6.0),
    }
    told = report.orders
    assert told is not None
    assert (told.rows_in, told.rows_used, told.rows_unknown, told.ids_unknown) == (5, 3, 2, 1)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",2020-01-01,1", "id is missing"),
        ("a,,1", "date is missing"),
        ("a,1/1/2020,1", "date is not a date"),
        ("a,2020-01-01,", "amount is missing"),
        ("a,2020-01-01,ten", "amount is not a number"),
        ("a,2020-01-01,nan", "amount is not finite"),
        ("a,2020-01-01,1e13", "amount is out of range"),
    ],
)
def test_load_customers_bad_order_is_refused_or_set_aside(
    tables: Tables, tmp_path: Path, line: str, reason: str
) -> None:
    files = orders(tmp_path, "a,2020-01-01,5", line)
    with pytest.raises(DataError, match=r"orders\.csv: 1 of 2 rows") as raised:
        load(tables, tmp_path, files)
    assert reason in str(raised.value)
    report = load(tables, tmp_path, files, on_bad_rows="reject")
    assert report.orders is not None
    assert (report.orders.rows_used, report.orders.rows_rejected) == (1, 1)
    assert report.rejected == {}
    ((file, row, column, why),) = tables.rows("select * from rejected")
    assert (file, row) == ("orders.csv", 2)
    assert f"{column} {why}".startswith(reason)


def test_load_customers_id_map_with_one_id_twice_is_a_bad_row(
    tables: Tables, tmp_path: Path
) -> None:
    id_map = {
        "path": written(tmp_path, "m.csv", "card,who", "7,a", "7,b"),
        "from": "card",
        "to": "who",
    }
    files = orders(tmp_path, "7,2020-01-01,5", id_map=id_map)
    with pytest.raises(DataError, match=r"m\.csv: 1 of 2 rows.*from_id"):
        load(tables, tmp_path, files)
    load(tables, tmp_path, files, on_bad_rows="reject")
    assert list(features(tables)) == ["a"]


def test_load_customers_orders_after_as_of_are_left_out(tables: Tables, tmp_path: Path) -> None:
    report = load(
        tables,
        tmp_path,
        orders(tmp_path, "a,2020-01-01,5", "a,2020-01-10,7", "a,2020-02-01,9", "b,2020-02-01,9"),
        as_of="2020-01-20",
    )
    assert features(tables) == {"a": (round(2 / (10 / 365.25), 6), 6.0, 10.0)}
    assert report.orders is not None
    assert (report.orders.rows_used, report.orders.rows_later) == (2, 2)
    assert report.orders.last == date(2020, 1, 10)


def test_load_customers_never_ordered_is_not_more_recent_than_a_buyer(
    tables: Tables, tmp_path: Path
) -> None:
    path = written(tmp_path, "c.csv", "customer_id", "a", "never")
    load(
        tables,
        tmp_path,
        orders(tmp_path, "a,2020-01-01,5"),
        path=path,
        columns=REST,
        as_of="2020-03-01",
    )
    found = features(tables)
    assert found["a"][2] == 60.0
    assert found["never"][2] == 61.0


def test_load_customers_orders_all_after_as_of_are_refused(tables: Tables, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="as_of 2019-01-01"):
        load(tables, tmp_path, orders(tmp_path, "a,2020-01-01,5"), as_of="2019-01-01")


@pytest.mark.parametrize(
    ("keys", "error", "said"),
    [
        ({"id": "nobody"}, DataError, "'nobody' (for customers.yaml: orders[0].id)"),
        ({"order_id": "amuont"}, DataError, "did you mean 'amount'"),
        ({"amount": "amuont * 2"}, ConfigurationError, "did you mean 'amount'"),
        ({"amount": "abs(amount)"}, ConfigurationError, "orders[0].amount"),
        ({"amount": "2 * 3"}, ConfigurationError, "does not name a column"),
        ({"formats": ["day"]}, ConfigurationError, "orders[0].date"),
        ({"path": "absent.csv"}, DataError, "no such file"),
    ],
)
def test_load_customers_orders_that_cannot_be_read_are_refused(
    tables: Tables, tmp_path: Path, keys: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as raised:
        load(tables, tmp_path, {**orders(tmp_path, "a,2020-01-01,5"), **keys})
    assert said in str(raised.value)


def test_load_customers_sums_do_not_depend_on_the_order_of_rows(
    tables: Tables, tmp_path: Path
) -> None:
    lines = [f"a,2020-01-01,{n / 10}" for n in range(1, 400)]
    load(tables, tmp_path, orders(tmp_path, *lines))
    forwards = features(tables)
    load(tables, tmp_path, orders(tmp_path, *reversed(lines)))
    assert features(tables) == forwards
    assert forwards["a"][1] == 20.0
