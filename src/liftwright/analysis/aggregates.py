"""The aggregated totals of an experiment: segment x arm x metric."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from liftwright.analysis.moments import Counts, Moments, RatioMoments
from liftwright.analysis.result import OVERALL
from liftwright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from liftwright.analysis.moments import SufficientStatistics
    from liftwright.model import MetricKind, MetricSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmTotals:
    """The sums of one metric over the units of one arm in one segment.

    Attributes:
        segment: None for all totals if there are no segments.
        arm: Name of the arm.
        metric: Name of the metric.
        n: Units.
        events: Binary: units with the event.
        total: Mean: sum of the values, each less `origin`; ratio: sum of the numerator.
        total_sq: Mean: sum of squares; ratio: that of the numerator.
        denominator: Ratio: sum of the denominator.
        denominator_sq: Ratio: sum of its squares.
        product: Ratio: sum of numerator times denominator.
        origin: Mean: what the values are counted from, see `Moments`.
        values: Mean: how many units have each value, where known.
    """

    segment: str | None
    arm: str
    metric: str
    n: int
    events: int = 0
    total: float = 0.0
    total_sq: float = 0.0
    denominator: float = 0.0
    denominator_sq: float = 0.0
    product: float = 0.0
    origin: float = 0.0
    values: tuple[tuple[float, int], ...] = ()


class AggregateTable:
    """The totals by key, checked; `segments` is empty where there are none."""

    def __init__(
        self, totals: Iterable[ArmTotals], metrics: Sequence[MetricSpec], arms: Sequence[str]
    ) -> None:
        """Collect the totals.

        Raises:
            InputError: The totals name an unknown arm or metric, only some have a segment, or a
                segment has the name of the overall rows.
        """
        self._kinds: dict[str, MetricKind] = {metric.name: metric.kind for metric in metrics}
        self._summaries: dict[tuple[str | None, str, str], SufficientStatistics] = {}
        known = set(arms)
        segments: dict[str | None, None] = {}
        for one in totals:
            if one.arm not in known:
                check_known("arm", one.arm, arms)
            if one.metric not in self._kinds:
                check_known("metric", one.metric, list(self._kinds))
            segments[one.segment] = None
            key = (one.segment, one.arm, one.metric)
            summary = _summary(one, self._kinds[one.metric])
            before = self._summaries.get(key)
            self._summaries[key] = summary if before is None else _add(before, summary)
        if None in segments and len(segments) > 1:
            message = "segment: found in some totals only, allowed: in all totals or in none"
            raise InputError(message)
        if OVERALL in segments:
            message = f"segment: found {OVERALL!r}, reserved for the overall rows; rename it"
            raise InputError(message)
        self.segments = tuple(name for name in segments if name is not None)

    def pairs(
        self, arm: str, control: str, metric: str, segments: Sequence[str | None]
    ) -> list[tuple[SufficientStatistics, SufficientStatistics]]:
        """Treatment and control in each segment, empty where an arm has no units."""
        return [
            (self._get(segment, arm, metric), self._get(segment, control, metric))
            for segment in segments
        ]

    def whole(self, arm: str, metric: MetricSpec) -> SufficientStatistics:
        """The metric over all segments of the arm."""
        whole = _EMPTY[metric.kind]
        for segment in self.segments or (None,):
            whole = _add(whole, self._get(segment, arm, metric.name))
        return whole

    def _get(self, segment: str | None, arm: str, metric: str) -> SufficientStatistics:
        return self._summaries.get((segment, arm, metric), _EMPTY[self._kinds[metric]])


_EMPTY: Mapping[MetricKind, SufficientStatistics] = {
    "binary": Counts(n=0, events=0),
    "mean": Moments(n=0, total=0.0, total_sq=0.0),
    "ratio": RatioMoments(
        n=0, numerator=0.0, denominator=0.0, numerator_sq=0.0, denominator_sq=0.0, product=0.0
    ),
}


def _summary(one: ArmTotals, kind: MetricKind) -> SufficientStatistics:
    if kind == "binary":
        return Counts(n=one.n, events=one.events)
    if kind == "mean":
        return Moments(
            n=one.n,
            total=one.total,
            total_sq=one.total_sq,
            origin=one.origin,
            values=one.values,
        )
    return RatioMoments(
        n=one.n,
        numerator=one.total,
        denominator=one.denominator,
        numerator_sq=one.total_sq,
        denominator_sq=one.denominator_sq,
        product=one.product,
    )


def _add(one: SufficientStatistics, other: SufficientStatistics) -> SufficientStatistics:
    if isinstance(one, Counts) and isinstance(other, Counts):
        return one + other
    if isinstance(one, Moments) and isinstance(other, Moments):
        return one + other
    return cast("RatioMoments", one) + cast("RatioMoments", other)


def check_known(what: str, name: str, names: Sequence[str]) -> None:
    """Refuse a name that is not among the names.

    Raises:
        InputError: With the names, and the nearest of them.
    """
    if name in names:
        return
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    shown = ", ".join(map(repr, names[:10])) + (", …" if len(names) > 10 else "")  # noqa: PLR2004
    message = f"{what}: found {name!r}, allowed: {shown}{hint}"
    raise InputError(message)
