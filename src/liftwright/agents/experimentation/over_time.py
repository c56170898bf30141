"""What happened when: events by day, and whether the arms had their sizes at every time."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, TypeVar

from liftwright.analysis import Srm, check_srm
from liftwright.data import identifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.agents.experimentation.design import Design
    from liftwright.data import Tables
    from liftwright.model import Json

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


def daily_rows(
    days: Mapping[tuple[str, str, str], Mapping[str, int]], arms: Sequence[str]
) -> list[Json]:
    """The events of each day and arm over all segments, by day, the arms in the given order."""
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for (day, _, arm), events in days.items():
        found[day, arm].update(events)
    order = {arm: index for index, arm in enumerate(arms)}
    return [
        {"day": day, "arm": arm, **{step: found[day, arm][step] for step in _STEPS}}
        for day, arm in sorted(found, key=lambda key: (key[0], order[key[1]]))
    ]


def meant_of(delivered: Mapping[tuple[str, str], int], design: Design) -> dict[str, float]:
    """The messages that each arm should have of those that arrived.

    It is the arm's share of what arrived in each segment: that fewer messages arrive in one
    segment than in another is no mismatch, though the shares differ there.

    Args:
        delivered: messages by segment and arm.
        design: its shares.
    """
    arrived: Counter[str] = Counter()
    meant = dict.fromkeys((arm.name for arm in design.arms), 0.0)
    for (segment, _), messages in delivered.items():
        arrived[segment] += messages
    for segment, messages in arrived.items():
        for arm, share in design.shares[segment].items():
            meant[arm] += share * messages
    return meant


def ratio_over_time(
    days: Mapping[tuple[str, str, str], Mapping[str, int]], design: Design
) -> dict[str, Srm]:
    """Whether the arms had their sizes in each period of days of delivery.

    An arm that is sent later than the others, or stops early, has its share over all days and not
    on each: what is compared then is days, not messages.

    Returns:
        The check by period; none where the days are not known.

    Source: Fabijan et al. (2019), Diagnosing Sample Ratio Mismatch in Online Controlled
        Experiments, KDD.
    """
    by_day: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    for (day, segment, arm), events in sorted(days.items()):
        if events["delivered"]:
            by_day[day][segment, arm] = events["delivered"]
    found: dict[str, Srm] = {}
    for period, delivered in periods_of(by_day).items():
        observed = dict.fromkeys((arm.name for arm in design.arms), 0)
        for (_, arm), messages in delivered.items():
            observed[arm] += messages
        found[period] = check_srm(observed, meant_of(delivered, design))
    return found


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
