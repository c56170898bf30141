"""Score intervals of the difference and the ratio of two proportions, stratified or not.

All arrays have the shape (rows, strata): one row is one contrast. A stratum that is only padding
has weight 0. With Mantel-Haenszel weights the score statistic at "no effect" is that of
Cochran-Mantel-Haenszel, so that interval and test agree.

Source: Miettinen, Nurminen (1985), Comparative analysis of two rates, Statistics in Medicine 4;
Koopman (1984), Biometrics 40; closed form of the restricted estimate of a difference: Farrington,
Manning (1990), Statistics in Medicine 9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# Each halving adds a bit; a double has 53.
_HALVINGS = 60


class ContingencyTables(NamedTuple):
    """2 x 2 tables as arrays of the shape (rows, strata).

    Attributes:
        n1: Units of the treatment.
        x1: Events of the treatment.
        n0: Units of the control.
        x0: Events of the control.
        weight: Mantel-Haenszel weight n1 * n0 / (n1 + n0), 0 for padding.
    """

    n1: Array
    x1: Array
    n0: Array
    x0: Array
    weight: Array

    def rates(self) -> tuple[Array, Array]:
        """Weighted rates of treatment and control, one of each for a row."""
        import numpy as np

        # Shares of the weight: those of a single stratum are 1, so that its rates are exact.
        share = self.weight / self.weight.sum(axis=1, keepdims=True)
        return (
            np.minimum((share * (self.x1 / self.n1)).sum(axis=1), 1.0),
            np.minimum((share * (self.x0 / self.n0)).sum(axis=1), 1.0),
        )


def score_interval_of_difference(tables: ContingencyTables, z: float) -> tuple[Array, Array]:
    """Limits of the weighted difference of rates; each row has at least one stratum.

    Args:
        tables: The strata.
        z: Normal quantile of the level, 1.96 for 95 %.

    Returns:
        Lower and upper limit of every row, within [-1, 1].
    """
    import numpy as np

    treatment, control = tables.rates()
    estimate = treatment - control
    share = tables.weight / tables.weight.sum(axis=1, keepdims=True)

    def outside(delta: Array) -> NDArray[np.bool_]:
        p1, p0 = _restricted_to_difference(tables, delta[:, None])
        variance = share**2 * _variance(tables, p1, p0, 1.0)
        return np.asarray((estimate - delta) ** 2 > z * z * variance.sum(axis=1))

    lower = _boundary(outside, np.full_like(estimate, -1.0), estimate)
    upper = _boundary(outside, np.full_like(estimate, 1.0), estimate)
    return lower, upper


def score_interval_of_ratio(
    tables: ContingencyTables, z: float, few: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Limits of the ratio of weighted rates; the control of each row has an event.

    Args:
        tables: The strata.
        z: Normal quantile of the level, 1.96 for 95 %.
        few: Rows with few events; their score is brought nearer to 0 by half an event (continuity
            correction), because an interval that needs an event of the control to exist falls
            short of its level otherwise.

    Returns:
        Lower and upper limit of every row; the lower one is 0 where the treatment has no event.
    """
    import numpy as np

    treatment, control = tables.rates()
    share = tables.weight / tables.weight.sum(axis=1, keepdims=True)
    events = tables.x1 + tables.x0
    events = few[:, None] * events / events.sum(axis=1, keepdims=True)
    half_treatment = 0.5 * (events * share / tables.n1).sum(axis=1)
    half_control = 0.5 * (events * share / tables.n0).sum(axis=1)

    # The search runs on ratio / (1 + ratio), which maps [0, infinity) to [0, 1).
    def outside(position: Array) -> NDArray[np.bool_]:
        ratio = (position / (1.0 - position))[:, None]
        p1, p0 = _restricted_to_ratio(tables, ratio)
        variance = share**2 * _variance(tables, p1, p0, ratio)
        half = half_treatment + ratio[:, 0] * half_control
        score = np.maximum(np.abs(treatment - ratio[:, 0] * control) - half, 0.0)
        return np.asarray(score**2 > z * z * variance.sum(axis=1))

    estimate = treatment / (treatment + control)
    edge = 1.0 - 1e-15
    lower = _boundary(outside, np.zeros_like(estimate), estimate)
    upper = _boundary(outside, np.full_like(estimate, edge), estimate)
    return lower / (1.0 - lower), upper / (1.0 - upper)


def _boundary(outside: Callable[[Array], NDArray[np.bool_]], far: Array, inside: Array) -> Array:
    import numpy as np

    for _ in range(_HALVINGS):
        middle = 0.5 * (far + inside)
        out = outside(middle)
        far = np.where(out, middle, far)
        inside = np.where(out, inside, middle)
    return far


def _variance(tables: ContingencyTables, p1: Array, p0: Array, ratio: Array | float) -> Array:
    units = tables.n1 + tables.n0
    spread = p1 * (1.0 - p1) / tables.n1 + ratio**2 * p0 * (1.0 - p0) / tables.n0
    return spread * units / (units - 1.0)


def _restricted_to_difference(tables: ContingencyTables, delta: Array) -> tuple[Array, Array]:
    import numpy as np

    theta = tables.n0 / tables.n1
    rate1, rate0 = tables.x1 / tables.n1, tables.x0 / tables.n0
    a = 1.0 + theta
    b = -(a + rate1 + theta * rate0 + delta * (theta + 2.0))
    c = delta**2 + delta * (2.0 * rate1 + a) + rate1 + theta * rate0
    d = -rate1 * delta * (1.0 + delta)
    third = b / (3.0 * a)
    v = third**3 - b * c / (6.0 * a**2) + d / (2.0 * a)
    u = np.where(v < 0, -1.0, 1.0) * np.sqrt(np.maximum(third**2 - c / (3.0 * a), 0.0))
    cubed = np.where(u == 0, 1.0, u**3)
    angle = (np.pi + np.arccos(np.clip(v / cubed, -1.0, 1.0))) / 3.0
    p1 = 2.0 * u * np.cos(angle) - third
    p1 = np.clip(p1, np.maximum(0.0, delta), np.minimum(1.0, 1.0 + delta))
    return p1, p1 - delta


def _restricted_to_ratio(tables: ContingencyTables, ratio: Array) -> tuple[Array, Array]:
    import numpy as np

    events = tables.x1 + tables.x0
    a = (tables.n1 + tables.n0) * ratio
    b = ratio * (tables.n1 + tables.x0) + tables.x1 + tables.n0
    root = np.sqrt(np.maximum(b**2 - 4.0 * a * events, 0.0))
    p0 = np.minimum(2.0 * events / (b + root), 1.0)
    return np.minimum(ratio * p0, 1.0), p0
