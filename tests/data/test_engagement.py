from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from liftwright.config import Engagement, EngagementFormat
from liftwright.data.engagement import EngagementFile, EngagementReport
from liftwright.errors import ConfigurationError, DataError
from liftwright.model import ENGAGEMENT
from plane_samples import keep_rows, open_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from liftwright.data import Tables

IDS = ("007", "a", "b", "c", "d")


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    opened = open_tables(tmp_path / "engine")
    keep_assignments(opened, IDS)
    yield opened
    opened.close()


def keep_assignments(tables: Tables, ids: Sequence[str]) -> None:
    keep_rows(
        tables,
        "plain",
        ["customer_id", "segment", "arm", "variant_id"],
        [(i, "S", "urgent" if i in "ab" else "control", f"v-{i}") for i in ids],
    )
    tables.keep(
        "assignments",
        "select *, cast('2026-01-02T00:00:00Z' as timestamp with time zone) as assigned_at "
        "from plain",
    )


def read(
    tables: Tables, folder: Path, text: str, *, good: str = "", **form: Any
) -> tuple[EngagementReport, dict[str, tuple]]:
    """The report and the engagement; a `good` row, repeated, makes the set-aside ones few."""
    path = folder / "engagement.csv"
    path.write_text(text + 1000 * good, encoding="utf-8")
    observe = EngagementFile(tables, path, None, EngagementFormat.model_validate(form), root=folder)
    assert observe("assignments") == "engagement"
    report = observe.report
    assert report is not None
    rows = tables.rows(
        "select customer_id, delivered, opened, clicked, converted, revenue from engagement"
    )
    assert len(rows) == len(IDS) - report.customers_set_aside
    return report, {str(row[0]): tuple(row[1:]) for row in rows}


def test_engagement_file_with_one_outcome_takes_those_in_it_as_reached(
    tables: Tables, tmp_path: Path
) -> None:
    report, rows = read(tables, tmp_path, "customer_id,opened\n007,yes\na,No\nb,\n")

    assert rows["007"] == (True, True, False, False, 0.0)
    assert rows["a"] == (True, False, False, False, 0.0)
    assert rows["b"] == (True, False, False, False, 0.0)
    assert rows["c"] == (False, False, False, False, 0.0)
    assert report.customers_missing == 2
    assert report.absent == ("click_rate", "conversion_rate", "revenue")
    assert not report.names_message
    assert any("sent as assigned" in warning for warning in report.warnings)
    assert tuple(tables.columns("engagement")) == ENGAGEMENT.names
    assert [tuple(r) for r in tables.rows("select distinct source from engagement")] == [
        ("historical",)
    ]


@pytest.mark.parametrize(
    ("yes", "no"),
    [("true", "false"), ("TRUE", "F"), ("Yes", "NO"), ("y", "n"), ("17.0", "0.0"), ("1e2", "0")],
)
def test_engagement_file_reads_flags_in_any_case(
    tables: Tables, tmp_path: Path, yes: str, no: str
) -> None:
    _, rows = read(tables, tmp_path, f"Customer_ID,Clicked\n007,{yes}\na,{no}\n")

    assert rows["007"][2] is True
    assert rows["a"][2] is False


@pytest.mark.parametrize("text", ["0.5", "1.5", "-1", "inf", "nan", "1e99"])
def test_engagement_file_refuses_a_flag_that_is_no_count(
    tables: Tables, tmp_path: Path, text: str
) -> None:
    report, rows = read(tables, tmp_path, f"customer_id,clicked\na,{text}\n", good="b,1\n")

    assert report.set_aside == {"unreadable clicked": 1}
    # Its customer does not count as not delivered.
    assert "a" not in rows
    assert (report.customers_set_aside, report.customers_missing) == (1, 3)


def optional(tables: Tables, *columns: str) -> dict[str, tuple]:
    names = ", ".join(("customer_id", *columns))
    return {str(row[0]): tuple(row[1:]) for row in tables.rows(f"select {names} from engagement")}  # noqa: S608


def test_engagement_file_with_optional_outcomes_adds_their_columns(
    tables: Tables, tmp_path: Path
) -> None:
    report, _ = read(
        tables,
        tmp_path,
        "customer_id,complained,Unsubscribed\n007,0,1\na,2,no\na,0,yes\nb,,\n",
    )

    added = ("unsubscribed", "complained")
    assert tuple(tables.columns("engagement")) == (*ENGAGEMENT.names, *added)
    assert optional(tables, *added) == {
        "007": (True, False),
        "a": (True, True),
        **dict.fromkeys("bcd", (False, False)),
    }
    assert report.absent == ("open_rate", "click_rate", "conversion_rate", "revenue")


def test_engagement_file_bounced_message_is_not_delivered_where_the_file_says_no_more(
    tables: Tables, tmp_path: Path
) -> None:
    report, rows = read(
        tables,
        tmp_path,
        "customer_id,opened,bounced\n007,0,1\na,1,0\nb,1,\nc,1,1\n",
        good="a,0,0\n",
    )

    assert {name: row[0] for name, row in rows.items()} == dict(
        zip(("007", "a", "b", "d"), (False, True, True, False), strict=True)
    )
    assert optional(tables, "bounced")["007"] == (True,)
    assert report.set_aside == {"an outcome though not delivered": 1}


def test_engagement_file_message_that_bounced_and_arrived_later_is_delivered(
    tables: Tables, tmp_path: Path
) -> None:
    report, rows = read(
        tables, tmp_path, "customer_id,delivered,opened,bounced\na,0,0,1\na,1,1,0\nb,0,0,1\n"
    )

    assert (rows["a"][0], rows["b"][0]) == (True, False)
    assert optional(tables, "bounced")["a"] == (False,)
    assert optional(tables, "bounced")["b"] == (True,)
    assert report.set_aside == {}


def test_engagement_file_counts_rows_that_contradict_themselves(
    tables: Tables, tmp_path: Path
) -> None:
    report, rows = read(
        tables,
        tmp_path,
        "customer_id,delivered,opened,unsubscribed,complained,bounced\n"
        "007,1,1,0,0,1\na,0,0,1,0,0\nb,,0,0,1,1\nc,1,1,1,1,0\n",
        good="c,1,0,0,0,0\n",
    )

    assert report.set_aside == {
        "an outcome though not delivered": 2,
        "bounced though delivered": 1,
    }
    assert rows["c"][:2] == (True, True)


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


def test_engagement_file_honours_the_offset_of_a_time_and_refuses_nonsense(
    tables: Tables, tmp_path: Path
) -> None:
    report, rows = read(
        tables,
        tmp_path,
        "customer_id,opened,opened_at\na,1,2026-01-03T01:30+02:00\nb,1,2026-01-03T01:30+25:00\n",
        good="a,0,\n",
    )

    assert rows["a"][1] is True
    assert "b" not in rows
    assert report.set_aside == {"unreadable opened_at": 1}
    ((opened_at,),) = tables.rows(
        "select cast(opened_at at time zone 'UTC' as varchar) from engagement "
        "where customer_id = 'a'"
    )
    assert opened_at == "2026-01-02 23:30:00"


def test_engagement_file_counts_and_names_what_does_not_fit(tables: Tables, tmp_path: Path) -> None:
    report, rows = read(
        tables,
        tmp_path,
        "customer_id,delivered,opened,revenue,arm,variant_id,note\n"
        "007,true,true,1,control,v-007,kept\n"
        ",true,true,1,,,\n"
        "zzz,true,true,1,,,\n"
        "a,true,maybe,1,,,\n"
        "a,true,true,5-ish,,,\n"
        "b,false,true,0,,,\n"
        "c,true,true,0,urgent,,\n"
        "d,true,true,0,control,v-a,\n"
        "zzz,true,true,1,,,\n",
        good="007,true,false,0,,,\n",
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
    assert report.rows == 1009
    assert report.rows_used == 1001
    assert report.names_message
    assert rows["007"] == (True, True, False, False, 1.0)
    assert rows.keys() == {"007"}
    assert (report.customers_missing, report.customers_set_aside) == (0, 4)
    assert not any("zzz" in warning for warning in report.warnings)
    assert any("row 4" in warning for warning in report.warnings)


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
        ("customer_id,bounced\na,1\n", "no outcome"),
        ("customer_id,opened,OPENED \na,1,1\n", "duplicate column"),
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


def test_engagement_file_identity_changes_with_the_file(tables: Tables, tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    observe = EngagementFile(tables, path)
    missing = observe.identity
    path.write_text("customer_id,opened\na,1\n")
    first = observe.identity
    path.write_text("customer_id,opened\na,1\nb,0\n")

    assert len({missing.corpus, first.corpus, observe.identity.corpus}) == 3
    assert not observe.metered


# ── Machines, and events that came too early ──────────────────────────────────────────────────


def observed(
    tables: Tables, folder: Path, text: str, **config: int
) -> tuple[EngagementReport, dict[str, tuple]]:
    path = folder / "engagement.csv"
    path.write_text(text, encoding="utf-8")
    observe = EngagementFile(tables, path, Engagement(**config))
    observe("assignments")
    report = observe.report
    assert report is not None
    rows = tables.rows("select customer_id, opened, clicked, converted from engagement")
    return report, {str(row[0]): tuple(row[1:]) for row in rows}


HEAD = "customer_id,delivered_at,opened,opened_at,clicked,clicked_at,converted\n"


def test_engagement_file_opens_and_clicks_within_seconds_of_delivery_do_not_count(
    tables: Tables, tmp_path: Path
) -> None:
    report, rows = observed(
        tables,
        tmp_path,
        HEAD
        + "a,2026-01-03T10:00:00Z,1,2026-01-03T10:00:02Z,1,2026-01-03T10:00:03Z,1\n"
        + "b,2026-01-03T10:00:00Z,1,2026-01-03T10:00:10Z,1,2026-01-03T10:00:11Z,0\n"
        + "c,2026-01-03T10:00:00Z,1,2026-01-03T10:00:11Z,0,,0\n",
    )

    # An order is an order, whoever clicked first.
    assert rows["a"] == (False, False, True)
    assert rows["b"] == (False, True, False)
    assert rows["c"] == (True, False, False)
    assert (report.bot_opens, report.bot_clicks) == (2, 1)
    assert any("2 opens within 10 seconds" in warning for warning in report.warnings)
    assert any("1 clicks within 10 seconds" in warning for warning in report.warnings)


def test_engagement_file_clicks_on_all_links_in_one_moment_are_a_scanner_s(
    tables: Tables, tmp_path: Path
) -> None:
    moment, later = "2026-01-03T15:00:00Z", "2026-01-03T18:30:00Z"
    report, rows = observed(
        tables,
        tmp_path,
        HEAD
        + "".join(f"a,,0,,1,{moment},0\n" for _ in range(3))
        + "".join(f"b,,0,,1,{moment},0\n" for _ in range(2))
        + "".join(f"c,,0,,1,{moment},0\n" for _ in range(4))
        + f"c,,0,,1,{later},0\n"
        + "".join("d,,0,,1,,0\n" for _ in range(5)),
    )

    assert [rows[name][1] for name in "abcd"] == [False, True, True, True]
    assert report.bot_clicks == 7


def clicks(name: str, count: int, *, step: float, start: str = "2026-01-03T15:00") -> str:
    """Rows of so many clicks of one recipient, `step` seconds apart."""
    return "".join(f"{name},,0,,1,{start}:{2 + n * step:06.3f}Z,0\n" for n in range(count))


def test_engagement_file_a_burst_is_clicks_of_one_recipient_within_two_seconds(
    tables: Tables, tmp_path: Path
) -> None:
    report, rows = observed(
        tables,
        tmp_path,
        HEAD
        + clicks("a", 10, step=0.08)
        # Every three of them within two seconds, the first and the last more than two apart.
        + clicks("b", 5, step=0.9)
        + clicks("c", 5, step=1.1)
        + clicks("d", 2, step=0.1)
        + clicks("a", 1, step=1, start="2026-01-03T18:30"),
    )
    assert report.bot_clicks == 15
    assert [rows[name][1] for name in "abcd"] == [True, False, True, True]
    assert report.click_rate_before == 1.0
    assert any("15 clicks" in warning for warning in report.warnings)


@pytest.mark.parametrize(
    ("domain", "clicked"),
    [("acme.example", 0), ("gmail.com", 20), ("yahoo.co.uk", 20), ("web.de", 20)],
)
def test_engagement_file_a_burst_of_a_domain_needs_addresses_of_one_company(
    tables: Tables, tmp_path: Path, domain: str, clicked: int
) -> None:
    ids = [f"p{n}@{domain}" for n in range(20)]
    keep_assignments(tables, ids)
    burst = "".join(clicks(name, 1, step=1, start="2026-01-03T15:00") for name in ids)
    report, rows = observed(tables, tmp_path, HEAD + burst)
    assert sum(bool(row[1]) for row in rows.values()) == clicked
    assert report.bot_clicks == 20 - clicked
    report, _ = observed(tables, tmp_path, HEAD + burst, domain_burst_clicks=21)
    assert report.bot_clicks == 0


def test_engagement_file_events_before_their_delivery_are_counted_and_refused_above_one_percent(
    tables: Tables, tmp_path: Path
) -> None:
    ids = [f"p{n}" for n in range(200)]
    keep_assignments(tables, ids)

    def file(early: int) -> str:
        return HEAD + "".join(
            f"{name},2026-01-03T10:00:00Z,1,2026-01-03T{9 if n < early else 11:02d}:00:00Z,0,,0\n"
            for n, name in enumerate(ids)
        )

    report, rows = observed(tables, tmp_path, file(2))
    assert report.premature == 2
    assert rows["p0"][0] is True
    assert any("2 opens and clicks are before" in warning for warning in report.warnings)
    with pytest.raises(DataError, match=r"3 of 200 opens and clicks \(1.5%\).*row 1"):
        observed(tables, tmp_path, file(3))


def test_engagement_file_events_before_the_assignment_are_counted_and_said(
    tables: Tables, tmp_path: Path
) -> None:
    report, rows = observed(
        tables,
        tmp_path,
        HEAD
        + "a,2026-01-01T10:00:00Z,1,2026-01-01T11:00:00Z,0,,0\n"
        + "b,2026-01-03T10:00:00Z,1,2026-01-03T11:00:00Z,0,,0\n",
    )

    assert report.early == 1
    assert rows["a"][0] is True
    assert any("1 rows " in w for w in report.warnings)


# ── Files of other tools ──────────────────────────────────────────────────────────────────────


def test_engagement_file_maps_columns_values_times_and_ids(tables: Tables, tmp_path: Path) -> None:
    ids = "mail,contact\nANA@x.com,a\nbo@x.com,b\n,c\n"
    (tmp_path / "ids.csv").write_text(ids, encoding="utf-8")
    columns = {
        "customer_id": "E-Mail",
        "opened": {"from": "State", "values": {"seen": "yes", "sent": "no"}},
        "clicked": "clicks",
        "clicked_at": {"from": "When", "formats": ["%d.%m.%Y %H:%M"]},
        "revenue": None,
    }
    report, rows = read(
        tables,
        tmp_path,
        "e-mail ,State,Clicks,When,Revenue\n"
        "ana@X.com,seen,3,05.01.2026 10:30,nonsense\n Bo@x.com,sent,0,,\n007,sent,0,,\n",
        columns=columns,
        id_map={"path": "ids.csv", "from": "mail", "to": "contact"},
    )

    assert rows["a"] == (True, True, True, False, 0.0)
    assert rows["b"] == (True, False, False, False, 0.0)
    assert rows["007"][0] is True
    assert (report.rows_used, report.customers_missing, report.set_aside) == (3, 2, {})
    ((at,),) = tables.rows(
        "select cast(clicked_at at time zone 'UTC' as varchar) from engagement "
        "where customer_id = 'a'"
    )
    assert at == "2026-01-05 10:30:00"


MAILCHIMP = "Email Address,First Name,Opens,Clicks\nP0@X.com,Ann,2,1\np1@x.com,Bo,0,0\n"
KLAVIYO = (
    "Metric,Timestamp,Email,$value\n"
    "Received Email,2026-01-03T10:00:00Z,p0@x.com,\nOpened Email,2026-01-03T11:00:00Z,p0@x.com,\n"
    "Clicked Email,2026-01-03T12:00:00Z,P0@x.com,\n"
    "Placed Order,2026-01-04T12:00:00Z,p0@x.com,$25.50\n"
    "Received Email,2026-01-03T10:00:00Z,p1@x.com,\nBounced Email,2026-01-03T10:00:00Z,p2@x.com,\n"
)
SENDGRID = (
    "processed,message_id,event,email\n"
    "1767430000,m0,processed,p0@x.com\n1767430001,m0,delivered,p0@x.com\n"
    "1767440000,m0,open,p0@x.com\n1767440001,m0,click,p0@x.com\n"
    "1767430000,m1,processed,p1@x.com\n1767430002,m1,delivered,p1@x.com\n"
    "1767430000,m2,processed,p2@x.com\n1767430002,m2,dropped,p2@x.com\n"
)
HUBSPOT = (
    "Recipient,Sent,Delivered,Open,Click,Bounce,Unsubscribed,SpamReport\n"
    "p0@x.com,true,true,2026-01-03 11:00,2026-01-03 12:00,,,\np1@x.com,true,true,,,,,\n"
    "p2@x.com,true,false,,,true,,\n"
)
BRAZE = (
    "event_type,external_user_id,time\n"
    "users.messages.email.Delivery,p0@x.com,1767430000\n"
    "users.messages.email.Open,p0@x.com,1767440000\n"
    "users.messages.email.Click,p0@x.com,1767440100\n"
    "users.messages.email.Delivery,p1@x.com,1767430000\n"
    "users.messages.email.Bounce,p2@x.com,1767430000\n"
)


@pytest.mark.parametrize(
    ("preset", "text"),
    [
        ("mailchimp", MAILCHIMP),
        ("klaviyo", KLAVIYO),
        ("sendgrid", SENDGRID),
        ("hubspot", HUBSPOT),
        ("braze", BRAZE),
    ],
)
def test_engagement_file_of_a_preset_is_read_without_a_mapping(
    tables: Tables, tmp_path: Path, preset: str, text: str
) -> None:
    names = ("p0@x.com", "p1@x.com", "P2@x.com")
    keep_alternating(tables, names)
    path = tmp_path / "export.csv"
    path.write_text(text, encoding="utf-8")
    observe = EngagementFile(tables, path, None, EngagementFormat(preset=preset))

    observe("assignments")

    rows = tables.rows(
        "select delivered, opened, clicked, converted, revenue from engagement "
        "order by lower(customer_id)"
    )
    bought = (True, 25.5) if preset == "klaviyo" else (False, 0.0)
    assert [tuple(row) for row in rows] == [
        (True, True, True, *bought),
        (True, False, False, False, 0.0),
        (False, False, False, False, 0.0),
    ]
    assert observe.report is not None
    assert observe.report.set_aside == {}


def keep_alternating(tables: Tables, names: Iterable[str]) -> None:
    """Replace the assignments; every other customer gets the control."""
    keep_rows(
        tables,
        "plain",
        ["customer_id", "segment", "arm", "variant_id"],
        [(n, "S", "control" if i % 2 else "urgent", f"v-{n}") for i, n in enumerate(names)],
    )
    tables.keep(
        "assignments",
        "select *, cast('2026-01-02T00:00:00Z' as timestamp with time zone) as assigned_at "
        "from plain",
    )


@pytest.mark.parametrize(
    ("form", "text", "said"),
    [
        ({"columns": {"opened": "Opend"}}, "customer_id,Opened\na,1\n", "'Opened'"),
        ({"preset": "braze"}, "name,opened\na,1\n", "preset"),
        (
            {"columns": {"opened_at": {"from": "At", "formats": ["day"]}}},
            "customer_id,opened,At\na,1,x\n",
            "columns.opened_at",
        ),
        (
            {"columns": {"opened": {"from": "opened", "as": "years"}}},
            "customer_id,opened\na,1\n",
            "columns.opened",
        ),
    ],
)
def test_engagement_file_that_a_mapping_does_not_fit_is_refused_with_its_key(
    tables: Tables,
    tmp_path: Path,
    form: dict[str, Any],
    text: str,
    said: str,
) -> None:
    with pytest.raises((ConfigurationError, DataError)) as raised:
        read(tables, tmp_path, text, **form)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("amounts", "form", "total"),
    [
        (("1,299.00", "€5", "-4.50", "(1.50)"), {}, 1298.0),
        (("1.299,00", "5 €", "EUR 4,50"), {}, 1308.5),
        (("1 299,50\u00a0kr", "2'000,5"), {}, 3300.0),
        (("$1,299", "12.50"), {}, 1311.5),
        (("1.299", "3"), {"decimal": ","}, 1302.0),
        (("1,299", "3"), {"decimal": "."}, 1302.0),
        (("1,234,567",), {}, 1234567.0),
        (("1.299", "1e1"), {}, 11.299),
        (("\u22125", "3"), {}, 0.0),
    ],
)
def test_engagement_file_reads_money_with_signs_and_separators(
    tables: Tables, tmp_path: Path, amounts: tuple[str, ...], form: dict[str, Any], total: float
) -> None:
    lines = "".join(f'a,"{amount}"\n' for amount in amounts)
    report, rows = read(tables, tmp_path, f"customer_id,revenue\n{lines}", **form)

    assert report.set_aside == {}
    assert rows["a"][4] == pytest.approx(total)


def test_engagement_file_is_opened_with_the_options_of_its_layout(
    tables: Tables, tmp_path: Path
) -> None:
    text = "M\u00e4rz\n2026\ncustomer_id;opened,clicked\na;2\n"
    form: dict[str, Any] = {
        "delimiter": ";",
        "skip_rows": 2,
        "columns": {"opened": "opened,clicked"},
    }
    report, rows = read(tables, tmp_path, text, **form)
    assert (report.rows_used, rows["a"][1]) == (1, True)
    with pytest.raises(DataError, match="encoding"):
        read(tables, tmp_path, text, encoding="mac_roman", **form)


@pytest.mark.parametrize("amounts", [("1,299", "5"), ("12,50", "1.299"), ("12,50", "12.50")])
def test_engagement_file_with_ambiguous_money_asks_for_the_decimal(
    tables: Tables, tmp_path: Path, amounts: tuple[str, ...]
) -> None:
    lines = "".join(f'a,"{amount}"\n' for amount in amounts)
    with pytest.raises(DataError, match=r"revenue: .*decimal"):
        read(tables, tmp_path, f"customer_id,revenue\n{lines}")


# ── Rows that cannot be used ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("lost", "with_open", "refused"),
    [
        (40, 20, None),
        (41, 20, "at most 1%"),
        # Too many of them have an open, unless they are too few to show it.
        (30, 30, "Fisher"),
        (19, 19, None),
    ],
)
def test_engagement_file_with_rows_set_aside_is_refused_where_they_would_bias_the_result(
    tables: Tables, tmp_path: Path, lost: int, with_open: int, refused: str | None
) -> None:
    keep_alternating(tables, [f"p{n}" for n in range(4000)])
    lines = [f"p{n},{n % 2}," for n in range(lost, 4000)]
    lines += [f"p{n},{int(n < with_open)},maybe" for n in range(lost)]
    path = tmp_path / "e.csv"
    path.write_text("\n".join(("customer_id,opened,converted", *lines)), encoding="utf-8")
    observe = EngagementFile(tables, path)
    if refused is None:
        observe("assignments")
        assert observe.report is not None
        assert observe.report.customers_set_aside == lost
        assert tables.count("engagement") == 4000 - lost
        return
    with pytest.raises(DataError, match=refused) as raised:
        observe("assignments")
    first = ", ".join(str(4001 - lost + n) for n in range(3))
    assert f"unreadable converted: {lost} (first rows {first})" in str(raised.value)


@pytest.mark.parametrize(("missing", "unknown_ids"), [(0, "refuse"), (5, "ignore"), (5, "refuse")])
def test_engagement_file_with_unknown_ids_is_refused_if_assigned_customers_are_missing(
    tables: Tables, tmp_path: Path, missing: int, unknown_ids: str
) -> None:
    keep_alternating(tables, [f"p{n}" for n in range(100)])
    known = [f"p{n},{n % 2}" for n in range(missing, 100)]
    lines = ("customer_id,opened", *known, *(f"P{n},1" for n in range(8)))
    path = tmp_path / "e.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    form = EngagementFormat.model_validate({"unknown_ids": unknown_ids})
    observe = EngagementFile(tables, path, None, form)
    if missing and unknown_ids == "refuse":
        with pytest.raises(DataError, match=r"unknown customer_id: 8 .*unknown_ids: ignore"):
            observe("assignments")
        return
    observe("assignments")
    assert observe.report is not None
    assert observe.report.set_aside == {"unknown customer_id": 8}
    assert observe.report.customers_missing == missing
