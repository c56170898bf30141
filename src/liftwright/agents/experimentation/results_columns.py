"""The columns of a results file: their roles by the options, and checks of their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from liftwright.analysis import MetricKind
from liftwright.data import did_you_mean, identifier, literal
from liftwright.errors import DataError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.analysis import Direction
    from liftwright.data import Tables

KINDS: tuple[MetricKind, ...] = get_args(MetricKind)
METRIC_FORMS = (
    "NAME",
    "NAME:binary",
    "NAME:mean",
    "NAME=NUM/DEN:ratio",
    "NAME=EVENTS/UNITS:binary",
    "NAME=MEAN,SD:mean",
)
_SECOND: dict[MetricKind, str] = {"binary": "UNITS", "mean": "SD", "ratio": "DEN"}
_CALLED: dict[MetricKind, str] = {
    "binary": "rate of events among units",
    "mean": "mean with its standard deviation",
    "ratio": "ratio",
}
_NUMBER = "a number such as 1234.5, without currency signs or thousands separators"
_BINARY = "0, 1, true, false, yes or no"
BINARY_WORDS = {
    **dict.fromkeys(("true", "yes", "t", "y"), 1.0),
    **dict.fromkeys(("false", "no", "f", "n"), 0.0),
}
# What pandas, R and Excel write for a missing value, in lower case.
MISSING = ("", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", ".")
# In a column of names, "none" may well be a name.
_MISSING_NAMES = ("", "na", "n/a", "#n/a", "<na>", "nan", "null")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricColumns:
    """A metric as given on the command line.

    Attributes:
        column: The measured column: the numerator of a ratio, the events or the mean of a summary.
        kind: None if the values decide.
        denominator: The denominator of a ratio, or the units of a summary of events.
        spread: The standard deviations of a summary of means.
        covariate: A column known before the experiment, for CUPED.
        direction: Whether higher or lower values are better.
    """

    name: str
    column: str
    kind: MetricKind | None = None
    denominator: str | None = None
    spread: str | None = None
    covariate: str | None = None
    direction: Direction = "higher"

    @property
    def summed_up(self) -> bool:
        """Whether a row summarises many units, by their events or by their mean and spread."""
        return self.spread is not None or (self.kind == "binary" and self.denominator is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The role of each column of the file; None if the file has no such column.

    Attributes:
        exposed: Whether the unit met the treatment, such as a delivered message.
        time: Time at which the unit was assigned.
        covariate_time: Time at which its covariates were measured.
        within: Whether each segment is a separate experiment, so that a unit may be in several.
    """

    arm: str
    unit: str | None = None
    segment: str | None = None
    count: str | None = None
    exposed: str | None = None
    time: str | None = None
    covariate_time: str | None = None
    within: bool = False


def parse_metric(text: str) -> MetricColumns:
    """Parse a metric, which has one of `METRIC_FORMS`.

    The name ends at its last colon only if a kind follows.

    Raises:
        InputError: The text has none of the forms.
    """
    name, kind = text, None
    head, colon, tail = text.rpartition(":")
    if colon and tail in KINDS:
        name, kind = head, tail
    if kind is None:
        if not name:
            raise InputError(f"--metric {text!r}: the name is empty")
        return MetricColumns(name=name, column=name)
    label, equals, columns = name.partition("=")
    sign = "," if kind == "mean" else "/"
    first, found, second = columns.partition(sign)
    if kind != "ratio" and not (equals and found):
        if not name.strip("="):
            raise InputError(f"--metric {text!r}: the name is empty")
        return MetricColumns(name=name, column=name, kind=kind)
    if not (equals and found and label and first and second):
        form = next(form for form in METRIC_FORMS if form.endswith(f"{sign}{_SECOND[kind]}:{kind}"))
        raise InputError(f"--metric {text!r}: allowed for a {_CALLED[kind]}: {form}")
    if kind == "mean":
        return MetricColumns(name=label, column=first, kind=kind, spread=second)
    return MetricColumns(name=label, column=first, kind=kind, denominator=second)


def check_columns(names: Sequence[str], columns: Columns, metrics: Sequence[MetricColumns]) -> None:
    """Check that the file has every column, and that no metric is named twice.

    Raises:
        InputError: With the option and the nearest column.
    """
    wanted = [
        ("--arm", columns.arm),
        ("--unit", columns.unit),
        ("--by" if columns.within else "--segment", columns.segment),
        ("--count", columns.count),
        ("--exposed", columns.exposed),
        ("--time", columns.time),
        ("--covariate-time", columns.covariate_time),
        *(("--metric", metric.column) for metric in metrics),
        *(("--metric", metric.denominator) for metric in metrics),
        *(("--metric", metric.spread) for metric in metrics),
        *(("--covariate", metric.covariate) for metric in metrics),
    ]
    for option, name in wanted:
        if name is not None and name not in names:
            hint = did_you_mean(name, names)
            raise InputError(f"{option} {name!r}: no such column in the file{hint}")
    labels = [metric.name for metric in metrics]
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(f"--metric {label!r}: duplicate metric")


def number_in(column: str) -> str:
    """SQL: a text column as a number; yes and true are 1, no and false 0, anything else null."""
    text = f"lower(trim({identifier(column)}))"
    words = " ".join(
        f"when {literal(word)} then {literal(value)}" for word, value in BINARY_WORDS.items()
    )
    return (
        f"case when {missing(column)} then null else case {text} {words} "
        f"else number_of({text}) end end"
    )


def missing(column: str) -> str:
    """SQL: whether a text column has no value: blank, NA, NaN or null."""
    return _is_one_of(column, MISSING)


def unnamed(column: str) -> str:
    """SQL: whether a column of names has none; "none" is a name, as an arm may be called so."""
    return _is_one_of(column, _MISSING_NAMES)


def blank(column: str) -> str:
    """SQL: whether a column of ids or segments is blank."""
    return f"({identifier(column)} is null or trim({identifier(column)}) = '')"


def _is_one_of(column: str, words: Sequence[str]) -> str:
    name = identifier(column)
    return f"({name} is null or lower(trim({name})) in ({', '.join(map(literal, words))}))"


def check_values(
    tables: Tables,
    table: str,
    columns: Columns,
    metrics: Sequence[MetricColumns],
    kinds: Mapping[str, MetricKind],
) -> None:
    """Check that values fit their metrics' kinds, counts are counts, and times are times.

    Raises:
        DataError: With column and row.
        InputError: A covariate was measured after the assignment.
    """
    for metric in metrics:
        for column in filter(None, (metric.column, metric.denominator, metric.covariate)):
            binary = kinds[metric.name] == "binary" and column == metric.column
            if metric.kind == "binary" and metric.denominator is not None:
                _check_counts(tables, table, column)
            else:
                _check_column(tables, table, column, binary=binary)
        _check_summary(tables, table, metric)
    if columns.exposed is not None:
        _check_column(tables, table, columns.exposed, binary=True)
    if columns.count is not None:
        _check_counts(tables, table, columns.count)
    for column in filter(None, (columns.time, columns.covariate_time)):
        _check_times(tables, table, column)
    if columns.covariate_time is not None:
        if columns.time is None:
            raise InputError("--covariate-time: needs --time, the time of assignment")
        _check_before(tables, table, columns.covariate_time, columns.time)


def kind_of(tables: Tables, table: str, metric: MetricColumns) -> MetricKind:
    """The kind of a metric by its values: binary if all are 0 or 1, true or false, yes or no."""
    number = number_in(metric.column)
    ((others,),) = tables.rows(
        f"select count(*) from {identifier(table)} "  # noqa: S608 - quoted identifiers
        f"where not {missing(metric.column)} and coalesce({number} not in (0e0, 1e0), true)"
    )
    return "mean" if others else "binary"


def _check_column(tables: Tables, table: str, column: str, *, binary: bool) -> None:
    number = number_in(column)
    allowed = f"{number} in (0e0, 1e0)" if binary else f"abs({number}) < 1e300"
    wrong = f"not {missing(column)} and not coalesce({allowed}, false)"
    _refuse(tables, table, column, wrong, _BINARY if binary else _NUMBER)


def _check_counts(tables: Tables, table: str, column: str) -> None:
    number = number_in(column)
    whole = f"{number} >= 0 and {number} < 1e15 and {number} = floor({number})"
    _refuse(tables, table, column, f"not coalesce({whole}, false)", "a whole number, 0 or more")


def _check_summary(tables: Tables, table: str, metric: MetricColumns) -> None:
    """Check that events do not exceed their units, and that no spread is negative."""
    if metric.spread is not None:
        spread = number_in(metric.spread)
        wrong = f"not {missing(metric.spread)} and not coalesce({spread} >= 0e0, false)"
        _refuse(tables, table, metric.spread, wrong, "0 or more")
    elif metric.kind == "binary" and metric.denominator is not None:
        wrong = f"{number_in(metric.column)} > {number_in(metric.denominator)}"
        _refuse(tables, table, metric.column, wrong, f"not more than {metric.denominator}")


def time_in(column: str) -> str:
    """SQL: a text column as a time; null if it is none."""
    return f"time_of({identifier(column)})"


def _check_times(tables: Tables, table: str, column: str) -> None:
    wrong = f"not {missing(column)} and {time_in(column)} is null"
    _refuse(tables, table, column, wrong, "a date or time in ISO 8601")


def _refuse(tables: Tables, table: str, column: str, wrong: str, allowed: str) -> None:
    """Name the first row for which `wrong`, SQL, holds."""
    bad = tables.rows(
        f"select _row, {identifier(column)} from {identifier(table)} "  # noqa: S608 - quoted identifiers
        f"where {wrong} order by _row limit 1"
    )
    if bad:
        row, value = bad[0]
        raise DataError(f"row {row}: {column}: found {str(value)[:40]!r}, allowed: {allowed}")


def _check_before(tables: Tables, table: str, covariate: str, assigned: str) -> None:
    """A covariate that the treatment changed would adjust the effect away."""
    late = tables.rows(
        f"select _row, {identifier(covariate)}, {identifier(assigned)} "  # noqa: S608 - the same
        f"from {identifier(table)} where {time_in(covariate)} > {time_in(assigned)} "
        "order by _row limit 1"
    )
    if late:
        row, measured, at = late[0]
        raise InputError(
            f"--covariate: row {row}: measured at {str(measured)[:40]!r}, after the assignment at "
            f"{str(at)[:40]!r}, allowed: measured before it"
        )


def check_rows(
    tables: Tables,
    columns: Columns,
    metrics: Sequence[MetricColumns],
    kinds: Mapping[str, MetricKind],
) -> None:
    """Reject one-row-per-arm totals, whose variance is unknown.

    Raises:
        InputError: Each arm has one row; the message names the option for such totals.
    """
    odd = [
        metric
        for metric in metrics
        if metric.kind == "ratio"
        or (columns.count is not None and metric.kind is None and kinds[metric.name] == "mean")
    ]
    if columns.unit is not None or not odd:
        return
    ((most,),) = tables.rows(
        "select max(n) from (select count(*) as n from units where weight > 0 "
        "group by segment, arm) as counted"
    )
    if most != 1:
        return
    name = odd[0].name
    units = columns.count or odd[0].denominator or "UNITS"
    raise InputError(
        f"--metric {name!r}: each arm has one row, so its variance is unknown; allowed for "
        f"events among units: {name}={odd[0].column}/{units}:binary, and for means: "
        f"{name}={odd[0].column},SD:mean with --count"
    )
