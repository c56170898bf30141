"""Every arm against the control: the primary comparison and the other estimators.

The others are confidence sequences, tests of interaction, omnibus tests and posteriors. All use the
same totals and give rows of the same shape.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, cast

from liftwright.analysis.aggregates import AggregateTable, ArmTotals, check_known
from liftwright.analysis.bayes import BETA, NORMAL, Posterior, posterior_of, summarise_posteriors
from liftwright.analysis.estimates import Estimate
from liftwright.analysis.interactions import check_interaction
from liftwright.analysis.means import estimate_means
from liftwright.analysis.moments import Counts
from liftwright.analysis.omnibus import check_any_difference
from liftwright.analysis.proportions import TestType, estimate_proportions
from liftwright.analysis.result import (
    OVERALL,
    ArmComparison,
    ArmMean,
    ArmPosterior,
    ArmRate,
    ArmSummary,
    ExperimentResult,
    InteractionTest,
)
from liftwright.analysis.sequential import PLANNED_UNITS, estimate_sequence
from liftwright.analysis.srm import check_srm
from liftwright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from liftwright.analysis.moments import AnyMoments, SufficientStatistics
    from liftwright.analysis.result import Correction, Interval, OmnibusTest
    from liftwright.model import MetricKind, MetricSpec

    Key = tuple[str, str, MetricSpec]

_PAIR = 2
_NO_POSTERIOR = "not estimable: an arm has too few units, or the metric does not vary"


def compare(  # noqa: PLR0913 - the analysis plan has this many parts
    totals: Iterable[ArmTotals],
    metrics: Sequence[MetricSpec],
    control: str,
    *,
    units: Mapping[str, int],
    alpha: float = 0.05,
    correction: Correction = "holm",
    expected: Mapping[str, float] | None = None,
    test_type: TestType = "auto",
) -> ExperimentResult:
    """Compare every arm with the control on every metric.

    Args:
        totals: One per segment, arm and metric with units; several of one key are added up.
        metrics: The metrics, in the order of the rows.
        control: Name of the control arm.
        units: Units of each arm, in the order of the rows; the sample-ratio check is on these.
        alpha: Level of the tests, and 1 - level of the intervals.
        correction: Correction of the overall rows as one family and of the segment rows as another.
        expected: Intended shares or units of each arm, of any sum; None is equal shares.
        test_type: Test of the binary metrics.

    Returns:
        The arms and their comparisons. The overall rows are stratified by segment where the totals
        have segments: an arm then counts in the segments where both it and the control have units.

    Raises:
        InputError: The control is not an arm; totals name an unknown arm or metric; only some
            totals have a segment; a segment is called "all"; alpha is not between 0 and 1.
    """
    if not 0.0 < alpha < 1.0:
        message = f"alpha: found {alpha}, allowed: above 0 and below 1"
        raise InputError(message)
    arms = [*units, *(arm for arm in expected or () if arm not in units)]
    check_known("control", control, arms)
    table = AggregateTable(totals, metrics, arms)
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
    rows: list[ArmComparison] = []
    for keys, stratify in ((overall, stratified), (by_segment, False)):
        pairs = [
            table.pairs(arm, control, metric.name, strata if segment == OVERALL else (segment,))
            for segment, arm, metric in keys
        ]
        kinds = [metric.kind for _, _, metric in keys]
        estimates = _estimates(pairs, kinds, alpha, test_type, stratified=stratify)
        rows += _family(keys, estimates, alpha, correction)
    return ExperimentResult(
        n=sum(units.values()),
        control=control,
        alpha=alpha,
        correction=correction,
        srm=check_srm(
            {arm: units.get(arm, 0) for arm in arms},
            expected if expected is not None else dict.fromkeys(arms, 1.0),
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


def adjust_p_values(
    p_values: Sequence[float | None], correction: Correction = "holm"
) -> list[float | None]:
    """Adjusted p-values of one family, in the given order.

    Args:
        p_values: Raw p-values; None and NaN are no tests: they stay None and do not count.
        correction: "holm" (family-wise error), "bh" (false discovery rate) or "none".

    Source: Holm (1979), Scandinavian Journal of Statistics 6; Benjamini, Hochberg (1995),
        Journal of the Royal Statistical Society B 57.
    """
    known = [p for p in p_values if p is not None and not math.isnan(p)]
    adjusted = iter(_adjust(known, correction))
    return [None if p is None or math.isnan(p) else next(adjusted) for p in p_values]


def _adjust(p_values: list[float], correction: Correction) -> list[float]:
    if correction == "none" or not p_values:
        return p_values
    # statsmodels has both formulas, but importing it takes half a second of every run.
    count = len(p_values)
    order = sorted(range(count), key=p_values.__getitem__)
    if correction == "holm":
        steps = [p_values[index] * (count - rank) for rank, index in enumerate(order)]
        bounds = list(accumulate(steps, max))
    else:
        steps = [p_values[index] / (rank / count) for rank, index in enumerate(order, start=1)]
        bounds = list(accumulate(reversed(steps), min))[::-1]
    adjusted = dict(zip(order, bounds, strict=True))
    return [min(adjusted[index], 1.0) for index in range(count)]


def _family(
    keys: Sequence[Key], estimates: Sequence[Estimate], alpha: float, correction: Correction
) -> list[ArmComparison]:
    """The rows of one family of tests: segment, arm and metric of each, and its estimate."""
    adjusted = adjust_p_values([estimate.p_value for estimate in estimates], correction)
    return [
        ArmComparison(
            segment=segment,
            arm=arm,
            metric=metric.name,
            kind=metric.kind,
            n_treatment=found.n_treatment,
            n_control=found.n_control,
            treatment=_number(found.treatment),
            control=_number(found.control),
            difference=_number(found.difference),
            difference_ci=_interval(found.difference_ci),
            lift=_number(found.lift),
            lift_ci=_interval(found.lift_ci),
            p_value=_number(found.p_value),
            p_adjusted=p_adjusted,
            significant=p_adjusted is not None and p_adjusted < alpha,
            test=found.test,
            warnings=found.warnings,
        )
        for (segment, arm, metric), found, p_adjusted in zip(keys, estimates, adjusted, strict=True)
    ]


def _common(row: ArmComparison) -> dict[str, Any]:
    """The columns of a row, for a record that has more."""
    return {one.name: getattr(row, one.name) for one in fields(ArmComparison)}


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _interval(ends: tuple[float, float] | None) -> Interval | None:
    return None if ends is None else (_number(ends[0]), _number(ends[1]))


def _arm_value(kind: MetricKind, whole: SufficientStatistics) -> ArmRate | ArmMean:
    value = _number(whole.mean)
    if isinstance(whole, Counts):
        return ArmRate(value=value, events=whole.events)
    return ArmMean(kind="ratio" if kind == "ratio" else "mean", value=value, sd=_number(whole.sd))


def _estimates(
    pairs: Sequence[Sequence[tuple[SufficientStatistics, SufficientStatistics]]],
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
        "list[list[tuple[AnyMoments, AnyMoments]]]",
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


@dataclass(frozen=True, slots=True)
class Contrasts:
    """The arms of an experiment against its control, overall.

    Attributes:
        totals: One per segment, arm and metric with units.
        metrics: The metrics, in the order of the rows.
        control: Name of the control.
        arms: All arms, the control among them, in the order of the rows.
        alpha: Level of the tests, and 1 - level of the intervals.
        correction: Correction for multiplicity; each estimator's rows are one family.
    """

    totals: Sequence[ArmTotals]
    metrics: Sequence[MetricSpec]
    control: str
    arms: Sequence[str]
    alpha: float = 0.05
    correction: Correction = "holm"

    def table(self) -> AggregateTable:
        """The totals by key.

        Raises:
            InputError: The control is not an arm, or the totals do not fit.
        """
        check_known("control", self.control, self.arms)
        return AggregateTable(self.totals, self.metrics, self.arms)

    def keys(self) -> list[Key]:
        """Segment, arm and metric of each row."""
        treatments = [arm for arm in self.arms if arm != self.control]
        return [(OVERALL, arm, metric) for arm in treatments for metric in self.metrics]


def sequential_rows(
    contrasts: Contrasts, planned: Mapping[str, float] | None = None
) -> list[ArmComparison]:
    """Every arm against the control, by intervals and p-values that hold at every look.

    Args:
        contrasts: The arms to compare with the control.
        planned: By arm, the planned units of the arm and the control, fixed before the first look.
    """
    table, keys = contrasts.table(), contrasts.keys()
    strata = table.segments or (None,)
    estimates = [
        estimate_sequence(
            table.pairs(arm, contrasts.control, metric.name, strata),  # type: ignore[arg-type] # of one kind
            alpha=contrasts.alpha,
            planned=(planned or {}).get(arm, PLANNED_UNITS),
        )
        for _, arm, metric in keys
    ]
    return _family(keys, estimates, contrasts.alpha, contrasts.correction)


def interaction_rows(contrasts: Contrasts) -> list[InteractionTest]:
    """Whether each arm's effect differs between segments; empty without segments."""
    table = contrasts.table()
    if not table.segments:
        return []
    keys = contrasts.keys()
    estimates, tests = [], []
    for _, arm, metric in keys:
        pairs = table.pairs(arm, contrasts.control, metric.name, table.segments)
        there = [pair for pair in pairs if pair[0].n and pair[1].n]
        found = check_interaction(there)
        tests.append(found)
        estimates.append(
            Estimate(
                n_treatment=sum(one.n for one, _ in there),
                n_control=sum(zero.n for _, zero in there),
                p_value=found.p_value,
                test=found.test,
                warnings=found.warnings,
            )
        )
    rows = _family(keys, estimates, contrasts.alpha, contrasts.correction)
    return [
        InteractionTest(
            **_common(row),
            statistic=_number(found.statistic),
            degrees_of_freedom=found.df,
            segments_compared=found.segments,
            common_odds_ratio=_number(found.common_odds_ratio),
        )
        for row, found in zip(rows, tests, strict=True)
    ]


def omnibus_tests(contrasts: Contrasts) -> list[OmnibusTest]:
    """Per metric, whether any two arms differ; for means, also every pair of arms.

    Raw, not stratified. Two arms need no such test, and a ratio has none.
    """
    table = contrasts.table()
    tests = []
    for metric in contrasts.metrics:
        arms = {arm: table.whole(arm, metric) for arm in contrasts.arms}
        if metric.kind == "ratio" or sum(bool(arm.n) for arm in arms.values()) <= _PAIR:
            continue
        tests.append(check_any_difference(metric.name, arms))  # type: ignore[arg-type] # of one kind
    return tests


def bayes_rows(contrasts: Contrasts) -> list[ArmPosterior]:
    """Posterior of every arm, including the control, over the segments that all arms share."""
    table = contrasts.table()
    rows: list[ArmPosterior] = []
    for metric in contrasts.metrics:
        arms = _shared_strata(table, contrasts, metric)
        posteriors = _posteriors(arms)
        known = contrasts.control in posteriors
        summaries = (
            summarise_posteriors(
                posteriors, contrasts.control, alpha=contrasts.alpha, direction=metric.direction
            )
            if known
            else {}
        )
        control = sum(one.n for one in arms.get(contrasts.control, ()))
        for arm in contrasts.arms:
            summary = summaries.get(arm)
            estimate = Estimate(
                n_treatment=sum(one.n for one in arms.get(arm, ())), n_control=control
            )
            if summary is None:
                estimate = replace(estimate, warnings=(_NO_POSTERIOR,))
            else:
                base = summaries[contrasts.control].mean
                estimate = replace(
                    estimate,
                    treatment=summary.mean,
                    control=base,
                    difference=summary.difference,
                    difference_ci=summary.difference_ci,
                    lift=summary.mean / base - 1.0 if summary.difference_ci and base > 0 else None,
                    lift_ci=summary.lift_ci,
                    test=BETA if metric.kind == "binary" else NORMAL,
                )
            (row,) = _family([(OVERALL, arm, metric)], [estimate], contrasts.alpha, "none")
            rows.append(
                ArmPosterior(
                    **_common(row),
                    probability_best=summary.probability_best if summary else None,
                    probability_better=summary.probability_better if summary else None,
                    expected_loss=summary.expected_loss if summary else None,
                )
            )
    return rows


def _shared_strata(
    table: AggregateTable, contrasts: Contrasts, metric: MetricSpec
) -> dict[str, tuple[SufficientStatistics, ...]]:
    """By arm, its totals in the segments where every arm with units has some."""
    segments = table.segments or (None,)
    pairs = {
        arm: table.pairs(arm, contrasts.control, metric.name, segments) for arm in contrasts.arms
    }
    there = {arm: [one for one, _ in found] for arm, found in pairs.items()}
    there = {arm: totals for arm, totals in there.items() if any(one.n for one in totals)}
    shared = [
        place for place in range(len(segments)) if all(totals[place].n for totals in there.values())
    ]
    return {arm: tuple(totals[place] for place in shared) for arm, totals in there.items()}


def _posteriors(arms: Mapping[str, tuple[SufficientStatistics, ...]]) -> dict[str, Posterior]:
    """By arm, weighted by the segments' shares of all units; empty if one cannot be had."""
    sizes = [
        sum(totals) for totals in zip(*([c.n for c in arm] for arm in arms.values()), strict=True)
    ]
    total = math.fsum(sizes)
    if not total:
        return {}
    shares = [size / total for size in sizes]
    found = {arm: posterior_of(totals, shares) for arm, totals in arms.items()}
    known = {arm: one for arm, one in found.items() if one is not None}
    return known if len(known) == len(found) else {}
