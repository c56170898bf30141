"""The stages that work on customers: segment, assign, observe, measure, report."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from liftwright.agents import reporting
from liftwright.agents.experimentation import (
    HISTORY,
    AnalysisPlan,
    Assignment,
    assign,
    check_plan,
    choose_eligible,
    design_experiment,
    expected_outcomes,
    interim_looks,
    keep_history,
    least_per_arm,
    measure,
    write_analysis_plan,
)
from liftwright.agents.segmentation import segment_customers
from liftwright.analysis import ExperimentResult
from liftwright.analysis.result import BotClicks, PlanCompliance
from liftwright.campaign.run_summary import costs_of
from liftwright.data import REJECTED
from liftwright.errors import AwaitingApproval
from liftwright.log import event
from liftwright.model import (
    ASSIGNMENTS,
    ENGAGEMENT,
    METRICS,
    SEGMENTED,
    UNASSIGNED,
    SafetyDecision,
    utc_now,
)
from liftwright.model.run_files import EngagementRecord, Variants, all_runs

if TYPE_CHECKING:
    from pathlib import Path

    from liftwright.campaign.context import RunContext


def segment(context: RunContext) -> str:
    """Assign every customer to exactly one segment."""
    report = context.customers
    event(
        "customers_read",
        agent="segmentation",
        level="warning" if report.warnings else "info",
        rows_in=report.rows_in,
        rows_kept=report.rows_kept,
        rejected=report.rejected,
        warnings=report.warnings,
    )
    segmentation = segment_customers(
        context.tables,
        context.settings.segments,
        seed=context.settings.experiment.seed,
        absent=report.features_absent,
    )
    context.tables.write("segmented", context.folder.file("segmented.parquet"), SEGMENTED)
    context.tables.write("rejected", context.folder.file("rejected.parquet"), REJECTED)
    # The examples may show values, so they only appear in the error message.
    context.folder.write("customers.json", replace(report, examples=()))
    context.folder.write("segments.json", segmentation)
    return f"{segmentation.customers:,} customers in {len(segmentation.segments)} segments"


def assign_arms(context: RunContext) -> str:
    """Assign every customer to control or to an approved variant of its segment."""
    variants = context.folder.read("variants.json", Variants).all
    decisions = context.folder.read_list("decisions.json", SafetyDecision)
    waiting = [decision.variant_id for decision in decisions if decision.status == "waiting"]
    if waiting:
        raise AwaitingApproval(
            f"waiting for approval: {', '.join(waiting)}. Run "
            f"`liftwright approve {context.run.run_id} VARIANT` for each, then run again"
        )
    experiment = context.settings.experiment
    context.tables.read("segmented", context.folder.file("segmented.parquet"), SEGMENTED)
    context.load_customers()
    eligible = choose_eligible(
        context.tables,
        experiment,
        suppressed=context.suppressed,
        earlier=_earlier_runs(context),
        # If this process segmented the customers, `profiles` has their features without a join.
        among="profiles" if context.tables.has("profiles") else "segmented",
    )
    design = design_experiment(variants, decisions, experiment, eligible.sizes)
    assignment = replace(
        assign(context.tables, design, utc_now(), among="eligible"),
        left_out=eligible.left_out,
        warnings=eligible.warnings,
    )
    context.tables.write("assignments", context.folder.file("assignments.parquet"), ASSIGNMENTS)
    context.tables.write("unassigned", context.folder.file("unassigned.parquet"), UNASSIGNED)
    keep_history(context.tables, context.folder.file("history.parquet"))
    context.folder.write("arms.json", assignment)
    expected = expected_outcomes(context.tables, experiment, among="eligible")
    plan = write_analysis_plan(
        assignment,
        experiment,
        minimum_sample=least_per_arm(expected, experiment),
        planned_at=utc_now(),
    )
    context.folder.write("plan.json", plan)
    event("analysis_planned", agent="experimentation", sha256=plan.sha256)
    left_out = sum(eligible.left_out.values())
    note = f"{sum(eligible.sizes.values()):,} customers in {len(design.arms)} arms"
    return f"{note}, {left_out:,} excluded" if left_out else note


def _earlier_runs(context: RunContext) -> dict[str, Path]:
    """The assignments of recent runs whose customers the configuration excludes."""
    days = context.settings.experiment.exclusions.assigned_within_days
    if days is None:
        return {}
    started = datetime.fromisoformat(context.run.started_at)
    assignments = {}
    for folder in all_runs(context.root):
        record = folder.record()
        if record is None or record.status != "complete" or record.run_id == context.run.run_id:
            continue
        assigned = datetime.fromisoformat(folder.read("arms.json", Assignment).assigned_at)
        if timedelta() <= started - assigned <= timedelta(days=days):
            assignments[record.run_id] = folder.file("assignments.parquet")
    return assignments


def observe(context: RunContext) -> str:
    """Collect the outcomes of each assignment from a file or the simulator."""
    simulated = context.engagement is None
    if not (simulated and context.tables.has("assignments")):
        context.tables.read("assignments", context.folder.file("assignments.parquet"), ASSIGNMENTS)
    if simulated:
        context.load_customers()
    engagement = context.observer("assignments")
    context.tables.write(engagement, context.folder.file("engagement.parquet"), ENGAGEMENT)
    context.folder.write("engagement.json", _observed(context.observer))
    return "SIMULATED engagement" if simulated else "real engagement"


def check_engagement(context: RunContext) -> None:
    """Check that the file of real outcomes is readable and matches this run; writes nothing."""
    context.tables.read("assignments", context.folder.file("assignments.parquet"), ASSIGNMENTS)
    context.observer("assignments")


def _observed(observer: object) -> EngagementRecord:
    """The record of the observed file; the simulator has no report."""
    report = getattr(observer, "report", None)
    if report is None:
        return EngagementRecord(source="simulated")
    return EngagementRecord(
        source="historical",
        absent=report.absent,
        names_message=report.names_message,
        rows=report.rows,
        rows_used=report.rows_used,
        combined=report.combined,
        customers_missing=report.customers_missing,
        customers_set_aside=report.customers_set_aside,
        set_aside=report.set_aside,
        machine_opens=report.bot_opens,
        machine_clicks=report.bot_clicks,
        click_rate_before=report.click_rate_before,
        premature=report.premature,
        early=report.early,
        warnings=report.warnings,
    )


def measure_lift(context: RunContext) -> str:
    """Compute rates, lift, intervals and tests per arm and segment."""
    context.tables.read("engagement", context.folder.file("engagement.parquet"), ENGAGEMENT)
    if context.folder.file("history.parquet").is_file():
        context.tables.read("history", context.folder.file("history.parquet"), HISTORY)
    assignment = context.folder.read("arms.json", Assignment)
    experiment = context.settings.experiment
    plan = context.folder.read("plan.json", AnalysisPlan)
    columns = context.tables.columns("engagement")
    deviations = check_plan(
        plan,
        assignment,
        experiment,
        extended=context.run.extends is not None,
        absent=[metric.name for metric in METRICS if metric.column not in columns],
    )
    outcomes = context.folder.read("engagement.json", EngagementRecord)
    result = measure(
        context.tables,
        assignment,
        experiment,
        simulated=context.run.simulated,
        absent=outcomes.absent,
        minimum=plan.minimum_sample or 0,
    )
    observed = next((stage for stage in context.run.stages if stage.name == "observe"), None)
    result = replace(
        result,
        # The time of the look; measuring the same outcomes again is not another look.
        measured_at=observed.finished_at if observed else utc_now(),
        plan=PlanCompliance(sha256=plan.sha256, deviations=deviations),
        bots=BotClicks(events=outcomes.machine_clicks, rate_before=outcomes.click_rate_before),
        warnings=(*deviations, *result.warnings),
    )
    result = replace(result, course=interim_looks([*_earlier_looks(context), result]))
    for deviation in deviations:
        event("plan_deviated", agent="experimentation", level="warning", deviation=deviation)
    context.folder.write("metrics.json", result.to_json())
    context.save(deviations=deviations)
    return "measured"


def _earlier_looks(context: RunContext) -> list[ExperimentResult]:
    """The results of earlier measurements of the run, in order."""
    names = (f"measurements/{n}/metrics.json" for n in range(1, context.run.measurements + 1))
    return [
        context.folder.read(name, ExperimentResult, ignore_unknown=True)
        for name in names
        if context.folder.file(name).is_file()
    ]


def report(context: RunContext) -> str:
    """Write the notebook and the PDF from the run's JSON files."""
    if context.paid:
        # The report shows the run's cost, so it is recorded first.
        context.save(totals={**context.run.totals, **costs_of(context.paid, context.folder)})
    reporting.write_report(context.folder.path)
    return "experiment_report.ipynb, experiment_report.pdf"
