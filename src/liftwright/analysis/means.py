"""Means and ratios: treatment against control by Welch's t, plain or stratified."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from liftwright.analysis.estimates import (
    CONSTANT,
    NO_CONTROL_EVENT,
    ArmEstimate,
    Estimate,
    empty_estimate,
    fieller_interval,
    weigh,
)
from liftwright.analysis.moments import Moments, RatioMoments
from liftwright.analysis.permutation import (
    MAX_SKEWNESS,
    difference_skewness,
    has_values,
    permutation_p_value,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from liftwright.analysis.moments import AnyMoments

_TOO_FEW = "not estimable: an arm has fewer than two units"
# Below this the square of a variance leaves the floats: nothing measured varies so little.
_MIN_VARIANCE = 1e-150
_NO_DENOMINATOR = "not estimable: an arm has a denominator of 0"
_SPARSE = "not estimable: too few units have a numerator or denominator"
_NO_SPREAD = "not estimable: an arm has no spread, and the single values are not known"
_NO_INTERVAL = "interval not estimable: every division of the units is as extreme"
_NEAR_ZERO = "lift interval not estimable: the values are not clearly above 0"
_NOT_POSITIVE = "lift not estimable: the control is not above 0"


def estimate_means(
    rows: Sequence[Sequence[tuple[AnyMoments, AnyMoments]]], *, alpha: float, stratified: bool
) -> list[Estimate]:
    """Estimate many contrasts; one row is one contrast.

    Args:
        rows: The strata of each contrast: pairs of treatment and control moments.
        alpha: 1 - level of the intervals.
        stratified: Only names the test; a plain contrast is a row of one stratum.

    Returns:
        One estimate per row, in order; without a stratum that holds both arms all values are None.
    """
    return [_estimate(row, alpha, stratified=stratified) for row in rows]


def _estimate(
    row: Sequence[tuple[AnyMoments, AnyMoments]], alpha: float, *, stratified: bool
) -> Estimate:
    kept = [pair for pair in row if pair[0].n and pair[1].n]
    if not kept:
        return empty_estimate()
    treatment, control = weigh(kept)
    name = "delta method" if isinstance(kept[0][0], RatioMoments) else "Welch t"
    found = _test(kept, treatment, control, alpha)
    lift = treatment.value / control.value - 1.0 if control.value > 0 else None
    warnings = list(found.warnings)
    interval = lift_interval = None
    difference = treatment.value - control.value
    if found.p_value is not None and math.isfinite(found.reach):
        half = found.reach * math.sqrt(treatment.variance + control.variance)
        interval = (difference - half, difference + half)
        # A lift needs the spread of each arm.
        if lift is not None and treatment.variance and control.variance:
            lift_interval = fieller_interval(treatment, control, found.reach)
    if lift is None and not math.isnan(difference):
        warnings.append(NO_CONTROL_EVENT if control.value == 0 else _NOT_POSITIVE)
    elif interval is not None and lift_interval is None:
        warnings.append(_NEAR_ZERO)
    prefix = "stratified " if stratified else ""
    suffix = " and permutation" if found.permuted else ""
    return Estimate(
        n_treatment=sum(one.n for one, _ in kept),
        n_control=sum(zero.n for _, zero in kept),
        treatment=_finite(treatment.value),
        control=_finite(control.value),
        difference=_finite(difference),
        difference_ci=interval,
        lift=lift if lift is None else _finite(lift),
        lift_ci=lift_interval,
        p_value=found.p_value,
        test=None if found.p_value is None else f"{prefix}{name}{suffix}",
        warnings=tuple(warnings),
    )


class _Test(NamedTuple):
    """A test of one contrast.

    Attributes:
        p_value: None where there is no test.
        reach: How many standard errors the interval reaches; it excludes 0 if p_value < alpha.
        permuted: Whether the permutation test was used too.
        warnings: Why there is no test.
    """

    p_value: float | None = None
    reach: float = math.nan
    permuted: bool = False
    warnings: tuple[str, ...] = ()


def _test(
    strata: Sequence[tuple[AnyMoments, AnyMoments]],
    treatment: ArmEstimate,
    control: ArmEstimate,
    alpha: float,
) -> _Test:
    means = [(a, b) for a, b in strata if isinstance(a, Moments) and isinstance(b, Moments)]
    permutable = len(means) == len(strata) and has_values(means)
    no_spread = not (treatment.variance and control.variance)
    reason = _not_testable(treatment, control)
    if reason is not None:
        return _Test(warnings=(reason,))
    if no_spread and not permutable:
        return _Test(warnings=(_NO_SPREAD,))
    variance = treatment.variance + control.variance
    t = abs(treatment.value - control.value) / math.sqrt(variance)
    df = variance**2 / (treatment.per_df + control.per_df)
    p_value, reach = _welch(t, df, alpha)
    if not (permutable and (no_spread or difference_skewness(means) > MAX_SKEWNESS)):
        return _Test(p_value=p_value, reach=reach)
    permuted = permutation_p_value(means)
    if permuted <= p_value:
        return _Test(p_value=p_value, reach=reach, permuted=True)
    if permuted == 1.0:
        return _Test(p_value=1.0, permuted=True, warnings=(_NO_INTERVAL,))
    return _Test(p_value=permuted, reach=max(reach, _wider(t, permuted, alpha)), permuted=True)


def _not_testable(treatment: ArmEstimate, control: ArmEstimate) -> str | None:
    variance = treatment.variance + control.variance
    if math.isnan(treatment.value - control.value):
        return _NO_DENOMINATOR
    if math.isnan(variance):
        return _TOO_FEW
    if math.isinf(variance):
        return _SPARSE
    return CONSTANT if variance < _MIN_VARIANCE else None


def _welch(t: float, df: float, alpha: float) -> tuple[float, float]:
    """Two-sided p-value, and the t quantile of the interval."""
    from scipy.special import stdtr, stdtrit

    return 2.0 * float(stdtr(df, -t)), float(stdtrit(df, 1.0 - alpha / 2.0))


def _wider(t: float, p_value: float, alpha: float) -> float:
    """The reach of an interval that excludes 0 exactly if p_value < alpha.

    Source: Miettinen (1976), American Journal of Epidemiology 103 (test-based interval).
    """
    from scipy.special import ndtri

    return t * float(ndtri(alpha / 2.0) / ndtri(p_value / 2.0))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
