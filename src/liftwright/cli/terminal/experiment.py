"""Tables and verdicts of an experiment, for a run or any results file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table

from liftwright.analysis import OVERALL, few
from liftwright.cli.terminal import numbers

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from rich.console import Console

    from liftwright.analysis import ArmComparison, ExperimentResult
    from liftwright.analysis.result import Action, Verdict

_HEADLINES = {
    "winner": "Winner: {arm}",
    "no_difference_shown": "No difference shown",
    "too_early": "Too early to decide",
    "worse": "Worse than control",
    "guardrail_not_met": "No winner, guardrail not met",
    "do_not_trust": "Do not trust this result",
}
_COLOURS = {
    "winner": "green",
    "no_difference_shown": "yellow",
    "too_early": "yellow",
    "worse": "red",
    "guardrail_not_met": "red",
    "do_not_trust": "red",
}
_GUARDRAILS = {
    "met": "within the margin",
    "no_harm_shown": "no harm shown",
    "not_met": "not met: a loss beyond the margin cannot be excluded",
    "harmed": "harmed",
}
_ADVICE = {"ship": "Ship", "stop": "Stop", "continue": "Keep running"}
_MAX_NAMED = 3
_MAX_SEGMENTS = 12
# In a narrow terminal, numbers are truncated before names.
_MIN_NAME_WIDTH = 10


def plain_table(title: str) -> Table:
    """A table without borders."""
    return Table(
        title=f"\n{title}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )


def print_rows(
    out: Console, rows: Sequence[ArmComparison], title: str, *, lower: Container[str] = ()
) -> None:
    """Print comparisons on two lines each: estimates, and below them control and intervals.

    Args:
        out: The console.
        rows: The comparisons.
        title: The table's title.
        lower: Metrics for which lower is better.
    """
    by_segment = any(row.segment != OVERALL for row in rows)
    table = plain_table(title)
    named = "segment\narm\nmetric" if by_segment else "arm\nmetric"
    table.add_column(named, overflow="fold", min_width=_MIN_NAME_WIDTH)
    for name in ("value\ncontrol", "difference\ninterval", "lift\ninterval", "p\nadjusted"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("sign.", no_wrap=True)
    for row in rows:
        kind = row.kind
        better = (row.difference or 0.0) * (-1 if row.metric in lower else 1) > 0
        name = f"{row.arm}\n{row.metric}"
        table.add_row(
            escape(f"{row.segment}\n{name}" if by_segment else name),
            f"{numbers.value(row.treatment, kind)}\n{numbers.value(row.control, kind)}",
            f"{numbers.difference(row.difference, kind)}\n"
            f"{numbers.difference_interval(row.difference_ci, kind)}",
            f"{numbers.percent(row.lift)}\n{numbers.interval(row.lift_ci)}",
            f"{numbers.p_value(row.p_value)}\n{numbers.p_value(row.p_adjusted)}",
            f"[{'green' if better else 'red'}]yes[/]" if row.significant else "no",
        )
    out.print(table)


def print_tests(out: Console, rows: Sequence[ArmComparison]) -> None:
    """Print which test was used for each metric."""
    tests: dict[str, list[str]] = {}
    for row in rows:
        names = tests.setdefault(row.test, []) if row.test else []
        if row.segment == OVERALL and row.metric not in names:
            names.append(row.metric)
    text = "; ".join(f"{test}: {', '.join(names)}" for test, names in tests.items() if names)
    if text:
        out.print(f"[dim]Tests: {escape(text)}.[/]")


def print_row_warnings(out: Console, rows: Sequence[ArmComparison]) -> None:
    """Print each warning once, with the first comparisons it applies to."""
    comparisons: dict[str, list[str]] = {}
    for row in rows:
        for warning in row.warnings:
            where = "" if row.segment == OVERALL else f" in {row.segment}"
            comparisons.setdefault(warning, []).append(f"{row.arm}, {row.metric}{where}")
    for warning, names in comparisons.items():
        shown = "; ".join(names[:_MAX_NAMED])
        more = len(names) - _MAX_NAMED
        rest = f"; and {more:,} more" if more > 0 else ""
        out.print(f"[yellow]![/] {escape(warning)} ({escape(shown)}{rest})")


def print_excluded(out: Console, excluded: Mapping[str, int]) -> None:
    """Print how many rows and units were excluded, by reason."""
    for reason, count in excluded.items():
        if count:
            out.print(f"[yellow]![/] excluded: {count:,} {reason.replace('_', ' ')}")


def print_ratio(out: Console, result: ExperimentResult) -> None:
    """Print whether the arm sizes match the planned shares."""
    p = numbers.p_value(result.srm.p_value)
    if result.srm_failed:
        out.print(
            f"[bold red]SAMPLE-RATIO MISMATCH[/]: {escape(few(result.srm_failed))} "
            f"(all units: p = {p}). Do not trust the lift."
        )
    else:
        out.print(f"sample ratio as planned (p = {p})")
    by_segment = result.srm_by_segment
    if by_segment and len(by_segment) <= _MAX_SEGMENTS:
        shown = ", ".join(f"{name} {numbers.p_value(o.p_value)}" for name, o in by_segment.items())
        out.print(escape(f"sample ratio by segment, p: {shown}"))


def print_winners(out: Console, result: ExperimentResult) -> None:
    """Print the best arms of secondary metrics and of segments; the verdict has the primary one."""
    if not result.trusted:
        return
    for best in result.best:
        headline = result.verdict is not None and (best.segment, best.metric) == (
            OVERALL,
            result.deciding_metric,
        )
        if headline or (best.segment != OVERALL and best.arm is None):
            continue
        where = "" if best.segment == OVERALL else f" in {best.segment}"
        named = f"best arm {best.arm}" if best.arm else "no best arm"
        out.print(escape(f"{best.metric}{where}: {named} ({best.reason})"))


def print_verdict(out: Console, result: ExperimentResult) -> None:
    """Print the verdict with its reasons, the guardrails, and what to do with each arm."""
    reasons = "; ".join(result.verdict.reasons) if result.verdict else ""
    if result.verdict is not None:
        _print_headline(out, result, result.verdict, reasons)
    grouped: dict[tuple[Action, str], list[str]] = {}
    for one in result.decisions:
        grouped.setdefault((one.decision, "; ".join(one.reasons)), []).append(one.arm)
    for (choice, why), arms in grouped.items():
        shown = "" if why == reasons else f": {why}"
        out.print(escape(f"  {_ADVICE[choice]} {', '.join(arms)}{shown}"))


def _print_headline(out: Console, result: ExperimentResult, verdict: Verdict, reasons: str) -> None:
    exposure = result.multiple_exposure
    if exposure is not None and exposure.units:
        out.print(f"units seen in two or more arms: {exposure.units:,} ({exposure.share:.2%})")
    for check in result.guardrails:
        margin = "" if check.margin is None else f", margin {check.margin:.3g}"
        out.print(
            escape(
                f"guardrail {check.metric}{margin}, {check.arm}: {_GUARDRAILS[check.state]} "
                f"({numbers.percent(check.lift)}, {numbers.interval(check.lift_ci)})"
            )
        )
    rule = "at the planned sample" if verdict.governs == "fixed" else "valid at any look"
    headline = _HEADLINES[verdict.state].format(arm=escape(verdict.winner or ""))
    out.print(
        f"[bold {_COLOURS[verdict.state]}]{headline}[/] on {escape(result.deciding_metric)} "
        f"[dim]({rule})[/]: {escape(reasons)}"
    )
