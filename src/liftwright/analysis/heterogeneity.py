"""Which features go with a larger effect: a regression with interactions, and its refusal of noise.

The outcome is regressed on the arm, the features and their products, so that a product's
coefficient is how much the effect grows with one standard deviation more of the feature, the others
held fixed. Standard errors are robust to unequal variances.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from liftwright.analysis.comparison import adjust_p_values
from liftwright.analysis.result import Explanation, FeatureEffect, RankedFeature

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# Fewer units for each coefficient than this, and robust errors are too small.
_UNITS_PER_TERM = 20


def moderate(  # noqa: PLR0913 - what is explained, by what, and how to judge
    metric: str,
    outcome: Array,
    arms: Sequence[str],
    control: str,
    features: Mapping[str, Array],
    *,
    alpha: float = 0.05,
) -> Explanation:
    """Regress the outcome on arm, features and their products, arm by arm against the control.

    Args:
        metric: What the outcome is called.
        outcome: One number per unit.
        arms: The arm of each unit.
        control: Name of the control.
        features: By name, one number per unit; NaN is taken as the mean. A feature that does not
            vary is left out.
        alpha: Level of the tests.

    Source: Imbens, Rubin (2015), Causal Inference, chapter 7; robust errors (HC2): MacKinnon,
        White (1985), Journal of Econometrics 29.
    """
    import numpy as np

    names, design = standardised(features)
    arm_of = np.asarray(arms)
    needed = _UNITS_PER_TERM * 2 * (len(names) + 1)
    found = []
    for arm in dict.fromkeys(arms):
        here = (arm_of == arm) | (arm_of == control)
        if arm == control or here.sum() < needed or not names:
            continue
        fit = _products(outcome[here], arm_of[here] == arm, design[here])
        if fit is not None:
            found.append((arm, *fit))
    rows, joint = _tests(found, names, alpha)
    ranked = sorted((row for row in rows if row.significant), key=lambda row: -abs(row.change))
    return Explanation(
        metric=metric,
        units=len(outcome),
        rows=tuple(rows),
        joint_p_adjusted=joint,
        ranking=tuple(RankedFeature(arm=row.arm, feature=row.feature) for row in ranked),
        reason=_reason(ranked, joint, alpha) if rows else _nothing(names, needed),
    )


def _nothing(names: Sequence[str], needed: int) -> str:
    if not names:
        return "not estimable: no feature varies"
    told = f"{len(names)} features need" if len(names) > 1 else "1 feature needs"
    return (
        f"not estimable: {told} at least {needed} units in an arm and the control together, "
        "and must not be collinear"
    )


def standardised(features: Mapping[str, Array]) -> tuple[list[str], Array]:
    """The features that vary, centred and in standard deviations, missing values at the mean.

    Returns:
        Their names, and an array of the shape (units, features).
    """
    import numpy as np

    names, columns = [], []
    for name, values in features.items():
        known = values[~np.isnan(values)]
        spread = float(known.std()) if len(known) else 0.0
        if spread > 0:
            names.append(name)
            columns.append(np.nan_to_num((values - known.mean()) / spread, nan=0.0))
    units = len(next(iter(features.values()))) if features else 0
    return names, np.column_stack(columns) if columns else np.zeros((units, 0))


def _products(
    outcome: Array, treated: NDArray[np.bool_], design: Array
) -> tuple[Array, Array] | None:
    """Coefficients of the products and their robust covariance; None where they are not unique."""
    import numpy as np

    arm = treated.astype(np.float64)[:, None]
    x = np.hstack([np.ones_like(arm), arm, design, arm * design])
    if np.linalg.matrix_rank(x) < x.shape[1]:
        return None
    inverse = np.linalg.inv(x.T @ x)
    beta = inverse @ (x.T @ outcome)
    leverage = np.einsum("ij,jk,ik->i", x, inverse, x).clip(max=1.0 - 1e-9)
    weight = (outcome - x @ beta) ** 2 / (1.0 - leverage)
    covariance = inverse @ (x.T * weight) @ x @ inverse
    last = slice(2 + design.shape[1], None)
    return beta[last], covariance[last, last]


def _tests(
    found: Sequence[tuple[str, Array, Array]], names: Sequence[str], alpha: float
) -> tuple[list[FeatureEffect], dict[str, float]]:
    """Every arm and feature, and by arm the joint p-value that no feature changes the effect.

    A row is significant only where the joint test of its arm rejects: noise is not ranked.
    """
    if not found:
        return [], {}
    import numpy as np
    from scipy.special import chdtrc, ndtri

    total = len(found) * len(names)
    reach = float(-ndtri(alpha / 2.0 / total))
    raw: list[tuple[str, str, float, float, float]] = []
    joint = {}
    for arm, changes, covariance in found:
        errors = np.sqrt(np.diag(covariance))
        joint[arm] = float(chdtrc(len(names), changes @ np.linalg.solve(covariance, changes)))
        for name, change, error in zip(names, changes.tolist(), errors.tolist(), strict=True):
            p_value = math.erfc(abs(change) / error / math.sqrt(2.0)) if error else 1.0
            raw.append((arm, name, change, error, p_value))
    adjusted = adjust_p_values([row[-1] for row in raw])
    corrected = adjust_p_values(list(joint.values()))
    joint = {arm: 1.0 if p is None else p for arm, p in zip(joint, corrected, strict=True)}
    rows = []
    for (arm, name, change, error, p_value), adjusted_p in zip(raw, adjusted, strict=True):
        p_adjusted = 1.0 if adjusted_p is None else adjusted_p
        rows.append(
            FeatureEffect(
                arm=arm,
                feature=name,
                change=change,
                interval=(change - reach * error, change + reach * error),
                p_value=p_value,
                p_adjusted=p_adjusted,
                significant=joint[arm] < alpha and p_adjusted < alpha,
            )
        )
    return rows, joint


def _reason(sure: Sequence[FeatureEffect], joint: Mapping[str, float], alpha: float) -> str:
    least = min(joint.values())
    if sure:
        return f"the effect differs with the features (joint p {least:.2g} < {alpha:g})"
    if least < alpha:
        return (
            f"the effect differs with the features (joint p {least:.2g}), but no single "
            "feature is significant, so none is ranked"
        )
    return (
        f"no evidence that the effect differs with the features (joint p {least:.2g}, not below "
        f"{alpha:g}); none is ranked, as a ranking would be noise"
    )
