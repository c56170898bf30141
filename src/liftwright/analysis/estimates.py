"""The estimate of a contrast, and the weighted mean or ratio of one arm over strata."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from liftwright.analysis.moments import AnyMoments, Moments, RatioMoments

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NO_CONTROL_EVENT = "lift not estimable: control has no event"
CONSTANT = "p-value not estimable: the metric is constant"

# A ratio depends on the effective number of units (Kish: the square of the sum over the sum of
# squares), not on the number of units. Under ten, the delta method rejects far too often; up to
# fifty, the effective number gives the degrees of freedom. Found by simulation.
_MIN_EFFECTIVE_UNITS = 10.0
_FEW_EFFECTIVE = 50.0

# Fieller's g = (t * standard error / control)^2: from here on the interval has no upper end.
_MAX_G = 1.0
# The smallest sum over both arms of (value / standard error)^2. Below it, an interval exists only
# if chance made the control large, and its coverage is then too low; found by simulation.
_MIN_PRECISION = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One treatment against the control on one metric.

    Rates, means and lifts are fractions, None where they cannot be estimated; `warnings` then
    says why. `difference` is treatment - control and `lift` is treatment / control - 1.

    Attributes:
        n_treatment: Units of the treatment that count.
        n_control: Units of the control that count.
        treatment: Rate, mean or ratio of the treatment; Mantel-Haenszel-weighted over strata.
        control: The same of the control, with the same weights.
        difference: treatment - control.
        difference_ci: Its two-sided interval at 1 - alpha.
        lift: treatment / control - 1.
        lift_ci: Its two-sided interval at 1 - alpha.
        p_value: Two-sided p-value, not corrected for multiplicity.
        test: Name of the test behind the p-value, None where there is none.
        warnings: Why something is missing.
    """

    n_treatment: int
    n_control: int
    treatment: float | None = None
    control: float | None = None
    difference: float | None = None
    difference_ci: tuple[float, float] | None = None
    lift: float | None = None
    lift_ci: tuple[float, float] | None = None
    p_value: float | None = None
    test: str | None = None
    warnings: tuple[str, ...] = ()


def empty_estimate() -> Estimate:
    """The estimate of a contrast without a stratum in which both arms have units."""
    return Estimate(
        n_treatment=0, n_control=0, warnings=("not estimable: no units in one of the arms",)
    )


class ArmEstimate(NamedTuple):
    """One arm over the strata: estimate, its variance, and the sum of c^2 / df of its parts."""

    value: float
    variance: float
    per_df: float


def weigh(row: Sequence[tuple[AnyMoments, AnyMoments]]) -> tuple[ArmEstimate, ArmEstimate]:
    """Treatment and control over the strata, with the weights n1 * n0 / (n1 + n0).

    Args:
        row: Moments of treatment and control per stratum, each with units.

    Returns:
        A variance is NaN where an arm has too few units, infinite where a ratio rests on too few.
    """
    weights = [one.n * zero.n / (one.n + zero.n) for one, zero in row]
    total = math.fsum(weights)
    shares = [weight / total for weight in weights]
    treatment = _arm_estimate([one for one, _ in row], shares)
    control = _arm_estimate([zero for _, zero in row], shares)
    ratios = [(a, b) for a, b in row if isinstance(a, RatioMoments) and isinstance(b, RatioMoments)]
    return _by_effective_units(ratios, treatment, control) if ratios else (treatment, control)


def _arm_estimate(strata: Sequence[AnyMoments], shares: Sequence[float]) -> ArmEstimate:
    top = math.fsum(
        share * _numerator(stratum) / stratum.n
        for share, stratum in zip(shares, strata, strict=True)
    )
    bottom = math.fsum(
        share * _denominator(stratum) / stratum.n
        for share, stratum in zip(shares, strata, strict=True)
    )
    if not bottom:
        return ArmEstimate(math.nan, math.nan, math.nan)
    value = top / bottom
    spreads = [_spread(stratum, value) / bottom**2 for stratum in strata]
    parts = [
        (share**2 * spread / stratum.n, stratum.n - 1)
        for share, stratum, spread in zip(shares, strata, spreads, strict=True)
        if stratum.n > 1
    ]
    # A stratum of one unit takes the spread of the arm's other strata.
    alone = math.fsum(
        share**2 for share, stratum in zip(shares, strata, strict=True) if stratum.n == 1
    )
    if alone:
        df = sum(stratum.n - 1 for stratum in strata)
        if not df:
            return ArmEstimate(value, math.nan, math.nan)
        within = (
            math.fsum((c.n - 1) * s for c, s in zip(strata, spreads, strict=True) if c.n > 1) / df
        )
        parts.append((alone * within, df))
    return ArmEstimate(
        value,
        math.fsum(variance for variance, _ in parts),
        math.fsum(variance**2 / df for variance, df in parts),
    )


def _by_effective_units(
    strata: Sequence[tuple[RatioMoments, RatioMoments]],
    treatment: ArmEstimate,
    control: ArmEstimate,
) -> tuple[ArmEstimate, ArmEstimate]:
    """The estimates of a ratio, with variance and degrees of freedom by effective units."""
    estimates = (treatment, control)
    arms = [[pair[place] for pair in strata] for place in (0, 1)]
    effective = [
        effective_number(
            (stratum.denominator for stratum in arm), (stratum.denominator_sq for stratum in arm)
        )
        for arm in arms
    ]
    numerators = sum(
        effective_number(
            (stratum.numerator for stratum in arm), (stratum.numerator_sq for stratum in arm)
        )
        for arm in arms
    )
    if treatment.variance == control.variance == 0 or math.isnan(
        sum(one.variance for one in estimates)
    ):
        return treatment, control
    few = min(*effective, numerators) < _MIN_EFFECTIVE_UNITS
    if few or not (treatment.variance and control.variance):
        return treatment._replace(variance=math.inf), control
    one, zero = (
        found
        if count >= _FEW_EFFECTIVE
        else found._replace(
            variance=found.variance * count / (count - 1.0),
            per_df=(found.variance * count / (count - 1.0)) ** 2 / (count - 1.0),
        )
        for found, count in zip(estimates, effective, strict=True)
    )
    return one, zero


def effective_number(values: Iterable[float], squares: Iterable[float]) -> float:
    """Kish's effective number: as many equal values would have this sum and sum of squares.

    Source: Kish (1965), Survey Sampling, 8.2.
    """
    total_sq = math.fsum(squares)
    return math.fsum(values) ** 2 / total_sq if total_sq else 0.0


def _numerator(stratum: AnyMoments) -> float:
    if isinstance(stratum, Moments):
        return stratum.total + stratum.origin * stratum.n
    return stratum.numerator


def _denominator(stratum: AnyMoments) -> float:
    return float(stratum.n) if isinstance(stratum, Moments) else stratum.denominator


def _spread(stratum: AnyMoments, value: float) -> float:
    return stratum.variance if isinstance(stratum, Moments) else stratum.residual_variance(value)


def fieller_interval(
    treatment: ArmEstimate, control: ArmEstimate, t: float
) -> tuple[float, float] | None:
    """Fieller's interval of the lift; it contains 0 if the difference's interval does.

    Args:
        treatment: Estimate of the treatment; its standard error is above 0.
        control: Estimate of the control, above 0; its standard error is above 0.
        t: How many standard errors the interval reaches.

    Returns:
        None if the control is not clearly above 0, or if both arms are too imprecise.

    Source: Fieller (1954), Journal of the Royal Statistical Society B 16.
    """
    g = t * t * control.variance / control.value**2
    precision = treatment.value**2 / treatment.variance + control.value**2 / control.variance
    if g >= _MAX_G or precision < _MIN_PRECISION:
        return None
    ratio = treatment.value / control.value
    relative = treatment.variance / control.value**2
    half = math.sqrt(t * t * relative * (1.0 - g) + g * ratio**2)
    return (ratio - half) / (1.0 - g) - 1.0, (ratio + half) / (1.0 - g) - 1.0
