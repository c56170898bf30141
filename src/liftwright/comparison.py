"""From aggregated cells (segment x arm x metric) to the comparison of every arm with the control.

One object serves `analyze`, a run's `metrics.json` and the report.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from liftwright.errors import InputError
from liftwright.stats import (
    Correction,
    Counts,
    Estimate,
    Moments,
    RatioMoments,
    Srm,
    TestType,
    adjust_p_values,
    check_srm,
    estimate_means,
    estimate_proportions,
)
from liftwright.stats.cells import (
    OVERALL,
    Cell,
    Kind,
    MetricSpec,
    Summary,
    Table,
    check_known,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from liftwright.domain import Json


__all__ = [
    "OVERALL",
    "ArmSummary",
    "ArmValue",
    "Cell",
    "Comparison",
    "Kind",
    "MetricSpec",
    "Row",
    "compare",
    "row_json",
    "to_json",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmValue:
    """A metric in one arm as it is, unweighted.

    Attributes:
        kind: Kind of the metric.
        value: Rate, mean or ratio over all units of the arm; None without units.
        events: Units with the event, of a binary metric only.
        sd: Standard deviation, of the other kinds only; None below two units.
    """

    kind: Kind
    value: float | None
    events: int | None = None
    sd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSummary:
    """One arm: its units and its metrics by name."""

    arm: str
    n: int
    metrics: Mapping[str, ArmValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One treatment against the control on one metric, in one segment or overall.

    Attributes:
        segment: Name of the segment, "all" for the overall row.
        arm: Name of the treatment.
        metric: Name of the metric.
        kind: Kind of the metric.
        estimate: The contrast.
        p_adjusted: p-value corrected within the overall rows or within the segment rows.
        significant: p_adjusted < alpha; False where there is none.
    """

    segment: str
    arm: str
    metric: str
    kind: Kind
    estimate: Estimate
    p_adjusted: float | None
    significant: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The primary analysis of an experiment.

    Attributes:
        n: Units of all arms.
        control: Name of the control.
        alpha: Level of the tests, and 1 - level of the intervals.
        correction: Correction for multiplicity, by family.
        srm: The sample-ratio check.
        arms: Every arm, in the given order.
        comparisons: The overall rows by arm and metric, then those of each segment.
    """

    n: int
    control: str
    alpha: float
    correction: Correction
    srm: Srm
    arms: tuple[ArmSummary, ...]
    comparisons: tuple[Row, ...]


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
        rows += _rows(keys, estimates, alpha, correction)
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


def to_json(comparison: Comparison) -> dict[str, Json]:
    """The comparison as the JSON object of `analyze`; no NaN and no infinity in it."""
    document = {
        "n": comparison.n,
        "control": comparison.control,
        "alpha": comparison.alpha,
        "correction": comparison.correction,
        "srm": {
            "p_value": comparison.srm.p_value,
            "ok": comparison.srm.ok,
            "observed": dict(comparison.srm.observed),
            "expected": dict(comparison.srm.expected),
        },
        "arms": [
            {
                "arm": arm.arm,
                "n": arm.n,
                "metrics": {name: _value_json(value) for name, value in arm.metrics.items()},
            }
            for arm in comparison.arms
        ],
        "comparisons": [row_json(row) for row in comparison.comparisons],
    }
    return cast("dict[str, Json]", _finite(document))


def row_json(row: Row) -> dict[str, Json]:
    """One row of `comparisons`; the other estimators write rows of the same shape."""
    estimate = row.estimate
    document = {
        "segment": row.segment,
        "arm": row.arm,
        "metric": row.metric,
        "kind": row.kind,
        "n_treatment": estimate.n_treatment,
        "n_control": estimate.n_control,
        "treatment": estimate.treatment,
        "control": estimate.control,
        "difference": estimate.difference,
        "difference_ci": estimate.difference_ci,
        "lift": estimate.lift,
        "lift_ci": estimate.lift_ci,
        "p_value": estimate.p_value,
        "p_adjusted": row.p_adjusted,
        "significant": row.significant,
        "test": estimate.test,
        "warnings": estimate.warnings,
    }
    return cast("dict[str, Json]", _finite(document))


def _arm_value(kind: Kind, whole: Summary) -> ArmValue:
    value = _number(whole.mean)
    if isinstance(whole, Counts):
        return ArmValue(kind=kind, value=value, events=whole.events)
    return ArmValue(kind=kind, value=value, sd=_number(whole.sd))


def _estimates(
    pairs: Sequence[Sequence[tuple[Summary, Summary]]],
    kinds: Sequence[Kind],
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


def _rows(
    keys: Sequence[tuple[str, str, MetricSpec]],
    estimates: Sequence[Estimate],
    alpha: float,
    correction: Correction,
) -> list[Row]:
    adjusted = adjust_p_values([estimate.p_value for estimate in estimates], correction)
    return [
        Row(
            segment=segment,
            arm=arm,
            metric=metric.name,
            kind=metric.kind,
            estimate=estimate,
            p_adjusted=p_adjusted,
            significant=p_adjusted is not None and p_adjusted < alpha,
        )
        for (segment, arm, metric), estimate, p_adjusted in zip(
            keys, estimates, adjusted, strict=True
        )
    ]


def _value_json(value: ArmValue) -> dict[str, object]:
    if value.kind == "binary":
        return {"kind": value.kind, "value": value.value, "events": value.events}
    return {"kind": value.kind, "value": value.value, "sd": value.sd}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _finite(value: object) -> object:
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
