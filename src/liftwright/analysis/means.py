"""Means and ratios: treatment against control by Welch's t, plain or stratified."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from liftwright.analysis.estimates import (
    CONSTANT,
    NO_CONTROL_EVENT,
    ArmEstimate,
    Estimate,
    empty_estimate,
    fieller_interval,
    pooled,
    weigh,
)
from liftwright.analysis.moments import Moments, RatioMoments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from liftwright.analysis.moments import AnyMoments

_TOO_FEW = "not estimable: an arm has fewer than two units"
# Below this the square of a variance leaves the floats: nothing measured varies so little.
_LEAST_VARIANCE = 1e-150
_NO_DENOMINATOR = "not estimable: an arm has a denominator of 0"
_SPARSE = "not estimable: too few units have a numerator or denominator"
_NEAR_ZERO = "lift interval not estimable: the values are not clearly above 0"
_NOT_POSITIVE = "lift not estimable: the control is not above 0"


def compare_means(treatment: Moments, control: Moments, *, alpha: float = 0.05) -> Estimate:
    """Compare two means with Welch's t test.

    Args:
        treatment: Moments of the treatment.
        control: Moments of the control.
        alpha: 1 - level of the intervals.

    Returns:
        Welch's interval of the difference, and Fieller's of the lift where the control is clearly
        above 0.

    Source: Welch (1947), Biometrika 34; Fieller (1954), Journal of the Royal Statistical
        Society B 16.
    """
    return estimate_means([[(treatment, control)]], alpha=alpha, stratified=False)[0]


def compare_ratios(
    treatment: RatioMoments, control: RatioMoments, *, alpha: float = 0.05
) -> Estimate:
    """Compare two ratios of sums over units by the delta method.

    Args:
        treatment: Sums of the treatment.
        control: Sums of the control.
        alpha: 1 - level of the intervals.

    Source: Deng, Knoblich, Lu (2018), Applying the Delta Method in Metric Analytics, KDD.
    """
    return estimate_means([[(treatment, control)]], alpha=alpha, stratified=False)[0]


def compare_stratified_means(
    strata: Sequence[tuple[AnyMoments, AnyMoments]], *, alpha: float = 0.05
) -> Estimate:
    """Compare two means or ratios over strata with the weights n1 * n0 / (n1 + n0).

    Args:
        strata: Moments of treatment and control per stratum; one without units in both arms is
            left out. A ratio is that of the weighted sums (combined ratio estimate).
        alpha: 1 - level of the intervals.

    Source: Cochran (1977), Sampling Techniques, chapters 5 and 6; degrees of freedom:
        Satterthwaite (1946), Biometrics Bulletin 2.
    """
    return estimate_means([strata], alpha=alpha, stratified=True)[0]


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
    units = (sum(one.n for one, _ in kept), sum(zero.n for _, zero in kept))
    name = "delta method" if isinstance(kept[0][0], RatioMoments) else "Welch t"
    prefix = "stratified " if stratified else ""
    return _contrast(units, treatment, control, alpha, f"{prefix}{name}")


def _contrast(
    units: tuple[int, int], treatment: ArmEstimate, control: ArmEstimate, alpha: float, test: str
) -> Estimate:
    difference = treatment.value - control.value
    lift = treatment.value / control.value - 1.0 if control.value > 0 else None
    warnings: list[str] = []
    variance = treatment.variance + control.variance
    interval: tuple[float, float] | None = None
    lift_interval: tuple[float, float] | None = None
    p_value: float | None = None
    if math.isnan(difference):
        warnings.append(_NO_DENOMINATOR)
    elif math.isnan(variance):
        warnings.append(_TOO_FEW)
    elif math.isinf(variance):
        warnings.append(_SPARSE)
    elif variance < _LEAST_VARIANCE:
        warnings.append(CONSTANT)
    else:
        borrowed = not (treatment.variance and control.variance)
        if borrowed:
            treatment, control = pooled(treatment, control, units)
            variance = treatment.variance + control.variance
            test = test.replace("Welch t", "Student t")
        p_value, t = _welch(difference, variance, treatment.per_df + control.per_df, alpha)
        half = t * math.sqrt(variance)
        interval = (difference - half, difference + half)
        # A borrowed spread serves the difference; a lift needs that of each arm.
        if lift is not None and not borrowed:
            lift_interval = fieller_interval(treatment, control, t)
    if lift is None and not math.isnan(difference):
        warnings.append(NO_CONTROL_EVENT if control.value == 0 else _NOT_POSITIVE)
    elif interval is not None and lift_interval is None:
        warnings.append(_NEAR_ZERO)
    return Estimate(
        n_treatment=units[0],
        n_control=units[1],
        treatment=_finite(treatment.value),
        control=_finite(control.value),
        difference=_finite(difference),
        difference_ci=interval,
        lift=lift if lift is None else _finite(lift),
        lift_ci=lift_interval,
        p_value=p_value,
        test=None if p_value is None else test,
        warnings=tuple(warnings),
    )


def _welch(difference: float, variance: float, per_df: float, alpha: float) -> tuple[float, float]:
    """Two-sided p-value, and the t quantile of the interval."""
    from scipy.special import stdtr, stdtrit

    df = variance**2 / per_df
    p_value = 2.0 * float(stdtr(df, -abs(difference) / math.sqrt(variance)))
    return p_value, float(stdtrit(df, 1.0 - alpha / 2.0))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
