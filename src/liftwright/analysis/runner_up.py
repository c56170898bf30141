"""Is the winner better than the next best arm, or only better than the control?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from liftwright.analysis.aggregates import OVERALL
from liftwright.analysis.comparison import compare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from liftwright.analysis.results import Row
    from liftwright.analysis.secondary_analyses import Contrasts
    from liftwright.analysis.verdicts import Verdict
    from liftwright.model import Direction


def beside_runner_up(
    verdict: Verdict, rows: Sequence[Row], contrasts: Contrasts, *, direction: Direction = "higher"
) -> Verdict:
    """The verdict, its reason with how the winner stands to the next arm that beat the control.

    Args:
        verdict: On a metric over all segments; one that names nobody is given back.
        rows: The comparison's rows.
        contrasts: Its cells; the two arms are compared as each is with the control.
        direction: Whether more of the metric is better, or less.
    """
    sign = 1.0 if direction == "higher" else -1.0
    others = {
        row.arm: sign * (row.estimate.difference or 0.0)
        for row in rows
        if (row.segment, row.metric) == (OVERALL, verdict.metric)
        and row.significant
        and row.arm != verdict.arm
        and sign * (row.estimate.difference or 0.0) > 0
    }
    if verdict.arm is None or verdict.segment != OVERALL or not others:
        return verdict
    second = max(others, key=lambda arm: others[arm])
    pair = (verdict.arm, second)
    found = compare(
        [c for c in contrasts.cells if c.metric == verdict.metric and c.arm in pair],
        [metric for metric in contrasts.metrics if metric.name == verdict.metric],
        second,
        units=dict.fromkeys(pair, 0),
        alpha=contrasts.alpha,
        correction="none",
        shares=dict.fromkeys(pair, 0.5),
    )
    (row,) = (row for row in found.comparisons if row.segment == OVERALL)
    if row.estimate.p_value is None:
        return verdict
    ahead = row.significant and sign * (row.estimate.difference or 0.0) > 0
    told = f"ahead of '{second}' too" if ahead else f"not told apart from '{second}'"
    return replace(verdict, reason=f"{verdict.reason}; {told}, p {row.estimate.p_value:.2g}")
