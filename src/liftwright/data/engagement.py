"""Real engagement from a CSV or Parquet file, matched to the assignment.

Rows that do not fit are set aside and counted, by reason. The columns are those of `ENGAGEMENT`;
`customer_id` and the column of one metric are needed, the others are used where the file has them.
A flag is true/false or yes/no in any case, or a count: any count from 1 is true.

A row that does not say whether its message was delivered counts as delivered, unless it bounced.

Opens and clicks that a machine made do not count: those within seconds of the delivery, and clicks
of one customer on several links in one moment (mail scanners and image proxies do both). A proxy
that opens later cannot be told from a person; that is why opens alone decide nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from liftwright import log
from liftwright.config import Engagement
from liftwright.data.rules import identifier, literal
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
# A larger amount is a mistake; its square would also leave the sums' decimals.
_LARGEST_AMOUNT = 1e9
_LARGEST_COUNT = 1e15
_DIGEST = 16
_AGENT = "experimentation"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngagementReport:
    """What a file of engagement held, and what was made of it.

    Attributes:
        rows: rows of the file.
        rows_used: those that count; the others are in `set_aside`, by reason.
        customers_missing: assigned customers without such a row; they count as not delivered.
        combined: rows beyond the first of a customer: flags by any, revenue by sum, times by first.
        absent: metrics that the file says nothing about, but for those of optional columns.
        names_message: whether the file says which arm or variant was sent. Where it does not, the
            lift holds only if the messages were sent as assigned.
        machine_opens, machine_clicks: rows whose open or click a machine made; not counted as one.
        early: rows with an event from before the assignment; they count.
    """

    rows: int
    rows_used: int
    set_aside: Mapping[str, int]
    customers_missing: int
    combined: int
    absent: tuple[str, ...]
    names_message: bool
    machine_opens: int = 0
    machine_clicks: int = 0
    early: int = 0
    warnings: tuple[str, ...] = field(default=())


class EngagementFile:
    """The port `observe` on a file; every row says `historical`."""

    metered = False

    def __init__(self, tables: Tables, path: File, config: Engagement | None = None) -> None:
        """Read `path` into these tables when called.

        Args:
            tables: hold the assignments.
            path: CSV or Parquet.
            config: what counts as a machine's open or click; None takes the defaults.
        """
        self._tables = tables
        self._path = path
        self._config = config or Engagement()
        self._report: EngagementReport | None = None

    @property
    def identity(self) -> Identity:
        """The file, by its size and time of change."""
        if not isinstance(self._path, Path):
            corpus = self._path.digest[:_DIGEST]
            return Identity(provider="file", model="engagement", corpus=corpus)
        try:
            found = self._path.stat()
        except OSError:
            return Identity(provider="file", model="engagement")
        corpus = fingerprint(found.st_size, found.st_mtime_ns)[:_DIGEST]
        return Identity(provider="file", model="engagement", corpus=corpus)

    @property
    def report(self) -> EngagementReport | None:
        """What the last call found; None before the first."""
        return self._report

    def __call__(self, request: str, /) -> str:
        """The table `engagement` for the table of assignments `request`.

        Raises:
            DataError: the file is missing, cannot be read, lacks what is needed, or holds no row
                of an assigned customer.
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
                # Nothing is within less than no second.
                seconds=str(self._config.machine_seconds or -1),
                burst=str(self._config.burst_clicks),
            ),
        )
        report = self._judge(columns, request)
        found = [column for column in ENGAGEMENT.optional if column.name in columns]
        self._tables.keep(
            "engagement",
            self._tables.sql(
                "engagement_combine",
                assignments=assignments,
                combined="".join(f", {_combined(column)} as {column.name}" for column in found),
                optional="".join(f", {_or_none(column)} as {column.name}" for column in found),
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
            machine_opens=report.machine_opens,
            machine_clicks=report.machine_clicks,
            early=report.early,
        )
        return "engagement"

    def _columns(self) -> dict[str, str]:
        """Our columns that the file has, by the file's name for each.

        Raises:
            DataError: `customer_id` or every outcome is missing, or a name is there twice.
        """
        found = self._tables.open("engagement_file", self._path)
        names: dict[str, str] = {}
        for name in found:
            own = name.strip().casefold()
            if own in (*_TEXTS, *(column.name for column in _TYPED)):
                if own in names:
                    raise DataError(f"{self._path}: duplicate column {own!r}")
                names[own] = name
        if "customer_id" not in names:
            raise DataError(
                f"{self._path}: no column 'customer_id'; found {', '.join(found) or 'none'}"
            )
        if not any(outcome in names for outcome in _OUTCOMES):
            raise DataError(
                f"{self._path}: no outcome; found {', '.join(found)}; allowed: at least one of "
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
        """Count the rows by what was made of them.

        Raises:
            DataError: no row counts.
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
        (machines,) = self._tables.rows(
            "select sum(case when machine_open then 1 else 0 end), "
            "sum(case when machine_click then 1 else 0 end), "
            "sum(case when early then 1 else 0 end) from engagement_bots"
        )
        opens, clicks, early = (int(str(count)) for count in machines)
        odd = _oddities(opens, clicks, early, self._config)
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
            machine_opens=opens,
            machine_clicks=clicks,
            early=early,
            warnings=(*_warnings(set_aside, first, used - customers, columns), *odd),
        )


def _value(column: Column) -> str:
    """SQL: the value that the column's text spells; null where it spells none."""
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
    # A time without a zone is in UTC, wherever the machine stands.
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


def _oddities(opens: int, clicks: int, early: int, config: Engagement) -> tuple[str, ...]:
    """What was found of machines, and of events before anyone was assigned."""
    within = f"within {config.machine_seconds} seconds of the delivery"
    found = []
    if opens:
        found.append(f"{opens} opens {within} are treated as bot opens and not counted")
    if clicks:
        found.append(
            f"{clicks} clicks {within}, or {config.burst_clicks} or more at once, are treated "
            "as bot clicks and not counted"
        )
    if early:
        found.append(f"{early} rows have events before the assignment; they are counted")
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
