"""Real engagement from a CSV or Parquet file, matched to the assignments.

Rows that do not match are set aside and counted by reason. The columns are those of `ENGAGEMENT`;
`customer_id` and one metric's column are required, the others are optional. A flag is true/false
or yes/no in any case, or a count: 1 or more is true.

A row without a delivery status counts as delivered, unless it bounced.

Opens and clicks of bots do not count: those within seconds of the delivery, and bursts of clicks
within two seconds, of one recipient or of the recipients of one company's domain (mail scanners and
image proxies do both). A proxy that opens later looks like a person, so opens alone decide nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from liftwright import log
from liftwright.config import Engagement
from liftwright.data.mailbox_providers import BRANDS, DOMAINS
from liftwright.data.sql_fragments import identifier, literal
from liftwright.errors import DataError
from liftwright.model import ENGAGEMENT, METRICS, Column, ColumnKind, Identity, fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from liftwright.data.tables import Tables
    from liftwright.model.remote_files import File

_TEXTS = ("customer_id", "arm", "variant_id")
_TYPED = tuple(
    column
    for column in (*ENGAGEMENT.columns, *ENGAGEMENT.optional)
    if column.kind is not ColumnKind.TEXT
)
_OUTCOMES = {metric.column: metric.name for metric in METRICS}
_TRUE = ("true", "t", "yes", "y", "1", "1.0")
_FALSE = ("false", "f", "no", "n", "0", "0.0")
# A larger amount is a mistake, and its square would overflow the decimals of the sums.
_LARGEST_AMOUNT = 1e9
_LARGEST_COUNT = 1e15
_DIGEST = 16
# More opens and clicks before their delivery mean that the times are wrong.
_MOST_PREMATURE = 0.01
_AGENT = "experimentation"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngagementReport:
    """How many rows of an engagement file were used and set aside, and why.

    Attributes:
        rows: rows of the file.
        rows_used: those that count; the others are in `set_aside`, by reason.
        customers_missing: assigned customers without such a row; they count as not delivered.
        combined: rows beyond the first of a customer: flags by any, revenue by sum, times by first.
        absent: metrics that the file says nothing about, but for those of optional columns.
        names_message: whether the file says which arm or variant was sent. Where it does not, the
            lift holds only if the messages were sent as assigned.
        bot_opens, bot_clicks: rows whose open or click a bot made; not counted as one.
        click_rate_before: click rate of all delivered messages with the clicks of bots; None
            without clicks in the file.
        premature: opens and clicks from before the delivery of their message; they count.
        early: rows with an event from before the assignment; they count.
    """

    rows: int
    rows_used: int
    set_aside: Mapping[str, int]
    customers_missing: int
    combined: int
    absent: tuple[str, ...]
    names_message: bool
    bot_opens: int = 0
    bot_clicks: int = 0
    click_rate_before: float | None = None
    premature: int = 0
    early: int = 0
    warnings: tuple[str, ...] = field(default=())


class EngagementFile:
    """The port `observe` for a file; the source of every row is `historical`."""

    metered = False

    def __init__(self, tables: Tables, path: File, config: Engagement | None = None) -> None:
        """Read `path` into these tables when called.

        Args:
            tables: hold the assignments.
            path: CSV or Parquet.
            config: what counts as a bot's open or click; None takes the defaults.
        """
        self._tables = tables
        self._path = path
        self._config = config or Engagement()
        self._report: EngagementReport | None = None

    @property
    def identity(self) -> Identity:
        """The file, by its size and modification time; a remote one by its digest."""
        if not isinstance(self._path, Path):
            corpus = self._path.digest[:_DIGEST]
            return Identity(provider="file", model="engagement", corpus=corpus)
        try:
            status = self._path.stat()
        except OSError:
            return Identity(provider="file", model="engagement")
        corpus = fingerprint(status.st_size, status.st_mtime_ns)[:_DIGEST]
        return Identity(provider="file", model="engagement", corpus=corpus)

    @property
    def report(self) -> EngagementReport | None:
        """The report of the last call; None before the first."""
        return self._report

    def __call__(self, request: str, /) -> str:
        """The table `engagement` for the table of assignments `request`.

        Raises:
            DataError: the file is missing, cannot be read, lacks a required column, or has no
                valid row of an assigned customer.
        """
        assignments = identifier(request)
        columns = self._columns()
        self._tables.keep("engagement_read", self._read_statement(columns), stored=False)
        self._tables.keep(
            "engagement_judged",
            self._tables.sql(
                "engagement_judge",
                assignments=assignments,
                outcome=" or ".join(_happened(c) for c in _TYPED if c.name in _OUTCOMES),
            ),
        )
        self._tables.keep(
            "engagement_bots",
            self._tables.sql(
                "engagement_bots",
                # 0 turns the check off: no open is within -1 seconds of the delivery.
                seconds=str(self._config.machine_seconds or -1),
                burst_before=str(self._config.burst_clicks - 1),
                domain_before=str(self._config.domain_burst_clicks - 1),
                domain=_DOMAIN,
            ),
        )
        report = self._judge(columns, request)
        optional = [column for column in ENGAGEMENT.optional if column.name in columns]
        self._tables.keep(
            "engagement",
            self._tables.sql(
                "engagement_combine",
                assignments=assignments,
                combined="".join(f", {_combined(column)} as {column.name}" for column in optional),
                optional="".join(f", {_or_none(column)} as {column.name}" for column in optional),
            ),
        )
        self._report = report
        log.event(
            "engagement_read",
            agent=_AGENT,
            level="warning" if report.set_aside else "info",
            rows=report.rows,
            rows_used=report.rows_used,
            set_aside=report.set_aside,
            customers_missing=report.customers_missing,
            combined=report.combined,
            absent=report.absent,
            machine_opens=report.bot_opens,
            machine_clicks=report.bot_clicks,
            premature=report.premature,
            early=report.early,
        )
        return "engagement"

    def _columns(self) -> dict[str, str]:
        """The columns of `ENGAGEMENT` that the file has, each with its name in the file.

        Raises:
            DataError: `customer_id` or every outcome is missing, or a column occurs twice.
        """
        header = self._tables.open("engagement_file", self._path)
        names: dict[str, str] = {}
        for name in header:
            column = name.strip().casefold()
            if column in (*_TEXTS, *(column.name for column in _TYPED)):
                if column in names:
                    raise DataError(f"{self._path}: duplicate column {column!r}")
                names[column] = name
        if "customer_id" not in names:
            raise DataError(
                f"{self._path}: no column 'customer_id'; found {', '.join(header) or 'none'}"
            )
        if not any(outcome in names for outcome in _OUTCOMES):
            raise DataError(
                f"{self._path}: no outcome; found {', '.join(header)}; allowed: at least one of "
                f"{', '.join(_OUTCOMES)}"
            )
        return names

    def _read_statement(self, columns: Mapping[str, str]) -> str:
        typed = [column.name for column in _TYPED]
        values = {column.name: _value(column) for column in _TYPED}
        bad = [
            f"when {name}_text is not null and {value} is null then {literal(name)}"
            for name, value in values.items()
        ]
        named = [
            f"{identifier(columns[name]) if name in columns else 'cast(null as varchar)'} as {name}"
            for name in (*_TEXTS, *typed)
        ]
        return self._tables.sql(
            "engagement_read",
            file="engagement_file",
            columns=", ".join(named),
            words=", ".join(f"nullif(trim({name}), '') as {name}_text" for name in typed),
            values=", ".join(f"{value} as {name}" for name, value in values.items()),
            bad=" ".join(bad),
        )

    def _judge(self, columns: Mapping[str, str], assignments: str) -> EngagementReport:
        """Count the used rows, and the others by the reason they are set aside.

        Raises:
            DataError: no row is used.
        """
        rows = self._tables.rows(
            "select reason, count(*), min(_row), count(distinct customer_id) "
            "from engagement_judged group by reason order by reason"
        )
        by_reason = {reason: cast("tuple[int, int, int]", tuple(v)) for reason, *v in rows}
        used, _, customers = by_reason.pop(None, (0, 0, 0))
        set_aside = {str(reason): count for reason, (count, _, _) in by_reason.items()}
        first = {str(reason): row for reason, (_, row, _) in by_reason.items()}
        total = used + sum(set_aside.values())
        if not used:
            reasons = "; ".join(
                f"{n} with {why} (first row {first[why]})" for why, n in set_aside.items()
            )
            raise DataError(
                f"{self._path}: none of {total} rows is valid and belongs to an assigned customer"
                + (f": {reasons}" if reasons else "")
            )
        events = self._events()
        self._check_times(events)
        odd = _oddities(events, self._config)
        return EngagementReport(
            rows=total,
            rows_used=used,
            set_aside=set_aside,
            customers_missing=self._tables.count(assignments) - customers,
            combined=used - customers,
            absent=tuple(
                metric
                for name, metric in _OUTCOMES.items()
                if name in ENGAGEMENT.names and name not in columns
            ),
            names_message="arm" in columns or "variant_id" in columns,
            bot_opens=events.bot_opens,
            bot_clicks=events.bot_clicks,
            click_rate_before=self._click_rate() if "clicked" in columns else None,
            premature=events.premature,
            early=events.early,
            warnings=(*_warnings(set_aside, first, used - customers, columns), *odd),
        )

    def _events(self) -> _Events:
        sums = ", ".join(f"coalesce(sum(case when {c} then 1 else 0 end), 0)" for c in _COUNTED)
        (counts,) = self._tables.rows(f"select {sums} from engagement_bots")  # noqa: S608 - ours
        opens, clicks, early, early_opens, early_clicks, timed_opens, timed_clicks = (
            int(str(count)) for count in counts
        )
        return _Events(
            bot_opens=opens,
            bot_clicks=clicks,
            early=early,
            premature=early_opens + early_clicks,
            timed=timed_opens + timed_clicks,
        )

    def _check_times(self, events: _Events) -> None:
        """Refuse a file in which too many opens and clicks are before their delivery.

        Raises:
            DataError: More than 1 % are.
        """
        if events.premature <= _MOST_PREMATURE * events.timed:
            return
        ((row,),) = self._tables.rows(
            "select min(_row) from engagement_bots where premature_open or premature_click"
        )
        raise DataError(
            f"{self._path}: {events.premature:,} of {events.timed:,} opens and clicks "
            f"({events.premature / events.timed:.1%}) are before the delivery of their message "
            f"(first in row {row}), allowed: at most {_MOST_PREMATURE:.0%}; are all times in one "
            "time zone, and of this campaign?"
        )

    def _click_rate(self) -> float | None:
        """The click rate of all delivered messages, with the clicks of bots."""
        ((messages, clicked),) = self._tables.rows(
            "select count(*), sum(clicked) from (select customer_id, "
            "max(case when coalesce(delivered, not bounced, true) then 1 else 0 end) as delivered, "
            "max(case when clicked then 1 else 0 end) as clicked from engagement_bots "
            "group by customer_id) as customers where delivered = 1"
        )
        return int(str(clicked)) / int(str(messages)) if messages else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Events:
    """Opens and clicks by kind; `timed` are those with a time and a time of delivery."""

    bot_opens: int
    bot_clicks: int
    early: int
    premature: int
    timed: int


_COUNTED = (
    *("bot_open", "bot_click", "early", "premature_open", "premature_click"),
    "opened and opened_at is not null and first_delivered_at is not null",
    "clicked and clicked_at is not null and first_delivered_at is not null",
)
_ADDRESS = "customer_id like '%_@_%' and customer_id not like '%@%@%'"
_AFTER_AT = "lower(trim(substring(customer_id, strpos(customer_id, '@') + 1)))"
_COUNTRY = "(com|net|org|[a-z][a-z]|com?[.][a-z][a-z])"
# SQL: the domain of an id that is an address; null of other ids and at public mailbox providers.
_DOMAIN = (
    f"case when {_ADDRESS} and {_AFTER_AT} not in ({', '.join(map(literal, DOMAINS))}) "
    f"and not regexp_matches({_AFTER_AT}, '^({'|'.join(BRANDS)})[.]{_COUNTRY}$') "
    f"then {_AFTER_AT} end"
)


def _value(column: Column) -> str:
    """SQL: the value of the column's text; null if the text is not a valid value."""
    text = f"{column.name}_text"
    number = f"number_of({text})"
    if column.kind is ColumnKind.FLAG:
        count = f"{number} between 1e0 and {literal(_LARGEST_COUNT)} and {number} = floor({number})"
        return (
            f"case when lower({text}) in ({', '.join(map(literal, _TRUE))}) then true "
            f"when lower({text}) in ({', '.join(map(literal, _FALSE))}) then false "
            f"when {count} then true end"
        )
    if column.kind is ColumnKind.NUMBER:
        return f"case when {number} between 0e0 and {literal(_LARGEST_AMOUNT)} then {number} end"
    # A time without a zone is in UTC, whatever the machine's time zone.
    return f"(time_of({text}) at time zone 'UTC')"


def _happened(column: Column) -> str:
    """SQL: whether a row `r` has the outcome."""
    if column.kind is ColumnKind.FLAG:
        return f"coalesce(r.{column.name}, false)"
    return f"coalesce(r.{column.name}, 0e0) > 0e0"


def _combined(column: Column) -> str:
    """SQL: the column over all rows of a customer, any flag or the sum of numbers."""
    if column.kind is ColumnKind.FLAG:
        return f"max(case when {column.name} then 1 else 0 end) = 1"
    return f"sum(coalesce({column.name}, 0e0))"


def _or_none(column: Column) -> str:
    """SQL: the combined column of an assigned customer, who may not be in the file."""
    if column.name == "bounced":
        return "coalesce(c.bounced and not c.delivered, false)"
    return f"coalesce(c.{column.name}, {'false' if column.kind is ColumnKind.FLAG else '0e0'})"


def _oddities(events: _Events, config: Engagement) -> tuple[str, ...]:
    """Warnings about bots, and about events before the assignment or the delivery."""
    within = f"within {config.machine_seconds} seconds of the delivery"
    found = []
    if events.bot_opens:
        found.append(f"{events.bot_opens} opens {within} are treated as bot opens and not counted")
    if events.bot_clicks:
        found.append(
            f"{events.bot_clicks} clicks {within}, or {config.burst_clicks} or more of one "
            f"recipient ({config.domain_burst_clicks} of one company's domain) within two seconds, "
            "are treated as bot clicks and not counted"
        )
    if events.premature:
        found.append(
            f"{events.premature} opens and clicks are before the delivery of their message; "
            "they are counted"
        )
    if events.early:
        found.append(f"{events.early} rows have events before the assignment; they are counted")
    return tuple(found)


def _warnings(
    set_aside: Mapping[str, int],
    first: Mapping[str, int],
    combined: int,
    columns: Mapping[str, str],
) -> tuple[str, ...]:
    warnings = [
        f"{count} {'row was' if count == 1 else 'rows were'} set aside: {reason} "
        f"(first in row {first[reason]})"
        for reason, count in set_aside.items()
    ]
    if combined:
        warnings.append(f"{combined} further rows of the same customers were combined")
    if "arm" not in columns and "variant_id" not in columns:
        warnings.append(
            "the file names no arm or variant: the lift holds only if the messages were sent as "
            "assigned"
        )
    return tuple(warnings)
