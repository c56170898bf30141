"""How small an effect the experiment could have found, said in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.analysis import smallest_detectable_difference, smallest_detectable_effect

if TYPE_CHECKING:
    from liftwright.analysis import Estimate

# A tenth more is what a campaign hopes for; an experiment that cannot see that is underpowered.
NOTABLE_LIFT = 0.10


def detectable(
    estimate: Estimate, sd: float | None, *, kind: str, alpha: float, power: float
) -> float | None:
    """The smallest absolute increase that is found with the given power.

    Args:
        estimate: gives the control's rate or mean and both sizes.
        sd: the control's standard deviation, of a mean.
        kind: binary or mean.
        alpha: level of the two-sided test.
        power: probability to find it.

    Returns:
        None where nothing can be said: no event, every one an event, or a metric without spread.
    """
    n_treatment, n_control = estimate.n_treatment, estimate.n_control
    if not n_treatment or not n_control:
        return None
    if kind == "binary":
        base = estimate.control
        if base is None or not 0.0 < base < 1.0:
            return None
        return smallest_detectable_effect(base, n_treatment, n_control, alpha=alpha, power=power)
    if not sd:
        return None
    return smallest_detectable_difference(sd, n_treatment, n_control, alpha=alpha, power=power)


def power_warning(
    arm: str, metric: str, estimate: Estimate, lift: float | None, power: float
) -> str | None:
    """The sentence that goes beside an underpowered result; None where the power suffices."""
    sizes = f"{estimate.n_treatment:,} delivered in '{arm}' and {estimate.n_control:,} in control"
    if lift is None:
        return f"underpowered: {metric} with {sizes} cannot show any lift with {power:.0%} power"
    if lift > NOTABLE_LIFT:
        return (
            f"underpowered: {metric} with {sizes} shows a lift of {lift:+.0%} or more with "
            f"{power:.0%} power; a smaller one may be there and not be found"
        )
    return None
