"""Looking at any time: confidence sequences and p-values that hold at every look at once.

An asymptotic confidence sequence covers the truth at all looks together with probability
1 - alpha, however often and for whatever reason one looks; the p-value is the smallest alpha at
which it excludes 0.

Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas (2024), Time-uniform central limit theory and
asymptotic confidence sequences, Annals of Statistics 52(6), theorem 2.2, two-sided; the p-value is
that of the mixture sequential probability ratio test of Johari, Koomen, Pekelis, Walsh (2022),
Always Valid Inference, Operations Research 70(3).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

from liftwright.analysis.estimates import (
    NO_CONTROL_EVENT,
    Estimate,
    effective_number,
    empty_estimate,
    fieller_interval,
    weigh,
)
from liftwright.analysis.moments import Counts, Moments, RatioMoments
from liftwright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from liftwright.analysis.moments import AnyMoments

# Default number of units in both arms at which the sequence is tightest. Any number that is fixed
# before the first look keeps the level.
PLANNED_UNITS = 10_000
TEST = "asymptotic confidence sequence"

# The sequence begins when each arm has this effective number of units; before, the normal
# approximation is poor. Found by simulation.
_MIN_EFFECTIVE = 20.0
_ONE_SIDE_RARE = (
    "interval not estimable: an arm has fewer than 20 units with the event, or without it"
)
_TOO_EARLY = "too early: an arm has fewer than 20 units with a value of the metric"
_NOT_POSITIVE = "lift not estimable: the control is not above 0"
_NEAR_ZERO = "lift interval not estimable: the values are not clearly above 0"
# Where the interval is as narrow as it gets is found to this share.
_STEPS = 200


def confidence_multiplier(alpha: float, information: float) -> float:
    """How many standard errors the sequence reaches.

    Args:
        alpha: 1 - level.
        information: The units so far over those of the mixture, t * rho squared.
    """
    more = information + 1.0
    return math.sqrt(more / information * math.log(more / alpha**2))


def always_valid_p_value(score: float, information: float) -> float:
    """The smallest alpha at which the sequence excludes 0.

    Args:
        score: Estimate over its standard error.
        information: The information, as in `confidence_multiplier`.
    """
    more = information + 1.0
    return min(1.0, math.sqrt(more) * math.exp(-(score**2) * information / (2.0 * more)))


@lru_cache(maxsize=64)
def best_information(alpha: float) -> float:
    """The information at which the interval is narrowest against a fixed one of the same data."""
    return min(
        (math.exp(step / 25.0) for step in range(_STEPS)),
        key=lambda information: confidence_multiplier(alpha, information),
    )


def estimate_sequence(
    strata: Sequence[tuple[Counts, Counts]] | Sequence[tuple[AnyMoments, AnyMoments]],
    *,
    alpha: float,
    planned: float = PLANNED_UNITS,
) -> Estimate:
    """The contrast of two arms as it may be read at any look.

    Args:
        strata: Counts or moments of treatment and control per stratum.
        alpha: 1 - level over all looks together.
        planned: Units of both arms for which the sequence is tightest; to be fixed before.

    Returns:
        The weighted difference with its interval at this look, Fieller's of the lift, and the
        always valid p-value.

    Raises:
        InputError: `planned` is not above 0.
    """
    if not planned > 0:
        raise InputError(f"planned: found {planned} units, allowed: above 0")
    there = [(one, zero) for one, zero in strata if one.n and zero.n]
    kept = [(_moments(one), _moments(zero)) for one, zero in there]
    if not kept:
        return empty_estimate()
    treatment, control = weigh(kept)
    units = (sum(one.n for one, _ in kept), sum(zero.n for _, zero in kept))
    difference = treatment.value - control.value
    variance = treatment.variance + control.variance
    if not math.isfinite(difference):
        return Estimate(n_treatment=units[0], n_control=units[1], warnings=(_TOO_EARLY,))
    lift = treatment.value / control.value - 1.0 if control.value > 0 else None
    known = (
        min(_effective_units([pair[side] for pair in there]) for side in (0, 1)) >= _MIN_EFFECTIVE
    )
    interval = lift_interval = p_value = None
    warnings: list[str] = []
    if known and math.isfinite(variance) and treatment.variance and control.variance:
        information = best_information(alpha) * sum(units) / planned
        reach = confidence_multiplier(alpha, information)
        half = reach * math.sqrt(variance)
        interval = (difference - half, difference + half)
        p_value = always_valid_p_value(difference / math.sqrt(variance), information)
        if lift is not None:
            lift_interval = fieller_interval(treatment, control, reach)
    elif (score := _pooled_score(there, difference)) is not None:
        information = best_information(alpha) * sum(units) / planned
        p_value = always_valid_p_value(score, information)
        warnings.append(_ONE_SIDE_RARE)
    else:
        warnings.append(_TOO_EARLY)
    if lift is None:
        warnings.append(NO_CONTROL_EVENT if control.value == 0 else _NOT_POSITIVE)
    elif interval is not None and lift_interval is None:
        warnings.append(_NEAR_ZERO)
    return Estimate(
        n_treatment=units[0],
        n_control=units[1],
        treatment=treatment.value,
        control=control.value,
        difference=difference,
        difference_ci=interval,
        lift=lift,
        lift_ci=lift_interval,
        p_value=p_value,
        test=None if p_value is None else TEST,
        warnings=tuple(warnings),
    )


def _pooled_score(
    strata: Sequence[tuple[Counts | AnyMoments, Counts | AnyMoments]], difference: float
) -> float | None:
    """The difference of two rates in its standard errors if there were no effect.

    An arm without events has no spread, however many units it has. Without an effect
    both arms have the rate of the two together: where that lets each arm expect enough events, the
    p-value is valid, though no interval can be given.

    Returns:
        None of other metrics, or where an arm expects too few.
    """
    pairs = [(a, b) for a, b in strata if isinstance(a, Counts) and isinstance(b, Counts)]
    if len(pairs) < len(strata):
        return None
    rates = [(a.events + b.events) / (a.n + b.n) for a, b in pairs]
    for side in (0, 1):
        units = [pair[side].n for pair in pairs]
        events = math.fsum(n * rate for n, rate in zip(units, rates, strict=True))
        if min(events, sum(units) - events) < _MIN_EFFECTIVE:
            return None
    weights = [a.n * b.n / (a.n + b.n) for a, b in pairs]
    spread = math.fsum(w * r * (1.0 - r) for w, r in zip(weights, rates, strict=True))
    return difference * math.fsum(weights) / math.sqrt(spread)


def _moments(summary: Counts | AnyMoments) -> AnyMoments:
    if isinstance(summary, Counts):
        return Moments(n=summary.n, total=summary.events, total_sq=summary.events)
    return summary


def _effective_units(strata: Sequence[Counts | AnyMoments]) -> float:
    """The effective number of units: the rarer of event and no event, buyers, or denominators."""
    ratios = [stratum for stratum in strata if isinstance(stratum, RatioMoments)]
    if ratios:
        return effective_number((c.denominator for c in ratios), (c.denominator_sq for c in ratios))
    counts = [stratum for stratum in strata if isinstance(stratum, Counts)]
    if counts:
        events = sum(stratum.events for stratum in counts)
        return min(events, sum(stratum.n for stratum in counts) - events)
    moments = [stratum for stratum in strata if isinstance(stratum, Moments)]
    # Counted from the origin, the least value: units at it do not count.
    return effective_number((c.total for c in moments), (c.total_sq for c in moments))
