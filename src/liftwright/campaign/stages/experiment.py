"""From what may be sent to who gets it, what came of it, and the report."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from liftwright.agents import reporting
from liftwright.agents.experimentation import (
    HISTORY,
    AnalysisPlan,
    Assignment,
    assign,
    check_plan,
    choose_eligible,
    course_of,
    design_experiment,
    expected_outcomes,
    keep_history,
    lay_down_plan,
    least_per_arm,
    measure,
)
from liftwright.campaign.costs import costs_of
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
from liftwright.model.artifacts import Observed, Variants
from liftwright.run_folder import all_runs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from liftwright.campaign.run_context import Work
    from liftwright.model import Json


def assign_arms(work: Work) -> str:
    """Every customer to control or to an approved variant of its segment."""
    variants = work.folder.read("variants.json", Variants).all
    decisions = work.folder.read_list("decisions.json", SafetyDecision)
    waiting = [decision.variant_id for decision in decisions if decision.status == "waiting"]
    if waiting:
        raise AwaitingApproval(
            f"{len(waiting)} messages wait for approval ({', '.join(waiting)}): "
            f"`liftwright approve {work.run.run_id} VARIANT` each, then run again"
        )
    experiment = work.settings.experiment
    work.tables.read("segmented", work.folder.file("segmented.parquet"), SEGMENTED)
    work.need_customers()
    eligible = choose_eligible(
        work.tables,
        experiment,
        suppressed=work.suppressed,
        earlier=_earlier_runs(work),
        # Where this process has placed the customers, their features are at hand without a join.
        among="profiles" if work.tables.knows("profiles") else "segmented",
    )
    design = design_experiment(variants, decisions, experiment, eligible.sizes)
    assignment = replace(
        assign(work.tables, design, utc_now(), among="eligible"), left_out=eligible.left_out
    )
    work.tables.write("assignments", work.folder.file("assignments.parquet"), ASSIGNMENTS)
    work.tables.write("unassigned", work.folder.file("unassigned.parquet"), UNASSIGNED)
    keep_history(work.tables, work.folder.file("history.parquet"))
    work.folder.write("arms.json", assignment)
    expected = expected_outcomes(work.tables, experiment, among="eligible")
    plan = lay_down_plan(
        assignment,
        experiment,
        minimum_sample=least_per_arm(expected, experiment),
        planned_at=utc_now(),
    )
    work.folder.write("plan.json", plan)
    event("analysis_planned", agent="experimentation", sha256=plan.sha256)
    left_out = sum(eligible.left_out.values())
    note = f"{sum(eligible.sizes.values()):,} customers in {len(design.arms)} arms"
    return f"{note}, {left_out:,} left out" if left_out else note


def _earlier_runs(work: Work) -> dict[str, Path]:
    """The assignments of the runs that make a customer rest, where the campaign asks for it."""
    days = work.settings.experiment.exclusions.assigned_within_days
    if days is None:
        return {}
    started = datetime.fromisoformat(work.run.started_at)
    found = {}
    for folder in all_runs(work.root):
        record = folder.record()
        if record is None or record.status != "complete" or record.run_id == work.run.run_id:
            continue
        assigned = datetime.fromisoformat(folder.read("arms.json", Assignment).assigned_at)
        if timedelta() <= started - assigned <= timedelta(days=days):
            found[record.run_id] = folder.file("assignments.parquet")
    return found


def observe(work: Work) -> str:
    """What came of each assignment: real outcomes from a file, or the simulator's."""
    simulated = work.engagement is None
    if not (simulated and work.tables.knows("assignments")):
        work.tables.read("assignments", work.folder.file("assignments.parquet"), ASSIGNMENTS)
    if simulated:
        work.need_customers()
    engagement = work.observer("assignments")
    work.tables.write(engagement, work.folder.file("engagement.parquet"), ENGAGEMENT)
    work.folder.write("engagement.json", _observed(work.observer))
    return "SIMULATED engagement" if simulated else "real engagement"


def check_engagement(work: Work) -> None:
    """See that the file of real outcomes can be read and is of this run; nothing is written."""
    work.tables.read("assignments", work.folder.file("assignments.parquet"), ASSIGNMENTS)
    work.observer("assignments")


def _observed(observer: object) -> Observed:
    """What the observer has to say of its file; the simulator has none."""
    report = getattr(observer, "report", None)
    if report is None:
        return Observed(source="simulated")
    return Observed(
        source="historical",
        absent=report.absent,
        names_message=report.names_message,
        rows=report.rows,
        rows_used=report.rows_used,
        combined=report.combined,
        customers_missing=report.customers_missing,
        set_aside=report.set_aside,
        machine_opens=report.machine_opens,
        machine_clicks=report.machine_clicks,
        early=report.early,
        warnings=report.warnings,
    )


def measure_lift(work: Work) -> str:
    """Rates, lift, intervals and tests, per arm and segment."""
    work.tables.read("engagement", work.folder.file("engagement.parquet"), ENGAGEMENT)
    if work.folder.file("history.parquet").is_file():
        work.tables.read("history", work.folder.file("history.parquet"), HISTORY)
    assignment = work.folder.read("arms.json", Assignment)
    experiment = work.settings.experiment
    plan = work.folder.read("plan.json", AnalysisPlan)
    columns = work.tables.columns("engagement")
    deviations = check_plan(
        plan,
        assignment,
        experiment,
        extended=work.run.extends is not None,
        absent=[metric.name for metric in METRICS if metric.column not in columns],
    )
    metrics = measure(
        work.tables,
        assignment,
        experiment,
        simulated=work.run.simulated,
        absent=work.folder.read("engagement.json", Observed).absent,
        minimum=plan.minimum_sample or 0,
    )
    observed = next((stage for stage in work.run.stages if stage.name == "observe"), None)
    # When the outcomes were looked at: counting them again is no further look.
    metrics["measured_at"] = observed.finished_at if observed else utc_now()
    metrics["course"] = course_of([*_earlier_looks(work), metrics])
    metrics["plan"] = {"sha256": plan.sha256, "deviations": list(deviations)}
    metrics["warnings"] = [*deviations, *cast("list[Json]", metrics["warnings"])]
    for deviation in deviations:
        event("plan_deviated", agent="experimentation", level="warning", deviation=deviation)
    work.folder.write("metrics.json", metrics)
    work.save(deviations=deviations)
    return "measured"


def _earlier_looks(work: Work) -> list[Mapping[str, Json]]:
    """What the earlier measurements of the run found, the first one first."""
    names = (f"measurements/{n}/metrics.json" for n in range(1, work.run.measurements + 1))
    return [
        cast("Mapping[str, Json]", work.folder.raw(name))
        for name in names
        if work.folder.file(name).is_file()
    ]


def report(work: Work) -> str:
    """The notebook and the PDF, made of the run's JSON files alone."""
    if work.paid:
        # The report says what the run has cost; it calls no service itself.
        work.save(totals={**work.run.totals, **costs_of(work.paid, work.folder)})
    reporting.write_report(work.folder.path)
    return "experiment_report.ipynb, experiment_report.pdf"
