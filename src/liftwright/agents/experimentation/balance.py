"""Were the arms alike before anything was sent?"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, cast

from liftwright.analysis import Moments
from liftwright.analysis.result import FeatureBalance
from liftwright.data import identifier, literal
from liftwright.model import CONTROL, FEATURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.data import Tables

# Within this many standard deviations two groups are taken to be alike.
_NOTABLE = 0.1
# So many standard errors: of twenty comparisons, chance passes it once in twenty experiments.
_SELDOM = 3.0
_DECIMALS = 6


class FeatureMoments:
    """Count, sum and sum of squares of each feature, per segment and arm."""

    def __init__(self) -> None:
        self._found: dict[str, dict[tuple[str, str], Moments]] = {f: {} for f in FEATURES}

    def add(self, segment: str, arm: str, sums: Sequence[object]) -> None:
        """Take the sums that `feature_sums` asked for, of one segment and arm."""
        for index, feature in enumerate(FEATURES):
            count, total, square = sums[3 * index : 3 * index + 3]
            if count:
                self._found[feature][segment, arm] = Moments(
                    n=cast("int", count),
                    total=cast("float", total),
                    total_sq=cast("float", square),
                )

    def of(self, feature: str) -> Mapping[tuple[str, str], Moments]:
        """A feature's moments by segment and arm, where anyone has it."""
        return self._found[feature]


def feature_sums(tables: Tables, alias: str) -> str:
    """SQL of the sums that `FeatureMoments.add` takes, around the middle of each feature's range.

    Args:
        tables: holds `customers`.
        alias: the name under which the features stand in the statement.
    """
    names = [identifier(feature) for feature in FEATURES]
    middles = ", ".join(f"(min({name}) + max({name})) / 2e0" for name in names)
    ((*found,),) = tables.rows(f"select {middles} from customers")  # noqa: S608 - built
    sums = []
    for name, middle in zip(names, found, strict=True):
        value = f"({alias}.{name} - {literal(float(cast('float', middle or 0.0)))})"
        sums.append(f"count({alias}.{name}), sum({value}), sum({value} * {value})")
    return ", ".join(sums)


def compare_arms(moments: FeatureMoments, arms: tuple[str, ...]) -> tuple[FeatureBalance, ...]:
    """Compare each treatment with the control in every feature.

    Args:
        moments: of all segments and arms.
        arms: the treatments.

    Source: Austin (2009), Balance diagnostics for comparing baseline covariates.
    """
    return tuple(
        _compare(moments.of(feature), arm, feature) for arm in arms for feature in FEATURES
    )


def _compare(moments: Mapping[tuple[str, str], Moments], arm: str, feature: str) -> FeatureBalance:
    """Differences within segments, weighted by their information, over the spread within arms."""
    by_segment: dict[str, dict[str, Moments]] = defaultdict(dict)
    for (segment, name), found in moments.items():
        by_segment[segment][name] = found
    pairs = [(s[arm], s[CONTROL]) for s in by_segment.values() if arm in s and CONTROL in s]
    weights = [t.n * c.n / (t.n + c.n) for t, c in pairs]
    spreads = [(m.n, m.variance) for pair in pairs for m in pair if m.n > 1]
    freedom = sum(n - 1 for n, _ in spreads)
    variance = sum((n - 1) * v for n, v in spreads) / freedom if freedom else 0.0
    if not variance:
        return FeatureBalance(arm=arm, feature=feature, difference=None, limit=None)
    total = sum(weights)
    difference = sum(w * (t.mean - c.mean) for w, (t, c) in zip(weights, pairs, strict=True))
    return FeatureBalance(
        arm=arm,
        feature=feature,
        difference=round(difference / total / math.sqrt(variance), _DECIMALS),
        limit=round(max(_NOTABLE, _SELDOM / math.sqrt(total)), _DECIMALS),
    )
