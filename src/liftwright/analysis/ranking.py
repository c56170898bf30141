"""How well scores order cases, and how well a search orders documents.

A measure that has no value, as one class is missing or nothing is relevant, is NaN.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def auroc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """The chance that a positive case scores above a negative one, ties counted as half.

    It is the area under the receiver operating characteristic.

    Returns:
        From 0 to 1; 0.5 is what chance gives. NaN unless both classes are there.

    Source: Hanley, McNeil (1982), Radiology 143; by rank sums as Mann and Whitney (1947).
    """
    totals, hits = _by_score(scores, positive)
    positives = float(hits.sum())
    negatives = float(totals.sum()) - positives
    if not positives or not negatives:
        return math.nan
    misses = totals - hits
    # Scores fall along the arrays; cases of a tie do not outrank each other.
    below = negatives - misses.cumsum() + misses / 2
    return float((hits * below).sum()) / (positives * negatives)


def average_precision(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """Precision at each score where recall grows, weighted by how much it grows.

    Cases of one score are taken together, so that their order in the file does not matter.

    Returns:
        From 0 to 1; the share of positives is what chance gives. NaN without a positive.

    Source: Manning, Raghavan, Schütze (2008), Introduction to Information Retrieval, 8.4;
    without interpolation.
    """
    totals, hits = _by_score(scores, positive)
    positives = float(hits.sum())
    if not positives:
        return math.nan
    precision = hits.cumsum() / totals.cumsum()
    return float((precision * hits).sum()) / positives


def ndcg_at(k: int, found: Sequence[str], gains: Mapping[str, float]) -> float:
    """Normalised discounted cumulative gain of the first `k` results.

    The gain of a document is its graded score, 0 where it was not judged; the gain at rank r,
    from 1, is divided by log2(r + 1), and the sum by that of the best order possible.

    Args:
        k: ranks that count.
        found: documents in the order of the search, each once.
        gains: graded scores, 0 or more.

    Returns:
        From 0 to 1. NaN where no document has a gain.

    Source: Järvelin, Kekäläinen (2002), Cumulated gain-based evaluation of IR techniques, ACM
    TOIS 20(4); with the discount log2(r + 1) that is usual since.
    """
    best = _discounted(sorted(gains.values(), reverse=True)[:k])
    return _discounted([gains.get(name, 0.0) for name in found[:k]]) / best if best else math.nan


def recall_at(k: int, found: Sequence[str], gains: Mapping[str, float]) -> float:
    """The share of all relevant documents, those with a gain, among the first `k` found.

    Returns:
        From 0 to 1. NaN where no document is relevant.
    """
    relevant = {name for name, gain in gains.items() if gain > 0}
    return len(relevant.intersection(found[:k])) / len(relevant) if relevant else math.nan


def _by_score(scores: Sequence[float], positive: Sequence[bool]) -> tuple[Floats, Floats]:
    """For each distinct score, falling: how many cases have it, and how many positive ones."""
    import numpy as np

    falling, place = np.unique(-np.asarray(scores, dtype=np.float64), return_inverse=True)
    weights = np.asarray(positive, dtype=np.float64)
    if place.shape != weights.shape:
        message = f"{len(weights)} labels for {len(place)} scores"
        raise ValueError(message)
    totals = np.bincount(place, minlength=len(falling)).astype(np.float64)
    hits = np.bincount(place, weights=weights, minlength=len(falling)).astype(np.float64)
    return totals, hits


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
