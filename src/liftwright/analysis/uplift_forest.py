"""An exploratory look at effects that no line follows: an X-learner of forests, told by SHAP.

Nothing of it is confirmatory. It is judged on units that it has not seen, and where its
predictions do not sort those, nothing is told.
"""

from __future__ import annotations

import importlib.util
import math
from typing import TYPE_CHECKING, Protocol

from liftwright.analysis.result import FeatureImportance, UpliftForest
from liftwright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# What a laptop fits in seconds; beyond it more units change little.
MOST_UNITS = 10_000
_MOST_EXPLAINED = 400
_TREES = 80
_LEAST_LEAF = 50
_FEWEST = 400


def grow_uplift_forest(  # noqa: PLR0913 - three arrays, their names, and how to judge
    outcome: Array,
    treated: NDArray[np.bool_],
    design: Array,
    names: Sequence[str],
    *,
    alpha: float = 0.05,
    seed: int = 0,
) -> UpliftForest:
    """Fit the effect of a treatment on one half of the units and judge it on the other, twice.

    Args:
        outcome: One number per unit.
        treated: Whether the unit is in the treatment; the others are in the control.
        design: The features, of the shape (units, features).
        names: Their names.
        alpha: Level of the judgement.
        seed: Of the halves and the forests.

    Raises:
        InputError: The packages of the extra `explain` are not installed.

    Source: Künzel, Sekhon, Bickel, Yu (2019), Metalearners, PNAS 116 (X-learner); Chernozhukov,
        Demirer, Duflo, Fernández-Val (2018), best linear predictor of the effect; Lundberg et al.
        (2020), Nature Machine Intelligence 2 (SHAP of trees).
    """
    import numpy as np

    _check_packages()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(outcome))[:MOST_UNITS]
    outcome, treated, design = outcome[order], treated[order], design[order]
    if min(treated.sum(), (~treated).sum()) < _FEWEST:
        return _nothing(len(outcome), f"not grown: an arm has fewer than {_FEWEST} units")
    half = np.arange(len(outcome)) % 2 == 0
    predicted, importance, explained = np.zeros(len(outcome)), np.zeros(design.shape[1]), 0
    for fit, unseen in ((half, ~half), (~half, half)):
        forest = _x_learner(outcome[fit], treated[fit], design[fit], seed)
        predicted[unseen] = forest.predict(design[unseen])
        some = design[unseen][:_MOST_EXPLAINED]
        importance += np.abs(_shap_values(forest, some)).mean(axis=0) / 2.0
        explained += len(some)
    slope, p_value = _sorting(outcome, treated, predicted, half)
    if slope is None or p_value is None or p_value >= alpha:
        told = "unknown" if p_value is None else f"{p_value:.2g}"
        reason = f"not reported: it does not rank held-out units better than chance (p {told})"
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
    """What is used of scikit-learn's forest."""

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
        min_samples_leaf=_LEAST_LEAF,
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


def _nothing(units: int, reason: str) -> UpliftForest:
    return UpliftForest(
        importances=(), slope=None, p_value=None, units=units, explained=0, reason=reason
    )


def _x_learner(outcome: Array, treated: NDArray[np.bool_], design: Array, seed: int) -> _Forest:
    """One forest of the effect, fitted to what each unit's outcome says of it."""
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
    error = math.sqrt(covariance[3, 3])
    slope = float(beta[3])
    return slope, 0.5 * math.erfc(slope / error / math.sqrt(2.0)) if error else None
