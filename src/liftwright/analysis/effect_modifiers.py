"""Which features go with a larger effect: a regression with interactions, and an uplift forest.

The regression has the arm, the features and their products as regressors. The coefficient of a
product is the change of the effect per standard deviation of the feature, with the others held
fixed. Standard errors are robust to unequal variances. The forest is exploratory: an X-learner for
nonlinear effects, evaluated on held-out units and explained by SHAP. Neither ranks features unless
a test shows that effects differ.
"""

from __future__ import annotations

import importlib.util
import math
from typing import TYPE_CHECKING, Protocol

from liftwright.analysis.comparison import adjust_p_values
from liftwright.analysis.result import (
    Explanation,
    FeatureEffect,
    FeatureImportance,
    RankedFeature,
    UpliftForest,
)
from liftwright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# With fewer units per coefficient, robust standard errors are too small.
_UNITS_PER_TERM = 20
# A laptop fits this many in seconds; more units change little.
MAX_UNITS = 10_000
_MAX_EXPLAINED_UNITS = 400
_TREES = 80
_MIN_LEAF_UNITS = 50
_MIN_ARM_UNITS = 400


def fit_effect_modifiers(  # noqa: PLR0913 - what is explained, by what, and how to judge
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
        metric: Name of the outcome.
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
        reason=_reason(ranked, joint, alpha) if rows else _no_test(names, needed),
    )


def _no_test(names: Sequence[str], needed: int) -> str:
    if not names:
        return "not estimable: no feature varies"
    shown = f"{len(names)} features need" if len(names) > 1 else "1 feature needs"
    return (
        f"not estimable: {shown} at least {needed} units in an arm and the control together, "
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
    """Coefficients of the products and their robust covariance; None if they are not unique."""
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


def grow_uplift_forest(  # noqa: PLR0913 - three arrays, their names, and how to judge
    outcome: Array,
    treated: NDArray[np.bool_],
    design: Array,
    names: Sequence[str],
    *,
    alpha: float = 0.05,
    seed: int = 0,
) -> UpliftForest:
    """Fit the effect of a treatment by cross-fitting: each half is predicted from the other.

    Args:
        outcome: One number per unit.
        treated: Whether each unit is in the treatment; the others are in the control.
        design: The features, shape (units, features).
        names: The features' names.
        alpha: Significance level of the test that the predictions rank held-out units.
        seed: Random seed of the halves and the forests.

    Raises:
        InputError: The packages of the extra `explain` are not installed.

    Source: Künzel, Sekhon, Bickel, Yu (2019), Metalearners, PNAS 116 (X-learner); Chernozhukov,
        Demirer, Duflo, Fernández-Val (2018), best linear predictor of the effect; Lundberg et al.
        (2020), Nature Machine Intelligence 2 (SHAP of trees).
    """
    import numpy as np

    _check_packages()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(outcome))[:MAX_UNITS]
    outcome, treated, design = outcome[order], treated[order], design[order]
    if min(treated.sum(), (~treated).sum()) < _MIN_ARM_UNITS:
        return _no_forest(len(outcome), f"not grown: an arm has fewer than {_MIN_ARM_UNITS} units")
    half = np.arange(len(outcome)) % 2 == 0
    predicted, importance, explained = np.zeros(len(outcome)), np.zeros(design.shape[1]), 0
    for fit, unseen in ((half, ~half), (~half, half)):
        forest = _x_learner(outcome[fit], treated[fit], design[fit], seed)
        predicted[unseen] = forest.predict(design[unseen])
        some = design[unseen][:_MAX_EXPLAINED_UNITS]
        importance += np.abs(_shap_values(forest, some)).mean(axis=0) / 2.0
        explained += len(some)
    slope, p_value = _sorting(outcome, treated, predicted, half)
    if slope is None or p_value is None or p_value >= alpha:
        shown = "unknown" if p_value is None else f"{p_value:.2g}"
        reason = f"not reported: it does not rank held-out units better than chance (p {shown})"
        return UpliftForest(
            importances=(),
            slope=slope,
            p_value=p_value,
            units=len(outcome),
            explained=0,
            reason=reason,
        )
    ranked = sorted(zip(names, importance.tolist(), strict=True), key=lambda item: -item[1])
    return UpliftForest(
        importances=tuple(
            FeatureImportance(feature=name, mean_absolute_shap=value) for name, value in ranked
        ),
        slope=slope,
        p_value=p_value,
        units=len(outcome),
        explained=explained,
        reason=f"its predictions rank held-out units (slope {slope:.2f}, p {p_value:.2g})",
    )


class _Forest(Protocol):
    """The methods of scikit-learn's forest that are used here."""

    def fit(self, design: Array, outcome: Array) -> _Forest: ...

    def predict(self, design: Array) -> Array: ...


def _shap_values(forest: _Forest, design: Array) -> Array:
    import numpy as np
    import shap

    return np.asarray(shap.TreeExplainer(forest).shap_values(design, check_additivity=False))


def _grown(design: Array, outcome: Array, seed: int) -> _Forest:
    from sklearn.ensemble import RandomForestRegressor

    forest: _Forest = RandomForestRegressor(
        n_estimators=_TREES,
        min_samples_leaf=_MIN_LEAF_UNITS,
        max_features=0.7,
        random_state=seed,
        n_jobs=1,
    )
    return forest.fit(design, outcome)


def _check_packages() -> None:
    missing = [name for name in ("sklearn", "shap") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"--forest: needs {' and '.join(missing)}: pip install 'liftwright[explain]'"
        )


def _no_forest(units: int, reason: str) -> UpliftForest:
    return UpliftForest(
        importances=(), slope=None, p_value=None, units=units, explained=0, reason=reason
    )


def _x_learner(outcome: Array, treated: NDArray[np.bool_], design: Array, seed: int) -> _Forest:
    """A forest of the effect, fitted to each unit's imputed effect."""
    import numpy as np

    with_it = _grown(design[treated], outcome[treated], seed)
    without = _grown(design[~treated], outcome[~treated], seed)
    effects = np.where(
        treated, outcome - without.predict(design), with_it.predict(design) - outcome
    )
    return _grown(design, effects, seed)


def _sorting(
    outcome: Array, treated: NDArray[np.bool_], predicted: Array, half: NDArray[np.bool_]
) -> tuple[float | None, float | None]:
    """Slope of the effect on its prediction, each half by the other's forest, with its p-value."""
    import numpy as np

    centred = predicted.copy()
    for part in (half, ~half):
        centred[part] -= predicted[part].mean()
    if not centred.std() > 0:
        return None, None
    share = treated.mean()
    away = treated - share
    x = np.column_stack([np.ones_like(outcome), predicted, away, away * centred])
    if np.linalg.matrix_rank(x) < x.shape[1]:
        return None, None
    inverse = np.linalg.inv(x.T @ x)
    beta = inverse @ (x.T @ outcome)
    covariance = inverse @ (x.T * (outcome - x @ beta) ** 2) @ x @ inverse
    slope, error = float(beta[3]), math.sqrt(covariance[3, 3])
    return slope, 0.5 * math.erfc(slope / error / math.sqrt(2.0)) if error else None
