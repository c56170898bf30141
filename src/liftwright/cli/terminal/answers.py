"""The output of commands other than `run`, `status`, `runs` and `analyze`."""

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
    from liftwright.campaign import Health, HealthCheck, Plan
    from liftwright.campaign.cost_estimate import PlannedCalls
    from liftwright.campaign.evaluate import Evaluation
    from liftwright.campaign.import_customers import CustomersImport
    from liftwright.campaign.queries import GroundedText, ScreenedText
    from liftwright.model import Json, Passage, SafetyDecision
    from liftwright.ports import IndexReport


def show_init(folder: Path, files: Sequence[Path], *, json: bool) -> None:
    """Print the files that were created, and the next command."""
    if json:
        print_json({"workspace": str(folder), "files": [str(file) for file in files]})
        return
    console().print(
        f"Created {numbers.count_noun(len(files), 'file')} in {folder}. "
        f"Next: liftwright run --workspace {escape(str(folder))}"
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
    for call in plan.calls:
        used, expected, at_most, day = _priced(call)
        table.add_row(
            escape(f"{call.port}\n{call.adapter}"),
            f"{call.expected:,}\n{call.at_most:,}",
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
    for reason, rows in plan.set_aside.items():
        out.print(f"set aside: {rows:,} {escape(reason)}")
    for reason, customers in plan.left_out.items():
        out.print(f"excluded: {customers:,} {escape(reason)}")
    for sentence in plan.answers:
        out.print(escape(sentence))
    for warning in plan.warnings:
        out.print(f"[yellow]![/] {escape(warning)}")
    budget = "" if plan.budget_usd is None else f"; budget {plan.budget_usd:.2f} USD"
    out.print(f"cost: {plan.expected_usd:.4f} USD expected, {plan.at_most_usd:.4f} at most{budget}")


def show_import(found: CustomersImport, *, json: bool) -> None:
    """Print how a file of customers would be read, and what would be kept and set aside."""
    if json:
        print_json(found.to_json())
        return
    out = console()
    table = plain_table("Columns")
    for name in ("their column", "our column", "conversion", "example"):
        table.add_column(name, overflow="fold")
    for column in found.columns:
        cells = (column.theirs, column.ours, column.conversion, column.example)
        table.add_row(*(escape(cell or "–") for cell in cells))
    out.print(table)
    out.print(escape(found.customers_yaml))
    for warning in found.warnings:
        out.print(f"[yellow]![/] {escape(warning)}")
    out.print(f"{found.kept:,} of {found.rows:,} rows would be kept")
    for rejected in found.rejected:
        out.print(f"set aside: {rejected.rows:,} {escape(rejected.reason)}")
    if found.written is None:
        out.print("Nothing was written; --write replaces config/customers.yaml")
    else:
        out.print(f"Written: {escape(found.written)}. Next: liftwright plan")


def _priced(call: PlannedCalls) -> tuple[str, str, str, str]:
    """The usage, expected cost, maximum cost and price date of planned calls."""
    if not call.metered:
        return "local", "–", "–", "–"
    used = f"{call.units:,} {call.unit}" if call.unit else "–"
    if call.input_tokens:
        used = f"{call.input_tokens:,} tokens"
    if call.output_tokens:
        used = f"{call.input_tokens:,} + {call.output_tokens:,} tokens"
    if call.unpriced:
        return used, "no price", "no price", "–"
    if call.price_as_of is None:
        return used, "free", "free", "–"
    day = call.price_as_of.isoformat()
    return used, f"{call.expected_usd:.4f}", f"{call.at_most_usd:.4f}", day


def show_files(files: Sequence[Path], *, json: bool) -> None:
    """Print the files that were written."""
    if json:
        print_json([str(file) for file in files])
        return
    for file in files:
        console().print(escape(str(file)))


def show_verification(verification: Verification, *, json: bool) -> None:
    """Print whether the audit log is intact."""
    if json:
        print_json(verification)
        return
    out = console()
    records = numbers.count_noun(verification.lines, "record")
    if verification.ok:
        out.print(f"[green]intact[/]: {records}")
        return
    out.print(f"[bold red]ALTERED[/]: {records}")
    for problem in verification.problems:
        out.print(f"  {escape(problem)}")


def show_checks(checks: Sequence[HealthCheck], *, json: bool) -> None:
    """Print the checks of `doctor`."""
    if json:
        print_json({"ok": all(check.ok for check in checks), "checks": checks})
        return
    table = Table("", "check", "result")
    for check in checks:
        sign = "[green]ok[/]" if check.ok else "[bold red]failed[/]"
        table.add_row(sign, check.name, escape(check.detail))
    console().print(table)


def show_health(health: Health, *, json: bool) -> None:
    """Print whether a workspace is healthy, and what is wrong."""
    if json:
        print_json(health)
        return
    out = console()
    out.print("[green]healthy[/]" if health.ok else "[bold red]unhealthy[/]")
    for problem in health.problems:
        out.print(escape(problem), soft_wrap=True)
    out.print(f"last good run: {health.last_good_run_at or 'none'}")


def show_index(report: IndexReport, *, json: bool) -> None:
    """Print the result of indexing."""
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
    for warning in report.warnings:
        out.print(f"[yellow]{escape(warning)}[/]")


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


def show_search_lines(results: Iterator[tuple[Json, tuple[Passage, ...]]]) -> None:
    """Print the passages found for many queries, one JSON line per query."""
    from liftwright.campaign.queries import passage_json

    for name, passages in results:
        print_line({"id": name, "results": [passage_json(passage) for passage in passages]})


def show_screened(screened: Iterable[ScreenedText], *, json: bool) -> int:
    """Print each text's decision; return 0 if all pass, else 1."""
    status = 0
    for item in screened:
        status |= item.decision.status != "pass"
        if json:
            print_line(item.to_json())
            continue
        name = "" if item.id is None else f"{item.id}: "
        severities = ", ".join(
            f"{finding.category} {'unknown' if finding.severity is None else finding.severity}"
            for finding in item.decision.findings
        )
        reasons = f": {'; '.join(item.decision.reasons)}" if item.decision.reasons else ""
        console().print(escape(f"{name}{item.decision.status} ({severities}){reasons}"))
    return int(status)


def show_grounded(grounded: Iterable[GroundedText], *, json: bool) -> int:
    """Print each text's claims; return 1 if any is unsupported, else 0."""
    status = 0
    for item in grounded:
        status |= not item.supported
        if json:
            print_line(item.to_json())
            continue
        out = console()
        out.print(f"[bold]{escape(str(item.id))}[/] {item.grounded.score:.2f}")
        for claim in item.grounded.claims:
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


def show_evaluation(evaluation: Evaluation, *, json: bool) -> None:
    """Print the measures of an evaluation and whether the score reaches the floor."""
    if json:
        print_json(evaluation.to_json())
        return
    out = console()
    table = Table(
        "measure", title=f"{evaluation.what}: {evaluation.n:,} cases", title_justify="left"
    )
    table.add_column("value", justify="right")
    for name, value in evaluation.measures.items():
        if not isinstance(value, dict):
            table.add_row(name.replace("_", " "), numbers.measure(value))
    out.print(table)
    categories = evaluation.measures.get("categories")
    if isinstance(categories, dict):
        names = list(next(iter(categories.values())))
        table = Table("category")
        for name in names:
            table.add_column(name.replace("_", " "), justify="right")
        for category, values in categories.items():
            table.add_row(category, *(numbers.measure(values[name]) for name in names))
        out.print(table)
    answer = "[green]reached[/]" if evaluation.ok else "[bold red]not reached[/]"
    out.print(f"score {numbers.measure(evaluation.score)}, floor {evaluation.floor:g}: {answer}")
