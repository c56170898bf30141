"""The exact conditional test of a common odds ratio of 1 over 2 x 2 tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from liftwright.analysis.moments import Counts

    Array = NDArray[np.float64]

# Equal probabilities of two tables differ in their last bits.
_TIE = 1.0 + 1e-7


def exact_p_value(strata: Sequence[tuple[Counts, Counts]]) -> float:
    """Two-sided exact p-value, given the margins of every stratum.

    With one stratum this is Fisher's exact test. The p-value is the sum of the probabilities of
    all totals that are no more likely than the observed one.

    Args:
        strata: Counts of treatment and control in each stratum.

    Source: Gart (1970), Point and interval estimation of the common odds ratio, Biometrika 57.
    """
    import numpy as np

    law: Array = np.ones(1)
    position = 0
    for treatment, control in strata:
        low, probabilities = _hypergeometric(treatment, control)
        law = np.convolve(law, probabilities)
        position += treatment.events - low
    return float(min(1.0, law[law <= law[position] * _TIE].sum() / law.sum()))


def _hypergeometric(treatment: Counts, control: Counts) -> tuple[int, Array]:
    """Least possible number of treatment events, and the law of that number from there on."""
    import numpy as np

    events = treatment.events + control.events
    low = max(0, events - control.n)
    high = min(treatment.n, events)
    k = np.arange(low, high, dtype=np.float64)
    steps = np.log((events - k) * (treatment.n - k)) - np.log(
        (k + 1.0) * (control.n - events + k + 1.0)
    )
    logs = np.concatenate((np.zeros(1), np.cumsum(steps)))
    weights = np.exp(logs - logs.max())
    return low, weights / weights.sum()
