"""One arm of a contrast over its strata: its mean or ratio, and how well that is known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from liftwright.analysis.moments import Moments, RatioMoments

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Cell: TypeAlias = Moments | RatioMoments

# A ratio counts by the units that carry it (Kish's effective number, the square of the sum over the
# sum of squares), not by all units: under ten of them the delta method rejects far too often, and
# up to fifty their number gives the degrees of freedom. Found by simulation.
_FEWEST_CARRIERS = 10.0
_FEW_CARRIERS = 50.0

# Fieller's g = (t * standard error / control)^2: from here on the interval has no upper end.
_LARGEST_G = 1.0
# The least sum over both arms of (value / standard error)^2. Under it an interval exists only where
# chance made the control large, and then falls short of its level; found by simulation.
_LEAST_PRECISION = 8.0


class Side(NamedTuple):
    """One arm over the strata: estimate, its variance, and the sum of c^2 / df of its parts."""

    value: float
    variance: float
    per_df: float


def weigh(row: Sequence[tuple[Cell, Cell]]) -> tuple[Side, Side]:
    """Treatment and control over the strata, with the weights n1 * n0 / (n1 + n0).

    Args:
        row: Moments of treatment and control per stratum, each with units.

    Returns:
        A variance is NaN where an arm has too few units, infinite where a ratio rests on too few.
    """
    weights = [one.n * zero.n / (one.n + zero.n) for one, zero in row]
    total = math.fsum(weights)
    shares = [weight / total for weight in weights]
    treatment = _side([one for one, _ in row], shares)
    control = _side([zero for _, zero in row], shares)
    ratios = [(a, b) for a, b in row if isinstance(a, RatioMoments) and isinstance(b, RatioMoments)]
    return _carried(ratios, treatment, control) if ratios else (treatment, control)


def _side(cells: Sequence[Cell], shares: Sequence[float]) -> Side:
    top = math.fsum(
        share * _numerator(cell) / cell.n for share, cell in zip(shares, cells, strict=True)
    )
    bottom = math.fsum(
        share * _denominator(cell) / cell.n for share, cell in zip(shares, cells, strict=True)
    )
    if not bottom:
        return Side(math.nan, math.nan, math.nan)
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
            return Side(value, math.nan, math.nan)
        within = (
            math.fsum((c.n - 1) * s for c, s in zip(cells, spreads, strict=True) if c.n > 1) / df
        )
        parts.append((alone * within, df))
    return Side(
        value,
        math.fsum(variance for variance, _ in parts),
        math.fsum(variance**2 / df for variance, df in parts),
    )


def _carried(
    strata: Sequence[tuple[RatioMoments, RatioMoments]], treatment: Side, control: Side
) -> tuple[Side, Side]:
    """The sides of a ratio, with variance and degrees of freedom by the units that carry it."""
    sides = (treatment, control)
    arms = [[pair[side] for pair in strata] for side in (0, 1)]
    carriers = [
        effective_number((cell.denominator for cell in arm), (cell.denominator_sq for cell in arm))
        for arm in arms
    ]
    numerators = sum(
        effective_number((cell.numerator for cell in arm), (cell.numerator_sq for cell in arm))
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


def effective_number(values: Iterable[float], squares: Iterable[float]) -> float:
    """Kish's effective number: as many equal values would have this sum and sum of squares.

    Source: Kish (1965), Survey Sampling, 8.2.
    """
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


def pooled(treatment: Side, control: Side, units: tuple[int, int]) -> tuple[Side, Side]:
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


def fieller_interval(treatment: Side, control: Side, t: float) -> tuple[float, float] | None:
    """Interval of the lift that holds 0 where that of the difference does.

    Args:
        treatment: Of the treatment, with a spread.
        control: Of the control, above 0, with a spread.
        t: How many standard errors the interval reaches.

    Returns:
        None where the control is not clearly above 0, or both rest on too little.

    Source: Fieller (1954), Journal of the Royal Statistical Society B 16.
    """
    g = t * t * control.variance / control.value**2
    precision = treatment.value**2 / treatment.variance + control.value**2 / control.variance
    if g >= _LARGEST_G or precision < _LEAST_PRECISION:
        return None
    ratio = treatment.value / control.value
    relative = treatment.variance / control.value**2
    half = math.sqrt(t * t * relative * (1.0 - g) + g * ratio**2)
    return (ratio - half) / (1.0 - g) - 1.0, (ratio + half) / (1.0 - g) - 1.0
