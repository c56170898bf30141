"""From engagement to metrics.json: one pass of counts, then statistics on them alone."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from liftwright import analysis as stats
from liftwright import log
from liftwright.agents.experimentation.counts import (
    CellCounts,
    cells_of_counts,
    count_engagement,
)
from liftwright.agents.experimentation.design import AGENT
from liftwright.agents.experimentation.history import HISTORY, adjust_by_history
from liftwright.agents.experimentation.over_time import (
    count_days,
    daily_rows,
    meant_of,
    ratio_over_time,
)
from liftwright.agents.experimentation.power import detectable, power_warning
from liftwright.agents.experimentation.sensitivity import assigned_cells, winsorised_cells
from liftwright.analysis import (
    OVERALL,
    Cell,
    Contrasts,
    MetricSpec,
    Srm,
    Stopping,
    TestType,
    Verdict,
    bayes_rows,
    beside_runner_up,
    check_srm,
    decide_arms,
    failed_checks,
    interaction_rows,
    name_winners,
    omnibus_entries,
    sequential_rows,
)
from liftwright.errors import NoExperiment
from liftwright.model import CONTROL, METRICS, RATIOS, direction_of, to_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from liftwright.agents.experimentation.arms import Assignment
    from liftwright.agents.experimentation.design import Design
    from liftwright.analysis import Comparison, Row
    from liftwright.config import Analysis, Experiment
    from liftwright.data import Tables
    from liftwright.model import Json

# The pooled z-test of two rates is the chi-square test: z squared is chi-square.
_TESTS: dict[str, TestType] = {
    "auto": "auto",
    "chi_square": "chi_square",
    "z_test": "chi_square",
    "fisher_exact": "fisher",
    "t_test": "welch",
}
_OPENS_ALONE = "opens alone decide nothing: machines open mail; look at clicks or conversions"
_NOT_MEASURED = "the primary metric was not measured"


def measure(  # noqa: PLR0913 - where, what was meant, how to judge, and two facts of the data
    tables: Tables,
    assignment: Assignment,
    experiment: Experiment,
    *,
    simulated: bool,
    engagement: str = "engagement",
    absent: Collection[str] = (),
    minimum: int = 0,
) -> dict[str, Json]:
    """The content of metrics.json.

    Args:
        tables: holds the engagement.
        assignment: the design and the counts that were meant, the content of arms.json.
        experiment: how to test, and the primary metric.
        simulated: whether the engagement was simulated.
        engagement: the name of its table.
        absent: metrics that the engagement says nothing about; they are left out, as are those
            whose column it does not have.
        minimum: messages that must arrive in an arm before anything but harm is decided.

    Raises:
        NoExperiment: nothing was delivered.
    """
    counts = count_engagement(tables, engagement)
    if not any(cell.delivered for cell in counts):
        raise NoExperiment("no result: no message of the experiment was delivered")
    analysis = experiment.analysis
    metrics = [m for m in METRICS if m.name not in absent and counts[0].has(m)]
    wanted = {analysis.primary_metric, *(analysis.guardrail_metrics or ())}
    missing = {*absent, *(wanted - {metric.name for metric in metrics})}
    columns = {metric.column for metric in metrics}
    ratios = [ratio for ratio in RATIOS if {ratio.column, ratio.denominator} <= columns]
    design = assignment.design
    cells = cells_of_counts(counts, metrics)
    expected = _expected(design)
    compared = _compare(counts, cells, metrics, design, analysis)
    document = stats.to_json(compared)
    days = count_days(tables, engagement)
    by_segment, over_time = _srm_by_segment(counts, design), ratio_over_time(days, design)
    failed = failed_checks(compared.srm, {"segment": by_segment, "period": over_time})
    further = Contrasts(
        cells,
        metrics,
        CONTROL,
        tuple(arm.arm for arm in compared.arms),
        analysis.alpha,
        analysis.correction,
    )
    planned = {arm: size + expected[CONTROL] for arm, size in expected.items()}
    sequential, interactions = sequential_rows(further, planned), interaction_rows(further)
    power = _power(compared, analysis)
    rows = cast("list[dict[str, Json]]", document["comparisons"])
    result: dict[str, Json] = {
        **document,
        "comparisons": [row for row in rows if _exists(row, design)],
        "simulated": simulated,
        "primary_metric": analysis.primary_metric,
        "srm_by_segment": to_json(by_segment),
        "srm_over_time": to_json(over_time),
        "srm_failed": list(failed),
        "best": _best_arms(compared, interactions, further, design, analysis, failed),
        "ratios": _beside(cells_of_counts(counts, ratios), ratios, compared) if ratios else [],
        **_cuped(tables, engagement, metrics, compared),
        **_winsorised(tables, engagement, counts, metrics, compared),
        "assigned": _beside(assigned_cells(counts, metrics), metrics, compared),
        "omnibus": to_json(omnibus_entries(further)),
        "sequential": _shown(sequential, design),
        "interactions": _shown(interactions, design),
        "bayes": _shown(bayes_rows(further), design),
        "decisions": to_json(
            decide_arms(sequential, _stopping(analysis, metrics, planned, minimum), failed=failed)
        ),
        "balance": _balance(assignment, counts),
        "power": power,
        "daily": daily_rows(days, [arm.name for arm in design.arms]),
        "warnings": _warnings(compared, power, missing, design),
    }
    for warning in cast("list[str]", result["warnings"]):
        log.event("measurement_warned", agent=AGENT, level="warning", warning=warning)
    log.event("experiment_measured", agent=AGENT, n=compared.n, srm_ok=compared.srm.ok)
    return result


def _expected(design: Design) -> dict[str, float]:
    """The customers that each arm was meant to have."""
    expected = dict.fromkeys((arm.name for arm in design.arms), 0.0)
    for segment, shares in design.shares.items():
        for arm, share in shares.items():
            expected[arm] += share * design.sizes[segment]
    return expected


def _compare(
    counts: Iterable[CellCounts],
    cells: Sequence[Cell],
    metrics: Sequence[MetricSpec],
    design: Design,
    analysis: Analysis,
) -> Comparison:
    delivered = {(count.segment, count.arm): count.delivered for count in counts}
    units = dict.fromkeys((arm.name for arm in design.arms), 0)
    for (_, arm), messages in delivered.items():
        units[arm] += messages
    return stats.compare(
        cells,
        metrics,
        CONTROL,
        units=units,
        alpha=analysis.alpha,
        correction=analysis.correction,
        expected=meant_of(delivered, design),
        test_type=_TESTS[analysis.test_type],
    )


def _beside(
    cells: Sequence[Cell], metrics: Sequence[MetricSpec], compared: Comparison
) -> list[Json]:
    """Rows of another estimator of the same arms, as a family of their own."""
    there = {cell.arm for cell in cells}
    found = stats.compare(
        cells,
        metrics,
        CONTROL,
        units={arm.arm: arm.n for arm in compared.arms},
        alpha=compared.alpha,
        correction=compared.correction,
    )
    return [stats.row_json(row) for row in found.comparisons if row.arm in there]


def _cuped(
    tables: Tables, engagement: str, metrics: Sequence[MetricSpec], compared: Comparison
) -> dict[str, Json]:
    """The adjusted rows, where the run has kept what was known before."""
    if not tables.knows(HISTORY.name):
        return {}
    cells, reduction = adjust_by_history(tables, engagement, metrics)
    if not reduction:
        return {}
    means = [MetricSpec(name=name, kind="mean") for name in reduction]
    return {"cuped": _beside(cells, means, compared), "variance_reduction": to_json(reduction)}


def _winsorised(
    tables: Tables,
    engagement: str,
    counts: Sequence[CellCounts],
    metrics: Sequence[MetricSpec],
    compared: Comparison,
) -> dict[str, Json]:
    """The means without their extremes, where there is any amount."""
    cells: list[Cell] = []
    capped: list[MetricSpec] = []
    caps: dict[str, Json] = {}
    for metric in metrics:
        found = (
            winsorised_cells(tables, engagement, counts, metric) if metric.kind == "mean" else None
        )
        if found is not None:
            cells += found[0]
            capped.append(metric)
            caps[metric.name] = [None, found[1]]
    if not caps:
        return {}
    return {"winsorised": _beside(cells, capped, compared), "winsorised_at": caps}


def _stopping(
    analysis: Analysis, metrics: Iterable[MetricSpec], planned: Mapping[str, float], minimum: int
) -> Stopping:
    return Stopping(
        minimum=minimum,
        metric=analysis.primary_metric,
        direction=direction_of(analysis.primary_metric),
        guardrails={m.name: m.direction for m in metrics if m.name in analysis.guardrails},
        planned=planned,
        undecided=_OPENS_ALONE if analysis.primary_metric == "open_rate" else None,
    )


def _shown(rows: Iterable[Row], design: Design) -> list[Json]:
    """The rows of the arms that were there."""
    there = {CONTROL, *(arm for arms in design.cells.values() for arm in arms)}
    return [stats.row_json(row) for row in rows if row.arm in there]


def _exists(row: Mapping[str, Json], design: Design) -> bool:
    """Whether the row's arm was there at all: an arm may be missing in a segment, or everywhere."""
    arm, segment = str(row["arm"]), str(row["segment"])
    if segment == OVERALL:
        return any(arm in arms for arms in design.cells.values())
    return arm in design.cells.get(segment, {})


def _srm_by_segment(counts: Iterable[CellCounts], design: Design) -> dict[str, Srm]:
    observed: dict[str, dict[str, int]] = defaultdict(dict)
    for count in counts:
        observed[count.segment][count.arm] = count.delivered
    return {
        segment: check_srm(observed[segment], design.shares[segment]) for segment in design.compared
    }


def _best_arms(  # noqa: PLR0913, PLR0917 - the rows, tests of them, and how to judge
    compared: Comparison,
    interactions: Sequence[Row],
    contrasts: Contrasts,
    design: Design,
    analysis: Analysis,
    failed: Sequence[str],
) -> list[Json]:
    """Over all, and per segment, the arm that won on the primary metric; None and why, if none."""
    direction = direction_of(analysis.primary_metric)
    found = {
        verdict.segment: beside_runner_up(
            verdict, compared.comparisons, contrasts, direction=direction
        )
        for verdict in name_winners(
            compared.comparisons,
            interactions,
            analysis.primary_metric,
            alpha=analysis.alpha,
            failed=failed,
            direction=direction,
        )
    }
    nothing = Verdict(
        segment=OVERALL, metric=analysis.primary_metric, arm=None, lift=None, reason=_NOT_MEASURED
    )
    if analysis.primary_metric == "open_rate":
        found = {}
        nothing = replace(nothing, reason=_OPENS_ALONE)
    return [
        to_json(found.get(segment, replace(nothing, segment=segment)))
        for segment in (OVERALL, *design.compared)
    ]


def _balance(assignment: Assignment, counts: Iterable[CellCounts]) -> dict[str, Json]:
    delivered: dict[str, dict[str, int]] = defaultdict(dict)
    for count in counts:
        delivered[count.segment][count.arm] = count.delivered
    known = [
        (abs(row.difference), row.limit)
        for row in assignment.balance
        if row.difference is not None and row.limit is not None
    ]
    return {
        "assigned": to_json(assignment.counts),
        "delivered": to_json(delivered),
        "differences": to_json(assignment.balance),
        "largest": max((difference for difference, _ in known), default=None),
        "ok": all(difference <= limit for difference, limit in known),
    }


def _power(compared: Comparison, analysis: Analysis) -> list[Json]:
    overall = [row for row in compared.comparisons if row.segment == OVERALL]
    # Holm's first step is at alpha over the number of tests: what is found must pass that.
    tests = sum(row.estimate.p_value is not None for row in overall)
    alpha = analysis.alpha / max(tests, 1) if analysis.correction == "holm" else analysis.alpha
    spreads = {
        name: value.sd
        for arm in compared.arms
        if arm.arm == CONTROL
        for name, value in arm.metrics.items()
    }
    found: list[Json] = []
    for row in overall:
        if not row.estimate.n_treatment:
            continue
        difference = detectable(
            row.estimate, spreads[row.metric], kind=row.kind, alpha=alpha, power=analysis.power
        )
        base = row.estimate.control
        lift = difference / base if difference is not None and base else None
        found.append(
            {
                "arm": row.arm,
                "metric": row.metric,
                "base": base,
                "n_treatment": row.estimate.n_treatment,
                "n_control": row.estimate.n_control,
                "alpha": alpha,
                "power": analysis.power,
                "detectable_difference": difference,
                "detectable_lift": lift,
                "warning": power_warning(row.arm, row.metric, row.estimate, lift, analysis.power),
            }
        )
    return found


def _warnings(
    compared: Comparison, power: Iterable[Json], absent: Collection[str], design: Design
) -> list[Json]:
    warnings: list[Json] = []
    if not compared.srm.ok:
        warnings.append(
            f"sample-ratio mismatch (p = {compared.srm.p_value:.2g}): the delivered messages are "
            "not divided as designed; no difference can be trusted until the cause is found"
            if compared.srm.p_value is not None
            else "sample-ratio mismatch cannot be judged: nothing was delivered"
        )
    left_out = [segment for segment in design.cells if segment not in design.compared]
    warnings += [
        f"segment '{segment}' has no approved variant: it got the control and is not in the lift"
        for segment in left_out
    ]
    if absent:
        warnings.append(f"not measured, as the engagement lacks them: {', '.join(sorted(absent))}")
    return warnings + _weakest(cast("Iterable[Mapping[str, Json]]", power))


def _weakest(power: Iterable[Mapping[str, Json]]) -> list[Json]:
    """Per metric the warning of the arm that could show least."""
    found: dict[str, tuple[float, Json]] = {}
    for row in power:
        lift = cast("float | None", row["detectable_lift"])
        shown = math.inf if lift is None else lift
        metric = str(row["metric"])
        if row["warning"] is not None and shown > found.get(metric, (-math.inf, None))[0]:
            found[metric] = (shown, row["warning"])
    return [warning for _, warning in found.values()]
