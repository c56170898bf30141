"""Real engagement from a CSV or Parquet file, matched to the assignments.

The columns are those of `ENGAGEMENT`, or the ones that config/engagement.yaml maps to them;
`customer_id` and one metric's column are required, the others are optional. A flag is true/false
or yes/no in any case, a count (1 or more is true), or a time (it happened then).

A row without a delivery status counts as delivered, unless it bounced. Rows that cannot be used are
set aside and counted by reason. They do not count as not delivered: a customer with no other row is
left out, and a file with too many of them, or where they are related to the outcome, is refused.

Opens and clicks of bots do not count: those within seconds of the delivery, and bursts of clicks
within two seconds, of one recipient or of the recipients of one company's domain (mail scanners and
image proxies do both). A proxy that opens later looks like a person, so opens alone decide nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from liftwright import log
from liftwright.config import Engagement, EngagementFormat, FileOptions
from liftwright.data.conversions import number
from liftwright.data.engagement_columns import find_decimal, source_texts
from liftwright.data.fields import as_conversion, id_field, open_source
from liftwright.data.mailbox_providers import BRANDS, DOMAINS
from liftwright.data.row_checks import check_rows, refuse_bad_rows
from liftwright.data.sql_fragments import identifier, literal
from liftwright.errors import DataError
from liftwright.model import ENGAGEMENT, METRICS, Column, ColumnKind, Identity, fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from liftwright.config import IdMap
    from liftwright.data.engagement_columns import SourceText
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
_FILE = "engagement_file"
_UNKNOWN = "unknown customer_id"
_MOST_SET_ASIDE = 0.01
# Fewer rows show no relation to the outcome.
_LEAST_RELATED, _RELATED = 20, 0.01
_SHOWN_ROWS = 3
_AGENT = "experimentation"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngagementReport:
    """How many rows of an engagement file were used and set aside, and why.

    Attributes:
        rows: rows of the file.
        rows_used: those that count; the others are in `set_aside`, by reason.
        customers_missing: assigned customers without a row; they count as not delivered.
        customers_set_aside: assigned customers whose every row is set aside; they are left out.
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
    customers_set_aside: int = 0
    warnings: tuple[str, ...] = field(default=())


class EngagementFile:
    """The port `observe` for a file; the source of every row is `historical`."""

    metered = False

    def __init__(
        self,
        tables: Tables,
        path: File,
        config: Engagement | None = None,
        form: EngagementFormat | None = None,
        *,
        root: Path | None = None,
    ) -> None:
        """Read `path` into these tables when called.

        Args:
            tables: hold the assignments.
            path: CSV or Parquet.
            config: what counts as a bot's open or click; None takes the defaults.
            form: how the file is read; None takes the defaults.
            root: the workspace, for the path of an id map.
        """
        self._tables = tables
        self._path = path
        self._config = config or Engagement()
        self._form = form or EngagementFormat()
        self._root = root or Path()
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
            DataError: the file is missing, cannot be read, lacks a required column, has no valid
                row of an assigned customer, or too many rows are set aside.
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
                unknown=_without_set_aside() if report.customers_set_aside else "true",
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
            customers_set_aside=report.customers_set_aside,
            combined=report.combined,
            absent=report.absent,
            machine_opens=report.bot_opens,
            machine_clicks=report.bot_clicks,
            premature=report.premature,
            early=report.early,
        )
        return "engagement"

    def _columns(self) -> dict[str, SourceText]:
        """The columns of `ENGAGEMENT` that the file has.

        Raises:
            DataError: `customer_id` or every outcome is missing.
        """
        options = FileOptions.model_validate(self._form.layout)
        header = self._tables.open(_FILE, self._path, options=options)
        columns = source_texts(header, self._form, str(self._path))
        hint = "map the file's columns in config/engagement.yaml, or set its preset"
        if "customer_id" not in columns:
            raise DataError(
                f"{self._path}: no column 'customer_id'; found {', '.join(header) or 'none'}; "
                f"{hint}"
            )
        if not any(outcome in columns for outcome in _OUTCOMES):
            raise DataError(
                f"{self._path}: no outcome; found {', '.join(header)}; allowed: at least one of "
                f"{', '.join(_OUTCOMES)}; {hint}"
            )
        return columns

    def _read_statement(self, columns: Mapping[str, SourceText]) -> str:
        typed = [column.name for column in _TYPED]
        values = {column.name: self._value(column, columns) for column in _TYPED}
        bad = [
            f"when {name}_text is not null and {value} is null then {literal(name)}"
            for name, value in values.items()
            if name in columns
        ]
        named = [
            f"{columns[name].sql if name in columns else 'cast(null as varchar)'} as {name}"
            for name in (*_TEXTS, *typed)
        ]
        id_map, written = "", "w.customer_id"
        if self._form.id_map is not None:
            written = "coalesce(m.to_id, w.customer_id)"
            id_map = f"left join {self._open_map(self._form.id_map)} as m "
            id_map += "on folded(w.customer_id) = folded(m.from_id)"
        return self._tables.sql(
            "engagement_read",
            file=_FILE,
            columns=", ".join(named),
            words=", ".join(f"nullif(trim({name}), '') as {name}_text" for name in typed),
            written=written,
            id_map=id_map,
            values=", ".join(f"{value} as {name}" for name, value in values.items()),
            bad=" ".join(bad),
        )

    def _open_map(self, id_map: IdMap) -> str:
        """The table of the id map, with `from_id` and `to_id`."""
        key = "engagement.yaml: id_map"
        source = open_source(self._tables, "_engagement_map_file", self._root, id_map.path, id_map)
        from_id, to_id = as_conversion(id_map.from_, "text"), as_conversion(id_map.to, "text")
        source.refuse_missing({f"{key}.from": from_id.from_, f"{key}.to": to_id.from_})
        fields = [
            id_field(source, "from_id", from_id, f"{key}.from"),
            id_field(source, "to_id", to_id, f"{key}.to"),
        ]
        checked = check_rows(self._tables, "_engagement_map", source, fields, unique="from_id")
        # Customers without an address map nothing; an address of two customers is ambiguous.
        refuse_bad_rows(checked, apart_from="from_id is missing")
        self._tables.keep(
            "engagement_map",
            "select from_id, to_id from _engagement_map where _fault is null",
            stored=False,
        )
        return "engagement_map"

    def _value(self, column: Column, columns: Mapping[str, SourceText]) -> str:
        """SQL: the value of the column's text; null if the text is not a valid value."""
        text = f"{column.name}_text"
        if column.name not in columns:
            return f"cast(null as {column.kind.value})"
        if column.kind is ColumnKind.FLAG:
            return _flag(text)
        if column.kind is ColumnKind.TIME:
            return _time(text, columns[column.name].formats)
        where = f"{self._path}: {column.name}"
        decimal: str = self._form.decimal or find_decimal(
            self._tables, _FILE, columns[column.name].sql, where
        )
        # The other separator can only be that of thousands.
        thousands = "," if decimal == "." else "."
        written = FileOptions.model_validate({"decimal": decimal, "thousands": thousands})
        amount, limit = number(text, written), literal(_LARGEST_AMOUNT)
        return f"case when {amount} between -{limit} and {limit} then {amount} end"

    def _judge(self, columns: Mapping[str, SourceText], assignments: str) -> EngagementReport:
        """Count the used rows, and the others by the reason they are set aside.

        Raises:
            DataError: no row is used, or too many are set aside.
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
        lost = 0
        if set_aside.keys() - {_UNKNOWN}:
            ((customers_lost,),) = self._tables.rows(
                "select count(*) from (select customer_id from engagement_judged "  # noqa: S608 - ours
                f"where coalesce(reason, '') <> {literal(_UNKNOWN)} and assigned_at is not null "
                "group by customer_id having count(*) filter (where reason is null) = 0) as lost"
            )
            lost = int(str(customers_lost))
        missing = self._tables.count(assignments) - customers - lost
        self._refuse_set_aside(set_aside, total, missing)
        events = self._events()
        self._check_times(events)
        odd = _oddities(events, self._config)
        return EngagementReport(
            rows=total,
            rows_used=used,
            set_aside=set_aside,
            customers_missing=missing,
            customers_set_aside=lost,
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

    def _refuse_set_aside(self, set_aside: Mapping[str, int], total: int, missing: int) -> None:
        """Refuse a file whose set-aside rows would bias the result.

        Rows of customers whom nobody assigned are not lost unless assigned customers are missing:
        their ids may be written differently.

        Raises:
            DataError: more than 1 % are set aside, or they are related to the outcome.
        """
        counted = dict(set_aside)
        if self._form.unknown_ids == "ignore" or not missing:
            counted.pop(_UNKNOWN, None)
        elif _UNKNOWN in counted:
            counted[_UNKNOWN] = min(counted[_UNKNOWN], missing)
        found = sum(counted.values())
        related = None
        if found <= _MOST_SET_ASIDE * total:
            related = self._related(total)
            if related is None:
                return
        shown = self._tables.rows(
            "select reason, _row from (select reason, _row, "  # noqa: S608 - our numbers
            "row_number() over (partition by reason order by _row) as place "
            "from engagement_judged where reason is not null) as numbered "
            f"where place <= {_SHOWN_ROWS} order by reason, _row"
        )
        first = {
            reason: ", ".join(str(row) for why, row in shown if why == reason) for reason in counted
        }
        reasons = "; ".join(
            f"{reason}: {set_aside[reason]:,} (first rows {first[reason]})" for reason in counted
        )
        share = f"{found:,} of {total:,} rows ({found / total:.1%}) are set aside"
        why = (
            f"allowed: at most {_MOST_SET_ASIDE:.0%}"
            if related is None
            else f"these rows are related to the outcome (Fisher's exact test, p = {related:.2g})"
        )
        hint = ""
        if _UNKNOWN in counted:
            hint = (
                f"; {missing:,} assigned customers have no row: if the others are not part of the "
                "experiment, set unknown_ids: ignore in config/engagement.yaml"
            )
        raise DataError(
            f"{self._path}: {share}, which would bias the result; {why}. {reasons}. Correct the "
            f"rows, or map the columns in config/engagement.yaml{hint}"
        )

    def _related(self, total: int) -> float | None:
        """The p-value of set-aside rows being related to the outcome; None if they are not."""
        outcome = " or ".join(_happened(c) for c in _TYPED if c.name in _OUTCOMES)
        ((aside, aside_with, used, used_with),) = self._tables.rows(
            "select count(*) filter (where reason is not null), "  # noqa: S608 - built
            f"count(*) filter (where reason is not null and ({outcome})), "
            "count(*) filter (where reason is null), "
            f"count(*) filter (where reason is null and ({outcome})) "
            "from engagement_judged as r where assigned_at is not null"
        )
        n, x, m, y = (int(str(count)) for count in (aside, aside_with, used, used_with))
        if n < _LEAST_RELATED or total == n:
            return None
        p = _fisher(((x, n - x), (y, m - y)))
        return p if p < _RELATED else None


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


def _flag(text: str) -> str:
    """SQL: a flag's text as true or false; null if it is neither."""
    number = f"number_of({text})"
    count = f"{number} between 1e0 and {literal(_LARGEST_COUNT)} and {number} = floor({number})"
    return (
        f"case when lower({text}) in ({', '.join(map(literal, _TRUE))}) then true "
        f"when lower({text}) in ({', '.join(map(literal, _FALSE))}) then false "
        f"when {count} then true when time_of({text}) is not null then true end"
    )


def _time(text: str, formats: tuple[str, ...]) -> str:
    """SQL: a time's text as a time; seconds and milliseconds since 1970 are times too.

    A time without a zone is in UTC, whatever the machine's time zone.
    """
    times = [f"time_as({text}, {literal(one)})" for one in formats] or [f"time_of({text})"]
    written = f"(coalesce({', '.join([*times, 'null'])}) at time zone 'UTC')"
    seconds = f"cast(number_of({text}) as bigint)"
    start = "cast('1970-01-01T00:00:00Z' as timestamp with time zone)"
    return (
        f"case when regexp_matches({text}, '^[0-9]{{10}}$') then later({start}, {seconds}) "
        f"when regexp_matches({text}, '^[0-9]{{13}}$') then later({start}, {seconds} // 1000) "
        f"else {written} end"
    )


def _without_set_aside() -> str:
    """SQL: true unless every row of the assigned customer `a` is set aside."""
    rows = "select customer_id from engagement_judged where assigned_at is not null"
    return f"not (c.customer_id is null and a.customer_id in ({rows}))"


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


def _fisher(table: tuple[tuple[int, int], tuple[int, int]]) -> float:
    from scipy.stats import fisher_exact

    return float(fisher_exact(table).pvalue)


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
    columns: Mapping[str, SourceText],
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
