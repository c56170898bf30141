"""From a run's engagement to its result: one pass of counts, then statistics on them alone."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

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
    daily_counts,
    sizes_of,
    sizes_over_time,
)
from liftwright.analysis import (
    Aggregates,
    AnalysisOptions,
    ArmSizes,
    ExperimentData,
    MetricSpec,
    StoppingRule,
    TestType,
    analyze_experiment,
    detectable_effects,
)
from liftwright.analysis.result import Balance, InterimLook
from liftwright.data import identifier, literal
from liftwright.errors import NoExperiment
from liftwright.model import CONTROL, METRICS, RATIOS, direction_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from liftwright.agents.experimentation.arms import Assignment
    from liftwright.agents.experimentation.design import Design
    from liftwright.analysis import Cell, ExperimentResult
    from liftwright.analysis.result import DetectableEffect, Interval
    from liftwright.config import Analysis, Experiment
    from liftwright.data import Tables

# The pooled z-test of two rates is the chi-square test: z squared is chi-square.
_TESTS: dict[str, TestType] = {
    "auto": "auto",
    "chi_square": "chi_square",
    "z_test": "chi_square",
    "fisher_exact": "fisher",
    "t_test": "welch",
}
_OPENS_ALONE = "opens cannot decide on their own, as bots open mail; look at clicks or conversions"


def measure(  # noqa: PLR0913 - where, what was meant, how to judge, and two facts of the data
    tables: Tables,
    assignment: Assignment,
    experiment: Experiment,
    *,
    simulated: bool,
    engagement: str = "engagement",
    absent: Collection[str] = (),
    minimum: int = 0,
) -> ExperimentResult:
    """The result of a run, but for what only the run knows: when it was measured, looks and plan.

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
        raise NoExperiment("no result: none of the experiment's messages was delivered")
    design, analysis = assignment.design, experiment.analysis
    metrics = [m for m in METRICS if m.name not in absent and counts[0].has(m)]
    wanted = {analysis.primary_metric, *(analysis.guardrail_metrics or ())}
    missing = {*absent, *(wanted - {metric.name for metric in metrics})}
    columns = {metric.column for metric in metrics}
    ratios = [ratio for ratio in RATIOS if {ratio.column, ratio.denominator} <= columns]
    days = count_days(tables, engagement)
    delivered = {(one.segment, one.arm): one.delivered for one in counts}
    data = ExperimentData(
        main=Aggregates(metrics=metrics, cells=cells_of_counts(counts, metrics)),
        sizes=sizes_of(delivered, design),
        by_segment={
            segment: ArmSizes(
                observed={one.arm: one.delivered for one in counts if one.segment == segment},
                expected=design.shares[segment],
            )
            for segment in design.compared
        },
        by_period=sizes_over_time(days, design),
        arms_by_segment=design.cells,
        assigned=Aggregates(metrics=metrics, cells=_assigned_cells(counts, metrics)),
        ratios=Aggregates(metrics=ratios, cells=cells_of_counts(counts, ratios))
        if ratios
        else None,
    )
    data = _with_history(data, tables, engagement, metrics)
    data = _with_capped_means(data, tables, engagement, counts)
    result = analyze_experiment(data, _options(analysis, design, metrics, minimum))
    power = detectable_effects(result, power=analysis.power)
    warnings = _warnings(result, power, missing, design)
    for warning in warnings:
        log.event("measurement_warned", agent=AGENT, level="warning", warning=warning)
    log.event("experiment_measured", agent=AGENT, n=result.n, srm_ok=result.srm.ok)
    return replace(
        result,
        simulated=simulated,
        primary_metric=analysis.primary_metric,
        balance=_balance(assignment, counts),
        power=power,
        daily=daily_counts(days, [arm.name for arm in design.arms]),
        warnings=warnings,
    )


def interim_looks(results: Iterable[ExperimentResult]) -> tuple[InterimLook, ...]:
    """Each look's overall estimates of the primary metric, in the order of the looks.

    Args:
        results: Of each measurement of a run, the earliest first; simulated ones are no looks. The
            primary metric is that of the last one, so that one thing is followed.

    Returns:
        A record per look and treatment; none where there was one look alone.
    """
    real = [result for result in results if result.simulated is False]
    if len(real) < 2:  # noqa: PLR2004 - one look has no course
        return ()
    metric = real[-1].deciding_metric
    return tuple(
        InterimLook(
            look=number,
            measured_at=result.measured_at,
            metric=metric,
            arm=row.arm,
            n_treatment=row.n_treatment,
            n_control=row.n_control,
            lift=row.lift,
            lift_ci=row.lift_ci,
            p_value=row.p_value,
            p_adjusted=row.p_adjusted,
        )
        for number, result in enumerate(real, start=1)
        for row in result.rows(metric=metric)
    )


def _options(
    analysis: Analysis, design: Design, metrics: Iterable[MetricSpec], minimum: int
) -> AnalysisOptions:
    planned = dict.fromkeys((arm.name for arm in design.arms), 0.0)
    for segment, shares in design.shares.items():
        for arm, share in shares.items():
            planned[arm] += share * design.sizes[segment]
    return AnalysisOptions(
        control=CONTROL,
        alpha=analysis.alpha,
        correction=analysis.correction,
        test_type=_TESTS[analysis.test_type],
        stopping=StoppingRule(
            metric=analysis.primary_metric,
            direction=direction_of(analysis.primary_metric),
            guardrails={m.name: m.direction for m in metrics if m.name in analysis.guardrails},
            minimum=minimum,
            planned={arm: customers + planned[CONTROL] for arm, customers in planned.items()},
            undecided=_OPENS_ALONE if analysis.primary_metric == "open_rate" else None,
        ),
    )


def _with_history(
    data: ExperimentData, tables: Tables, engagement: str, metrics: Sequence[MetricSpec]
) -> ExperimentData:
    """The data with adjusted metrics (CUPED), where the run has kept what was known before."""
    if not tables.has(HISTORY.name):
        return data
    cells, reduction = adjust_by_history(tables, engagement, metrics)
    means = [MetricSpec(name=name, kind="mean") for name in reduction]
    return replace(data, cuped=Aggregates(metrics=means, cells=cells), variance_reduction=reduction)


def _with_capped_means(
    data: ExperimentData, tables: Tables, engagement: str, counts: Sequence[CellCounts]
) -> ExperimentData:
    """The data with the means without their extremes, where there is any amount."""
    capped: list[MetricSpec] = []
    cells: list[Cell] = []
    caps: dict[str, Interval] = {}
    for metric in data.main.metrics:
        found = (
            _winsorised_cells(tables, engagement, counts, metric) if metric.kind == "mean" else None
        )
        if found is not None:
            capped.append(metric)
            cells += found[0]
            caps[metric.name] = (None, found[1])
    if not caps:
        return data
    return replace(data, winsorised=Aggregates(metrics=capped, cells=cells), winsorised_at=caps)


def _assigned_cells(counts: Sequence[CellCounts], metrics: Sequence[MetricSpec]) -> list[Cell]:
    """The cells of all assigned customers; without a delivery there is no outcome.

    Delivery happens after the assignment; over all who were assigned the arms are alike whatever
    became of the messages (intention to treat).
    """
    return cells_of_counts([replace(one, delivered=one.assigned) for one in counts], metrics)


def _winsorised_cells(
    tables: Tables, engagement: str, counts: Sequence[CellCounts], metric: MetricSpec
) -> tuple[list[Cell], float] | None:
    """The cells of a mean with each customer's amount capped, and the cap.

    The cap is the 99th percentile of the amounts above 0, over all arms together; None where
    there is no amount above 0.

    Source: Kohavi, Tang, Xu (2020), Trustworthy Online Controlled Experiments, chapter 22.
    """
    column = metric.column
    tables.keep(
        "spent", tables.sql("measure_amounts", engagement=identifier(engagement), amount=column)
    )
    ((found,),) = tables.rows(tables.sql("measure_cap"))
    if found is None:
        return None
    cap = float(str(found))
    rows = tables.rows(tables.sql("measure_capped", cap=literal(cap)))
    sums = {(str(segment), str(arm)): (total, square) for segment, arm, total, square in rows}
    capped = []
    for one in counts:
        total, square = sums.get((one.segment, one.arm), (0, 0))
        capped.append(
            replace(
                one,
                totals={**one.totals, column: float(str(total))},
                products={**one.products, (column, column): float(str(square))},
            )
        )
    return cells_of_counts(capped, [metric]), cap


def _balance(assignment: Assignment, counts: Iterable[CellCounts]) -> Balance:
    delivered: dict[str, dict[str, int]] = defaultdict(dict)
    for count in counts:
        delivered[count.segment][count.arm] = count.delivered
    known = [
        (abs(row.difference), row.limit)
        for row in assignment.balance
        if row.difference is not None and row.limit is not None
    ]
    return Balance(
        assigned=assignment.counts,
        delivered=delivered,
        differences=assignment.balance,
        largest=max((difference for difference, _ in known), default=None),
        ok=all(difference <= limit for difference, limit in known),
    )


def _warnings(
    result: ExperimentResult,
    power: Iterable[DetectableEffect],
    absent: Collection[str],
    design: Design,
) -> tuple[str, ...]:
    warnings = []
    if not result.srm.ok:
        warnings.append(
            f"sample-ratio mismatch (p = {result.srm.p_value:.2g}): the delivered messages "
            "are not split as designed; do not trust any difference until you find the cause"
        )
    warnings += [
        f"segment '{segment}' has no approved variant; it got the control and is not compared"
        for segment in design.cells
        if segment not in design.compared
    ]
    if absent:
        warnings.append(
            f"not measured, no column in the engagement data: {', '.join(sorted(absent))}"
        )
    return (*warnings, *_weakest(power))


def _weakest(power: Iterable[DetectableEffect]) -> list[str]:
    """Per metric the warning of the arm that could show least."""
    found: dict[str, tuple[float, str]] = {}
    for one in power:
        lift = math.inf if one.detectable_lift is None else one.detectable_lift
        if one.warning is not None and lift > found.get(one.metric, (-math.inf, ""))[0]:
            found[one.metric] = (lift, one.warning)
    return [warning for _, warning in found.values()]
