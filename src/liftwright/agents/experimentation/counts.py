"""Counts of an experiment's outcomes: by segment and arm, by day, and by value."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from liftwright.analysis import ArmSizes, ArmTotals
from liftwright.analysis.result import DailyCount
from liftwright.data import identifier
from liftwright.model import METRICS, RATIOS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from liftwright.agents.experimentation.design import Design
    from liftwright.data import Tables
    from liftwright.model import MetricSpec

# A sample-ratio check over time needs few parts, each with many units.
_MAX_PERIODS = 10
_Part = TypeVar("_Part", str, tuple[str, str])
_STEPS = ("delivered", "opened", "clicked", "converted")
# Between arms of nearly equal size the skewness of the values cancels out.
_UNEQUAL = 1.25
# Rows per segment and arm; more distinct values are grouped with their neighbours.
_MAX_VALUES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmOutcomes:
    """The outcomes of one arm in one segment, of delivered messages.

    Attributes:
        totals: By outcome column, the number of events or the sum of the amounts.
        products: By pair of outcome columns, the sum of their products, if a metric needs it.
    """

    segment: str
    arm: str
    assigned: int
    delivered: int
    totals: Mapping[str, float]
    products: Mapping[tuple[str, str], float]

    def has(self, metric: MetricSpec) -> bool:
        """Whether the outcomes have the metric's columns."""
        return metric.column in self.totals and (metric.denominator or metric.column) in self.totals


def count_engagement(tables: Tables, engagement: str = "engagement") -> tuple[ArmOutcomes, ...]:
    """The counts of every segment and arm, in one pass, in order of segment and arm.

    Columns that no metric needs, or that the table does not have, are not counted.
    """
    found = tables.columns(engagement)
    totals = {m.column: m.kind for m in METRICS if m.column in found}
    products = [(m.column, m.column) for m in METRICS if m.column in totals and m.kind == "mean"]
    products += [
        (m.column, m.denominator)
        for m in RATIOS
        if m.denominator is not None and {m.column, m.denominator} <= totals.keys()
    ]
    sums = [
        _sum(column, 18) if kind == "mean" else _sum_of_flags(column)
        for column, kind in totals.items()
    ]
    sums += [
        _sum(f"{one} * {other}", 28) if one == other else _sum_of_flags(one, other)
        for one, other in products
    ]
    rows = tables.rows(
        tables.sql("measure_counts", engagement=identifier(engagement), sums=", ".join(sums))
    )
    return tuple(
        ArmOutcomes(
            segment=str(segment),
            arm=str(arm),
            assigned=int(str(assigned)),
            delivered=int(str(delivered)),
            totals=dict(zip(totals, map(_number, values), strict=False)),
            products=dict(zip(products, map(_number, values[len(totals) :]), strict=True)),
        )
        for segment, arm, assigned, delivered, *values in sorted(
            rows, key=lambda row: (str(row[0]), str(row[1]))
        )
    )


def totals_of(counts: Iterable[ArmOutcomes], metrics: Sequence[MetricSpec]) -> list[ArmTotals]:
    """The outcomes as totals of a comparison."""
    return [_totals(count, metric) for count in counts for metric in metrics if count.delivered]


def _totals(count: ArmOutcomes, metric: MetricSpec) -> ArmTotals:
    column, other = metric.column, metric.denominator
    total = count.totals[column]
    found = ArmTotals(segment=count.segment, arm=count.arm, metric=metric.name, n=count.delivered)
    if metric.kind == "binary":
        return replace(found, events=int(total))
    # The square of an event is the event.
    found = replace(found, total=total, total_sq=count.products.get((column, column), total))
    if other is None:
        return found
    below = count.totals[other]
    return replace(
        found, denominator=below, denominator_sq=below, product=count.products[column, other]
    )


def _sum_of_flags(*columns: str) -> str:
    return f"sum(case when delivered and {' and '.join(columns)} then 1 else 0 end)"


def _sum(number: str, digits: int) -> str:
    # Decimals add up to the same in any order.
    return f"sum(case when delivered then cast({number} as decimal({digits}, 4)) else 0 end)"


def _number(value: object) -> float:
    return float(str(value))


def count_days(tables: Tables, engagement: str) -> dict[tuple[str, str, str], dict[str, int]]:
    """Events of each kind by day (UTC), segment and arm."""
    days: dict[tuple[str, str, str], dict[str, int]] = defaultdict(lambda: dict.fromkeys(_STEPS, 0))
    statement = tables.sql("measure_daily", engagement=identifier(engagement))
    for day, segment, arm, event, events in tables.rows(statement):
        days[str(day), str(segment), str(arm)][str(event)] = int(str(events))
    return days


def daily_counts(
    days: Mapping[tuple[str, str, str], Mapping[str, int]], arms: Sequence[str]
) -> tuple[DailyCount, ...]:
    """The events of each day and arm over all segments, by day, the arms in the given order."""
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for (day, _, arm), events in days.items():
        found[day, arm].update(events)
    order = {arm: index for index, arm in enumerate(arms)}
    return tuple(
        DailyCount(day=day, arm=arm, **{step: found[day, arm][step] for step in _STEPS})
        for day, arm in sorted(found, key=lambda key: (key[0], order[key[1]]))
    )


def sizes_of(delivered: Mapping[tuple[str, str], int], design: Design) -> ArmSizes:
    """The messages delivered in each arm, and the numbers to expect.

    Expected is the arm's share of the messages delivered in each segment, so a segment with fewer
    deliveries is no mismatch.

    Args:
        delivered: Messages by segment and arm.
        design: The design with the shares.
    """
    arrived: Counter[str] = Counter()
    observed = dict.fromkeys((arm.name for arm in design.arms), 0)
    expected = dict.fromkeys(observed, 0.0)
    for (segment, arm), messages in delivered.items():
        arrived[segment] += messages
        observed[arm] += messages
    for segment, messages in arrived.items():
        for arm, share in design.shares[segment].items():
            expected[arm] += share * messages
    return ArmSizes(observed=observed, expected=expected)


def sizes_over_time(
    days: Mapping[tuple[str, str, str], Mapping[str, int]], design: Design
) -> dict[str, ArmSizes]:
    """The sizes of the arms in each period of days of delivery; empty if no days are known.

    An arm that is sent later than the others, or stops early, has its share overall but not on
    each day; its lift would compare days.

    Source: Fabijan et al. (2019), Diagnosing Sample Ratio Mismatch in Online Controlled
        Experiments, KDD.
    """
    by_day: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    for (day, segment, arm), events in sorted(days.items()):
        if events["delivered"]:
            by_day[day][segment, arm] = events["delivered"]
    return {period: sizes_of(delivered, design) for period, delivered in periods_of(by_day).items()}


def periods_of(days: Mapping[str, Mapping[_Part, int]]) -> dict[str, dict[_Part, int]]:
    """Units by part in up to ten periods of days, with about as many units each.

    Args:
        days: Units by day and part, the days in order.

    Returns:
        Units by period, which is named by its first and last day.
    """
    total = sum(sum(parts.values()) for parts in days.values())
    grouped: dict[int, list[str]] = {}
    before = 0
    for day, parts in days.items():
        here = sum(parts.values())
        grouped.setdefault(int(_MAX_PERIODS * (before + here / 2) / total), []).append(day)
        before += here
    found: dict[str, dict[_Part, int]] = {}
    for group in grouped.values():
        sums: Counter[_Part] = Counter()
        for day in group:
            sums.update(days[day])
        found[group[0] if len(group) == 1 else f"{group[0]} to {group[-1]}"] = dict(sums)
    return found


def with_value_counts(
    tables: Tables, totals: Sequence[ArmTotals], counted: Mapping[str, str]
) -> list[ArmTotals]:
    """The totals, with the counts of values where a test may need them.

    Args:
        tables: Hold the units.
        totals: The totals of every segment, arm and metric.
        counted: By metric, a statement with the rows segment, arm, v, units: how many units have
            each value.
    """
    found: dict[tuple[str, str | None, str], list[tuple[float, int]]] = defaultdict(list)
    for metric, statement in counted.items():
        if not _needed([one for one in totals if one.metric == metric]):
            continue
        half = str(_MAX_VALUES // 2)
        sql = tables.sql("outcome_values", counted=statement, most=str(_MAX_VALUES), half=half)
        for segment, arm, value, units in tables.rows(sql):
            key = (metric, None if segment is None else str(segment), str(arm))
            found[key].append((float(str(value)), int(str(units))))
    return [
        replace(one, values=tuple(found.get((one.metric, one.segment, one.arm), ())))
        for one in totals
    ]


def _needed(totals: Iterable[ArmTotals]) -> bool:
    """Whether two arms differ in size, or only some of them have a spread."""
    by_segment: dict[str | None, list[ArmTotals]] = defaultdict(list)
    for one in totals:
        if one.n:
            by_segment[one.segment].append(one)
    return any(_differ(arms) for arms in by_segment.values())


def _differ(arms: Sequence[ArmTotals]) -> bool:
    sizes = [arm.n for arm in arms]
    constant = {arm.total_sq * arm.n <= arm.total**2 * (1.0 + 1e-12) for arm in arms}
    return max(sizes) > _UNEQUAL * min(sizes) or len(constant) > 1
