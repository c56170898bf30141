"""Tests of interaction: does the effect of an arm differ between segments?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from liftwright.analysis.estimates import weigh
from liftwright.analysis.moments import Counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from liftwright.analysis.moments import AnyMoments, SufficientStatistics

BRESLOW_DAY = "Breslow-Day (Tarone)"
WELCH = "Welch heterogeneity"

_ONE_SEGMENT = "interaction not estimable: fewer than two segments with enough in both arms"
# Cochran's rule for a chi-square approximation; a segment with a smaller fitted cell is left out.
_MIN_FITTED = 5.0
# Variances of fewer units are too imprecise for weighting segments.
_MIN_UNITS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """A test that the effect of one arm is the same in all segments.

    Attributes:
        p_value: p-value of the test; None if fewer than two segments can be compared.
        statistic: Chi-square of Breslow and Day, or Welch's F.
        df: Degrees of freedom of the statistic, the first of two for F.
        test: Name of the test, None where there is none.
        segments: Segments that were compared.
        common_odds_ratio: Mantel-Haenszel odds ratio of a rate over all segments.
        warnings: Why there is no test.
    """

    p_value: float | None = None
    statistic: float | None = None
    df: int | None = None
    test: str | None = None
    segments: int = 0
    common_odds_ratio: float | None = None
    warnings: tuple[str, ...] = ()


def check_interaction(
    strata: Sequence[tuple[SufficientStatistics, SufficientStatistics]],
) -> Interaction:
    """Test whether the treatment effect is the same in all strata.

    Binary metrics: equal odds ratios, by Breslow and Day's test with Tarone's correction, over
    strata whose fitted cells are at least 5. Means and ratios: equal differences, by Welch's test
    of unequal variances, over strata with at least 10 units an arm.

    Args:
        strata: Counts or moments of treatment and control per segment.

    Source: Breslow, Day (1980), Statistical Methods in Cancer Research 1, 4.4; Tarone (1985),
        Biometrika 72; Welch (1951), On the comparison of several mean values, Biometrika 38.
    """
    if any(isinstance(one, Counts) for one, _ in strata):
        return _equal_odds(cast("Sequence[tuple[Counts, Counts]]", strata))
    return _equal_differences(cast("Sequence[tuple[AnyMoments, AnyMoments]]", strata))


def _equal_odds(strata: Sequence[tuple[Counts, Counts]]) -> Interaction:
    from scipy.special import chdtrc

    tables = [
        (one, zero)
        for one, zero in strata
        if one.n and zero.n and 0 < one.events + zero.events < one.n + zero.n
    ]
    common = _common_odds_ratio(tables)
    while len(tables) > 1:
        odds = _common_odds_ratio(tables)
        if odds is None:
            break
        fitted = [_fitted(one, zero, odds) for one, zero in tables]
        least = [_least_cell(pair, x) for pair, x in zip(tables, fitted, strict=True)]
        if min(least) < _MIN_FITTED:
            # The smallest first: without it the common odds ratio may fit the others better.
            del tables[least.index(min(least))]
            continue
        variances = [_variance(one, zero, x) for (one, zero), x in zip(tables, fitted, strict=True)]
        away = [one.events - x for (one, _), x in zip(tables, fitted, strict=True)]
        statistic = math.fsum(d * d / v for d, v in zip(away, variances, strict=True))
        statistic = max(0.0, statistic - math.fsum(away) ** 2 / math.fsum(variances))
        df = len(tables) - 1
        return Interaction(
            p_value=float(chdtrc(df, statistic)),
            statistic=statistic,
            df=df,
            test=BRESLOW_DAY,
            segments=len(tables),
            common_odds_ratio=common,
        )
    return Interaction(segments=len(tables), common_odds_ratio=common, warnings=(_ONE_SEGMENT,))


def _common_odds_ratio(tables: Sequence[tuple[Counts, Counts]]) -> float | None:
    """The Mantel-Haenszel odds ratio; None where it is 0 or has no end."""
    top = math.fsum(a.events * (b.n - b.events) / (a.n + b.n) for a, b in tables)
    bottom = math.fsum(b.events * (a.n - a.events) / (a.n + b.n) for a, b in tables)
    return top / bottom if top and bottom else None


def _fitted(one: Counts, zero: Counts, odds: float) -> float:
    """Events of the treatment that the margins and the common odds ratio ask for."""
    events = one.events + zero.events
    a = 1.0 - odds
    b = zero.n - events + odds * (one.n + events)
    c = -odds * one.n * events
    root = math.sqrt(b * b - 4.0 * a * c)
    # The root of the two that lies within the margins, in the form that loses no digits.
    return -2.0 * c / (b + root)


def _least_cell(pair: tuple[Counts, Counts], fitted: float) -> float:
    return min(_cells(*pair, fitted))


def _cells(one: Counts, zero: Counts, fitted: float) -> tuple[float, float, float, float]:
    other = one.events + zero.events - fitted
    return fitted, one.n - fitted, other, zero.n - other


def _variance(one: Counts, zero: Counts, fitted: float) -> float:
    return 1.0 / math.fsum(1.0 / cell for cell in _cells(one, zero, fitted))


def _equal_differences(strata: Sequence[tuple[AnyMoments, AnyMoments]]) -> Interaction:
    from scipy.special import fdtrc

    parts = []
    for one, zero in strata:
        if min(one.n, zero.n) < _MIN_UNITS:
            continue
        treatment, control = weigh([(one, zero)])
        variance = treatment.variance + control.variance
        if math.isfinite(variance) and treatment.variance and control.variance:
            df = variance**2 / (treatment.per_df + control.per_df)
            parts.append((treatment.value - control.value, 1.0 / variance, df))
    count = len(parts)
    if count < 2:  # noqa: PLR2004 - a comparison needs two
        return Interaction(segments=count, warnings=(_ONE_SEGMENT,))
    total = math.fsum(weight for _, weight, _ in parts)
    common = math.fsum(weight * d for d, weight, _ in parts) / total
    between = math.fsum(weight * (d - common) ** 2 for d, weight, _ in parts)
    loose = math.fsum((1.0 - weight / total) ** 2 / df for _, weight, df in parts)
    statistic = between / (count - 1) / (1.0 + 2.0 * (count - 2) / (count**2 - 1) * loose)
    return Interaction(
        p_value=float(fdtrc(count - 1, (count**2 - 1) / (3.0 * loose), statistic)),
        statistic=statistic,
        df=count - 1,
        test=WELCH,
        segments=count,
    )


__all__ = ["BRESLOW_DAY", "WELCH", "Interaction", "check_interaction"]
