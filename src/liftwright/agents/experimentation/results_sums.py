"""From units to sums, plain, capped (winsorised) or adjusted by a covariate (CUPED)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from liftwright.analysis import Cell
from liftwright.data import literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.agents.experimentation.results_options import Kind, Metric
    from liftwright.data import Tables


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


def inputs_of(metrics: Sequence[Metric]) -> list[tuple[str, bool]]:
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
    metrics: Sequence[Metric],
    kinds: Mapping[str, Kind],
    read: Sequence[Metric] | None = None,
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
    metric: Metric, inputs: Sequence[tuple[str, bool]], place: int
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
    tables: Tables, metrics: Sequence[Metric], means: Sequence[Metric]
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
    rows: Sequence[Sums], metrics: Sequence[Metric], kinds: Mapping[str, Kind]
) -> tuple[Cell, ...]:
    """The sums as cells of a comparison."""
    return tuple(_cell(row, metric, kinds[metric.name]) for row in rows for metric in metrics)


def _cell(row: Sums, metric: Metric, kind: str) -> Cell:
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
    rows: Sequence[Sums], metrics: Sequence[Metric]
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
