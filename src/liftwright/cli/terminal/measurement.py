"""What a run has measured: the lift, what to do with each arm, and what was left out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape

from liftwright.cli.terminal.experiment import (
    entries,
    p_value,
    print_decisions,
    print_ratio,
    print_row_warnings,
    print_rows,
    print_tests,
    print_winners,
)
from liftwright.cli.terminal.numbers import as_number, interval, percent
from liftwright.model import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console

    from liftwright.model import Json
    from liftwright.model.run_files import RunFolder

_HASH_SHOWN = 12
_TOLD = "sample-ratio mismatch"


def print_measured(out: Console, folder: RunFolder) -> None:
    """The result of a run that has one; nothing of a run that has none yet."""
    if not folder.file("metrics.json").is_file():
        return
    metrics = _object(folder, "metrics.json")
    if metrics["simulated"]:
        out.print("[bold yellow]SIMULATED[/] engagement: the lift below is not real.")
    overall = [row for row in entries(metrics["comparisons"]) if row["segment"] == "all"]
    lower = {metric.name for metric in METRICS if metric.direction == "lower"}
    print_rows(out, overall, f"Against {metrics['control']}", lower=lower)
    print_tests(out, overall)
    level = 1 - as_number(metrics["alpha"])
    out.print(
        f"[dim]Intervals at {level:.0%}, not adjusted; p adjusted ({metrics['correction']}) "
        "below the raw one.[/]\n"
    )
    print_ratio(out, metrics)
    print_winners(out, metrics)
    print_decisions(out, metrics)
    _print_looks(out, metrics)
    for line in (*_customers(folder, metrics), *_counted(folder), *_plan(metrics)):
        out.print(escape(line))
    print_row_warnings(out, overall)
    for warning in (*_object(folder, "engagement.json")["warnings"], *metrics["warnings"]):
        if metrics.get("srm_failed") and str(warning).startswith(_TOLD):
            continue
        out.print(f"[yellow]![/] {escape(str(warning))}")


def _print_looks(out: Console, metrics: Mapping[str, Json]) -> None:
    """What the last two looks found, where there were several."""
    course = entries(metrics.get("course"))
    if not course:
        return
    last = course[-1]["look"]
    out.print(f"look {last} of this experiment; its {course[-1]['metric']}, and before:")
    for row in course:
        if row["look"] > last - 2:
            out.print(
                escape(
                    f"  look {row['look']}, {row['arm']}: {percent(row['lift'])} "
                    f"({interval(row['lift_ci'])}), p {p_value(row['p_value'])}, "
                    f"{row['n_treatment']:,} / {row['n_control']:,} delivered"
                )
            )


def _customers(folder: RunFolder, metrics: Mapping[str, Json]) -> Iterator[str]:
    """Who was assigned, what arrived, and who was sent nothing."""
    arms_json = _object(folder, "arms.json")
    assigned: dict[str, int] = {}
    for arms in arms_json["counts"].values():
        for arm, customers in arms.items():
            assigned[arm] = assigned.get(arm, 0) + customers
    told = ", ".join(
        f"{arm['arm']} {arm['n']:,} of {assigned.get(arm['arm'], 0):,}"
        for arm in entries(metrics["arms"])
    )
    yield f"delivered of assigned: {told}"
    left_out = arms_json.get("left_out")
    if isinstance(left_out, dict) and left_out:
        reasons = ", ".join(f"{reason} {customers:,}" for reason, customers in left_out.items())
        yield f"sent nothing: {sum(left_out.values()):,} customers ({reasons})"


def _counted(folder: RunFolder) -> Iterator[str]:
    """What of the engagement's file does not count, and why."""
    found = _object(folder, "engagement.json")
    if found["source"] == "simulated":
        return
    yield (
        f"engagement: {found['rows']:,} rows, {found['rows_used']:,} used; made by machines and "
        f"not counted: {found['machine_opens']:,} opens, {found['machine_clicks']:,} clicks"
    )
    if found["customers_missing"]:
        yield f"assigned customers that no row names: {found['customers_missing']:,}"


def _plan(metrics: Mapping[str, Json]) -> Iterator[str]:
    """Whether the analysis is the one that was planned."""
    plan = metrics.get("plan")
    if isinstance(plan, dict):
        kept = "DEVIATED FROM, see below" if plan["deviations"] else "followed"
        yield f"analysis plan {plan['sha256'][:_HASH_SHOWN]}: {kept}"


def _object(folder: RunFolder, name: str) -> dict[str, Any]:
    found = folder.raw(name)
    assert isinstance(found, dict)  # noqa: S101 - written by the product
    return found
