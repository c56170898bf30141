"""The primary analysis: every arm against the control, overall and in each segment."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, cast

from liftwright.analysis.aggregates import (
    OVERALL,
    Cell,
    Summary,
    Table,
    check_known,
)
from liftwright.analysis.means import estimate_means
from liftwright.analysis.moments import Counts, Moments, RatioMoments
from liftwright.analysis.proportions import TestType, estimate_proportions
from liftwright.analysis.results import ArmSummary, ArmValue, Comparison, Row, make_rows
from liftwright.analysis.srm import check_srm
from liftwright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from liftwright.analysis.estimates import Estimate
    from liftwright.analysis.multiplicity import Correction
    from liftwright.model import MetricKind, MetricSpec


def compare(  # noqa: PLR0913 - the analysis plan has this many parts
    cells: Iterable[Cell],
    metrics: Sequence[MetricSpec],
    control: str,
    *,
    units: Mapping[str, int],
    alpha: float = 0.05,
    correction: Correction = "holm",
    shares: Mapping[str, float] | None = None,
    expected: Mapping[str, float] | None = None,
    test_type: TestType = "auto",
) -> Comparison:
    """Compare every arm with the control on every metric.

    Args:
        cells: One per (segment, arm, metric) with units; several of one key are added up.
        metrics: The metrics, in the order of the rows.
        control: Name of the control arm.
        units: Units of each arm, in the order of the rows; the sample-ratio check is on these.
        alpha: Level of the tests, and 1 - level of the intervals.
        correction: Correction of the overall rows as one family and of the segment rows as another.
        shares: Intended share of each arm; None is equal shares.
        expected: Intended units of each arm where the design gives them (the sums over segments);
            takes the place of `shares`.
        test_type: Test of the binary metrics.

    Returns:
        The overall rows, stratified by segment where the cells have segments: an arm then counts
        in the segments where both it and the control have units. What cannot be estimated is None,
        with a warning.

    Raises:
        InputError: The control is not an arm; a cell names an unknown arm or metric; only some
            cells have a segment; a segment is called "all"; alpha is not between 0 and 1.
    """
    if not 0.0 < alpha < 1.0:
        message = f"alpha: {alpha}; allowed is above 0 and below 1"
        raise InputError(message)
    meant = expected if expected is not None else shares
    arms = [*units, *(arm for arm in meant or () if arm not in units)]
    check_known("control", control, arms)
    table = Table(cells, metrics, arms)
    treatments = [arm for arm in arms if arm != control]
    overall = [(OVERALL, arm, metric) for arm in treatments for metric in metrics]
    by_segment = [
        (segment, arm, metric)
        for segment in table.segments
        for arm in treatments
        for metric in metrics
    ]
    strata = table.segments or (None,)
    stratified = bool(table.segments)
    rows: list[Row] = []
    for keys, stratify in ((overall, stratified), (by_segment, False)):
        pairs = [
            table.pairs(arm, control, metric.name, strata if segment == OVERALL else (segment,))
            for segment, arm, metric in keys
        ]
        kinds = [metric.kind for _, _, metric in keys]
        estimates = _estimates(pairs, kinds, alpha, test_type, stratified=stratify)
        rows += make_rows(keys, estimates, alpha, correction)
    return Comparison(
        n=sum(units.values()),
        control=control,
        alpha=alpha,
        correction=correction,
        srm=check_srm(
            {arm: units.get(arm, 0) for arm in arms},
            meant if meant is not None else dict.fromkeys(arms, 1.0),
        ),
        arms=tuple(
            ArmSummary(
                arm=arm,
                n=units.get(arm, 0),
                metrics={
                    metric.name: _arm_value(metric.kind, table.whole(arm, metric))
                    for metric in metrics
                },
            )
            for arm in arms
        ),
        comparisons=tuple(rows),
    )


def _arm_value(kind: MetricKind, whole: Summary) -> ArmValue:
    value = _number(whole.mean)
    if isinstance(whole, Counts):
        return ArmValue(kind=kind, value=value, events=whole.events)
    return ArmValue(kind=kind, value=value, sd=_number(whole.sd))


def _estimates(
    pairs: Sequence[Sequence[tuple[Summary, Summary]]],
    kinds: Sequence[MetricKind],
    alpha: float,
    test_type: TestType,
    *,
    stratified: bool,
) -> list[Estimate]:
    """One estimate per row; all rows of a kind are computed together, which is much faster."""
    places: dict[bool, list[int]] = defaultdict(list)
    for place, kind in enumerate(kinds):
        places[kind == "binary"].append(place)
    binary = cast(
        "list[list[tuple[Counts, Counts]]]", [list(pairs[place]) for place in places[True]]
    )
    other = cast(
        "list[list[tuple[Moments | RatioMoments, Moments | RatioMoments]]]",
        [list(pairs[place]) for place in places[False]],
    )
    found = dict(
        zip(
            places[True],
            estimate_proportions(binary, alpha=alpha, test_type=test_type, stratified=stratified),
            strict=True,
        )
    )
    found |= zip(
        places[False], estimate_means(other, alpha=alpha, stratified=stratified), strict=True
    )
    return [found[place] for place in range(len(kinds))]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
