"""Were the arms alike before anything was sent?"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from liftwright.domain import CONTROL, FEATURES
from liftwright.stats import Moments
from liftwright.tables import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from liftwright.tables import Tables

# Within this many standard deviations two groups are taken to be alike.
_NOTABLE = 0.1
# So many standard errors: of twenty comparisons, chance passes it once in twenty experiments.
_SELDOM = 3.0
_DECIMALS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """How far an arm's customers differ from the control's in a feature.

    Attributes:
        difference: standardised mean difference, treatment - control, within segments and over
            those where the arm exists; None where the feature does not vary or is missing.
        limit: how large a difference may be before it is notable: a tenth of a standard deviation,
            or in small groups what chance alone seldom gives.
    """

    arm: str
    feature: str
    difference: float | None
    limit: float | None


def check_balance(tables: Tables, arms: tuple[str, ...]) -> tuple[Balance, ...]:
    """Compare each treatment with the control in every feature.

    Args:
        tables: holds `assignments` and `customers`.
        arms: the treatments.

    Source: Austin (2009), Balance diagnostics for comparing baseline covariates.
    """
    moments = _moments(tables)
    return tuple(_compare(moments[feature], arm, feature) for arm in arms for feature in FEATURES)


def _moments(tables: Tables) -> dict[str, dict[tuple[str, str], Moments]]:
    names = [identifier(feature) for feature in FEATURES]
    middles = ", ".join(f"(min({name}) + max({name})) / 2e0" for name in names)
    ((*found,),) = tables.rows(f"select {middles} from customers")  # noqa: S608 - built
    sums = []
    for name, middle in zip(names, found, strict=True):
        value = f"(c.{name} - {literal(float(cast('float', middle or 0.0)))})"
        sums.append(f"count(c.{name}), sum({value}), sum({value} * {value})")
    moments: dict[str, dict[tuple[str, str], Moments]] = {feature: {} for feature in FEATURES}
    for segment, arm, *values in tables.rows(tables.sql("balance", sums=", ".join(sums))):
        for index, feature in enumerate(FEATURES):
            count, total, square = values[3 * index : 3 * index + 3]
            if count:
                moments[feature][str(segment), str(arm)] = Moments(
                    n=cast("int", count),
                    total=cast("float", total),
                    total_sq=cast("float", square),
                )
    return moments


def _compare(moments: Mapping[tuple[str, str], Moments], arm: str, feature: str) -> Balance:
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
        return Balance(arm=arm, feature=feature, difference=None, limit=None)
    total = sum(weights)
    difference = sum(w * (t.mean - c.mean) for w, (t, c) in zip(weights, pairs, strict=True))
    return Balance(
        arm=arm,
        feature=feature,
        difference=round(difference / total / math.sqrt(variance), _DECIMALS),
        limit=round(max(_NOTABLE, _SELDOM / math.sqrt(total)), _DECIMALS),
    )
