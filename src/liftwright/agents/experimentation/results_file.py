"""Any experiment's results file, one row a unit, an event or a count, to cells for comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from liftwright.comparison import Cell, MetricSpec
from liftwright.errors import DataError, InputError
from liftwright.tables import identifier, literal, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.tables import Tables

Kind = Literal["binary", "mean", "ratio"]
KINDS: tuple[Kind, ...] = ("binary", "mean", "ratio")
_SHARES_SUM = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric as it was asked for; `kind` None lets the values decide.

    Attributes:
        column: what is measured; of a ratio, the numerator.
        denominator: the column below the line, of a ratio.
        covariate: a column known before the experiment, for CUPED.
    """

    name: str
    column: str
    kind: Kind | None = None
    denominator: str | None = None
    covariate: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which columns of the file say what; None where the file has none."""

    arm: str
    unit: str | None = None
    segment: str | None = None
    count: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """A results file in cells.

    Attributes:
        units: units per arm, each unit once.
        excluded: what was left out, by reason.
        adjusted: the cells of the metrics with a covariate, adjusted by it (CUPED), as means.
        variance_reduction: by metric, the share of variance that the covariate explains.
    """

    metrics: tuple[MetricSpec, ...]
    cells: tuple[Cell, ...]
    units: Mapping[str, int]
    excluded: Mapping[str, int]
    adjusted: tuple[Cell, ...]
    variance_reduction: Mapping[str, float]


def parse_metric(text: str) -> Metric:
    """A metric from `NAME`, `NAME:binary`, `NAME:mean` or `NAME=NUM/DEN:ratio`.

    The name is cut at its last colon only where a kind follows.

    Raises:
        InputError: where a ratio has no two columns, or another kind has them.
    """
    name, kind = text, None
    head, colon, tail = text.rpartition(":")
    if colon and tail in KINDS:
        name, kind = head, tail
    if kind != "ratio":
        if not name:
            raise InputError(f"--metric {text!r}: the name is empty")
        return Metric(name=name, column=name, kind=kind)
    label, equals, columns = name.partition("=")
    numerator, slash, denominator = columns.partition("/")
    if not (equals and slash and label and numerator and denominator):
        raise InputError(f"--metric {text!r}: allowed for a ratio: NAME=NUM/DEN:ratio")
    return Metric(name=label, column=numerator, kind="ratio", denominator=denominator)


def parse_shares(texts: Sequence[str]) -> dict[str, float] | None:
    """The intended shares from `ARM=S` each; None where none is given.

    Raises:
        InputError: where one is no number above 0, or they do not sum to 1.
    """
    shares: dict[str, float] = {}
    for text in texts:
        arm, equals, value = text.rpartition("=")
        try:
            share = float(value)
        except ValueError:
            share = math.nan
        if not equals or not arm or not share > 0:
            raise InputError(f"--share {text!r}: allowed: ARM=S with S above 0, as in B=0.5")
        shares[arm] = share
    if shares and abs(sum(shares.values()) - 1) > _SHARES_SUM:
        raise InputError(f"--share: the shares sum to {sum(shares.values()):g}; allowed is 1")
    return shares or None


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
    for metric in metrics:
        for column in filter(None, (metric.column, metric.denominator, metric.covariate)):
            _check_values(
                tables,
                table,
                column,
                binary=kinds[metric.name] == "binary" and column == metric.column,
            )
    if columns.count is not None:
        _check_counts(tables, table, columns.count)
    excluded = _keep_units(tables, table, columns, metrics, kinds)
    found = _sums(tables, metrics, kinds)
    cells = tuple(
        cell
        for row in found
        for metric in metrics
        if (cell := _cell(row, metric, kinds[metric.name])) is not None
    )
    adjusted, reduction = _adjust(found, metrics)
    units: dict[str, int] = {}
    for row in found:
        units[row.arm] = units.get(row.arm, 0) + row.units
    return Results(
        metrics=tuple(MetricSpec(name=m.name, kind=kinds[m.name]) for m in metrics),
        cells=cells,
        units=dict(sorted(units.items())),
        excluded=excluded,
        adjusted=adjusted,
        variance_reduction=reduction,
    )


# ── Looking at the file ───────────────────────────────────────────────────────────────────────


def _check_columns(names: Sequence[str], columns: Columns, metrics: Sequence[Metric]) -> None:
    wanted = [
        ("--arm", columns.arm),
        ("--unit", columns.unit),
        ("--segment", columns.segment),
        ("--count", columns.count),
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


def _number(column: str) -> str:
    """A text column as a number: true and false are 1 and 0, what is no number is null."""
    text = f"lower(trim({identifier(column)}))"
    return f"case {text} when 'true' then 1e0 when 'false' then 0e0 else number_of({text}) end"


def _missing(column: str) -> str:
    return f"({identifier(column)} is null or trim({identifier(column)}) = '')"


def _kind(tables: Tables, table: str, metric: Metric) -> Kind:
    number = _number(metric.column)
    ((others,),) = tables.rows(
        f"select count(*) from {identifier(table)} "  # noqa: S608 - quoted identifiers
        f"where not {_missing(metric.column)} and coalesce({number} not in (0e0, 1e0), true)"
    )
    return "mean" if others else "binary"


def _check_values(tables: Tables, table: str, column: str, *, binary: bool) -> None:
    number = _number(column)
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
    number = _number(column)
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


# ── From rows to units to sums ────────────────────────────────────────────────────────────────


def _inputs(metrics: Sequence[Metric]) -> list[str]:
    named = [
        column
        for metric in metrics
        for column in (metric.column, metric.denominator, metric.covariate)
        if column is not None
    ]
    return list(dict.fromkeys(named))


def _keep_units(
    tables: Tables,
    table: str,
    columns: Columns,
    metrics: Sequence[Metric],
    kinds: Mapping[str, str],
) -> dict[str, int]:
    """Make the table `units` of one row a unit: arm, segment, weight, and a number per column."""
    inputs = _inputs(metrics)
    segment = identifier(columns.segment) if columns.segment else "cast(null as varchar)"
    unit = identifier(columns.unit) if columns.unit else "cast(_row as varchar)"
    weight = f"cast({_number(columns.count)} as bigint)" if columns.count else "1"
    values = "".join(f", {_number(column)} as v{i}" for i, column in enumerate(inputs))
    usable = f"not {_missing(columns.arm)}"
    if columns.unit:
        usable += f" and not {_missing(columns.unit)}"
    if columns.segment:
        usable += f" and not {_missing(columns.segment)}"
    tables.keep(
        "events",
        f"select {unit} as unit, {identifier(columns.arm)} as arm, {segment} as segment, "  # noqa: S608 - the same
        f"{weight} as weight{values} from {identifier(table)} where {usable}",
        stored=False,
    )
    binary = {m.column for m in metrics if kinds[m.name] == "binary"}
    combined = "".join(
        f", {'max' if column in binary else 'sum'}(v{i}) as v{i}" for i, column in enumerate(inputs)
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
        f"max(segment) as other_segment, 1 as weight{combined} from events group by unit",
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
class _Sums:
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


def _least(tables: Tables, inputs: Sequence[str]) -> list[float]:
    """The least value of each column: constants then have squares of exactly 0."""
    parts = ", ".join(f"coalesce(min(v{i}), 0e0)" for i in range(len(inputs)))
    (row,) = tables.rows(f"select {parts} from units")  # noqa: S608 - names of our own
    return [float(cast("float", value)) for value in row]


def _sums(tables: Tables, metrics: Sequence[Metric], kinds: Mapping[str, Kind]) -> list[_Sums]:
    """One pass: of every metric n, y, yy; and x, xx, xy of a denominator or a covariate.

    The values of a mean, and covariates, are counted from the least one.
    """
    inputs = _inputs(metrics)
    least = _least(tables, inputs)
    origins: dict[str, float] = {}
    keys: list[tuple[str, str]] = []
    parts: list[str] = []
    for metric in metrics:
        place = inputs.index(metric.column)
        origins[metric.name] = least[place] if kinds[metric.name] == "mean" else 0.0
        y = f"(v{place} - {literal(origins[metric.name])})"
        other = metric.denominator or metric.covariate
        x = f"v{inputs.index(other)}" if other else None
        if metric.covariate and x:
            x = f"({x} - {literal(least[inputs.index(metric.covariate)])})"
        there = f"{y} is not null" + (f" and {x} is not null" if x else "")
        for name, form in _SUMMED.items():
            if x is None and "{x}" in form:
                continue
            keys.append((metric.name, name))
            parts.append(
                f"coalesce(sum(weight * {form.format(x=x, y=y)}) filter (where {there}), 0e0)"
            )
    rows = tables.rows(
        f"select segment, arm, sum(weight), {', '.join(parts)} from units "  # noqa: S608 - the same
        "group by segment, arm order by segment, arm"
    )
    return [
        _Sums(
            segment=cast("str | None", segment),
            arm=str(arm),
            units=int(cast("int", units)),
            sums=dict(zip(keys, cast("list[float]", sums), strict=True)),
            origins=origins,
        )
        for segment, arm, units, *sums in rows
    ]


def _cell(row: _Sums, metric: Metric, kind: str) -> Cell | None:
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


# ── CUPED ─────────────────────────────────────────────────────────────────────────────────────


def _adjust(
    rows: Sequence[_Sums], metrics: Sequence[Metric]
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
        covariance, spread_x, spread_y = (math.fsum(part) for part in zip(*within, strict=True))
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
