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


SHOP = (
    "Number,Status,Day,Currency,Mail,Total,Refunded",
    "1,paid,2025-10-01,EUR,Ana@example.com,40,0",
    "2,paid,2025-10-05,GBP,ana@example.com,36,0",
    "3,failed,2025-10-31,USD,bo@example.com,900,",
    "4,,2025-10-30,EUR,bo@example.com,900,",
    "5,paid,2025-10-07,EUR, ANA@EXAMPLE.COM ,10,",
    "6,refunded,2025-10-08,EUR,dee@example.com,80,-80",
)
PAID = "Status in ('paid', 'refunded') and Number < 100"


def shop(folder: Path, *lines: str, **keys: Any) -> dict[str, Any]:
    path = written(folder, "shop.csv", *(lines or SHOP))
    return {"path": path, "id": "Mail", "date": "Day", "amount": "Total", **keys}


def test_load_customers_where_currency_and_refund_decide_what_an_order_is_worth(
    tables: Tables, tmp_path: Path
) -> None:
    rates = {"EUR": 1, "gbp": 1.5}
    keys = {"where": PAID, "refund": "Refunded", "currency": "Currency", "rates": rates}
    report = load(tables, tmp_path, shop(tmp_path, **keys))
    years = 8 / 365.25
    assert features(tables) == {
        "ana@example.com": (round(3 / years, 6), round((40 + 54 + 10) / 3, 6), 1.0),
        "dee@example.com": (round(1 / years, 6), 0.0, 0.0),
    }
    # The day of the latest order that counts.
    assert report.as_of == date(2025, 10, 8)
    assert report.orders is not None
    assert (report.orders.rows_in, report.orders.rows_used, report.orders.rows_excluded) == (
        6,
        4,
        2,
    )
    assert any("2 of 6 rows" in warning for warning in report.warnings)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "EUR 4, GBP 1, USD 1"),
        ({"where": PAID}, "EUR 3, GBP 1"),
        ({"where": PAID, "currency": "Currency"}, "EUR 3, GBP 1"),
        ({"where": PAID, "currency": "Currency", "rates": {"EUR": 1}}, "no rate for GBP 1"),
        ({"where": "Sttus = 'paid'"}, "did you mean 'Status'"),
        ({"currency": "Curency"}, "did you mean 'Currency'"),
        ({"where": "Number = 'x'"}, "cannot be compared"),
    ],
)
def test_load_customers_currencies_without_rates_and_wrong_rules_are_refused(
    tables: Tables, tmp_path: Path, keys: dict[str, Any], said: str
) -> None:
    with pytest.raises((ConfigurationError, DataError)) as raised:
        load(tables, tmp_path, shop(tmp_path, **keys))
    assert said in str(raised.value)


def test_load_customers_single_currencies_of_two_files_that_differ_are_refused(
    tables: Tables, tmp_path: Path
) -> None:
    first = shop(tmp_path, SHOP[0], SHOP[1])
    second = {**first, "path": written(tmp_path, "uk.csv", SHOP[0], SHOP[2])}
    with pytest.raises(DataError, match="EUR 1, GBP 1"):
        load(tables, tmp_path, first, second)
    converted = {**second, "currency": "Currency", "rates": {"GBP": 2}}
    load(tables, tmp_path, first, converted)
    assert features(tables)["ana@example.com"][1] == 56.0


LINES = (
    "Name,Mail,Status,Day,Total,Item",
    "#1,ana@example.com,paid,2025-10-07,85,Boots",
    "#1,,,,,Socks",
    "#1,ANA@example.com,,2025-10-07,,Cap",
    "#2,bo@example.com,voided,2025-11-01,500,Tent",
    "#2,,,,,Rug",
    "#3,ana@example.com,paid,2025-10-09,20,Hat",
    "#3,,,,-5,Hat",
)


def test_load_customers_blank_order_fields_of_further_lines_are_those_of_the_first(
    tables: Tables, tmp_path: Path
) -> None:
    keys = {"order_id": "Name", "where": "Status <> 'voided'"}
    report = load(tables, tmp_path, shop(tmp_path, *LINES, **keys))
    assert features(tables) == {"ana@example.com": (round(2 / (3 / 365.25), 6), 50.0, 0.0)}
    assert report.orders is not None
    assert (report.orders.rows_used, report.orders.rows_excluded) == (5, 2)


@pytest.mark.parametrize(
    "lines",
    [
        # The first line, another customer's line, and a line of an order whose lines have amounts.
        ("#1,ana@example.com,paid,2025-10-07,,Boots", "#1,,,,9,Socks"),
        ("#1,ana@example.com,paid,2025-10-07,9,Boots", "#1,bo@example.com,paid,2025-10-07,,Socks"),
        ("#1,ana@example.com,paid,2025-10-07,9,Boots", "#1,,,,8,Cap", "#1,,,,,Socks"),
    ],
)
def test_load_customers_a_missing_amount_that_no_first_line_explains_is_a_bad_row(
    tables: Tables, tmp_path: Path, lines: tuple[str, ...]
) -> None:
    with pytest.raises(DataError, match=f"1 of {len(lines)} rows .*amount is missing"):
        load(tables, tmp_path, shop(tmp_path, LINES[0], *lines, order_id="Name"))


def test_load_customers_orders_by_address_join_in_any_spelling(
    tables: Tables, tmp_path: Path
) -> None:
    path = written(tmp_path, "c.csv", "customer_id", "Ana@example.com", "c1")
    cards = written(tmp_path, "m.csv", "card,mail", "CARD@shop.com,ana@Example.com", "7,C1")
    id_map = {"path": cards, "from": "card", "to": "mail"}
    lines = ("card@Shop.com,2020-01-01,5", "7,2020-01-01,5")
    mapped = orders(tmp_path, *lines, id_map=id_map)
    direct = {
        **mapped,
        "id_map": None,
        "path": written(tmp_path, "direct.csv", "id,date,amount", "ANA@EXAMPLE.COM,2020-01-01,7"),
    }
    report = load(tables, tmp_path, mapped, direct, path=path, columns=REST)
    found = features(tables)
    assert found["Ana@example.com"][1] == 6.0
    assert found["c1"][0] == 0.0
    assert report.orders is not None
    assert (report.orders.rows_used, report.orders.ids_unknown) == (2, 1)
