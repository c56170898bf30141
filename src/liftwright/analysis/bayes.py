"""Posteriors: the probability that an arm is best, its expected loss, and shares of a next wave.

Rates have Jeffreys' beta prior, means and ratios a flat normal one. Everything is computed by
numerical integration, without sampling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from liftwright.analysis.moments import Counts, Moments, RatioMoments
from liftwright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from liftwright.analysis.moments import SufficientStatistics
    from liftwright.model import Direction

    Array = NDArray[np.float64]

BETA = "beta posterior"
NORMAL = "normal posterior"

# Jeffreys' prior of a rate: half an event and half a non-event.
_PRIOR = 0.5
# Points per arm of the grid, and how many standard deviations it reaches on either side.
_POINTS = 1_201
_REACH = 9.0
# Tolerance of a credible limit, as a share of the width of the search interval.
_NEAR = 1e-15
_MIN_PROBABILITY = 1e-16  # the smallest distance of a probability from 0 and 1


class Posterior(NamedTuple):
    """The posterior distribution of one arm's value.

    Attributes:
        mean: Its expectation.
        sd: Its standard deviation.
        rate: Whether it is a beta distribution, within 0 and 1, or a normal one.
    """

    mean: float
    sd: float
    rate: bool

    def below(self, values: Array) -> Array:
        """The probability to lie below each value."""
        import numpy as np
        from scipy.special import betainc, ndtr

        if not self.rate:
            return np.asarray(ndtr((values - self.mean) / self.sd))
        size = self.mean * (1.0 - self.mean) / self.sd**2 - 1.0
        a, b = self.mean * size, (1.0 - self.mean) * size
        return np.asarray(betainc(a, b, values.clip(0.0, 1.0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PosteriorSummary:
    """The posterior of one arm, in comparison with the others.

    Attributes:
        mean: Expected rate, mean or ratio.
        probability_best: Probability that no other arm is better.
        expected_loss: Mean loss from choosing this arm if another one is better.
        probability_better: Probability to be better than the control; None of the control.
        difference: Expected difference to the control; None of the control.
        difference_ci: Central credible interval of the difference.
        lift_ci: Central credible interval of the lift; None where the control may be 0 or less.
    """

    mean: float
    probability_best: float
    expected_loss: float
    probability_better: float | None = None
    difference: float | None = None
    difference_ci: tuple[float, float] | None = None
    lift_ci: tuple[float, float] | None = None


def posterior_of(
    strata: Sequence[SufficientStatistics], shares: Sequence[float]
) -> Posterior | None:
    """The posterior of an arm's value over strata of the given shares.

    With one stratum the distribution of a rate is exact; with several it is the beta distribution
    with the mean and variance of the weighted sum.

    Args:
        strata: Counts or moments of one arm, per stratum.
        shares: Share of each stratum, of sum 1.

    Returns:
        None where the arm has too few units, or a metric without spread.
    """
    if all(isinstance(stratum, Counts) for stratum in strata):
        parts = [_beta(stratum) for stratum in strata if isinstance(stratum, Counts)]
    else:
        parts = [_normal(stratum) for stratum in strata if not isinstance(stratum, Counts)]
    mean = math.fsum(share * mean for share, (mean, _) in zip(shares, parts, strict=True))
    variance = math.fsum(share**2 * v for share, (_, v) in zip(shares, parts, strict=True))
    if not (math.isfinite(mean) and math.isfinite(variance) and variance > 0):
        return None
    return Posterior(mean, math.sqrt(variance), isinstance(strata[0], Counts))


def summarise_posteriors(
    posteriors: Mapping[str, Posterior],
    control: str,
    *,
    alpha: float = 0.05,
    direction: Direction = "higher",
) -> dict[str, PosteriorSummary]:
    """Summarise the posterior of every arm.

    Args:
        posteriors: The posterior of each arm, including the control.
        control: Its name.
        alpha: 1 - level of the credible intervals.
        direction: Whether larger values are better, or smaller ones.

    Source: Gelman et al. (2013), Bayesian Data Analysis, chapters 2 and 3; expected loss: Stucchio
        (2015), Bayesian A/B Testing at VWO.
    """
    import numpy as np

    arms = list(posteriors)
    grid = _grid(list(posteriors.values()))
    below = np.vstack([posteriors[arm].below(grid) for arm in arms])
    higher = direction == "higher"
    # The probability of each arm to be worse than each value.
    worse = below if higher else 1.0 - below
    best = {arm: _mass(worse, place) for place, arm in enumerate(arms)}
    scale = math.fsum(best.values())
    # The integral of P(X > x) over the grid is the expectation above its lower end.
    above = 1.0 - worse.prod(axis=0) if higher else worse.prod(axis=0)
    best_value = float(grid[0]) + float(np.trapezoid(above, grid))
    found = {}
    for arm in arms:
        own, other = posteriors[arm], posteriors[control]
        loss = max(0.0, best_value - own.mean if higher else own.mean - best_value)
        if arm == control:
            found[arm] = PosteriorSummary(
                mean=own.mean, probability_best=best[arm] / scale, expected_loss=loss
            )
            continue
        contrast = _Contrast(own, other)
        lower = contrast.below_difference(0.0)
        found[arm] = PosteriorSummary(
            mean=own.mean,
            probability_best=best[arm] / scale,
            expected_loss=loss,
            probability_better=1.0 - lower if higher else lower,
            difference=own.mean - other.mean,
            difference_ci=contrast.difference(alpha),
            lift_ci=contrast.lift(alpha),
        )
    return found


def thompson_shares(probabilities: Mapping[str, float], *, least: float = 0.05) -> dict[str, float]:
    """The shares of a next wave: as often as an arm is probably best, but never too seldom.

    Args:
        probabilities: Probability of each arm to be best.
        least: Share that every arm keeps, at most half of an equal share.

    Raises:
        InputError: `least` is not within 0 and 1, or there is no probability.

    Source: Thompson (1933), Biometrika 25; Russo et al. (2018), A Tutorial on Thompson Sampling.
    """
    if not probabilities or not 0.0 <= least <= 1.0:
        raise InputError(
            f"allocation: least share: found {least}, allowed: 0 to 1, with an arm to send"
        )
    floor = min(least, 0.5 / len(probabilities))
    total = math.fsum(probabilities.values())
    free = 1.0 - floor * len(probabilities)
    return {arm: floor + free * p / total for arm, p in probabilities.items()}


def _beta(stratum: Counts) -> tuple[float, float]:
    size = stratum.n + 2.0 * _PRIOR
    mean = (stratum.events + _PRIOR) / size
    return mean, mean * (1.0 - mean) / (size + 1.0)


def _normal(stratum: Moments | RatioMoments) -> tuple[float, float]:
    return stratum.mean, stratum.sd**2 / stratum.n if stratum.n else math.nan


def _grid(posteriors: Sequence[Posterior]) -> Array:
    import numpy as np

    parts = [
        np.linspace(
            posterior.mean - _REACH * posterior.sd, posterior.mean + _REACH * posterior.sd, _POINTS
        )
        for posterior in posteriors
    ]
    if all(posterior.rate for posterior in posteriors):
        # Near 0 and 1 a beta distribution is steep and needs a finer grid.
        ends = np.concatenate(([0.0], np.geomspace(1e-12, 0.5, 200)))
        parts = [*(part.clip(0.0, 1.0) for part in parts), ends, 1.0 - ends]
    return np.unique(np.concatenate(parts))


def _mass(worse: Array, place: int) -> float:
    """The integral over this arm's posterior of the probability that all other arms are worse."""
    import numpy as np

    others = np.delete(worse, place, axis=0).prod(axis=0)
    return float((np.abs(np.diff(worse[place])) * (others[1:] + others[:-1]) / 2.0).sum())


class _Contrast:
    """Two posteriors, and the distribution of their difference and ratio."""

    def __init__(self, one: Posterior, zero: Posterior) -> None:
        import numpy as np

        self._one, self._zero = one, zero
        grid = _grid([zero])
        self._mass = np.diff(zero.below(grid))
        self._middle = (grid[1:] + grid[:-1]) / 2.0

    def below_difference(self, value: float) -> float:
        return float((self._mass * self._one.below(self._middle + value)).sum())

    def below_ratio(self, value: float) -> float:
        return float((self._mass * self._one.below(self._middle * value)).sum())

    def difference(self, alpha: float) -> tuple[float, float]:
        middle = self._one.mean - self._zero.mean
        reach = 40.0 * math.hypot(self._one.sd, self._zero.sd)
        low, high = (
            _solve(self.below_difference, level, middle - reach, middle + reach)
            for level in (alpha / 2.0, 1.0 - alpha / 2.0)
        )
        return low, high

    def lift(self, alpha: float) -> tuple[float, float] | None:
        # A ratio means something only over a control that is above 0 beyond doubt.
        if not self._zero.rate and self._zero.mean < _REACH * self._zero.sd / 2.0:
            return None
        far = 2.0
        while self.below_ratio(far) < 1.0 - alpha / 4.0:
            far *= 2.0
            if far > 2.0**60:
                return None
        low, high = (
            _solve(self.below_ratio, level, 0.0 if self._one.rate else -far, far) - 1.0
            for level in (alpha / 2.0, 1.0 - alpha / 2.0)
        )
        return low, high


def _solve(below: Callable[[float], float], level: float, low: float, high: float) -> float:
    """Where a rising function passes a level; the nearer end where it does not between the two."""
    from scipy.optimize import brentq
    from scipy.special import ndtri

    def above(value: float) -> float:
        # Normal deviates of the probabilities are nearly linear, so that few steps suffice.
        return (
            float(ndtri(min(max(below(value), _MIN_PROBABILITY), 1.0 - _MIN_PROBABILITY))) - wanted
        )

    wanted = float(ndtri(level))
    if above(low) >= 0.0:
        return low
    if above(high) <= 0.0:
        return high
    return float(brentq(above, low, high, xtol=_NEAR * (high - low), rtol=_NEAR))
