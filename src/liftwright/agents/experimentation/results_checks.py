"""Whether a results file holds what its columns are said to hold; a fault is named with its row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.data import identifier, nearest
from liftwright.errors import DataError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.agents.experimentation.results_options import Columns, Kind, Metric
    from liftwright.data import Tables

_NUMBER = "a number such as 1234.5, without a currency's sign or a separator of thousands"


def check_columns(names: Sequence[str], columns: Columns, metrics: Sequence[Metric]) -> None:
    """See that every column is there, and no metric is named twice.

    Raises:
        InputError: naming the option and the nearest column.
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
            hint = nearest(name, names)
            raise InputError(f"{option} {name!r}: the file has no such column{hint}")
    labels = [metric.name for metric in metrics]
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(f"--metric {label!r}: given twice")


def number_in(column: str) -> str:
    """A text column as a number: true and false are 1 and 0, what is no number is null."""
    text = f"lower(trim({identifier(column)}))"
    return f"case {text} when 'true' then 1e0 when 'false' then 0e0 else number_of({text}) end"


def missing(column: str) -> str:
    """SQL: whether a text column says nothing."""
    return f"({identifier(column)} is null or trim({identifier(column)}) = '')"


def check_values(
    tables: Tables,
    table: str,
    columns: Columns,
    metrics: Sequence[Metric],
    kinds: Mapping[str, Kind],
) -> None:
    """See that the values are of their metrics' kinds, counts are counts, and times are times.

    Raises:
        DataError: naming column and row.
        InputError: a covariate was measured after the assignment.
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
            raise InputError("--covariate-time: needs --time, when the unit was assigned")
        _check_before(tables, table, columns.covariate_time, columns.time)


def kind_of(tables: Tables, table: str, metric: Metric) -> Kind:
    """The kind of a metric by its values: binary where all are 0 or 1, true or false."""
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
    _refuse(tables, table, column, wrong, "0, 1, true or false" if binary else _NUMBER)


def _check_counts(tables: Tables, table: str, column: str) -> None:
    number = number_in(column)
    whole = f"{number} >= 0 and {number} < 1e15 and {number} = floor({number})"
    _refuse(tables, table, column, f"not coalesce({whole}, false)", "a whole number from 0")


def _check_summary(tables: Tables, table: str, metric: Metric) -> None:
    """Events are not more than their units, and no spread is negative."""
    if metric.spread is not None:
        spread = number_in(metric.spread)
        wrong = f"not {missing(metric.spread)} and not coalesce({spread} >= 0e0, false)"
        _refuse(tables, table, metric.spread, wrong, "0 or more")
    elif metric.kind == "binary" and metric.denominator is not None:
        wrong = f"{number_in(metric.column)} > {number_in(metric.denominator)}"
        _refuse(tables, table, metric.column, wrong, f"not more than {metric.denominator}")


def time_in(column: str) -> str:
    """SQL: a text column as a time; what is none is null."""
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
    """What the treatment may have changed adjusts the effect away."""
    late = tables.rows(
        f"select _row, {identifier(covariate)}, {identifier(assigned)} "  # noqa: S608 - the same
        f"from {identifier(table)} where {time_in(covariate)} > {time_in(assigned)} "
        "order by _row limit 1"
    )
    if late:
        row, measured, at = late[0]
        raise InputError(
            f"--covariate: row {row}: measured at {str(measured)[:40]!r}, after the assignment at "
            f"{str(at)[:40]!r}; allowed is what was known before it"
        )


def check_rows(
    tables: Tables, columns: Columns, metrics: Sequence[Metric], kinds: Mapping[str, Kind]
) -> None:
    """See that no total in one row an arm is taken for a metric that does not vary.

    Raises:
        InputError: saying how such a row is meant.
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
        f"--metric {name!r}: each arm has one row, which says nothing of the spread; allowed for "
        f"events among units: {name}={odd[0].column}/{units}:binary, and for means: "
        f"{name}={odd[0].column},SD:mean with --count"
    )
