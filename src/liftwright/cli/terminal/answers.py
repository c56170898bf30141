"""The output of the other commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from liftwright.cli.terminal import numbers
from liftwright.cli.terminal.experiment import plain_table
from liftwright.cli.terminal.output import console, print_json, print_line
from liftwright.model.metrics import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from liftwright.audit import Verification
    from liftwright.campaign import Check, Plan
    from liftwright.campaign.cost_estimate import PlannedCalls
    from liftwright.campaign.queries import GroundedText, Screened
    from liftwright.model import Json, Passage, SafetyDecision
    from liftwright.ports import IndexReport


def show_init(folder: Path, files: Sequence[Path], *, json: bool) -> None:
    """Print the files that were created, and the next command."""
    if json:
        print_json({"workspace": str(folder), "files": [str(file) for file in files]})
        return
    console().print(
        f"Created {len(files)} files in {folder}. Next: liftwright run --workspace "
        f"{escape(str(folder))}"
    )


def show_plan(plan: Plan, *, json: bool) -> None:
    """Print the calls, the cost and the power of a campaign."""
    if json:
        print_json(plan.to_json())
        return
    out = console()
    table = plain_table("Calls")
    table.add_column("service\nadapter", overflow="fold")
    for name in ("expected\nat most", "usage", "USD\nat most", "price date"):
        table.add_column(name, justify="right")
    for one in plan.calls:
        used, expected, at_most, day = _priced(one)
        table.add_row(
            escape(f"{one.port}\n{one.adapter}"),
            f"{one.expected:,}\n{one.at_most:,}",
            used,
            f"{expected}\n{at_most}",
            day,
        )
    out.print(table)
    table = plain_table(
        f"Smallest detectable lift (overall alpha {plan.alpha:g}, power {plan.power:.0%})"
    )
    table.add_column("segment\nmetric", overflow="fold")
    for name in ("baseline", "per arm\ncontrol", "alpha", "smallest\nlift", "customers\nneeded"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in plan.detectable:
        needed = row.customers_needed
        table.add_row(
            escape(f"{row.segment}\n{row.metric}"),
            numbers.value(row.base_rate, BY_NAME[row.metric].kind),
            f"{row.per_arm:,}\n{row.control:,}",
            f"{row.alpha:.2g}",
            numbers.percent(row.smallest_lift),
            "–" if needed is None else f"{needed:,}",
        )
    out.print(table)
    out.print(
        "[dim]baseline: expected from the customers' history, else the configured default; "
        "alpha: per test, after the correction; customers needed: in all arms together, to detect "
        f"{plan.minimum_lift:+.0%}[/]\n"
    )
    for reason, customers in plan.left_out.items():
        out.print(f"excluded: {customers:,} {escape(reason)}")
    for sentence in plan.answers:
        out.print(escape(sentence))
    for warning in plan.warnings:
        out.print(f"[yellow]![/] {escape(warning)}")
    budget = "" if plan.budget_usd is None else f"; budget {plan.budget_usd:.2f} USD"
    out.print(f"cost: {plan.expected_usd:.4f} USD expected, {plan.at_most_usd:.4f} at most{budget}")


def _priced(one: PlannedCalls) -> tuple[str, str, str, str]:
    """The usage, expected cost, maximum cost and price date of planned calls."""
    if not one.metered:
        return "local", "–", "–", "–"
    used = f"{one.units:,} {one.unit}" if one.unit else "–"
    if one.input_tokens:
        used = f"{one.input_tokens:,} tokens"
    if one.output_tokens:
        used = f"{one.input_tokens:,} + {one.output_tokens:,} tokens"
    if one.unpriced:
        return used, "no price", "no price", "–"
    if one.price_as_of is None:
        return used, "free", "free", "–"
    day = one.price_as_of.isoformat()
    return used, f"{one.expected_usd:.4f}", f"{one.at_most_usd:.4f}", day


def show_files(files: Sequence[Path], *, json: bool) -> None:
    """Print the files that were written."""
    if json:
        print_json([str(file) for file in files])
        return
    for file in files:
        console().print(escape(str(file)))


def show_verification(found: Verification, *, json: bool) -> None:
    """Print whether the audit log is intact."""
    if json:
        print_json(found)
        return
    out = console()
    if found.ok:
        out.print(f"[green]intact[/]: {found.lines} records")
        return
    out.print(f"[bold red]ALTERED[/]: {found.lines} records")
    for problem in found.problems:
        out.print(f"  {escape(problem)}")


def show_checks(checks: Sequence[Check], *, json: bool) -> None:
    """Print the checks of `doctor`."""
    if json:
        print_json({"ok": all(check.ok for check in checks), "checks": checks})
        return
    table = Table("", "check", "result")
    for check in checks:
        sign = "[green]ok[/]" if check.ok else "[bold red]fault[/]"
        table.add_row(sign, check.name, escape(check.detail))
    console().print(table)


def show_index(report: IndexReport, *, json: bool) -> None:
    """Print what was indexed."""
    if json:
        print_json(report)
        return
    out = console()
    out.print(f"Indexed {report.documents} documents successfully. {len(report.errors)} errors.")
    out.print(
        f"{report.paragraphs} paragraphs; {report.added} added, {report.changed} changed, "
        f"{report.removed} removed, {report.unchanged} unchanged; {report.embedded} embedded"
    )
    for name in report.removed_indexes:
        out.print(f"removed old index: {escape(name)}")


def show_passages(passages: Sequence[Passage], *, json: bool) -> None:
    """Print the passages found for one query."""
    from liftwright.campaign.queries import passage_json

    if json:
        print_json([passage_json(passage) for passage in passages])
        return
    table = Table("score", "document", "section", "passage", show_lines=True)
    for passage in passages:
        table.add_row(
            f"{passage.score:.2f}",
            escape(passage.title),
            escape(passage.section),
            escape(passage.text),
        )
    console().print(table)


def show_search_lines(found: Iterator[tuple[Json, tuple[Passage, ...]]]) -> None:
    """Print the passages found for many queries, one JSON line per query."""
    from liftwright.campaign.queries import passage_json

    for name, passages in found:
        print_line({"id": name, "results": [passage_json(passage) for passage in passages]})


def show_screened(found: Iterable[Screened], *, json: bool) -> int:
    """Print each text's decision; return 1 if any is blocked, else 0."""
    status = 0
    for one in found:
        status |= one.decision.status != "pass"
        if json:
            print_line(one.to_json())
            continue
        name = "" if one.id is None else f"{one.id}: "
        worst = ", ".join(f"{f.category} {f.severity}" for f in one.decision.findings)
        out = f"{name}{one.decision.status} ({worst})"
        console().print(
            escape(out if not one.decision.reasons else f"{out}: {'; '.join(one.decision.reasons)}")
        )
    return int(status)


def show_grounded(found: Iterable[GroundedText], *, json: bool) -> int:
    """Print each text's claims; return 1 if any is unsupported, else 0."""
    status = 0
    for one in found:
        status |= not one.supported
        if json:
            print_line(one.to_json())
            continue
        out = console()
        out.print(f"[bold]{escape(str(one.id))}[/] {one.grounded.score:.2f}")
        for claim in one.grounded.claims:
            out.print(f"  {claim.verdict:<12} {claim.score:.2f}  {escape(claim.text)}")
    return int(status)


def show_approval(decision: SafetyDecision, *, json: bool) -> None:
    """Print the approved decision."""
    if json:
        print_json(decision)
        return
    console().print(
        f"{decision.variant_id}: {decision.status}, decided by {escape(decision.decided_by)}"
    )
