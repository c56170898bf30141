"""What every estimator hands back: one contrast of a treatment with the control."""

from __future__ import annotations

from dataclasses import dataclass

NO_CONTROL_EVENT = "lift not estimable: control has no event"
CONSTANT = "p-value not estimable: the metric is constant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One treatment against the control on one metric.

    Rates, means and lifts are fractions, None where they cannot be estimated; `warnings` then
    says why. `difference` is treatment - control and `lift` is treatment / control - 1.

    Attributes:
        n_treatment: Units of the treatment that count.
        n_control: Units of the control that count.
        treatment: Rate, mean or ratio of the treatment; Mantel-Haenszel-weighted over strata.
        control: The same of the control, with the same weights.
        difference: treatment - control.
        difference_ci: Its two-sided interval at 1 - alpha.
        lift: treatment / control - 1.
        lift_ci: Its two-sided interval at 1 - alpha.
        p_value: Two-sided p-value, not corrected for multiplicity.
        test: Name of the test behind the p-value, None where there is none.
        warnings: Reasons for what is missing, in words.
    """

    n_treatment: int
    n_control: int
    treatment: float | None = None
    control: float | None = None
    difference: float | None = None
    difference_ci: tuple[float, float] | None = None
    lift: float | None = None
    lift_ci: tuple[float, float] | None = None
    p_value: float | None = None
    test: str | None = None
    warnings: tuple[str, ...] = ()


def empty_estimate() -> Estimate:
    """The estimate of a contrast without a stratum in which both arms have units."""
    return Estimate(
        n_treatment=0, n_control=0, warnings=("not estimable: no units in one of the arms",)
    )
