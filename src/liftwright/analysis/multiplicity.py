"""Correction of a family of p-values for multiplicity."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Correction = Literal["holm", "bh", "none"]


def adjust_p_values(
    p_values: Sequence[float | None], correction: Correction = "holm"
) -> list[float | None]:
    """Adjusted p-values of one family, in the given order.

    Args:
        p_values: Raw p-values; None and NaN are no tests: they stay None and do not count.
        correction: "holm" (family-wise error), "bh" (false discovery rate) or "none".

    Source: Holm (1979), Scandinavian Journal of Statistics 6; Benjamini, Hochberg (1995),
        Journal of the Royal Statistical Society B 57.
    """
    known = [p for p in p_values if p is not None and not math.isnan(p)]
    adjusted = iter(_adjust(known, correction))
    return [None if p is None or math.isnan(p) else next(adjusted) for p in p_values]


def _adjust(p_values: list[float], correction: Correction) -> list[float]:
    if correction == "none" or not p_values:
        return p_values
    # Of these two formulas alone statsmodels would cost every run half a second of imports.
    count = len(p_values)
    order = sorted(range(count), key=p_values.__getitem__)
    if correction == "holm":
        steps = [p_values[place] * (count - rank) for rank, place in enumerate(order)]
        bounds = list(accumulate(steps, max))
    else:
        steps = [p_values[place] / (rank / count) for rank, place in enumerate(order, start=1)]
        bounds = list(accumulate(reversed(steps), min))[::-1]
    adjusted = dict(zip(order, bounds, strict=True))
    return [min(adjusted[place], 1.0) for place in range(count)]
