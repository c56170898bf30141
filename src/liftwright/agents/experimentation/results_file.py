"""The results file of any experiment, summed up per segment, arm and metric for its analysis."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from liftwright.agents.experimentation.counts import periods_of, with_value_counts
from liftwright.agents.experimentation.cuped import Adjusted, CovariateSums, adjust
from liftwright.agents.experimentation.results_arms import (
    ArmNames,
    Intended,
    check_arms,
    shares_of_segments,
)
from liftwright.agents.experimentation.results_columns import (
    blank,
    check_columns,
    check_rows,
    check_values,
    kind_of,
    number_in,
    time_in,
    unnamed,
)
from liftwright.analysis import (
    Aggregates,
    ArmSizes,
    ArmTotals,
    Counts,
    ExperimentData,
    MetricSpec,
    MultipleExposure,
    check_multiple_exposure,
)
from liftwright.data import identifier, literal
from liftwright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.agents.experimentation.results_columns import Columns, MetricColumns
    from liftwright.analysis import MetricKind
    from liftwright.data import Tables

# With fewer zeros than this, the values of a mean are split at their median.
_MIN_ZERO_SHARE = 0.05


def read_results(  # noqa: PLR0913, PLR0917 - the file, what its columns are, and the plan
    tables: Tables,
    table: str,
    names: Sequence[str],
    columns: Columns,
    metrics: Sequence[MetricColumns],
    intended: Intended,
) -> ExperimentData:
    """Sum up a table whose columns are all text.

    Without `columns.unit` each row is a unit; with it, a unit's rows are combined (binary: any,
    numbers: sum) and units seen in two arms are left out. With `columns.count` each row stands for
    that many units. Arm names that differ by case or surrounding space are one arm.

    Args:
        tables: Hold the table.
        table: Name of the table.
        names: Names of its columns.
        columns: The roles of the columns.
        metrics: The metrics.
        intended: The plan; its control comes first in the result.

    Raises:
        InputError: A column or an arm is missing; names the nearest one.
        DataError: A value does not fit its metric's kind; names column and row.
    """
    columns = _with_count(columns, metrics)
    check_columns(names, columns, metrics)
    kinds = {metric.name: metric.kind or kind_of(tables, table, metric) for metric in metrics}
    check_values(tables, table, columns, metrics, kinds)
    arms = ArmNames(tables, table, columns.arm, intended)
    excluded, exposure = _keep_units(
        tables, table, columns, metrics, kinds, arms, intended.multiple_exposure
    )
    found = _sum_units(tables, "units", metrics, kinds)
    check_rows(tables, columns, metrics, kinds)
    shares = check_arms(columns.arm, arms, intended.shares, _by_arm(found.units))
    segments = _by_segment(found.units)
    by_segment = shares_of_segments(intended.by_segment, arms, segments)
    totals = with_value_counts(
        tables, found.totals, _value_statements(metrics, kinds, "units", metrics)
    )
    data = ExperimentData(
        main=Aggregates(
            metrics=[
                MetricSpec(name=m.name, kind=kinds[m.name], direction=m.direction) for m in metrics
            ],
            totals=totals,
        ),
        sizes=ArmSizes(
            observed={arm: _by_arm(found.units).get(arm, 0) for arm in shares}, expected=shares
        ),
        by_segment={
            name: ArmSizes(
                observed=arms,
                expected=by_segment[name]
                if by_segment
                # A separate experiment has the arms that it has.
                else {arm: shares[arm] for arm in arms}
                if columns.within
                else shares,
            )
            for name, arms in segments.items()
        },
        by_period=_periods(tables, shares) if columns.time is not None else {},
        shares_by_segment=bool(by_segment),
        multiple_exposure=exposure,
        excluded=excluded,
        warnings=arms.warnings,
    )
    return _with_others(tables, data, columns, metrics, kinds)


def _with_others(
    tables: Tables,
    data: ExperimentData,
    columns: Columns,
    metrics: Sequence[MetricColumns],
    kinds: Mapping[str, MetricKind],
) -> ExperimentData:
    """The data with what the other estimators need: CUPED, winsorised, exposed units."""
    adjusted = _adjust(tables, metrics, kinds)
    if adjusted:
        data = replace(
            data,
            cuped=_means({name: one.totals for name, one in adjusted.items()}),
            variance_reduction={name: one.reduction for name, one in adjusted.items()},
            covariate_missing={name: one.missing for name, one in adjusted.items() if one.missing},
        )
    # A mean alone does not say which of its values are extreme.
    means = [m for m in metrics if kinds[m.name] == "mean" and not m.summed_up]
    if means:
        caps = _keep_capped(tables, metrics, means)
        capped = _sum_units(tables, "capped", means, kinds, metrics).totals
        capped = with_value_counts(
            tables, capped, _value_statements(means, kinds, "capped", metrics)
        )
        data = replace(
            data,
            winsorised=_means({m.name: [t for t in capped if t.metric == m.name] for m in means}),
            winsorised_at=caps,
        )
    if columns.exposed is not None:
        tables.keep("exposed", "select * from units where exposed", stored=False)
        exposed = _sum_units(tables, "exposed", metrics, kinds)
        totals = with_value_counts(
            tables, exposed.totals, _value_statements(metrics, kinds, "exposed", metrics)
        )
        units = _by_arm(exposed.units)
        data = replace(
            data,
            exposed=replace(data.main, totals=totals),
            exposed_units={arm: units.get(arm, 0) for arm in data.sizes.observed},
        )
    return data


def _means(totals: Mapping[str, Sequence[ArmTotals]]) -> Aggregates:
    return Aggregates(
        metrics=[MetricSpec(name=name, kind="mean") for name in totals],
        totals=[one for found in totals.values() for one in found],
    )


def _by_arm(units: Mapping[tuple[str | None, str], int]) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for (_, arm), count in units.items():
        found[arm] += count
    return dict(sorted(found.items()))


def _by_segment(units: Mapping[tuple[str | None, str], int]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for (segment, arm), count in units.items():
        if segment is not None:
            found[segment][arm] = count
    return dict(found)


def _periods(tables: Tables, shares: Mapping[str, float]) -> dict[str, ArmSizes]:
    """Units per arm in up to ten periods of days, with about as many units each."""
    rows = tables.rows(
        "select cast(cast(assigned as date) as varchar), arm, sum(weight) from units "
        "where assigned is not null group by cast(assigned as date), arm "
        "order by cast(assigned as date), arm"
    )
    days: dict[str, dict[str, int]] = {}
    for day, arm, units in rows:
        days.setdefault(str(day), {})[str(arm)] = int(cast("int", units))
    return {
        name: ArmSizes(observed=arms, expected=shares) for name, arms in periods_of(days).items()
    }


def _with_count(columns: Columns, metrics: Sequence[MetricColumns]) -> Columns:
    """If a row summarises units by their events, those units are the row's count."""
    for metric in metrics:
        if not metric.summed_up:
            continue
        if columns.unit is not None:
            raise InputError(
                f"--metric {metric.name!r}: rows of several units have no single unit; leave "
                "out --unit, or use a ratio"
            )
        if metric.covariate is not None:
            raise InputError(f"--covariate {metric.name!r}: not available for summary rows")
        if metric.denominator is not None and columns.count is None:
            return replace(columns, count=metric.denominator)
        if columns.count is None:
            raise InputError(
                f"--metric {metric.name!r}: needs --count, the number of units per row"
            )
    return columns


def _keep_units(  # noqa: PLR0913, PLR0917 - the file, its columns, and how they are read
    tables: Tables,
    table: str,
    columns: Columns,
    metrics: Sequence[MetricColumns],
    kinds: Mapping[str, str],
    arms: ArmNames,
    most_exposed: float,
) -> tuple[dict[str, int], MultipleExposure]:
    """Create the table `units`, one row per unit: segment, arm, weight, and a number per column."""
    if columns.unit and columns.count:
        raise InputError("--count: rows of several units have no single unit; leave out --unit")
    inputs = _inputs_of(metrics)
    segment = f"trim({identifier(columns.segment)})" if columns.segment else _NO_TEXT
    unit = identifier(columns.unit) if columns.unit else "cast(_row as varchar)"
    if columns.within:
        unit = f"{segment} || chr(31) || {unit}"
    weight = f"cast({number_in(columns.count)} as bigint)" if columns.count else "1"
    values = "".join(f", {number_in(column)} as v{i}" for i, (column, _) in enumerate(inputs))
    exposed = f"coalesce({number_in(columns.exposed)} = 1e0, false)" if columns.exposed else "true"
    assigned = time_in(columns.time) if columns.time else "cast(null as timestamp)"
    named = [column for column in (columns.unit, columns.segment) if column]
    usable = " and ".join(
        [f"not {unnamed(columns.arm)}", *(f"not {blank(column)}" for column in named)]
    )
    tables.keep(
        "events",
        f"select {unit} as unit, {arms.sql()} as arm, {segment} as segment, "  # noqa: S608 - quoted
        f"{weight} as weight, {exposed} as exposed, {assigned} as assigned{values} "
        f"from {identifier(table)} where {usable}",
        stored=False,
    )
    left_out = _one(tables, f"select count(*) from {identifier(table)} where not ({usable})")  # noqa: S608 - quoted
    excluded = {"rows_without_arm_unit_or_segment": left_out}
    if columns.unit is None:
        tables.keep("units", "select * from events", stored=False)
        return excluded, MultipleExposure(units=0, share=0.0, ok=True)
    binary = {m.column for m in metrics if kinds[m.name] == "binary"}
    # Each row of a unit repeats its covariate, which does not add up.
    combined = "".join(
        f", {'avg' if before else 'max' if column in binary else 'sum'}(v{i}) as v{i}"
        for i, (column, before) in enumerate(inputs)
    )
    tables.keep(
        "combined",
        "select unit, min(arm) as arm, max(arm) as other_arm, min(segment) as segment, "  # noqa: S608 - ours
        f"max(segment) as other_segment, 1 as weight, "
        f"max(case when exposed then 1 else 0 end) = 1 as exposed, "
        f"min(assigned) as assigned{combined} from events group by unit",
    )
    one_segment = "not coalesce(segment <> other_segment, false)"
    tables.keep(
        "units",
        f"select * from combined where arm = other_arm and {one_segment}",  # noqa: S608 - ours
        stored=False,
    )
    exposure = _multiple_exposure(tables, kinds[metrics[0].name], most_exposed)
    split = f"select count(*) from combined where arm = other_arm and not {one_segment}"  # noqa: S608 - ours
    return {
        **excluded,
        "units_in_two_arms": exposure.units,
        "units_in_two_segments": _one(tables, split),
    }, exposure


_NO_TEXT = "cast(null as varchar)"


def _one(tables: Tables, statement: str) -> int:
    ((count,),) = tables.rows(statement)
    return int(str(count))


def _multiple_exposure(tables: Tables, kind: str, most: float) -> MultipleExposure:
    """The check of units in two arms; their outcome is the primary metric, the column `v0`.

    A number counts as an event if it is not 0 or, if hardly any is 0, if it is above the median.
    """
    event = "v0 <> 0e0"
    if kind != "binary":
        ((zeros, middle),) = tables.rows(
            "select avg(case when v0 = 0e0 then 1e0 else 0e0 end), median(v0) from combined"
        )
        if zeros is not None and float(str(zeros)) < _MIN_ZERO_SHARE:
            event = f"v0 > {literal(float(str(middle)))}"
    rows = tables.rows(
        f"select arm = other_arm, count(*), count(v0), count(case when {event} then 1 end) "  # noqa: S608 - ours
        "from combined group by arm = other_arm"
    )
    found = {bool(single): [int(str(count)) for count in counts] for single, *counts in rows}
    units, known, events = found.get(False, [0, 0, 0])
    others, others_known, others_events = found.get(True, [0, 0, 0])
    return check_multiple_exposure(
        Counts(n=known, events=events),
        Counts(n=others_known, events=others_events),
        units=units,
        total=units + others,
        most=most,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Summed:
    """The sums of all metrics, and the units, by segment and arm."""

    totals: list[ArmTotals]
    units: dict[tuple[str | None, str], int]


def _inputs_of(metrics: Sequence[MetricColumns]) -> list[tuple[str, bool]]:
    """The measured columns in order, each with whether it is a covariate."""
    named = [
        (column, is_covariate)
        for metric in metrics
        for column, is_covariate in (
            (metric.column, False),
            (metric.denominator, False),
            (metric.spread, False),
            (metric.covariate, True),
        )
        if column is not None
    ]
    return list(dict.fromkeys(named))


def _origins(
    tables: Tables,
    table: str,
    metrics: Sequence[MetricColumns],
    kinds: Mapping[str, MetricKind],
    inputs: Sequence[tuple[str, bool]],
) -> dict[str, float]:
    """The least value of each mean metric; the squares of a constant are then exactly 0."""
    parts = ", ".join(f"coalesce(min(v{i}), 0e0)" for i in range(len(inputs)))
    (least,) = tables.rows(f"select {parts} from {table}")  # noqa: S608 - our own names
    return {
        metric.name: float(str(least[inputs.index((metric.column, False))]))
        # The least of some means says nothing about the least value.
        if kinds[metric.name] == "mean" and not metric.summed_up
        else 0.0
        for metric in metrics
    }


def _sum_units(
    tables: Tables,
    table: str,
    metrics: Sequence[MetricColumns],
    kinds: Mapping[str, MetricKind],
    read: Sequence[MetricColumns] | None = None,
) -> _Summed:
    """Sum up the units in one pass.

    Args:
        tables: Hold the units.
        table: One row per unit: segment, arm, weight, and a column `v0`, `v1` … for each input.
        metrics: The metrics to sum up.
        kinds: The kind of each metric.
        read: The metrics whose inputs the columns are, if there are more.
    """
    inputs = _inputs_of(read or metrics)
    origins = _origins(tables, table, metrics, kinds, inputs)
    fields: list[tuple[MetricColumns, tuple[str, ...]]] = []
    parts: list[str] = []
    for metric in metrics:
        forms = _forms(metric, kinds[metric.name], inputs, origins[metric.name])
        fields.append((metric, tuple(forms)))
        parts += [f"coalesce(sum({form}), 0e0)" for form in forms.values()]
    rows = tables.rows(
        f"select segment, arm, sum(weight), {', '.join(parts)} from {table} "  # noqa: S608 - our own names
        "group by segment, arm order by segment, arm"
    )
    totals, units = [], {}
    for segment, arm, weight, *sums in rows:
        key = (None if segment is None else str(segment), str(arm))
        units[key] = int(str(weight))
        values = iter(float(str(value)) for value in sums)
        for metric, names in fields:
            found = {name: next(values) for name in names}
            n, events = round(found.pop("n")), round(found.pop("events", 0.0))
            totals.append(
                ArmTotals(
                    segment=key[0],
                    arm=key[1],
                    metric=metric.name,
                    n=n,
                    events=events,
                    origin=origins[metric.name],
                    **found,  # type: ignore[arg-type] # the other fields are floats
                )
            )
    return _Summed(totals=totals, units=units)


def _forms(
    metric: MetricColumns, kind: MetricKind, inputs: Sequence[tuple[str, bool]], origin: float
) -> dict[str, str]:
    """SQL: what one row adds to each field of `ArmTotals`.

    The standard deviation of a summary is that of a sample: the squares about the mean are (n - 1)
    times its square.
    """
    y = f"v{inputs.index((metric.column, False))}"
    if metric.spread is not None:
        spread = f"v{inputs.index((metric.spread, False))}"
        known = f"case when {y} is not null and {spread} is not null and weight > 0 then"
        return {
            "n": f"{known} weight end",
            "total": f"{known} weight * {y} end",
            "total_sq": f"{known} weight * {y} * {y} + (weight - 1) * {spread} * {spread} end",
        }
    if metric.denominator is None:
        value = y if origin == 0 else f"({y} - {literal(origin)})"
        known = f"case when {y} is not null then"
        if kind == "binary":
            return {"n": f"{known} weight end", "events": f"weight * {y}"}
        return {
            "n": f"{known} weight end",
            "total": f"weight * {value}",
            "total_sq": f"weight * {value} * {value}",
        }
    x = f"v{inputs.index((metric.denominator, False))}"
    if kind == "binary":
        return {"n": f"case when {y} is not null then {x} end", "events": y}
    known = f"case when {y} is not null and {x} is not null then weight"
    return {
        "n": f"{known} end",
        "total": f"{known} * {y} end",
        "total_sq": f"{known} * {y} * {y} end",
        "denominator": f"{known} * {x} end",
        "denominator_sq": f"{known} * {x} * {x} end",
        "product": f"{known} * {x} * {y} end",
    }


def _value_statements(
    metrics: Sequence[MetricColumns],
    kinds: Mapping[str, MetricKind],
    table: str,
    read: Sequence[MetricColumns],
) -> dict[str, str]:
    """By mean metric, the statement that counts the units of each value."""
    inputs = _inputs_of(read)
    return {
        metric.name: f"select segment, arm, {value} as v, sum(weight) as units from {table} "  # noqa: S608 - our own names
        f"where {value} is not null and weight > 0 group by segment, arm, {value}"
        for metric in metrics
        if kinds[metric.name] == "mean" and not metric.summed_up
        for value in [f"v{inputs.index((metric.column, False))}"]
    }


def _keep_capped(
    tables: Tables, metrics: Sequence[MetricColumns], means: Sequence[MetricColumns]
) -> dict[str, tuple[float | None, float | None]]:
    """Create the table `capped`: the units with the values of means capped.

    The cap is the 99th percentile of the values other than 0, over all arms together; if there are
    negative values, the first percentile is a lower cap.

    Returns:
        By metric, the lower and the upper cap; None if there is none.

    Source: Kohavi, Tang, Xu (2020), Trustworthy Online Controlled Experiments, chapter 22.
    """
    inputs = _inputs_of(metrics)
    caps: dict[str, tuple[float | None, float | None]] = {}
    changed: dict[int, str] = {}
    for metric in means:
        place = inputs.index((metric.column, False))
        high = _percentile(tables, place, descending=False)
        low = _percentile(tables, place, descending=True)
        low = low if low is not None and low < 0 else None
        caps[metric.name] = (low, high)
        value = f"v{place}"
        whens = f"when {value} > {literal(high)} then {literal(high)} " if high is not None else ""
        whens += f"when {value} < {literal(low)} then {literal(low)} " if low is not None else ""
        changed[place] = f"case {whens}else {value} end" if whens else value
    values = ", ".join(f"{changed.get(i, f'v{i}')} as v{i}" for i in range(len(inputs)))
    tables.keep("capped", f"select segment, arm, weight, {values} from units", stored=False)  # noqa: S608 - our own names
    return caps


def _percentile(tables: Tables, place: int, *, descending: bool) -> float | None:
    """The 99th percentile by weight of the values other than 0, counted in this order."""
    order = "v desc" if descending else "v"
    rows = tables.rows(
        f"select v from (select v, sum(w) over (order by {order}) as passed, "  # noqa: S608 - our own names
        f"sum(w) over () as total from (select v{place} as v, sum(weight) as w from units "
        f"where v{place} <> 0e0 and weight > 0 group by v{place}) as counted) as summed "
        f"where passed >= 99e-2 * total order by {order} limit 1"
    )
    return float(cast("float", rows[0][0])) if rows else None


def _adjust(
    tables: Tables, metrics: Sequence[MetricColumns], kinds: Mapping[str, MetricKind]
) -> dict[str, Adjusted]:
    """By metric with a covariate, its adjustment; values are counted from the least one."""
    inputs = _inputs_of(metrics)
    found = {}
    for metric in metrics:
        if metric.covariate is None:
            continue
        value = f"v{inputs.index((metric.column, False))}"
        before = f"v{inputs.index((metric.covariate, True))}"
        ((y0, x0),) = tables.rows(
            f"select coalesce(min({value}), 0e0), coalesce(min({before}), 0e0) from units"  # noqa: S608 - ours
        )
        origin = float(str(y0)) if kinds[metric.name] == "mean" else 0.0
        y, x = f"({value} - {literal(origin)})", f"({before} - {literal(float(str(x0)))})"
        known = f"case when {before} is not null then weight"
        sums = ", ".join(
            f"coalesce(sum({form}), 0e0)"
            for form in (
                *("weight", f"weight * {y}", f"weight * {y} * {y}", f"{known} end"),
                *(f"{known} * {x} end", f"{known} * {x} * {x} end"),
                *(f"{known} * {x} * {y} end", f"{known} * {y} end"),
            )
        )
        rows = tables.rows(
            f"select segment, arm, {sums} from units where {value} is not null "  # noqa: S608 - ours
            "group by segment, arm order by segment, arm"
        )
        found[metric.name] = adjust(
            metric.name,
            [
                CovariateSums.of(
                    None if segment is None else str(segment), str(arm), values, origin
                )
                for segment, arm, *values in rows
            ],
        )
    return found
