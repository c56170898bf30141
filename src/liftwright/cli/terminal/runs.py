"""The outcome of a run, and the list of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from liftwright.campaign.pipeline import STAGES
from liftwright.campaign.stages.export import Export
from liftwright.cli.terminal.measurement import print_measured
from liftwright.cli.terminal.numbers import as_number, count_noun
from liftwright.cli.terminal.output import console, print_json
from liftwright.model import Failure, SafetyDecision
from liftwright.model.run_files import IndexRecord, RunFolder, Variants

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from liftwright.campaign import RunOutcome
    from liftwright.model import Json, Run


def show_run(outcome: RunOutcome, *, json: bool) -> None:
    """Print how a run ended: segments, messages, arms, lift and files."""
    folder = RunFolder(outcome.folder)
    if json:
        print_json(
            {
                "run_id": outcome.run.run_id,
                "status": outcome.run.status,
                "exit_status": outcome.exit_status,
                "reason": outcome.reason,
                "repeated": outcome.repeated,
                "simulated": outcome.run.simulated,
                "folder": str(outcome.folder),
                "summary": _summary(folder),
                "totals": outcome.run.totals,
            }
        )
        return
    out = console()
    if outcome.repeated:
        out.print(
            f"run {outcome.run.run_id} had already finished with the same inputs; "
            "no stage ran again",
            soft_wrap=True,
        )
    if outcome.exit_status != 0:
        status = outcome.run.status.replace("_", " ")
        reason = str(outcome.reason).removeprefix(f"{status}: ")
        out.print(f"[bold red]{status}[/]: {escape(reason)}")
    _print_customers(out, folder)
    _print_content(out, folder)
    _print_messages(out, folder)
    if outcome.exit_status == 0:
        print_measured(out, folder)
    _print_totals(out, outcome.run)
    if folder.file("export.json").is_file():
        exported = folder.read("export.json", Export)
        tables = count_noun(len(exported.files), "table")
        out.print(f"{tables} exported to {escape(exported.to)}", soft_wrap=True)
    files = [p.relative_to(outcome.folder) for p in outcome.folder.rglob("*") if p.is_file()]
    names = sorted(str(p) for p in files if p.parts[0] != "measurements")
    earlier = outcome.run.measurements
    if earlier:
        names.append(f"measurements/1 to {earlier}" if earlier > 1 else "measurements/1")
    out.print(f"[bold]{outcome.folder}[/]: {', '.join(names)}")


def _summary(folder: RunFolder) -> dict[str, Json]:
    """The counts in `run --json`."""
    summary: dict[str, Json] = {}
    warnings: list[Json] = []
    if folder.file("customers.json").is_file():
        read = folder.raw("customers.json")
        assert isinstance(read, dict)  # noqa: S101 - written by the product
        summary["customers"] = {name: read[name] for name in ("rows_in", "rows_kept", "rejected")}
        warnings += list(read["warnings"])
    if folder.file("segments.json").is_file():
        segments = folder.raw("segments.json")
        assert isinstance(segments, dict)  # noqa: S101 - written by the product
        summary["segments"] = {
            segment["label"]: segment["size"] for segment in segments["segments"]
        }
        warnings += list(segments["warnings"])
    if folder.file("index.json").is_file():
        warnings += folder.read("index.json", IndexRecord).warnings
    if folder.file("arms.json").is_file():
        arms = folder.raw("arms.json")
        assert isinstance(arms, dict)  # noqa: S101 - written by the product
        warnings += list(arms.get("warnings") or ())
    if folder.file("failures.json").is_file():
        summary["failed"] = len(folder.read_list("failures.json", Failure))
    if folder.file("variants.json").is_file():
        summary["variants"] = len(folder.read("variants.json", Variants).variants)
    if folder.file("decisions.json").is_file():
        decisions = folder.read_list("decisions.json", SafetyDecision)
        for status in ("pass", "block", "waiting"):
            summary[status] = sum(decision.status == status for decision in decisions)
    summary["warnings"] = warnings
    return summary


def _print_customers(out: Console, folder: RunFolder) -> None:
    if not folder.file("customers.json").is_file():
        return
    read = folder.raw("customers.json")
    assert isinstance(read, dict)  # noqa: S101 - written by the product
    rejected = sum(read["rejected"].values())
    out.print(
        f"customers: {count_noun(read['rows_in'], 'row')} read, {read['rows_kept']:,} kept, "
        f"{rejected:,} rejected"
    )
    for reason, rows in read["rejected"].items():
        out.print(f"[yellow]![/] rejected: {count_noun(rows, 'row')}, {escape(reason)}")
    for warning in read["warnings"]:
        out.print(f"[yellow]![/] {escape(warning)}")


def _print_content(out: Console, folder: RunFolder) -> None:
    if folder.file("index.json").is_file():
        for warning in folder.read("index.json", IndexRecord).warnings:
            out.print(f"[yellow]![/] content: {escape(warning)}")


def _print_messages(out: Console, folder: RunFolder) -> None:
    if not folder.file("decisions.json").is_file():
        return
    variants = folder.read("variants.json", Variants).variants
    decisions = {d.variant_id: d for d in folder.read_list("decisions.json", SafetyDecision)}
    failures = folder.read_list("failures.json", Failure)
    segments = folder.raw("segments.json")
    assert isinstance(segments, dict)  # noqa: S101 - written by the product
    table = Table("segment", title="Segments and messages", title_justify="left")
    for name in ("customers", "share", "pass", "blocked", "waiting", "failed"):
        table.add_column(name, justify="right")
    for segment in segments["segments"]:
        label = segment["label"]
        statuses = [decisions[v.variant_id].status for v in variants if v.segment == label]
        counts = [statuses.count(name) for name in ("pass", "block", "waiting")]
        failed = sum(failure.segment == label for failure in failures)
        table.add_row(
            escape(label),
            f"{segment['size']:,}",
            f"{segment['share']:.0%}",
            *(str(count) for count in (*counts, failed)),
        )
    out.print(table)
    for warning in segments["warnings"]:
        out.print(f"[yellow]![/] {escape(warning)}")
    treatments = {variant.variant_id for variant in variants}
    control = next(d for name, d in decisions.items() if name not in treatments)
    out.print(f"control message: {control.status}")


def _print_totals(out: Console, run: Run) -> None:
    totals = run.totals
    if "runtime_seconds" not in totals:
        out.print(f"run {run.run_id}")
        return
    out.print(
        f"run {run.run_id}: {totals['runtime_seconds']} s, "
        f"{count_noun(int(as_number(totals['metered_calls'])), 'metered call')}, "
        f"{totals['replayed_calls']} cached, {as_number(totals['cost_usd']):.4f} USD"
    )
    _print_costs(out, totals)


def _print_costs(out: Console, totals: Mapping[str, object]) -> None:
    """Print the cost of each service; nothing if there was none."""
    services = totals.get("cost_by_service")
    if not isinstance(services, dict) or not services:
        return
    table = Table("service", title="Cost", title_justify="left")
    for name in ("paid calls", "usage", "USD"):
        table.add_column(name, justify="right")
    for port, paid in services.items():
        tokens, units = paid["tokens"], paid["units"]
        used = f"{units:,} units" if units else "–"
        if tokens["input"]:
            used = f"{tokens['input']:,} tokens"
        if tokens["output"]:
            used = f"{tokens['input']:,} + {tokens['output']:,} tokens"
        table.add_row(port, f"{paid['calls']:,}", used, f"{paid['cost_usd']:.6f}")
    out.print(table)
    each = totals.get("cost_per_approved_variant_usd")
    if each is not None:
        out.print(
            f"cost: {as_number(totals['cost_usd']):.6f} USD, {as_number(each):.6f} per approved "
            f"variant ({totals['approved_variants']})"
        )


def show_status(run: Run, folder: RunFolder, *, json: bool) -> None:
    """Print a run's stages and results; with `--json`, its record."""
    if json:
        print_json(run)
        return
    out = console()
    out.print(
        f"[bold]{run.run_id}[/] {run.status}" + (f": {escape(run.reason)}" if run.reason else "")
    )
    if run.extends:
        out.print(f"extends {escape(run.extends)}, with its messages and arms")
    table = Table("stage", "state", "seconds", "finished")
    by_name = {stage.name: stage for stage in run.stages}
    # The stages of every run, then optional ones such as the export.
    for name in dict.fromkeys((*(stage.name for stage in STAGES), *by_name)):
        record = by_name.get(name)
        if record is None:
            table.add_row(name, "pending", "", "")
        else:
            table.add_row(name, record.status, f"{record.seconds:.2f}", record.finished_at)
    out.print(table)
    _print_costs(out, run.totals)
    print_measured(out, folder)


def show_runs(runs: Sequence[Run], *, json: bool) -> None:
    """Print all runs, by start time."""
    if json:
        print_json(list(runs))
        return
    table = Table("run", "status", "started", "engagement")
    for run in runs:
        kind = "simulated" if run.simulated else "real"
        table.add_row(run.run_id, run.status, run.started_at, kind)
    console().print(table)
