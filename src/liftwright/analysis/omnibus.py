"""Tests whether any two arms of an experiment differ, and for means which pairs do."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from liftwright.analysis.moments import Counts, Moments
from liftwright.analysis.result import OmnibusTest, PairwiseTest

if TYPE_CHECKING:
    from collections.abc import Mapping

CHI_SQUARE = "chi-square"
ANOVA = "one-way analysis of variance"

# Pairs grow with the square of the arms.
_MAX_PAIRED_ARMS = 10
_NOTHING = "not estimable: fewer than two arms with units, or a metric that is constant"


def check_any_difference(
    metric: str, arms: Mapping[str, Counts] | Mapping[str, Moments]
) -> OmnibusTest:
    """Test all arms at once: Pearson's chi-square of rates, analysis of variance of means.

    Args:
        metric: Name of the metric.
        arms: Counts or moments of each arm, without strata.

    Returns:
        The test; of means of up to ten arms also every pair.

    Source: Pearson (1900), Philosophical Magazine 50; Fisher (1925), Statistical Methods for
        Research Workers, chapter 7.
    """
    counts = {name: arm for name, arm in arms.items() if isinstance(arm, Counts)}
    moments = {name: arm for name, arm in arms.items() if isinstance(arm, Moments)}
    found = _chi_square(counts) if counts else _anova(moments)
    statistic, df, p_value = found or (None, None, None)
    return OmnibusTest(
        metric=metric,
        statistic=statistic,
        degrees_of_freedom=df,
        p_value=p_value,
        test=(CHI_SQUARE if counts else ANOVA) if found else None,
        warnings=() if found else (_NOTHING,),
        pairs=_pairs(moments) if moments and len(moments) <= _MAX_PAIRED_ARMS else None,
    )


def _pairs(arms: Mapping[str, Moments]) -> tuple[PairwiseTest, ...]:
    return tuple(
        PairwiseTest(
            arms=(a, b),
            difference=arms[b].mean - arms[a].mean,
            p_value=p_value,
            test="Tukey-Kramer",
        )
        for (a, b), p_value in tukey_p_values(arms).items()
    )


def tukey_p_values(arms: Mapping[str, Moments]) -> dict[tuple[str, str], float]:
    """Every pair of means against each other, corrected for the number of pairs.

    Args:
        arms: Moments of each arm; those without units are left out.

    Returns:
        The p-value of each pair, in the order of the arms; empty where there is no spread.

    Source: Tukey (1949), Kramer (1956), Biometrics 12.
    """
    # Imported here, as it takes half a second.
    from scipy.stats import studentized_range

    there = {name: arm for name, arm in arms.items() if arm.n}
    within, df = _within(there)
    if len(there) < 2 or not within or df < 1:  # noqa: PLR2004 - a comparison needs two
        return {}
    found = {}
    for (a, one), (b, other) in itertools.combinations(there.items(), 2):
        error = math.sqrt(within / df / 2.0 * (1.0 / one.n + 1.0 / other.n))
        range_ = abs(one.mean - other.mean) / error
        found[a, b] = float(studentized_range.sf(range_, len(there), df))
    return found


def _chi_square(counts: Mapping[str, Counts]) -> tuple[float, int, float] | None:
    """Statistic, degrees of freedom and p-value; None where there is no test."""
    from scipy.special import chdtrc

    arms = {name: arm for name, arm in counts.items() if arm.n}
    n = sum(arm.n for arm in arms.values())
    events = sum(arm.events for arm in arms.values())
    if len(arms) < 2 or not 0 < events < n:  # noqa: PLR2004 - as above
        return None
    rate = events / n
    statistic = math.fsum(
        (arm.events - arm.n * rate) ** 2 / (arm.n * rate * (1.0 - rate)) for arm in arms.values()
    )
    df = len(arms) - 1
    return statistic, df, float(chdtrc(df, statistic))


def _anova(moments: Mapping[str, Moments]) -> tuple[float, int, float] | None:
    """Statistic, degrees of freedom between arms and p-value; None where there is no test."""
    from scipy.special import fdtrc

    arms = {name: arm for name, arm in moments.items() if arm.n}
    within, df = _within(arms)
    if len(arms) < 2 or not within or df < 1:  # noqa: PLR2004 - as above
        return None
    n = sum(arm.n for arm in arms.values())
    mean = math.fsum(arm.n * arm.mean for arm in arms.values()) / n
    between = math.fsum(arm.n * (arm.mean - mean) ** 2 for arm in arms.values())
    statistic = between / (len(arms) - 1) / (within / df)
    return statistic, len(arms) - 1, float(fdtrc(len(arms) - 1, df, statistic))


def _within(arms: Mapping[str, Moments]) -> tuple[float, int]:
    """Sum of squares within arms, and its degrees of freedom."""
    squares = math.fsum((arm.n - 1) * arm.variance for arm in arms.values() if arm.n > 1)
    return squares, sum(arm.n - 1 for arm in arms.values())
