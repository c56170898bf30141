"""What happened when: events by day, and whether the arms had their sizes at every time."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, TypeVar

from liftwright.analysis import ArmSizes
from liftwright.analysis.result import DailyCount
from liftwright.data import identifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.agents.experimentation.design import Design
    from liftwright.data import Tables

# A sample-ratio check over time needs few parts, each with many units.
_MOST_PERIODS = 10
_Part = TypeVar("_Part", str, tuple[str, str])
_STEPS = ("delivered", "opened", "clicked", "converted")


def count_days(tables: Tables, engagement: str) -> dict[tuple[str, str, str], dict[str, int]]:
    """By day (UTC), segment and arm, how many events of each kind happened then."""
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
    """The messages that arrived in each arm, and those that were to be expected of all that did.

    Expected is the arm's share of what arrived in each segment: that fewer messages arrive in one
    segment than in another is no mismatch, though the shares differ there.

    Args:
        delivered: messages by segment and arm.
        design: its shares.
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
    """The sizes of the arms in each period of days of delivery; none if the days are not known.

    An arm that is sent later than the others, or stops early, has its share over all days and not
    on each: what is compared then is days, not messages.

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
        days: units by day and part, the days in order.

    Returns:
        By period, named by its first and last day.
    """
    total = sum(sum(parts.values()) for parts in days.values())
    grouped: dict[int, list[str]] = {}
    before = 0
    for day, parts in days.items():
        here = sum(parts.values())
        grouped.setdefault(int(_MOST_PERIODS * (before + here / 2) / total), []).append(day)
        before += here
    found: dict[str, dict[_Part, int]] = {}
    for group in grouped.values():
        sums: Counter[_Part] = Counter()
        for day in group:
            sums.update(days[day])
        found[group[0] if len(group) == 1 else f"{group[0]} to {group[-1]}"] = dict(sums)
    return found
