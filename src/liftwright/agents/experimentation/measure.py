"""The result of a run: counts of its engagement in one pass, then statistics on the counts."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from liftwright import log
from liftwright.agents.experimentation.counts import (
    ArmOutcomes,
    count_days,
    count_engagement,
    daily_counts,
    sizes_of,
    sizes_over_time,
    totals_of,
    with_value_counts,
)
from liftwright.agents.experimentation.cuped import HISTORY, adjust_by_history
from liftwright.agents.experimentation.design import AGENT
from liftwright.analysis import (
    Aggregates,
    AnalysisOptions,
    ArmSizes,
    DecisionRule,
    ExperimentData,
    Guardrail,
    MetricSpec,
    TestType,
    analyze_experiment,
    detectable_effects,
)
from liftwright.analysis.result import Balance, InterimLook
from liftwright.data import identifier, literal
from liftwright.errors import NoExperiment
from liftwright.model import CONTROL, METRICS, RATIOS, direction_of
from liftwright.model.metrics import parse_guardrail

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from liftwright.agents.experimentation.arms import Assignment
    from liftwright.agents.experimentation.design import Design
    from liftwright.analysis import ArmTotals, ExperimentResult
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


def measure(  # noqa: PLR0913 - the data, the design, and how to analyse
    tables: Tables,
    assignment: Assignment,
    experiment: Experiment,
    *,
    simulated: bool,
    engagement: str = "engagement",
    absent: Collection[str] = (),
    minimum: int = 0,
) -> ExperimentResult:
    """The result of a run; the caller adds when it was measured, the looks and the plan.

    Args:
        tables: Hold the engagement.
        assignment: The content of arms.json.
        experiment: The settings of the analysis.
        simulated: Whether the engagement was simulated.
        engagement: Name of the engagement table.
        absent: Metrics that the engagement does not have; they are left out.
        minimum: Messages that must arrive in each arm before the result is read.

    Raises:
        NoExperiment: No message was delivered.
    """
    counts = count_engagement(tables, engagement)
    if not any(one.delivered for one in counts):
        raise NoExperiment("no result: none of the experiment's messages was delivered")
    design, analysis = assignment.design, experiment.analysis
    metrics = [m for m in METRICS if m.name not in absent and counts[0].has(m)]
    configured = [parse_guardrail(text)[0] for text in analysis.guardrail_metrics or ()]
    wanted = {analysis.primary_metric, *configured}
    missing = {*absent, *(wanted - {metric.name for metric in metrics})}
    columns = {metric.column for metric in metrics}
    ratios = [ratio for ratio in RATIOS if {ratio.column, ratio.denominator} <= columns]
    days = count_days(tables, engagement)
    delivered = {(one.segment, one.arm): one.delivered for one in counts}
    data = ExperimentData(
        main=Aggregates(
            metrics=metrics,
            totals=with_value_counts(
                tables,
                totals_of(counts, metrics),
                {m.name: _values_of(m, engagement) for m in metrics if m.kind == "mean"},
            ),
        ),
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
        assigned=Aggregates(metrics=metrics, totals=_assigned_totals(counts, metrics)),
        ratios=Aggregates(metrics=ratios, totals=totals_of(counts, ratios)) if ratios else None,
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
        results: The results of a run's measurements, the earliest first. Simulated results are not
            looks. The primary metric of the last result is used for all of them.

    Returns:
        A record per look and treatment; empty if there was only one look.
    """
    real = [result for result in results if result.simulated is False]
    if len(real) < 2:  # noqa: PLR2004 - one look is no series
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
        rule=DecisionRule(
            metric=analysis.primary_metric,
            direction=direction_of(analysis.primary_metric),
            guardrails={
                m.name: Guardrail(direction=m.direction, margin=analysis.guardrails[m.name])
                for m in metrics
                if m.name in analysis.guardrails
            },
            stopping=analysis.stopping,
            minimum=minimum if analysis.stopping == "fixed" else 0,
            planned={arm: customers + planned[CONTROL] for arm, customers in planned.items()},
            undecided=_OPENS_ALONE if analysis.primary_metric == "open_rate" else None,
        ),
    )


def _values_of(metric: MetricSpec, engagement: str) -> str:
    """SQL: how many delivered messages have each value of a mean."""
    value = f"cast({metric.column} as decimal(18, 4))"
    return (
        f"select segment, arm, {value} as v, count(*) as units from {identifier(engagement)} "  # noqa: S608 - quoted
        f"where delivered group by segment, arm, {value}"
    )


def _with_history(
    data: ExperimentData, tables: Tables, engagement: str, metrics: Sequence[MetricSpec]
) -> ExperimentData:
    """The data with adjusted metrics (CUPED), if the run has kept the customers' history."""
    if not tables.has(HISTORY.name):
        return data
    adjusted = adjust_by_history(tables, engagement, metrics)
    if not adjusted:
        return data
    return replace(
        data,
        cuped=Aggregates(
            metrics=[MetricSpec(name=name, kind="mean") for name in adjusted],
            totals=[total for one in adjusted.values() for total in one.totals],
        ),
        variance_reduction={name: one.reduction for name, one in adjusted.items()},
        covariate_missing={name: one.missing for name, one in adjusted.items() if one.missing},
    )


def _with_capped_means(
    data: ExperimentData, tables: Tables, engagement: str, counts: Sequence[ArmOutcomes]
) -> ExperimentData:
    """The data with winsorised means, if there is any amount."""
    capped: list[MetricSpec] = []
    totals: list[ArmTotals] = []
    caps: dict[str, Interval] = {}
    for metric in data.main.metrics:
        found = (
            _winsorised_totals(tables, engagement, counts, metric)
            if metric.kind == "mean"
            else None
        )
        if found is not None:
            capped.append(metric)
            totals += found[0]
            caps[metric.name] = (None, found[1])
    if not caps:
        return data
    return replace(data, winsorised=Aggregates(metrics=capped, totals=totals), winsorised_at=caps)


def _assigned_totals(
    counts: Sequence[ArmOutcomes], metrics: Sequence[MetricSpec]
) -> list[ArmTotals]:
    """The totals of all assigned customers; without a delivery there is no outcome.

    Delivery happens after the assignment; over all assigned customers the arms are comparable
    whatever happened to the messages (intention to treat).
    """
    return totals_of([replace(one, delivered=one.assigned) for one in counts], metrics)


def _winsorised_totals(
    tables: Tables, engagement: str, counts: Sequence[ArmOutcomes], metric: MetricSpec
) -> tuple[list[ArmTotals], float] | None:
    """The totals of a mean with each customer's amount capped, and the cap.

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
    return totals_of(capped, [metric]), cap


def _balance(assignment: Assignment, counts: Iterable[ArmOutcomes]) -> Balance:
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
    """Per metric, the warning of the arm with the largest detectable lift."""
    found: dict[str, tuple[float, str]] = {}
    for one in power:
        lift = math.inf if one.detectable_lift is None else one.detectable_lift
        if one.warning is not None and lift > found.get(one.metric, (-math.inf, ""))[0]:
            found[one.metric] = (lift, one.warning)
    return [warning for _, warning in found.values()]
