"""Any experiment's results file, one row a unit, an event or a count, as sums for its analysis."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from liftwright.agents.experimentation.over_time import periods_of
from liftwright.agents.experimentation.results_columns import (
    check_columns,
    check_rows,
    check_values,
    kind_of,
    missing,
    number_in,
    time_in,
)
from liftwright.analysis import Aggregates, ArmSizes, Cell, ExperimentData, MetricSpec, few
from liftwright.data import did_you_mean, identifier, literal
from liftwright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from liftwright.agents.experimentation.results_columns import Columns, MetricColumns
    from liftwright.analysis import MetricKind
    from liftwright.data import Tables

# More of either are for a program; each arm is compared on each metric in each segment.
_MOST_ARMS, _MOST_NAMED = 200, 10


def read_results(  # noqa: PLR0913 - the file, what its columns say, and what was intended
    tables: Tables,
    table: str,
    names: Sequence[str],
    columns: Columns,
    metrics: Sequence[MetricColumns],
    *,
    control: str,
    shares: Mapping[str, float] | None = None,
) -> ExperimentData:
    """The sums of a table whose columns are all text.

    Without `columns.unit` each row is a unit; with it, a unit's rows are combined (binary: any,
    numbers: sum) and units seen in two arms are left out. With `columns.count` each row stands for
    that many units.

    Args:
        tables: Holds the table.
        table: Its name.
        names: Its columns.
        columns: What they say.
        metrics: What is measured.
        control: Name of the control arm, the first of the result.
        shares: The intended share of each arm; None is equal shares.

    Raises:
        InputError: A column or an arm is missing; the message names the nearest.
        DataError: A value is not of its metric's kind, naming column and row.
    """
    columns = _with_count(columns, metrics)
    check_columns(names, columns, metrics)
    kinds = {metric.name: metric.kind or kind_of(tables, table, metric) for metric in metrics}
    check_values(tables, table, columns, metrics, kinds)
    excluded = _keep_units(tables, table, columns, metrics, kinds)
    found = sum_units(tables, "units", metrics, kinds)
    check_rows(tables, columns, metrics, kinds)
    units = _units(found)
    shares = _check_arms(columns.arm, control, shares, units)
    segments: dict[str, dict[str, int]] = {}
    for row in found:
        if row.segment is not None:
            segments.setdefault(row.segment, {})[row.arm] = row.units
    periods = _periods(tables) if columns.time is not None else {}
    data = ExperimentData(
        main=Aggregates(
            metrics=[
                MetricSpec(name=m.name, kind=kinds[m.name], direction=m.direction) for m in metrics
            ],
            cells=cells_of(found, metrics, kinds),
        ),
        sizes=_sizes(units, shares),
        by_segment={
            name: ArmSizes(
                observed=arms,
                # An experiment of its own has the arms that it has.
                expected={arm: shares[arm] for arm in arms} if columns.within else shares,
            )
            for name, arms in segments.items()
        },
        by_period={
            name: ArmSizes(observed=arms, expected=shares) for name, arms in periods.items()
        },
        excluded=excluded,
    )
    adjusted, reduction = adjust(found, metrics)
    if reduction:
        data = replace(data, cuped=_means(reduction, adjusted), variance_reduction=reduction)
    # A mean alone does not say which of its values are extreme.
    means = [m for m in metrics if kinds[m.name] == "mean" and not m.summed_up]
    if means:
        caps = keep_capped(tables, metrics, means)
        capped = cells_of(sum_units(tables, "capped", means, kinds, metrics), means, kinds)
        data = replace(data, winsorised=_means(caps, capped), winsorised_at=caps)
    if columns.exposed is not None:
        tables.keep("exposed", "select * from units where exposed", stored=False)
        exposed = sum_units(tables, "exposed", metrics, kinds)
        data = replace(
            data,
            exposed=replace(data.main, cells=cells_of(exposed, metrics, kinds)),
            exposed_units=_sizes(_units(exposed), shares).observed,
        )
    return data


def _means(names: Iterable[str], cells: Sequence[Cell]) -> Aggregates:
    return Aggregates(metrics=[MetricSpec(name=name, kind="mean") for name in names], cells=cells)


def _sizes(units: Mapping[str, int], shares: Mapping[str, float]) -> ArmSizes:
    return ArmSizes(observed={arm: units.get(arm, 0) for arm in shares}, expected=shares)


def _check_arms(
    column: str, control: str, shares: Mapping[str, float] | None, units: Mapping[str, int]
) -> dict[str, float]:
    """The intended share of each arm, the control first.

    An arm that has a share and no unit is an empty arm where all arms of the file have theirs;
    where one of them has none, it is a name that was mistyped.
    """
    if control not in units:
        hint = (
            did_you_mean(control, tuple(units))
            or f"; the arms are: {few(tuple(units), _MOST_NAMED)}"
        )
        raise InputError(f"--control {control!r}: no such arm in the file{hint}")
    if len(units) > _MOST_ARMS:
        raise InputError(
            f"--arm {column!r}: found {len(units):,} arms, allowed: at most {_MOST_ARMS}; is "
            "it the right column?"
        )
    if len({*units, *(shares or ())}) == 1:
        raise InputError(
            f"--arm {column!r}: found only the arm {control!r}, allowed: at least two arms"
        )
    missing = [arm for arm in units if shares is not None and arm not in shares]
    for arm in shares or {}:
        if arm not in units and missing:
            hint = (
                did_you_mean(arm, missing) or f"; without a share is: {few(missing, _MOST_NAMED)}"
            )
            raise InputError(f"--share {arm!r}: no such arm in the file{hint}")
    if missing:
        raise InputError(f"--share: no share for arm {missing[0]!r}")
    given = shares or dict.fromkeys(units, 1 / len(units))
    return {
        control: given[control],
        **{arm: given[arm] for arm in (*units, *given)},
    }


def _units(rows: Sequence[Sums]) -> dict[str, int]:
    units: dict[str, int] = {}
    for row in rows:
        units[row.arm] = units.get(row.arm, 0) + row.units
    return dict(sorted(units.items()))


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


def _with_count(columns: Columns, metrics: Sequence[MetricColumns]) -> Columns:
    """Where rows tell of many units by their events, these say how many a row stands for."""
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


def _keep_units(
    tables: Tables,
    table: str,
    columns: Columns,
    metrics: Sequence[MetricColumns],
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
        raise InputError("--count: rows of several units have no single unit; leave out --unit")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """The sums of one arm in one segment.

    Attributes:
        sums: by metric and what was summed.
        origins: by metric, what its values were counted from.
    """

    segment: str | None
    arm: str
    units: int
    sums: Mapping[tuple[str, str], float]
    origins: Mapping[str, float]


_SUMMED = {
    "n": "1e0",
    "y": "{y}",
    "yy": "{y} * {y}",
    "x": "{x}",
    "xx": "{x} * {x}",
    "xy": "{x} * {y}",
}


def inputs_of(metrics: Sequence[MetricColumns]) -> list[tuple[str, bool]]:
    """The columns that are measured, each with whether it is a covariate, in order."""
    named = [
        (column, column_is_before)
        for metric in metrics
        for column, column_is_before in (
            (metric.column, False),
            (metric.denominator, False),
            (metric.spread, False),
            (metric.covariate, True),
        )
        if column is not None
    ]
    return list(dict.fromkeys(named))


def _least(tables: Tables, table: str, inputs: Sequence[object]) -> list[float]:
    """The least value of each column: constants then have squares of exactly 0."""
    parts = ", ".join(f"coalesce(min(v{i}), 0e0)" for i in range(len(inputs)))
    (row,) = tables.rows(f"select {parts} from {table}")  # noqa: S608 - names of our own
    return [float(cast("float", value)) for value in row]


def sum_units(
    tables: Tables,
    table: str,
    metrics: Sequence[MetricColumns],
    kinds: Mapping[str, MetricKind],
    read: Sequence[MetricColumns] | None = None,
) -> list[Sums]:
    """One pass: of every metric n, y, yy; and x, xx, xy of a denominator or a covariate.

    The values of a mean, and covariates, are counted from the least one.

    Args:
        tables: holds the units.
        table: one row a unit: segment, arm, weight, and a column `v0`, `v1` … for each input.
        metrics: what is summed.
        kinds: by metric.
        read: the metrics whose inputs the columns are, where they are more.
    """
    inputs = inputs_of(read or metrics)
    least = _least(tables, table, inputs)
    origins: dict[str, float] = {}
    keys: list[tuple[str, str]] = []
    parts: list[str] = []
    for metric in metrics:
        place = inputs.index((metric.column, False))
        # The least of some means says nothing of the least value.
        from_least = kinds[metric.name] == "mean" and not metric.summed_up
        origins[metric.name] = least[place] if from_least else 0.0
        if metric.summed_up:
            forms = _summary_forms(metric, inputs, place)
            keys += [(metric.name, name) for name in forms]
            parts += [f"coalesce(sum({form}), 0e0)" for form in forms.values()]
            continue
        y = f"(v{place} - {literal(origins[metric.name])})"
        x: str | None = None
        if metric.denominator:
            x = f"v{inputs.index((metric.denominator, False))}"
        elif metric.covariate:
            before = inputs.index((metric.covariate, True))
            x = f"(v{before} - {literal(least[before])})"
        there = f"{y} is not null" + (f" and {x} is not null" if x else "")
        for name, form in _SUMMED.items():
            if x is None and "{x}" in form:
                continue
            keys.append((metric.name, name))
            parts.append(
                f"coalesce(sum(weight * {form.format(x=x, y=y)}) filter (where {there}), 0e0)"
            )
    rows = tables.rows(
        f"select segment, arm, sum(weight), {', '.join(parts)} from {table} "  # noqa: S608 - the same
        "group by segment, arm order by segment, arm"
    )
    return [
        Sums(
            segment=cast("str | None", segment),
            arm=str(arm),
            units=int(cast("int", units)),
            sums=dict(zip(keys, cast("list[float]", sums), strict=True)),
            origins=origins,
        )
        for segment, arm, units, *sums in rows
    ]


def _summary_forms(
    metric: MetricColumns, inputs: Sequence[tuple[str, bool]], place: int
) -> dict[str, str]:
    """What a row of many units adds: events and units, or what a mean and its spread stand for.

    A standard deviation is that of a sample: the squares about the mean are (n - 1) times its
    square.
    """
    if metric.denominator is not None:
        units = f"v{inputs.index((metric.denominator, False))}"
        return {"n": f"case when v{place} is not null then {units} end", "y": f"v{place}"}
    y = f"v{place}"
    spread = f"v{inputs.index((str(metric.spread), False))}"
    there = f"case when {y} is not null and {spread} is not null and weight > 0 then"
    return {
        "n": f"{there} weight end",
        "y": f"{there} weight * {y} end",
        "yy": f"{there} weight * {y} * {y} + (weight - 1) * {spread} * {spread} end",
    }


def keep_capped(
    tables: Tables, metrics: Sequence[MetricColumns], means: Sequence[MetricColumns]
) -> dict[str, tuple[float | None, float | None]]:
    """Make the table `capped`: the units with the means' values capped.

    The cap is the 99th percentile of the values that are not 0, over all arms together, and below,
    where there are values under 0, the first percentile.

    Returns:
        By mean, what its values were capped at; None where they were not.

    Source: Kohavi, Tang, Xu (2020), Trustworthy Online Controlled Experiments, chapter 22.
    """
    inputs = inputs_of(metrics)
    caps: dict[str, tuple[float | None, float | None]] = {}
    changed: dict[int, str] = {}
    for metric in means:
        place = inputs.index((metric.column, False))
        high = _percentile(tables, place, above=False)
        low = _percentile(tables, place, above=True)
        low = low if low is not None and low < 0 else None
        caps[metric.name] = (low, high)
        value = f"v{place}"
        whens = f"when {value} > {literal(high)} then {literal(high)} " if high is not None else ""
        whens += f"when {value} < {literal(low)} then {literal(low)} " if low is not None else ""
        changed[place] = f"case {whens}else {value} end" if whens else value
    values = ", ".join(f"{changed.get(i, f'v{i}')} as v{i}" for i in range(len(inputs)))
    tables.keep("capped", f"select segment, arm, weight, {values} from units", stored=False)  # noqa: S608 - the same
    return caps


def _percentile(tables: Tables, place: int, *, above: bool) -> float | None:
    """The 99th percentile of the values other than 0 by weight, or the first one from below."""
    order = "v desc" if above else "v"
    rows = tables.rows(
        f"select v from (select v, sum(w) over (order by {order}) as passed, "  # noqa: S608 - the same
        f"sum(w) over () as total from (select v{place} as v, sum(weight) as w from units "
        f"where v{place} <> 0e0 and weight > 0 group by v{place}) as counted) as summed "
        f"where passed >= 99e-2 * total order by {order} limit 1"
    )
    return float(cast("float", rows[0][0])) if rows else None


def cells_of(
    rows: Sequence[Sums], metrics: Sequence[MetricColumns], kinds: Mapping[str, MetricKind]
) -> tuple[Cell, ...]:
    """The sums as cells of a comparison."""
    return tuple(_cell(row, metric, kinds[metric.name]) for row in rows for metric in metrics)


def _cell(row: Sums, metric: MetricColumns, kind: str) -> Cell:
    def of(name: str) -> float:
        return row.sums.get((metric.name, name), 0.0)

    n = round(of("n"))
    if kind == "binary":
        return Cell(
            segment=row.segment, arm=row.arm, metric=metric.name, n=n, events=round(of("y"))
        )
    cell = Cell(
        segment=row.segment,
        arm=row.arm,
        metric=metric.name,
        n=n,
        total=of("y"),
        total_sq=of("yy"),
        origin=row.origins[metric.name],
    )
    if kind == "mean":
        return cell
    return Cell(
        segment=row.segment,
        arm=row.arm,
        metric=metric.name,
        n=n,
        total=of("y"),
        total_sq=of("yy"),
        denominator=of("x"),
        denominator_sq=of("xx"),
        product=of("xy"),
    )


def adjust(
    rows: Sequence[Sums], metrics: Sequence[MetricColumns]
) -> tuple[tuple[Cell, ...], dict[str, float]]:
    """The cells of y - theta (x - mean of x), with one theta per metric, pooled within cells.

    Source: Deng, Xu, Kohavi, Walker (2013), Improving the Sensitivity of Online Controlled
    Experiments by Utilizing Pre-Experiment Data.
    """
    cells: list[Cell] = []
    reduction: dict[str, float] = {}
    for metric in metrics:
        if metric.covariate is None:
            continue
        sums = [(row, {name: row.sums[metric.name, name] for name in _SUMMED}) for row in rows]
        within = [_within(s) for _, s in sums if s["n"] > 1]
        covariance, spread_x, spread_y = (
            math.fsum(part) for part in zip((0.0, 0.0, 0.0), *within, strict=True)
        )
        theta = covariance / spread_x if spread_x > 0 else 0.0
        reduction[metric.name] = (
            covariance**2 / (spread_x * spread_y) if spread_x > 0 and spread_y > 0 else 0.0
        )
        n = math.fsum(s["n"] for _, s in sums)
        mean_x = math.fsum(s["x"] for _, s in sums) / n if n else 0.0
        for row, s in sums:
            shift = theta * mean_x
            total = s["y"] - theta * s["x"] + s["n"] * shift
            square = (
                s["yy"]
                + theta**2 * s["xx"]
                + s["n"] * shift**2
                - 2 * theta * s["xy"]
                + 2 * shift * s["y"]
                - 2 * theta * shift * s["x"]
            )
            cells.append(
                Cell(
                    segment=row.segment,
                    arm=row.arm,
                    metric=metric.name,
                    n=round(s["n"]),
                    total=total,
                    # Rounding may bring a constant's square below what its mean allows.
                    total_sq=max(square, total**2 / s["n"] if s["n"] else 0.0),
                    origin=row.origins[metric.name],
                )
            )
    return tuple(cells), reduction


def _within(s: Mapping[str, float]) -> tuple[float, float, float]:
    """Sums of products about a cell's own means: xy, xx, yy."""
    n = s["n"]
    return (
        s["xy"] - s["x"] * s["y"] / n,
        s["xx"] - s["x"] ** 2 / n,
        s["yy"] - s["y"] ** 2 / n,
    )
