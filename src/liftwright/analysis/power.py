"""Power, sample size and smallest detectable effect of two-sided tests of rates and means.

The functions for proportions use the arcsine transformation, under which the variance of a rate
does not depend on the rate; those for means take equal standard deviations and the normal limit.
Source: Cohen (1988), Statistical Power Analysis, chapters 2 and 6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, get_args

from liftwright.analysis.result import ArmMean, Correction, DetectableEffect
from liftwright.errors import InputError

if TYPE_CHECKING:
    from liftwright.analysis.result import ArmComparison, ExperimentResult

# Campaigns aim for a lift of 10 %; an experiment that cannot detect it is underpowered.
NOTABLE_LIFT = 0.10
_MIN_ARMS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerPlan:
    """The sample size of an experiment on a rate, as `liftwright power --json` prints it.

    Attributes:
        n_per_arm: Units of each arm, the control included.
        lift: Relative lift that is detected; None if even a rate of 1 could not be.
        baseline: Rate of the control.
        alpha_per_test: Significance level of one comparison with the control, after correction.
    """

    n_per_arm: int
    lift: float | None
    baseline: float
    alpha_per_test: float


def plan_rates(  # noqa: PLR0913 - one parameter per option
    baseline: float,
    *,
    lift: float | None = None,
    n: int | None = None,
    arms: int = 2,
    power: float = 0.8,
    alpha: float = 0.05,
    correction: str = "holm",
) -> PowerPlan:
    """Plan an experiment with equal arms: the units for a lift, or the smallest lift for `n` units.

    Args:
        baseline: Rate of the control, above 0 and below 1.
        lift: Relative lift to detect, 0.1 is +10 %. Without it and `n`, 0.1.
        n: Units per arm; gives the smallest detectable lift.
        arms: Number of arms, the control included.
        power: Probability of detecting the lift.
        alpha: Two-sided significance level of all comparisons together.
        correction: holm, bh or none. The first step of Holm's and of Benjamini and Hochberg's
            procedure is at alpha over the number of comparisons.

    Raises:
        InputError: An argument outside its range, or both `lift` and `n`.
    """
    if lift is not None and n is not None:
        raise InputError("power: found both a lift and units per arm, allowed: one of them")
    if arms < _MIN_ARMS:
        raise InputError(f"power: arms: found {arms}, allowed: 2 or more, the control included")
    if correction not in get_args(Correction):
        allowed = ", ".join(get_args(Correction))
        raise InputError(f"power: correction: found {correction!r}, allowed: {allowed}")
    per_test = alpha_per_test(alpha, arms - 1, correction)
    if n is not None:
        found = smallest_detectable_effect(baseline, n, n, alpha=per_test, power=power)
        return PowerPlan(
            n_per_arm=n,
            lift=None if found is None else found / baseline,
            baseline=baseline,
            alpha_per_test=per_test,
        )
    lift = NOTABLE_LIFT if lift is None else lift
    units, _ = sample_size(baseline, baseline * lift, alpha=per_test, power=power)
    return PowerPlan(n_per_arm=units, lift=lift, baseline=baseline, alpha_per_test=per_test)


def alpha_per_test(alpha: float, tests: int, correction: str) -> float:
    """The level that a correction leaves to the first of so many tests."""
    return alpha if correction == "none" else alpha / max(tests, 1)


def smallest_detectable_effect(
    base: float,
    n_treatment: float,
    n_control: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float | None:
    """Smallest absolute increase that can be detected with the given power.

    Args:
        base: Rate of the control, above 0 and below 1.
        n_treatment: Units of the treatment.
        n_control: Units of the control.
        alpha: Significance level of the two-sided test, after any correction.
        power: Probability of detecting it, above alpha and below 1.

    Returns:
        The increase as a fraction (0.05 is five points); None if even a rate of 1 could not be
        detected.

    Raises:
        InputError: An argument outside its range.
    """
    _check(base=base, alpha=alpha, power=power, units=min(n_treatment, n_control))
    step = _smallest(n_treatment, n_control, alpha, power)
    angle = math.asin(math.sqrt(base)) + step / 2.0
    return math.sin(angle) ** 2 - base if angle <= math.pi / 2.0 else None


def sample_size(
    base: float,
    difference: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    treatment_per_control: float = 1.0,
) -> tuple[int, int]:
    """Units needed to detect a difference of rates.

    Args:
        base: Rate of the control, above 0 and below 1.
        difference: Absolute difference other than 0; base + difference within 0 and 1.
        alpha: Significance level of the two-sided test, after any correction.
        power: Probability of detecting it, above alpha and below 1.
        treatment_per_control: Units of the treatment for each of the control.

    Returns:
        Units of treatment and of control, rounded up.

    Raises:
        InputError: An argument outside its range.
    """
    _check(base=base, alpha=alpha, power=power, units=treatment_per_control)
    return _units(_distance(base, difference), alpha, power, treatment_per_control)


def smallest_detectable_difference(
    sd: float, n_treatment: float, n_control: float, *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Smallest absolute difference of means that can be detected with the given power.

    Args:
        sd: Standard deviation of one unit, above 0.
        n_treatment: Units of the treatment.
        n_control: Units of the control.
        alpha: Significance level of the two-sided test, after any correction.
        power: Probability of detecting it, above alpha and below 1.

    Raises:
        InputError: An argument outside its range.
    """
    _check_means(sd=sd, alpha=alpha, power=power, units=min(n_treatment, n_control))
    return sd * _smallest(n_treatment, n_control, alpha, power)


def sample_size_of_means(
    sd: float,
    difference: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    treatment_per_control: float = 1.0,
) -> tuple[int, int]:
    """Units needed to detect a difference of means.

    Args:
        sd: Standard deviation of one unit, above 0.
        difference: Absolute difference other than 0.
        alpha: Significance level of the two-sided test, after any correction.
        power: Probability of detecting it, above alpha and below 1.
        treatment_per_control: Units of the treatment for each of the control.

    Returns:
        Units of treatment and of control, rounded up.

    Raises:
        InputError: An argument outside its range.
    """
    _check_means(sd=sd, alpha=alpha, power=power, units=treatment_per_control)
    return _units(difference / sd, alpha, power, treatment_per_control)


def detectable_effects(result: ExperimentResult, *, power: float) -> tuple[DetectableEffect, ...]:
    """The smallest effect that each overall comparison could have detected.

    Args:
        result: The experiment's result.
        power: Probability of detecting the effect.
    """
    overall = result.rows()
    tests = sum(row.p_value is not None for row in overall)
    alpha = alpha_per_test(result.alpha, tests, result.correction)
    values = next((arm.metrics for arm in result.arms if arm.arm == result.control), {})
    spreads = {name: one.sd for name, one in values.items() if isinstance(one, ArmMean)}
    return tuple(
        _detectable_effect(row, spreads.get(row.metric), alpha, power)
        for row in overall
        if row.n_treatment
    )


def _detectable_effect(
    row: ArmComparison, sd: float | None, alpha: float, power: float
) -> DetectableEffect:
    sizes, difference, base = (row.n_treatment, row.n_control), None, row.control
    # A control rate of 0 or 1 has no variance to compute from.
    if row.kind == "binary" and all(sizes) and base is not None and 0.0 < base < 1.0:
        difference = smallest_detectable_effect(base, *sizes, alpha=alpha, power=power)
    elif row.kind != "binary" and all(sizes) and sd:
        difference = smallest_detectable_difference(sd, *sizes, alpha=alpha, power=power)
    lift = difference / base if difference is not None and base else None
    return DetectableEffect(
        arm=row.arm,
        metric=row.metric,
        base=base,
        n_treatment=row.n_treatment,
        n_control=row.n_control,
        alpha=alpha,
        power=power,
        detectable_difference=difference,
        detectable_lift=lift,
        warning=_power_warning(row, lift, power),
    )


def _power_warning(row: ArmComparison, lift: float | None, power: float) -> str | None:
    """Why the comparison is underpowered; None if it is not."""
    sizes = f"{row.n_treatment:,} delivered in '{row.arm}' and {row.n_control:,} in control"
    if lift is None:
        return (
            f"underpowered: {row.metric} with {sizes} cannot detect any lift with {power:.0%} power"
        )
    if lift > NOTABLE_LIFT:
        return (
            f"underpowered: {row.metric} with {sizes} detects a lift of {lift:+.0%} or more with "
            f"{power:.0%} power; smaller effects may go undetected"
        )
    return None


def _units(
    effect: float, alpha: float, power: float, treatment_per_control: float
) -> tuple[int, int]:
    """Units of both arms needed for an effect in standard deviations (Cohen's h or d)."""
    if not effect:
        raise InputError("power: found difference 0, allowed: a difference other than 0")
    control = (1.0 + 1.0 / treatment_per_control) * (_signal(alpha, power) / effect) ** 2
    return math.ceil(control * treatment_per_control), math.ceil(control)


def _smallest(n_treatment: float, n_control: float, alpha: float, power: float) -> float:
    """The smallest detectable effect, in standard deviations."""
    return _signal(alpha, power) * math.sqrt(1.0 / n_treatment + 1.0 / n_control)


def _distance(base: float, difference: float) -> float:
    rate = base + difference
    if not 0.0 <= rate <= 1.0:
        message = f"power: base {base} + difference {difference}: found {rate}, allowed: 0 to 1"
        raise InputError(message)
    return 2.0 * abs(math.asin(math.sqrt(rate)) - math.asin(math.sqrt(base)))


def _signal(alpha: float, power: float) -> float:
    return _above(alpha / 2.0) - _above(power)


def _above(probability: float) -> float:
    """What a standard normal value exceeds with this probability."""
    return -NormalDist().inv_cdf(probability)


def _check(*, base: float, alpha: float, units: float, power: float | None = None) -> None:
    if not 0.0 < base < 1.0:
        message = f"power: base rate: found {base}, allowed: above 0 and below 1"
    elif not 0.0 < alpha < 1.0:
        message = f"power: alpha: found {alpha}, allowed: above 0 and below 1"
    elif power is not None and not alpha < power < 1.0:
        message = f"power: power: found {power}, allowed: above alpha ({alpha}) and below 1"
    elif not units > 0:
        message = f"power: units per arm: found {units}, allowed: above 0"
    else:
        return
    raise InputError(message)


def _check_means(*, sd: float, alpha: float, units: float, power: float) -> None:
    if not sd > 0.0:
        raise InputError(f"power: standard deviation: found {sd}, allowed: above 0")
    _check(base=0.5, alpha=alpha, units=units, power=power)
