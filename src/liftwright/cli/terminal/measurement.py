"""The measured results of a run: lift, advice for each arm, exclusions and warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape

from liftwright.analysis import ExperimentResult
from liftwright.cli.terminal.experiment import (
    print_ratio,
    print_row_warnings,
    print_rows,
    print_tests,
    print_verdict,
    print_winners,
)
from liftwright.cli.terminal.numbers import count_noun, interval, p_value, percent
from liftwright.model import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from liftwright.model.run_files import RunFolder

_HASH_LENGTH = 12
_SRM_WARNING = "sample-ratio mismatch"


def print_measured(out: Console, folder: RunFolder) -> None:
    """Print the result of a run; nothing if it has none yet."""
    if not folder.file("metrics.json").is_file():
        return
    result = folder.read("metrics.json", ExperimentResult, ignore_unknown=True)
    if result.simulated:
        out.print("[bold yellow]SIMULATED[/] engagement: the lift below is not real.")
    lower = {metric.name for metric in METRICS if metric.direction == "lower"}
    print_rows(out, result.rows(), f"Compared with {result.control}", lower=lower)
    print_tests(out, result.rows())
    out.print(
        f"[dim]Intervals at {1 - result.alpha:.0%}, not adjusted; p adjusted "
        f"({result.correction}) below the raw p.[/]\n"
    )
    print_ratio(out, result)
    print_winners(out, result)
    print_verdict(out, result)
    _print_looks(out, result)
    for line in (*_customers(folder, result), *_counted(folder), *_plan(result)):
        out.print(escape(line))
    print_row_warnings(out, result.rows())
    exclusions = _object(folder, "arms.json").get("warnings") or ()
    outcomes = _object(folder, "engagement.json")["warnings"]
    for warning in (*exclusions, *outcomes, *result.warnings):
        if result.srm_failed and str(warning).startswith(_SRM_WARNING):
            continue
        out.print(f"[yellow]![/] {escape(str(warning))}")


def _print_looks(out: Console, result: ExperimentResult) -> None:
    """Print the last two looks, if there were several."""
    if not result.course:
        return
    last = result.course[-1]
    out.print(
        f"look {last.look} at this experiment; {last.metric} at this look and the one before:"
    )
    for row in result.course:
        if row.look > last.look - 2:
            out.print(
                escape(
                    f"  look {row.look}, {row.arm}: {percent(row.lift)} "
                    f"({interval(row.lift_ci)}), p {p_value(row.p_value)}, "
                    f"{row.n_treatment:,} / {row.n_control:,} delivered"
                )
            )


def _customers(folder: RunFolder, result: ExperimentResult) -> Iterator[str]:
    """How many customers were assigned, delivered to, and not sent anything."""
    arms_json = _object(folder, "arms.json")
    assigned: dict[str, int] = {}
    for arms in arms_json["counts"].values():
        for arm, customers in arms.items():
            assigned[arm] = assigned.get(arm, 0) + customers
    sizes = ", ".join(f"{arm.arm} {arm.n:,} of {assigned.get(arm.arm, 0):,}" for arm in result.arms)
    yield f"delivered (of assigned): {sizes}"
    left_out = arms_json.get("left_out")
    if isinstance(left_out, dict) and left_out:
        reasons = ", ".join(f"{reason} {customers:,}" for reason, customers in left_out.items())
        yield f"not sent: {count_noun(sum(left_out.values()), 'customer')} ({reasons})"


def _counted(folder: RunFolder) -> Iterator[str]:
    """How many rows of the engagement file were used, and the excluded bot activity."""
    record = _object(folder, "engagement.json")
    if record["source"] == "simulated":
        return
    before = record.get("click_rate_before")
    yield (
        f"engagement: {count_noun(record['rows'], 'row')}, {record['rows_used']:,} used; bot "
        f"activity not counted: {count_noun(record['machine_opens'], 'open')}, "
        f"{count_noun(record['machine_clicks'], 'click')}"
        + ("" if before is None else f" (click rate before: {before:.2%})")
    )
    if record["customers_missing"]:
        yield f"assigned customers missing from the file: {record['customers_missing']:,}"
    if record.get("customers_set_aside"):
        yield f"customers left out, every row set aside: {record['customers_set_aside']:,}"


def _plan(result: ExperimentResult) -> Iterator[str]:
    """Whether the analysis follows its plan."""
    if result.plan is not None:
        state = "DEVIATIONS, see below" if result.plan.deviations else "followed"
        yield f"analysis plan {result.plan.sha256[:_HASH_LENGTH]}: {state}"


def _object(folder: RunFolder, name: str) -> dict[str, Any]:
    value = folder.raw(name)
    assert isinstance(value, dict)  # noqa: S101 - written by the product
    return value
