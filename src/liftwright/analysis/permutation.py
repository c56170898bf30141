"""Permutation test of a difference of means, for data on which Welch's test is not reliable.

Welch's test assumes that both means are close to normal. With few buyers and arms of unequal size
they are not: an arm without a buyer seems to be known exactly, and one with a single small order
nearly so. The permutation test needs no such assumption, because without an effect every division
of the units between the arms is equally likely.

Source: Ernst (2004), Permutation Methods: A Basis for Exact Inference, Statistical Science 19;
Chung, Romano (2013), Exact and asymptotically robust permutation tests, Annals of Statistics 41.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from liftwright.analysis.moments import Moments

    Array = NDArray[np.float64]

# Above this skewness of the difference, Welch's test rejects too often. Found by simulation.
MAX_SKEWNESS = 0.15
_SEED = 0
# Large p-values need few draws: the second batch is drawn if the first has fewer hits than this.
_BATCHES = (2_000, 8_000)
_ENOUGH_HITS = 200
# Equal differences must tie in spite of rounding.
_TIE = 1.0 - 1e-9


def has_values(strata: Sequence[tuple[Moments, Moments]]) -> bool:
    """Whether the values of every unit are known, as the test needs them."""
    return all(one.values and zero.values for one, zero in strata)


def difference_skewness(strata: Sequence[tuple[Moments, Moments]]) -> float:
    """Absolute skewness of the weighted difference of means if there is no effect.

    It is 0 for arms of equal size, whose skewness cancels out.

    Args:
        strata: Treatment and control per stratum, with their values.
    """
    third = variance = 0.0
    for (one, zero), share in zip(strata, _shares(strata), strict=True):
        values, counts = _pooled(one, zero)
        centred = values - (values @ counts) / counts.sum()
        second_moment = float(centred**2 @ counts / counts.sum())
        third_moment = float(centred**3 @ counts / counts.sum())
        third += share**3 * third_moment * (1.0 / one.n**2 - 1.0 / zero.n**2)
        variance += share**2 * second_moment * (1.0 / one.n + 1.0 / zero.n)
    return abs(third) / variance**1.5 if variance > 0 else 0.0


def permutation_p_value(strata: Sequence[tuple[Moments, Moments]]) -> float:
    """Two-sided p-value of the weighted difference of means; units are permuted within strata.

    Args:
        strata: Treatment and control per stratum, with their values.

    Returns:
        (hits + 1) / (draws + 1) of up to 10,000 random divisions with a fixed seed; a hit is a
        difference at least as large as the observed one.
    """
    import numpy as np

    shares = _shares(strata)
    pooled = [_pooled(one, zero) for one, zero in strata]
    observed = abs(
        math.fsum(
            share * (_sum(one) / one.n - _sum(zero) / zero.n)
            for (one, zero), share in zip(strata, shares, strict=True)
        )
    )
    generator = np.random.default_rng(_SEED)
    hits = draws = 0
    for batch in _BATCHES:
        differences = np.zeros(batch)
        for (one, zero), share, (values, counts) in zip(strata, shares, pooled, strict=True):
            # Drawing the smaller arm takes less time and gives the same distribution.
            drawn, other = sorted((one.n, zero.n))
            sign = 1.0 if one.n <= zero.n else -1.0
            samples = generator.multivariate_hypergeometric(
                counts.astype(np.int64), drawn, size=batch, method="marginals"
            )
            sums = samples @ values
            rest = float(values @ counts) - sums
            differences += sign * share * (sums / drawn - rest / other)
        hits += int((np.abs(differences) >= observed * _TIE).sum())
        draws += batch
        if hits >= _ENOUGH_HITS:
            break
    return (hits + 1) / (draws + 1)


def _shares(strata: Sequence[tuple[Moments, Moments]]) -> list[float]:
    weights = [one.n * zero.n / (one.n + zero.n) for one, zero in strata]
    return [weight / math.fsum(weights) for weight in weights]


def _sum(arm: Moments) -> float:
    return math.fsum(value * units for value, units in arm.values)


def _pooled(one: Moments, zero: Moments) -> tuple[Array, Array]:
    """The distinct values of both arms, and how many units have each."""
    import numpy as np

    found = np.array([*one.values, *zero.values], dtype=np.float64)
    values, places = np.unique(found[:, 0], return_inverse=True)
    return values, np.bincount(places, weights=found[:, 1]).astype(np.float64)
