"""What stands beside the primary analysis: looks at any time, segments compared, posteriors.

Each gives rows of the same shape as the comparison's, one per arm and metric over all segments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from liftwright.analysis.aggregates import OVERALL, Cell, Summary, Table, check_known
from liftwright.analysis.bayes import BETA, NORMAL, Posterior, believe, posterior_of
from liftwright.analysis.estimates import Estimate
from liftwright.analysis.interactions import check_interaction
from liftwright.analysis.moments import Counts, Moments
from liftwright.analysis.omnibus import Omnibus, check_any_difference, tukey_p_values
from liftwright.analysis.results import make_rows
from liftwright.analysis.sequential import PLANNED_UNITS, estimate_sequence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.analysis.multiplicity import Correction
    from liftwright.analysis.results import Row
    from liftwright.model import Json, MetricSpec

_PAIR = 2
# Pairs grow with the square of the arms.
_MOST_PAIRED = 10
_NO_POSTERIOR = "not estimable: an arm has too few units, or a metric without spread"


@dataclass(frozen=True, slots=True)
class Contrasts:
    """The arms of an experiment against its control, for the estimators of this module.

    Attributes:
        cells: One per (segment, arm, metric) with units.
        metrics: The metrics, in the order of the rows.
        control: Name of the control.
        arms: All arms, the control among them, in the order of the rows.
        alpha: Level of the tests, and 1 - level of the intervals.
        correction: Of each estimator's rows as one family.
    """

    cells: Sequence[Cell]
    metrics: Sequence[MetricSpec]
    control: str
    arms: Sequence[str]
    alpha: float = 0.05
    correction: Correction = "holm"

    def table(self) -> Table:
        """The cells by key.

        Raises:
            InputError: The control is not an arm, or the cells do not fit.
        """
        check_known("control", self.control, self.arms)
        return Table(self.cells, self.metrics, self.arms)

    def keys(self) -> list[tuple[str, str, MetricSpec]]:
        """Segment, arm and metric of each row."""
        treatments = [arm for arm in self.arms if arm != self.control]
        return [(OVERALL, arm, metric) for arm in treatments for metric in self.metrics]


def sequential_rows(contrasts: Contrasts, planned: Mapping[str, float] | None = None) -> list[Row]:
    """Every arm against the control, as it may be read at any look.

    Args:
        contrasts: What is compared.
        planned: By arm, the units of it and the control that were planned before the first look.
    """
    table, keys = contrasts.table(), contrasts.keys()
    strata = table.segments or (None,)
    estimates = [
        estimate_sequence(
            table.pairs(arm, contrasts.control, metric.name, strata),  # type: ignore[arg-type] # of one kind
            alpha=contrasts.alpha,
            planned=(planned or {}).get(arm, PLANNED_UNITS),
        )
        for _, arm, metric in keys
    ]
    return make_rows(keys, estimates, contrasts.alpha, contrasts.correction)


def interaction_rows(contrasts: Contrasts) -> list[Row]:
    """Whether each arm's effect differs between segments; no rows without segments.

    The rows have no difference and no lift of their own: the p-value is that of the test.
    """
    table = contrasts.table()
    if not table.segments:
        return []
    keys = contrasts.keys()
    estimates, more = [], []
    for _, arm, metric in keys:
        pairs = table.pairs(arm, contrasts.control, metric.name, table.segments)
        there = [pair for pair in pairs if pair[0].n and pair[1].n]
        found = check_interaction(there)
        estimates.append(
            Estimate(
                n_treatment=sum(one.n for one, _ in there),
                n_control=sum(zero.n for _, zero in there),
                p_value=found.p_value,
                test=found.test,
                warnings=found.warnings,
            )
        )
        more.append(
            {
                "statistic": found.statistic,
                "degrees_of_freedom": found.df,
                "segments_compared": found.segments,
                "common_odds_ratio": found.common_odds_ratio,
            }
        )
    return make_rows(keys, estimates, contrasts.alpha, contrasts.correction, more)


def omnibus_entries(contrasts: Contrasts) -> list[dict[str, Json]]:
    """Per metric, whether any two arms differ at all; of means, also every pair of arms.

    Raw, not stratified. Two arms need no such test, and a ratio has none.
    """
    table = contrasts.table()
    found: list[dict[str, Json]] = []
    for metric in contrasts.metrics:
        arms = {arm: table.whole(arm, metric) for arm in contrasts.arms}
        if metric.kind == "ratio" or sum(bool(arm.n) for arm in arms.values()) <= _PAIR:
            continue
        moments = {name: arm for name, arm in arms.items() if isinstance(arm, Moments)}
        counts = {name: arm for name, arm in arms.items() if isinstance(arm, Counts)}
        entry = {"metric": metric.name, **_as_mapping(check_any_difference(counts or moments))}
        if moments and len(moments) <= _MOST_PAIRED:
            entry["pairs"] = [
                {
                    "arms": [a, b],
                    "difference": moments[b].mean - moments[a].mean,
                    "p_value": p_value,
                    "test": "Tukey-Kramer",
                }
                for (a, b), p_value in tukey_p_values(moments).items()
            ]
        found.append(entry)
    return found


def _as_mapping(found: Omnibus) -> dict[str, Json]:
    return {
        "statistic": found.statistic,
        "degrees_of_freedom": found.df,
        "p_value": found.p_value,
        "test": found.test,
        "warnings": list(found.warnings),
    }


def bayes_rows(contrasts: Contrasts) -> list[Row]:
    """Posterior of every arm, the control among them, over the segments that all arms share.

    Rows have, after the common columns, `probability_best` (in the metric's direction), the
    `expected_loss` of choosing the arm, and `probability_better` than the control.
    """
    table = contrasts.table()
    keys: list[tuple[str, str, MetricSpec]] = []
    estimates: list[Estimate] = []
    more: list[Mapping[str, float | int | None]] = []
    for metric in contrasts.metrics:
        arms = _arms_of(table, contrasts, metric)
        laws = _posteriors(arms)
        known = contrasts.control in laws
        beliefs = (
            believe(laws, contrasts.control, alpha=contrasts.alpha, direction=metric.direction)
            if known
            else {}
        )
        control = sum(cell.n for cell in arms.get(contrasts.control, ()))
        for arm in contrasts.arms:
            belief = beliefs.get(arm)
            keys.append((OVERALL, arm, metric))
            units = Estimate(
                n_treatment=sum(cell.n for cell in arms.get(arm, ())), n_control=control
            )
            if belief is None:
                estimates.append(replace(units, warnings=(_NO_POSTERIOR,)))
                more.append(dict.fromkeys(_MORE))
                continue
            base = beliefs[contrasts.control].mean
            estimates.append(
                replace(
                    units,
                    treatment=belief.mean,
                    control=base,
                    difference=belief.difference,
                    difference_ci=belief.difference_ci,
                    lift=belief.mean / base - 1.0 if belief.difference_ci and base > 0 else None,
                    lift_ci=belief.lift_ci,
                    test=BETA if metric.kind == "binary" else NORMAL,
                )
            )
            more.append({name: getattr(belief, name) for name in _MORE})
    return make_rows(keys, estimates, contrasts.alpha, "none", more)


_MORE = ("probability_best", "probability_better", "expected_loss")


def _arms_of(
    table: Table, contrasts: Contrasts, metric: MetricSpec
) -> dict[str, tuple[Summary, ...]]:
    """By arm, its cells in the segments where every arm with units has some."""
    segments = table.segments or (None,)
    pairs = {
        arm: table.pairs(arm, contrasts.control, metric.name, segments) for arm in contrasts.arms
    }
    there = {arm: [one for one, _ in found] for arm, found in pairs.items()}
    there = {arm: cells for arm, cells in there.items() if any(cell.n for cell in cells)}
    shared = [
        place for place in range(len(segments)) if all(cells[place].n for cells in there.values())
    ]
    return {arm: tuple(cells[place] for place in shared) for arm, cells in there.items()}


def _posteriors(arms: Mapping[str, tuple[Summary, ...]]) -> dict[str, Posterior]:
    """By arm, weighted by the segments' shares of all units; empty if one cannot be had."""
    sizes = [
        sum(cells) for cells in zip(*([c.n for c in arm] for arm in arms.values()), strict=True)
    ]
    total = math.fsum(sizes)
    if not total:
        return {}
    shares = [size / total for size in sizes]
    found = {arm: posterior_of(cells, shares) for arm, cells in arms.items()}
    known = {arm: law for arm, law in found.items() if law is not None}
    return known if len(known) == len(found) else {}


__all__ = [
    "Contrasts",
    "bayes_rows",
    "interaction_rows",
    "omnibus_entries",
    "sequential_rows",
]
