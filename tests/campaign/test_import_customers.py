"""`liftwright import` on exports with the headers of the tools that write them."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.testing import CliRunner

from liftwright.campaign.import_customers import import_customers
from liftwright.cli.commands import app
from liftwright.config import Customers, FileOptions
from liftwright.data import load_customers
from liftwright.errors import DataError, InputError
from plane_samples import open_tables

if TYPE_CHECKING:
    from pathlib import Path

# The headers of each tool, the cells of row n, and the columns that are found.
EXPORTS: dict[str, tuple[str, str, dict[str, object]]] = {
    "mailchimp": (
        (
            "Email Address,First Name,Last Name,Address,Phone Number,Birthday,MEMBER_RATING,"
            "OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,LATITUDE,LONGITUDE,GMTOFF,DSTOFF,TIMEZONE,CC,"
            "REGION,LAST_CHANGED,LEID,EUID,NOTES,TAGS"
        ),
        (
            "c{n}@example.com,A,B,,,03/{d},2,,,2024-03-{d} 10:57:02,1.1.1.1,51,0,0,0,Europe/London,"
            "GB,ENG,2025-03-{d} 10:57:02,{n},e{n},,vip"
        ),
        {"customer_id": "Email Address", "location": "REGION"},
    ),
    "klaviyo": (
        (
            "Email,Klaviyo ID,First Name,Last Name,City,Country,Historic Customer Lifetime Value,"
            "Historic Number Of Orders,Average Order Value,First Active,Last Active,"
            "Profile Created On,Date Added,Last Open,Last Click"
        ),
        (
            "c{n}@example.com,01H{n},A,B,Leeds,UK,{n}.5,{n},50.25,2023-01-{d} 10:00:00,"
            "2025-10-{d} 10:00:00+00:00,2023-01-01 10:00:00,2023-01-01 10:00:00,,"
        ),
        {
            "customer_id": "Email",
            "location": "City",
            "purchase_frequency": {
                "from": "Historic Number Of Orders",
                "as": "per_year",
                "since": "Profile Created On",
            },
            "avg_order_value": "Average Order Value",
            "last_engagement_days": {"from": "Last Active", "as": "days_since"},
        },
    ),
    "shopify": (
        (
            "Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Default Address City,"
            "Default Address Country Code,Phone,Total Spent,Total Orders,Note,Tags"
        ),
        "'68{n}00,A,B,c{n}@example.com,yes,Lyon,FR,,{n}.50,{n},,VIP",
        {
            "customer_id": "Customer ID",
            "location": "Default Address City",
            "avg_order_value": {"from": "Total Spent", "as": "number", "divide_by": "Total Orders"},
        },
    ),
    "hubspot": (
        (
            "Record ID,First Name,Last Name,Email,City,Lifecycle,Last Activity Date,Create Date,"
            "Marketing emails delivered,Marketing emails opened,Marketing emails clicked"
        ),
        "51{n}0,A,B,c{n}@example.com,Paris,Customer,2025-09-{d} 09:15,2022-02-02 10:00,9,{n},0",
        {
            "customer_id": "Record ID",
            "location": "City",
            "last_engagement_days": {"from": "Last Activity Date", "as": "days_since"},
            "historical_open_rate": {
                "from": "Marketing emails opened",
                "as": "number",
                "divide_by": "Marketing emails delivered",
            },
            "historical_click_rate": {
                "from": "Marketing emails clicked",
                "as": "number",
                "divide_by": "Marketing emails delivered",
            },
        },
    ),
    "salesforce": (
        "Contact ID,First Name,Last Name,Email,Mailing City,Country,Birthdate,Last Activity",
        "003{n}AAA,A,B,c{n}@example.com,Lyon,France,4/{d}/1980,3/{d}/2025",
        {
            "customer_id": "Contact ID",
            "location": "Mailing City",
            "age": {"from": "Birthdate", "as": "years", "formats": ["%m/%d/%Y"]},
            "last_engagement_days": {
                "from": "Last Activity",
                "as": "days_since",
                "formats": ["%m/%d/%Y"],
            },
        },
    ),
    "woocommerce": (
        (
            "Name,Username,Last active,Sign up,Email,Orders,Total spend,AOV,Country / Region,City,"
            "Region,Postal code"
        ),
        "Ann,,2025-11-{d} 12:00:00,2021-03-02 08:00:00,c{n}@example.com,{n},{n}.3,9.3,GB,York,,",
        {
            "customer_id": "Email",
            "location": "City",
            "purchase_frequency": {"from": "Orders", "as": "per_year", "since": "Sign up"},
            "avg_order_value": "AOV",
            "last_engagement_days": {"from": "Last active", "as": "days_since"},
        },
    ),
}
GERMAN = (
    "Kundennummer;Alter;Ort;Stufe;Bestellungen pro Jahr;Durchschnittlicher Bestellwert;"
    "Letzter Kauf;Öffnungsrate;Klickrate\n"
    "001;34;Köln;Gold;2,5;1.299,50 €;3. März 2025;23,5 %;4 %\n"
    "002;44;Köln;Gold;1;99,00 €;nie;3 %;0,5 %\n"
    "003;54;Ulm;Basis;0,5;1.050 €;14. Mai 2025;;4 %\n"
    "003;54;Ulm;Basis;0,5;1.050 €;14. Mai 2025;;4 %\n"
)


@pytest.mark.parametrize("tool", EXPORTS)
def test_import_export_of_a_tool_is_recognised(tmp_path: Path, tool: str) -> None:
    header, row, expected = EXPORTS[tool]
    rows = [row.format(n=n, d=f"{n * 3:02}") for n in range(1, 10)]
    file = tmp_path / "export.csv"
    file.write_text("\n".join([header, *rows, ""]))
    found = import_customers(tmp_path, str(file), FileOptions())
    content = yaml.safe_load(found.customers_yaml)
    assert {name: to for name, to in content["columns"].items() if to is not None} == expected
    assert (found.rows, found.kept, found.rejected) == (9, 9, ())
    assert [column.theirs for column in found.columns] == next(csv.reader([header]))


def test_import_german_spreadsheet_export_needs_no_yaml_by_hand(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "customers.yaml").write_text("path: old.csv\n")
    file = tmp_path / "kunden.csv"
    file.write_bytes(GERMAN.encode("cp1252"))
    arguments = ["import", str(file), "--workspace", str(tmp_path), "--json"]
    answer: dict[str, Any] = json.loads(CliRunner().invoke(app, arguments).stdout)
    assert (answer["encoding"], answer["delimiter"], answer["rows"]) == ("cp1252", ";", 4)
    assert (answer["kept"], answer["written"]) == (3, None)
    assert answer["rejected"] == [{"reason": "customer_id repeats an earlier row's", "rows": 1}]
    assert answer["columns"][5] == {
        "theirs": "Durchschnittlicher Bestellwert",
        "ours": "avg_order_value",
        "conversion": "number",
        "example": "1.050 €",
    }
    assert (tmp_path / "config" / "customers.yaml").read_text() == "path: old.csv\n"
    assert CliRunner().invoke(app, [*arguments, "--write"]).exit_code == 0
    assert (tmp_path / "config" / "customers.yaml.old").read_text() == "path: old.csv\n"
    config = Customers.model_validate(
        yaml.safe_load((tmp_path / "config" / "customers.yaml").read_text(encoding="utf-8"))
    )
    tables = open_tables(tmp_path / "spill")
    load_customers(tables, config, tmp_path)
    assert tables.rows("select * from customers") == [
        ("001", 34.0, "Köln", "Gold", 2.5, 1299.5, 72.0, 0.235, 0.04),
        ("002", 44.0, "Köln", "Gold", 1.0, 99.0, None, 0.03, 0.005),
        ("003", 54.0, "Ulm", "Basis", 0.5, 1050.0, 0.0, None, 0.04),
    ]
    tables.close()


def test_import_day_and_month_that_cannot_be_told_apart_are_asked_about(tmp_path: Path) -> None:
    file = tmp_path / "c.csv"
    file.write_text("customer_id,last order\nA,03/04/2025\nB,05/06/2025\n")
    found = import_customers(tmp_path, str(file), FileOptions())
    assert yaml.safe_load(found.customers_yaml)["columns"]["last_engagement_days"] is None
    assert any("%d/%m/%Y" in warning and "%m/%d/%Y" in warning for warning in found.warnings)


def test_import_rows_that_are_all_bad_are_shown(tmp_path: Path) -> None:
    file = tmp_path / "c.csv"
    file.write_text("customer_id,age\n1.2E+12,3\n1.3E+12,4\n")
    found = import_customers(tmp_path, str(file), FileOptions())
    assert (found.rows, found.kept) == (2, 0)
    assert [("Excel" in one.reason, one.rows) for one in found.rejected] == [(True, 2)]


def test_import_without_ids_or_workspace_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.csv"
    file.write_text("Name,City\nAnn,York\n")
    with pytest.raises(DataError, match="no column of ids"):
        import_customers(tmp_path, str(file), FileOptions())
    with pytest.raises(InputError, match="config"):
        import_customers(tmp_path, str(file), FileOptions(), write=True)
