"""Sample-ratio mismatch: do the arms have the sizes that they were meant to have?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from liftwright.analysis.result import SampleRatioCheck
from liftwright.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# A mismatch is called at 1 %: the check runs before every result, and its alarm stops the reading.
SRM_ALPHA = 0.01

_FEW = 5.0
_DRAWS = 9_999
_MOST_ARMS_DRAWN = 100


def check_srm(observed: Mapping[str, int], expected: Mapping[str, float]) -> SampleRatioCheck:
    """Test the sizes of the arms against what was meant.

    Args:
        observed: Units of each arm; an arm that is missing has none.
        expected: Shares, weights or expected counts of each arm, of any sum: they are scaled to
            the observed total. For a stratified design give the sums of the strata's expected
            counts. An arm that is missing was meant to have no unit.

    Returns:
        The chi-square test with k - 1 degrees of freedom; where an expected count is under 5, its
        p-value comes from 9,999 multinomial draws with a fixed seed.

    Raises:
        InputError: A share or count that is negative or not finite, or no share above 0.

    Source: Fabijan et al. (2019), Diagnosing Sample Ratio Mismatch in Online Controlled
        Experiments, KDD.
    """
    arms = [*observed, *(arm for arm in expected if arm not in observed)]
    counts = [observed.get(arm, 0) for arm in arms]
    weights = [expected.get(arm, 0.0) for arm in arms]
    for arm, value in (*zip(arms, counts, strict=True), *zip(arms, weights, strict=True)):
        if not (math.isfinite(value) and value >= 0):
            message = f"srm: arm {arm!r}: found {value}, allowed: a finite number, 0 or more"
            raise InputError(message)
    if not sum(weights) > 0:
        message = "srm: found no arm with a share above 0, allowed: at least one"
        raise InputError(message)
    scale = sum(counts) / math.fsum(weights)
    meant = [weight * scale for weight in weights]
    p_value = _p_value(counts, meant) if sum(counts) else None
    return SampleRatioCheck(
        p_value=p_value,
        ok=p_value is not None and p_value >= SRM_ALPHA,
        observed=dict(zip(arms, counts, strict=True)),
        expected=dict(zip(arms, meant, strict=True)),
    )


def _p_value(observed: Sequence[int], expected: Sequence[float]) -> float:
    from scipy.special import chdtrc

    if any(count and not meant for count, meant in zip(observed, expected, strict=True)):
        return 0.0
    pairs = [(o, e) for o, e in zip(observed, expected, strict=True) if e]
    if len(pairs) == 1:
        return 1.0
    statistic = math.fsum((o - e) ** 2 / e for o, e in pairs)
    if len(pairs) <= _MOST_ARMS_DRAWN and min(e for _, e in pairs) < _FEW:
        return _drawn_p_value(statistic, sum(observed), [e for _, e in pairs])
    return float(chdtrc(len(pairs) - 1, statistic))


def _drawn_p_value(statistic: float, total: int, expected: Sequence[float]) -> float:
    import numpy as np

    meant = np.asarray(expected)
    draws = np.random.default_rng(0).multinomial(total, meant / meant.sum(), size=_DRAWS)
    drawn = ((draws - meant) ** 2 / meant).sum(axis=1)
    # Equal tables must tie in spite of rounding.
    extreme = int((drawn >= statistic * (1.0 - 1e-9) - 1e-12).sum())
    return (extreme + 1) / (_DRAWS + 1)
