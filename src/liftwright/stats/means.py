"""Means and ratios: treatment against control by Welch's t, plain or stratified."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from liftwright.stats.estimates import CONSTANT, NO_CONTROL_EVENT, Estimate, empty_estimate
from liftwright.stats.moments import Moments, RatioMoments

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Cell: TypeAlias = Moments | RatioMoments

_TOO_FEW = "not estimable: an arm has fewer than two units"
# Below this the square of a variance leaves the floats: nothing measured varies so little.
_LEAST_VARIANCE = 1e-150
_NO_DENOMINATOR = "not estimable: an arm has a denominator of 0"
_SPARSE = "not estimable: the ratio rests on too few units with a numerator or denominator"
_NEAR_ZERO = "lift interval not estimable: the values are not clearly above 0"
_NOT_POSITIVE = "lift not estimable: the control is not above 0"

# Fieller's g = (t * standard error / control)^2: from here on the interval has no upper end.
_LARGEST_G = 1.0
# The least sum over both arms of (value / standard error)^2. Under it an interval exists only where
# chance made the control large, and then falls short of its level; found by simulation.
_LEAST_PRECISION = 8.0


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
    strata: Sequence[tuple[Cell, Cell]], *, alpha: float = 0.05
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
    rows: Sequence[Sequence[tuple[Cell, Cell]]], *, alpha: float, stratified: bool
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


# A ratio counts by the units that carry it (Kish's effective number, the square of the sum over the
# sum of squares), not by all units: under ten of them the delta method rejects far too often, and
# up to fifty their number gives the degrees of freedom. Found by simulation.
_FEWEST_CARRIERS = 10.0
_FEW_CARRIERS = 50.0


class _Side(NamedTuple):
    """One arm over the strata: estimate, its variance, and the sum of c^2 / df of its parts."""

    value: float
    variance: float
    per_df: float


def _estimate(row: Sequence[tuple[Cell, Cell]], alpha: float, *, stratified: bool) -> Estimate:
    kept = [pair for pair in row if pair[0].n and pair[1].n]
    if not kept:
        return empty_estimate()
    weights = [one.n * zero.n / (one.n + zero.n) for one, zero in kept]
    total = math.fsum(weights)
    shares = [weight / total for weight in weights]
    treatment = _side([one for one, _ in kept], shares)
    control = _side([zero for _, zero in kept], shares)
    ratios = [
        (a, b) for a, b in kept if isinstance(a, RatioMoments) and isinstance(b, RatioMoments)
    ]
    prefix = "stratified " if stratified else ""
    units = (sum(one.n for one, _ in kept), sum(zero.n for _, zero in kept))
    if not ratios:
        return _contrast(units, treatment, control, alpha, f"{prefix}Welch t")
    treatment, control = _carried(ratios, treatment, control)
    return _contrast(units, treatment, control, alpha, f"{prefix}delta method")


def _side(cells: Sequence[Cell], shares: Sequence[float]) -> _Side:
    top = math.fsum(
        share * _numerator(cell) / cell.n for share, cell in zip(shares, cells, strict=True)
    )
    bottom = math.fsum(
        share * _denominator(cell) / cell.n for share, cell in zip(shares, cells, strict=True)
    )
    if not bottom:
        return _Side(math.nan, math.nan, math.nan)
    value = top / bottom
    spreads = [_spread(cell, value) / bottom**2 for cell in cells]
    parts = [
        (share**2 * spread / cell.n, cell.n - 1)
        for share, cell, spread in zip(shares, cells, spreads, strict=True)
        if cell.n > 1
    ]
    # A stratum of one unit has no spread of its own: it takes that of the arm's other strata.
    alone = math.fsum(share**2 for share, cell in zip(shares, cells, strict=True) if cell.n == 1)
    if alone:
        df = sum(cell.n - 1 for cell in cells)
        if not df:
            return _Side(value, math.nan, math.nan)
        within = (
            math.fsum((c.n - 1) * s for c, s in zip(cells, spreads, strict=True) if c.n > 1) / df
        )
        parts.append((alone * within, df))
    return _Side(
        value,
        math.fsum(variance for variance, _ in parts),
        math.fsum(variance**2 / df for variance, df in parts),
    )


def _carried(
    strata: Sequence[tuple[RatioMoments, RatioMoments]], treatment: _Side, control: _Side
) -> tuple[_Side, _Side]:
    """The sides of a ratio, with variance and degrees of freedom by the units that carry it."""
    sides = (treatment, control)
    arms = [[pair[side] for pair in strata] for side in (0, 1)]
    carriers = [
        _effective((cell.denominator for cell in arm), (cell.denominator_sq for cell in arm))
        for arm in arms
    ]
    numerators = sum(
        _effective((cell.numerator for cell in arm), (cell.numerator_sq for cell in arm))
        for arm in arms
    )
    if treatment.variance == control.variance == 0 or math.isnan(sum(s.variance for s in sides)):
        return treatment, control
    few = min(*carriers, numerators) < _FEWEST_CARRIERS
    if few or not (treatment.variance and control.variance):
        return treatment._replace(variance=math.inf), control
    one, zero = (
        side
        if count >= _FEW_CARRIERS
        else side._replace(
            variance=side.variance * count / (count - 1.0),
            per_df=(side.variance * count / (count - 1.0)) ** 2 / (count - 1.0),
        )
        for side, count in zip(sides, carriers, strict=True)
    )
    return one, zero


def _effective(values: Iterable[float], squares: Iterable[float]) -> float:
    total_sq = math.fsum(squares)
    return math.fsum(values) ** 2 / total_sq if total_sq else 0.0


def _numerator(cell: Cell) -> float:
    if isinstance(cell, Moments):
        return cell.total + cell.origin * cell.n
    return cell.numerator


def _denominator(cell: Cell) -> float:
    return float(cell.n) if isinstance(cell, Moments) else cell.denominator


def _spread(cell: Cell, value: float) -> float:
    return cell.variance if isinstance(cell, Moments) else cell.residual_variance(value)


def _contrast(
    units: tuple[int, int], treatment: _Side, control: _Side, alpha: float, test: str
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
        if not (treatment.variance and control.variance):
            treatment, control = _pooled(treatment, control, units)
            variance = treatment.variance + control.variance
            test = test.replace("Welch t", "Student t")
        p_value, t = _welch(difference, variance, treatment.per_df + control.per_df, alpha)
        half = t * math.sqrt(variance)
        interval = (difference - half, difference + half)
        lift_interval = _fieller(treatment, control, t) if lift is not None else None
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


def _pooled(treatment: _Side, control: _Side, units: tuple[int, int]) -> tuple[_Side, _Side]:
    """Both sides with one common spread.

    An arm in which nothing varied, such as revenue of a few units that bought nothing, would
    otherwise count as known without error.
    """
    df = sum(units) - 2
    squares = treatment.variance * units[0] * (units[0] - 1)
    squares += control.variance * units[1] * (units[1] - 1)
    variances = [squares / df / n for n in units]
    per_df = sum(variances) ** 2 / df / 2.0
    return (
        treatment._replace(variance=variances[0], per_df=per_df),
        control._replace(variance=variances[1], per_df=per_df),
    )


def _welch(difference: float, variance: float, per_df: float, alpha: float) -> tuple[float, float]:
    """Two-sided p-value, and the t quantile of the interval."""
    from scipy.special import stdtr, stdtrit

    df = variance**2 / per_df
    p_value = 2.0 * float(stdtr(df, -abs(difference) / math.sqrt(variance)))
    return p_value, float(stdtrit(df, 1.0 - alpha / 2.0))


def _fieller(treatment: _Side, control: _Side, t: float) -> tuple[float, float] | None:
    g = t * t * control.variance / control.value**2
    precision = treatment.value**2 / treatment.variance + control.value**2 / control.variance
    if g >= _LARGEST_G or precision < _LEAST_PRECISION:
        return None
    ratio = treatment.value / control.value
    relative = treatment.variance / control.value**2
    half = math.sqrt(t * t * relative * (1.0 - g) + g * ratio**2)
    return (ratio - half) / (1.0 - g) - 1.0, (ratio + half) / (1.0 - g) - 1.0


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
