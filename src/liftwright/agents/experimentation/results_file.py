"""Any experiment's results file, one row a unit, an event or a count, to cells for comparison."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from liftwright.agents.experimentation.over_time import periods_of
from liftwright.agents.experimentation.results_checks import (
    check_columns,
    check_rows,
    check_values,
    kind_of,
    missing,
    number_in,
    time_in,
)
from liftwright.agents.experimentation.results_sums import (
    Sums,
    adjust,
    cells_of,
    inputs_of,
    keep_capped,
    sum_units,
)
from liftwright.analysis import Cell, MetricSpec
from liftwright.data import identifier
from liftwright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.agents.experimentation.results_options import Columns, Metric
    from liftwright.data import Tables


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
    columns = _with_count(columns, metrics)
    check_columns(names, columns, metrics)
    kinds = {metric.name: metric.kind or kind_of(tables, table, metric) for metric in metrics}
    check_values(tables, table, columns, metrics, kinds)
    excluded = _keep_units(tables, table, columns, metrics, kinds)
    found = sum_units(tables, "units", metrics, kinds)
    check_rows(tables, columns, metrics, kinds)
    sizes: dict[str, dict[str, int]] = {}
    for row in found:
        if row.segment is not None:
            sizes.setdefault(row.segment, {})[row.arm] = row.units
    adjusted, reduction = adjust(found, metrics)
    # A mean alone does not say which of its values are extreme.
    means = [m for m in metrics if kinds[m.name] == "mean" and not m.summed_up]
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


# ── From rows to units ────────────────────────────────────────────────────────────────────────


def _with_count(columns: Columns, metrics: Sequence[Metric]) -> Columns:
    """Where rows tell of many units by their events, these say how many a row stands for."""
    for metric in metrics:
        if not metric.summed_up:
            continue
        if columns.unit is not None:
            raise InputError(
                f"--metric {metric.name!r}: a row of many units has no unit of its own; leave out "
                "--unit, or measure a ratio"
            )
        if metric.covariate is not None:
            raise InputError(f"--covariate {metric.name!r}: a summary of many units takes none")
        if metric.denominator is not None and columns.count is None:
            return replace(columns, count=metric.denominator)
        if columns.count is None:
            raise InputError(f"--metric {metric.name!r}: needs --count, the units of each row")
    return columns


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
    if columns.within:
        unit = f"{segment} || chr(31) || {unit}"
    weight = f"cast({number_in(columns.count)} as bigint)" if columns.count else "1"
    values = "".join(f", {number_in(column)} as v{i}" for i, (column, _) in enumerate(inputs))
    exposed = f"coalesce({number_in(columns.exposed)} = 1e0, false)" if columns.exposed else "true"
    assigned = time_in(columns.time) if columns.time else "cast(null as timestamp)"
    usable = f"not {missing(columns.arm)}"
    if columns.unit:
        usable += f" and not {missing(columns.unit)}"
    if columns.segment:
        usable += f" and not {missing(columns.segment)}"
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
