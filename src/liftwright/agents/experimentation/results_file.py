"""Any experiment's results file, one row a unit, an event or a count, to cells for comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from liftwright.agents.experimentation.over_time import periods_of
from liftwright.agents.experimentation.results_sums import (
    Sums,
    adjust,
    cells_of,
    inputs_of,
    keep_capped,
    sum_units,
)
from liftwright.comparison import Cell, MetricSpec
from liftwright.errors import DataError, InputError
from liftwright.tables import identifier, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.agents.experimentation.results_options import Columns, Kind, Metric
    from liftwright.tables import Tables


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """A results file in cells.

    Attributes:
        units: units per arm, each unit once.
        sizes: units per segment and arm; empty without segments.
        periods: units per period and arm, where the time of assignment is known.
        excluded: what was left out, by reason.
        adjusted: the cells of the metrics with a covariate, adjusted by it (CUPED), as means.
        variance_reduction: by metric, the share of variance that the covariate explains.
        capped: the cells of the means, their values capped (winsorised).
        caps: by mean, the least and the largest value that is kept as it is.
        exposed: the cells of the units that met the treatment, and `exposed_units` per arm; None
            where the file does not say.
    """

    metrics: tuple[MetricSpec, ...]
    cells: tuple[Cell, ...]
    units: Mapping[str, int]
    sizes: Mapping[str, Mapping[str, int]]
    periods: Mapping[str, Mapping[str, int]]
    excluded: Mapping[str, int]
    adjusted: tuple[Cell, ...]
    variance_reduction: Mapping[str, float]
    capped: tuple[Cell, ...]
    caps: Mapping[str, tuple[float | None, float | None]]
    exposed: tuple[Cell, ...] | None
    exposed_units: Mapping[str, int]


def read_results(
    tables: Tables, table: str, names: Sequence[str], columns: Columns, metrics: Sequence[Metric]
) -> Results:
    """The cells of a table whose columns are all text.

    Without `columns.unit` each row is a unit; with it, a unit's rows are combined (binary: any,
    numbers: sum) and units seen in two arms are left out. With `columns.count` each row stands for
    that many units.

    Raises:
        InputError: where a column is not there, naming the nearest.
        DataError: where a value is not of its metric's kind, naming column and row.
    """
    _check_columns(names, columns, metrics)
    kinds = {metric.name: metric.kind or _kind(tables, table, metric) for metric in metrics}
    _check_all_values(tables, table, columns, metrics, kinds)
    excluded = _keep_units(tables, table, columns, metrics, kinds)
    found = sum_units(tables, "units", metrics, kinds)
    sizes: dict[str, dict[str, int]] = {}
    for row in found:
        if row.segment is not None:
            sizes.setdefault(row.segment, {})[row.arm] = row.units
    adjusted, reduction = adjust(found, metrics)
    means = [metric for metric in metrics if kinds[metric.name] == "mean"]
    caps = keep_capped(tables, metrics, means) if means else {}
    capped = sum_units(tables, "capped", means, kinds, metrics) if means else []
    exposed = None
    if columns.exposed is not None:
        tables.keep("exposed", "select * from units where exposed", stored=False)
        exposed = sum_units(tables, "exposed", metrics, kinds)
    return Results(
        metrics=tuple(MetricSpec(name=m.name, kind=kinds[m.name]) for m in metrics),
        cells=cells_of(found, metrics, kinds),
        units=dict(sorted(_units(found).items())),
        sizes=sizes,
        periods=_periods(tables) if columns.time is not None else {},
        excluded=excluded,
        adjusted=adjusted,
        variance_reduction=reduction,
        capped=cells_of(capped, means, kinds),
        caps=caps,
        exposed=None if exposed is None else cells_of(exposed, metrics, kinds),
        exposed_units=_units(exposed or ()),
    )


def _units(rows: Sequence[Sums]) -> dict[str, int]:
    units: dict[str, int] = {}
    for row in rows:
        units[row.arm] = units.get(row.arm, 0) + row.units
    return units


def _periods(tables: Tables) -> dict[str, dict[str, int]]:
    """Units per arm in up to ten periods of days, with about as many units each."""
    rows = tables.rows(
        "select cast(cast(assigned as date) as varchar), arm, sum(weight) from units "
        "where assigned is not null group by cast(assigned as date), arm "
        "order by cast(assigned as date), arm"
    )
    days: dict[str, dict[str, int]] = {}
    for day, arm, units in rows:
        days.setdefault(str(day), {})[str(arm)] = int(cast("int", units))
    return periods_of(days)


# ── Looking at the file ───────────────────────────────────────────────────────────────────────


def _check_columns(names: Sequence[str], columns: Columns, metrics: Sequence[Metric]) -> None:
    wanted = [
        ("--arm", columns.arm),
        ("--unit", columns.unit),
        ("--segment", columns.segment),
        ("--count", columns.count),
        ("--exposed", columns.exposed),
        ("--time", columns.time),
        ("--covariate-time", columns.covariate_time),
        *(("--metric", metric.column) for metric in metrics),
        *(("--metric", metric.denominator) for metric in metrics),
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


def _missing(column: str) -> str:
    return f"({identifier(column)} is null or trim({identifier(column)}) = '')"


def _check_all_values(
    tables: Tables,
    table: str,
    columns: Columns,
    metrics: Sequence[Metric],
    kinds: Mapping[str, Kind],
) -> None:
    for metric in metrics:
        for column in filter(None, (metric.column, metric.denominator, metric.covariate)):
            binary = kinds[metric.name] == "binary" and column == metric.column
            _check_values(tables, table, column, binary=binary)
    if columns.exposed is not None:
        _check_values(tables, table, columns.exposed, binary=True)
    if columns.count is not None:
        _check_counts(tables, table, columns.count)
    for column in filter(None, (columns.time, columns.covariate_time)):
        _check_times(tables, table, column)
    if columns.covariate_time is not None:
        if columns.time is None:
            raise InputError("--covariate-time: needs --time, when the unit was assigned")
        _check_before(tables, table, columns.covariate_time, columns.time)


def _kind(tables: Tables, table: str, metric: Metric) -> Kind:
    number = number_in(metric.column)
    ((others,),) = tables.rows(
        f"select count(*) from {identifier(table)} "  # noqa: S608 - quoted identifiers
        f"where not {_missing(metric.column)} and coalesce({number} not in (0e0, 1e0), true)"
    )
    return "mean" if others else "binary"


def _check_values(tables: Tables, table: str, column: str, *, binary: bool) -> None:
    number = number_in(column)
    allowed = f"{number} in (0e0, 1e0)" if binary else f"abs({number}) < 1e300"
    bad = tables.rows(
        f"select _row, {identifier(column)} from {identifier(table)} "  # noqa: S608 - the same
        f"where not {_missing(column)} and not coalesce({allowed}, false) order by _row limit 1"
    )
    if bad:
        row, value = bad[0]
        kinds = "0, 1, true or false" if binary else "a number"
        raise DataError(f"row {row}: {column}: found {str(value)[:40]!r}, allowed: {kinds}")


def _check_counts(tables: Tables, table: str, column: str) -> None:
    number = number_in(column)
    bad = tables.rows(
        f"select _row, {identifier(column)} from {identifier(table)} "  # noqa: S608 - the same
        f"where not coalesce({number} >= 0 and {number} < 1e15 and {number} = floor({number}), "
        "false) order by _row limit 1"
    )
    if bad:
        row, value = bad[0]
        raise DataError(
            f"row {row}: {column}: found {str(value)[:40]!r}, allowed: a whole number from 0"
        )


def _time(column: str) -> str:
    return f"time_of({identifier(column)})"


def _check_times(tables: Tables, table: str, column: str) -> None:
    bad = tables.rows(
        f"select _row, {identifier(column)} from {identifier(table)} "  # noqa: S608 - the same
        f"where not {_missing(column)} and {_time(column)} is null order by _row limit 1"
    )
    if bad:
        row, value = bad[0]
        raise DataError(
            f"row {row}: {column}: found {str(value)[:40]!r}, allowed: a date or time in ISO 8601"
        )


def _check_before(tables: Tables, table: str, covariate: str, assigned: str) -> None:
    """What the treatment may have changed adjusts the effect away."""
    late = tables.rows(
        f"select _row, {identifier(covariate)}, {identifier(assigned)} "  # noqa: S608 - the same
        f"from {identifier(table)} where {_time(covariate)} > {_time(assigned)} "
        "order by _row limit 1"
    )
    if late:
        row, measured, at = late[0]
        raise InputError(
            f"--covariate: row {row}: measured at {str(measured)[:40]!r}, after the assignment at "
            f"{str(at)[:40]!r}; allowed is what was known before it"
        )


# ── From rows to units ────────────────────────────────────────────────────────────────────────


def _keep_units(
    tables: Tables,
    table: str,
    columns: Columns,
    metrics: Sequence[Metric],
    kinds: Mapping[str, str],
) -> dict[str, int]:
    """Make the table `units` of one row a unit: arm, segment, weight, and a number per column."""
    inputs = inputs_of(metrics)
    segment = identifier(columns.segment) if columns.segment else "cast(null as varchar)"
    unit = identifier(columns.unit) if columns.unit else "cast(_row as varchar)"
    weight = f"cast({number_in(columns.count)} as bigint)" if columns.count else "1"
    values = "".join(f", {number_in(column)} as v{i}" for i, (column, _) in enumerate(inputs))
    exposed = f"coalesce({number_in(columns.exposed)} = 1e0, false)" if columns.exposed else "true"
    assigned = _time(columns.time) if columns.time else "cast(null as timestamp)"
    usable = f"not {_missing(columns.arm)}"
    if columns.unit:
        usable += f" and not {_missing(columns.unit)}"
    if columns.segment:
        usable += f" and not {_missing(columns.segment)}"
    tables.keep(
        "events",
        f"select {unit} as unit, {identifier(columns.arm)} as arm, {segment} as segment, "  # noqa: S608 - the same
        f"{weight} as weight, {exposed} as exposed, {assigned} as assigned{values} "
        f"from {identifier(table)} where {usable}",
        stored=False,
    )
    binary = {m.column for m in metrics if kinds[m.name] == "binary"}
    # What a customer was before is told again in every row: it does not add up.
    combined = "".join(
        f", {'avg' if before else 'max' if column in binary else 'sum'}(v{i}) as v{i}"
        for i, (column, before) in enumerate(inputs)
    )
    if columns.unit and columns.count:
        raise InputError("--count: a row of many units has no unit of its own; leave out --unit")
    excluded = {"rows_without_arm_unit_or_segment": _left_out(tables, table, usable)}
    if columns.unit is None:
        tables.keep("units", "select * from events", stored=False)
        return excluded
    tables.keep(
        "combined",
        "select unit, min(arm) as arm, max(arm) as other_arm, min(segment) as segment, "  # noqa: S608 - the same
        f"max(segment) as other_segment, 1 as weight, "
        f"max(case when exposed then 1 else 0 end) = 1 as exposed, "
        f"min(assigned) as assigned{combined} from events group by unit",
    )
    one_arm, moved = "arm = other_arm", "coalesce(segment <> other_segment, false)"
    ((crossed, split),) = tables.rows(
        f"select count(*) filter (where not {one_arm}), "  # noqa: S608 - our own text
        f"count(*) filter (where {one_arm} and {moved}) from combined"
    )
    tables.keep(
        "units",
        f"select * from combined where {one_arm} and not {moved}",  # noqa: S608 - the same
        stored=False,
    )
    return {
        **excluded,
        "units_in_two_arms": cast("int", crossed),
        "units_in_two_segments": cast("int", split),
    }


def _left_out(tables: Tables, table: str, usable: str) -> int:
    ((count,),) = tables.rows(
        f"select count(*) from {identifier(table)} where not ({usable})"  # noqa: S608 - the same
    )
    return cast("int", count)
