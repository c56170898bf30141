from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from liftwright.adapters.engagement_file import EngagementFile, EngagementReport
from liftwright.domain import ENGAGEMENT
from liftwright.errors import DataError
from plane_samples import keep_rows, open_tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from liftwright.tables import Tables

IDS = ("007", "a", "b", "c", "d")


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    opened = open_tables(tmp_path / "engine")
    keep_rows(
        opened,
        "plain",
        ["customer_id", "segment", "arm", "variant_id"],
        [(i, "S", "urgent" if i in "ab" else "control", f"v-{i}") for i in IDS],
    )
    opened.keep(
        "assignments",
        "select *, cast('2026-01-02T00:00:00Z' as timestamp with time zone) as assigned_at "
        "from plain",
    )
    yield opened
    opened.close()


def read(tables: Tables, folder: Path, text: str) -> tuple[EngagementReport, dict[str, tuple]]:
    path = folder / "engagement.csv"
    path.write_text(text, encoding="utf-8")
    observe = EngagementFile(tables, path)
    assert observe("assignments") == "engagement"
    report = observe.report
    assert report is not None
    rows = tables.rows(
        "select customer_id, delivered, opened, clicked, converted, revenue from engagement"
    )
    assert len(rows) == len(IDS)
    return report, {str(row[0]): tuple(row[1:]) for row in rows}


def test_engagement_file_with_one_outcome_takes_those_in_it_as_reached(
    tables: Tables, tmp_path: Path
) -> None:
    report, rows = read(tables, tmp_path, "customer_id,opened\n007,yes\na,No\nb,\n")

    assert rows["007"] == (True, True, False, False, 0.0)
    assert rows["a"] == (True, False, False, False, 0.0)
    assert rows["b"] == (True, False, False, False, 0.0)
    assert rows["c"] == (False, False, False, False, 0.0)
    assert report.customers_found == 3
    assert report.customers_missing == 2
    assert report.absent == ("click_rate", "conversion_rate", "revenue")
    assert not report.names_message
    assert any("sent as assigned" in warning for warning in report.warnings)
    assert tuple(tables.columns("engagement")) == ENGAGEMENT.names
    assert [tuple(r) for r in tables.rows("select distinct source from engagement")] == [
        ("historical",)
    ]


@pytest.mark.parametrize("yes", ["true", "TRUE", "Yes", "y", "1", "1.0", " t "])
@pytest.mark.parametrize("no", ["false", "False", "NO", "n", "0", "0.0", "F"])
def test_engagement_file_reads_flags_in_any_case(
    tables: Tables, tmp_path: Path, yes: str, no: str
) -> None:
    _, rows = read(tables, tmp_path, f"Customer_ID,Clicked\n007,{yes}\na,{no}\n")

    assert rows["007"][2] is True
    assert rows["a"][2] is False


def test_engagement_file_combines_rows_of_one_customer(tables: Tables, tmp_path: Path) -> None:
    report, rows = read(
        tables,
        tmp_path,
        "customer_id,opened,clicked,revenue,opened_at\n"
        "a,1,0,10.5,2026-01-03T10:00:00Z\na,0,1,,2026-01-02T09:00:00Z\na,0,0,4.5,\n",
    )

    assert rows["a"] == (True, True, True, False, 15.0)
    assert report.combined == 2
    ((opened_at,),) = tables.rows(
        "select cast(epoch_ms(opened_at) as bigint) from engagement where customer_id = 'a'"
    )
    assert opened_at == 1767344400000
    assert any("2 further rows" in warning for warning in report.warnings)


def test_engagement_file_counts_and_names_what_does_not_fit(tables: Tables, tmp_path: Path) -> None:
    report, rows = read(
        tables,
        tmp_path,
        "customer_id,delivered,opened,revenue,arm,variant_id,note\n"
        "007,true,true,1,control,v-007,kept\n"
        ",true,true,1,,,\n"
        "zzz,true,true,1,,,\n"
        "a,true,maybe,1,,,\n"
        "a,true,true,-5,,,\n"
        "b,false,true,0,,,\n"
        "c,true,true,0,urgent,,\n"
        "d,true,true,0,control,v-a,\n"
        "zzz,true,true,1,,,\n",
    )

    assert report.set_aside == {
        "an outcome though not delivered": 1,
        "another arm than assigned": 1,
        "another variant than assigned": 1,
        "no customer_id": 1,
        "unknown customer_id": 2,
        "unreadable opened": 1,
        "unreadable revenue": 1,
    }
    assert report.first_rows["unknown customer_id"] == 3
    assert report.rows == 9
    assert report.rows_used == 1
    assert report.ignored == ("note",)
    assert report.names_message
    assert rows["007"] == (True, True, False, False, 1.0)
    assert all(rows[i] == (False, False, False, False, 0.0) for i in "abcd")
    assert not any("zzz" in warning for warning in report.warnings)
    assert any("unreadable opened (first in row 4)" in warning for warning in report.warnings)


@pytest.mark.parametrize("value", ["nan", "inf", "1e99", "ten", "-0.01"])
def test_engagement_file_refuses_impossible_revenue(
    tables: Tables, tmp_path: Path, value: str
) -> None:
    report, _ = read(tables, tmp_path, f"customer_id,revenue\na,{value}\nb,3\n")

    assert report.set_aside == {"unreadable revenue": 1}


def test_engagement_file_bounced_message_is_not_delivered(tables: Tables, tmp_path: Path) -> None:
    report, rows = read(tables, tmp_path, "customer_id,delivered,opened\na,no,no\nb,yes,no\n")

    assert rows["a"][0] is False
    assert rows["b"][0] is True
    assert report.set_aside == {}


def test_engagement_file_in_parquet_reads_typed_columns(tables: Tables, tmp_path: Path) -> None:
    path = tmp_path / "engagement.parquet"
    tables.write(
        "select 'a' as customer_id, true as opened, 12.5e0 as revenue, "
        "timestamp '2026-01-03 10:00:00' as opened_at",
        path,
    )
    observe = EngagementFile(tables, path)

    observe("assignments")

    rows = tables.rows(
        "select opened, revenue, opened_at is not null from engagement where customer_id = 'a'"
    )
    assert [tuple(row) for row in rows] == [(True, 12.5, True)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id,opened\na,1\n", "no column 'customer_id'"),
        ("customer_id,delivered\na,1\n", "no outcome"),
        ("customer_id,opened,OPENED \na,1,1\n", "twice"),
        ("customer_id,opened\nnobody,1\n", "1 with unknown customer_id"),
        ("customer_id,opened\na,perhaps\n", "1 with unreadable opened"),
        ("customer_id,opened\n", "no rows"),
    ],
)
def test_engagement_file_that_says_nothing_is_refused(
    tables: Tables, tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        read(tables, tmp_path, text)


def test_engagement_file_that_is_missing_is_refused(tables: Tables, tmp_path: Path) -> None:
    observe = EngagementFile(tables, tmp_path / "none.csv")

    with pytest.raises(DataError):
        observe("assignments")
    assert observe.report is None


def test_engagement_file_identity_changes_with_the_file(tables: Tables, tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    observe = EngagementFile(tables, path)
    missing = observe.identity
    path.write_text("customer_id,opened\na,1\n")
    first = observe.identity
    path.write_text("customer_id,opened\na,1\nb,0\n")

    assert len({missing.corpus, first.corpus, observe.identity.corpus}) == 3
    assert not observe.metered
