"""What people see in a terminal: progress and tables; and the JSON that programs read.

Progress goes to stderr, and only where that is a terminal; results go to stdout.
"""

from __future__ import annotations

import json as encoding
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from liftwright.domain import Failure, SafetyDecision, to_json
from liftwright.pipeline import STAGES, Variants
from liftwright.runs import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from liftwright.audit import Verification
    from liftwright.domain import Json, Passage, Run
    from liftwright.ports import IndexReport
    from liftwright.workspace import Check, Plan, RunOutcome, Step
    from liftwright.workspace.asking import GroundedText, Screened
    from liftwright.workspace.evaluating import Evaluation

_WIDTH_OF_PIPES = 120


def _out() -> Console:
    # A pipe has no width of its own; 80 columns would cut tables that a file has room for.
    return Console(width=None if sys.stdout.isatty() else _WIDTH_OF_PIPES, highlight=False)


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(encoding.dumps(to_json(value), ensure_ascii=False, indent=2) + "\n")


def print_line(value: Json) -> None:
    """One JSON line on stdout."""
    sys.stdout.write(encoding.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


class Progress:
    """Shows the stages of a run as they come; silent where stderr is no terminal.

    Args:
        quiet: show nothing in any case.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._shown = self._console.is_terminal and not quiet
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._shown:
            from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                console=self._console,
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End, and leave the lines of the stages."""
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, step: Step) -> None:
        """Show one step."""
        if self._bar is None:
            return
        names = [stage.name for stage in STAGES]
        place = f"[dim]{names.index(step.stage) + 1:>2}/{len(names)}[/]" if step.stage else ""
        if step.state == "started":
            self._clear()
            self._task = self._bar.add_task(f"{place} {step.stage}", total=None)
        elif step.state == "advanced":
            if self._task is None:
                self._task = self._bar.add_task(step.stage or "working", total=step.total)
            self._bar.update(self._task, completed=step.done, total=step.total)
        else:
            self._clear()
            sign = "[dim]=[/]" if step.state == "kept" else "[green]✓[/]"
            note = "kept" if step.state == "kept" else escape(step.note)
            self._bar.console.print(f"{sign} {place} {step.stage:<9} [dim]{note}[/]")

    def _clear(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None


# ── Runs ──────────────────────────────────────────────────────────────────────────────────────


def show_run(outcome: RunOutcome, *, json: bool) -> None:
    """How a run ended: segments, messages, arms, lift, files."""
    folder = RunFolder(outcome.folder)
    if json:
        print_json(
            {
                "run_id": outcome.run.run_id,
                "status": outcome.run.status,
                "exit_status": outcome.exit_status,
                "reason": outcome.reason,
                "simulated": outcome.run.simulated,
                "folder": str(outcome.folder),
                "summary": _summary(folder),
                "totals": outcome.run.totals,
            }
        )
        return
    out = _out()
    if outcome.exit_status != 0:
        status = outcome.run.status.replace("_", " ")
        reason = str(outcome.reason).removeprefix(f"{status}: ")
        out.print(f"[bold red]{status}[/]: {escape(reason)}")
    _print_customers(out, folder)
    _print_messages(out, folder)
    if outcome.exit_status == 0:
        metrics = folder.raw("metrics.json")
        assert isinstance(metrics, dict)  # noqa: S101 - written by the product
        if outcome.run.simulated:
            out.print("[bold yellow]SIMULATED[/] engagement: the lift below is not real.")
        _print_comparisons(out, metrics, only="all")
        for warning in _warnings(metrics):
            out.print(f"[yellow]![/] {escape(warning)}")
    _print_totals(out, outcome.run)
    files = sorted(p.relative_to(outcome.folder) for p in outcome.folder.rglob("*") if p.is_file())
    out.print(f"[bold]{outcome.folder}[/]: {', '.join(str(p) for p in files)}")


def _summary(folder: RunFolder) -> dict[str, Json]:
    """The counts that the closing table shows."""
    found: dict[str, Json] = {}
    warnings: list[Json] = []
    if folder.file("customers.json").is_file():
        read = folder.raw("customers.json")
        assert isinstance(read, dict)  # noqa: S101 - written by the product
        found |= {
            "customers": {name: read[name] for name in ("rows_in", "rows_kept", "rejected")},
        }
        warnings += list(read["warnings"])
    if folder.file("segments.json").is_file():
        segments = folder.raw("segments.json")
        assert isinstance(segments, dict)  # noqa: S101 - written by the product
        found["segments"] = {one["label"]: one["size"] for one in segments["segments"]}
        warnings += list(segments["warnings"])
    if folder.file("failures.json").is_file():
        found["failed"] = len(folder.read_list("failures.json", Failure))
    if folder.file("variants.json").is_file():
        found["variants"] = len(folder.read("variants.json", Variants).variants)
    if folder.file("decisions.json").is_file():
        decisions = folder.read_list("decisions.json", SafetyDecision)
        for status in ("pass", "block", "waiting"):
            found[status] = sum(decision.status == status for decision in decisions)
    found["warnings"] = warnings
    return found


def _print_customers(out: Console, folder: RunFolder) -> None:
    if not folder.file("customers.json").is_file():
        return
    read = folder.raw("customers.json")
    assert isinstance(read, dict)  # noqa: S101 - written by the product
    rejected = sum(read["rejected"].values())
    out.print(
        f"customers: {read['rows_in']:,} rows in = {read['rows_kept']:,} kept + "
        f"{rejected:,} rejected"
    )
    for reason, rows in read["rejected"].items():
        out.print(f"[yellow]![/] rejected: {rows:,} rows, {escape(reason)}")
    for warning in read["warnings"]:
        out.print(f"[yellow]![/] {escape(warning)}")


def _print_messages(out: Console, folder: RunFolder) -> None:
    if not folder.file("decisions.json").is_file():
        return
    variants = folder.read("variants.json", Variants).variants
    status = {one.variant_id: one for one in folder.read_list("decisions.json", SafetyDecision)}
    failures = folder.read_list("failures.json", Failure)
    segments = folder.raw("segments.json")
    assert isinstance(segments, dict)  # noqa: S101 - written by the product
    table = Table("segment", title="Segments and messages", title_justify="left")
    for name in ("customers", "share", "pass", "blocked", "waiting", "failed"):
        table.add_column(name, justify="right")
    for one in segments["segments"]:
        label = one["label"]
        mine = [status[v.variant_id].status for v in variants if v.segment == label]
        counts = [mine.count(name) for name in ("pass", "block", "waiting")]
        failed = sum(failure.segment == label for failure in failures)
        table.add_row(
            escape(label),
            f"{one['size']:,}",
            f"{one['share']:.0%}",
            *(str(count) for count in (*counts, failed)),
        )
    out.print(table)
    for warning in segments["warnings"]:
        out.print(f"[yellow]![/] {escape(warning)}")
    control = next((one for i, one in status.items() if i not in {v.variant_id for v in variants}))
    out.print(f"control message: {control.status}")


def _print_comparisons(out: Console, metrics: Mapping[str, Json], *, only: str | None) -> None:
    rows = metrics["comparisons"]
    assert isinstance(rows, list)  # noqa: S101 - written by the product
    shown = [row for row in rows if only is None or row["segment"] == only]
    by_segment = any(row["segment"] != "all" for row in shown)
    table = Table(title="Lift over control", title_justify="left")
    if by_segment:
        table.add_column("segment", overflow="fold")
    table.add_column("arm", overflow="fold")
    table.add_column("metric", no_wrap=True)
    for name in ("n", "rate", "control", "lift", "interval", "p adj."):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("sign.", no_wrap=True)
    level = 1 - float(_number(metrics["alpha"]))
    for row in shown:
        table.add_row(
            *((escape(row["segment"]),) if by_segment else ()),
            escape(row["arm"]),
            escape(row["metric"]),
            f"{row['n_treatment']:,} / {row['n_control']:,}",
            _value(row["treatment"], row["kind"]),
            _value(row["control"], row["kind"]),
            _percent(row["lift"]),
            _interval(row["lift_ci"]),
            "–" if row["p_adjusted"] is None else f"{row['p_adjusted']:.3g}",
            "[green]yes[/]" if row["significant"] else "no",
        )
    table.caption = (
        f"n: units of the arm / of the control; intervals at {level:.0%}, not adjusted; "
        f"p adjusted ({metrics['correction']}); sign.: significant"
    )
    out.print(table)
    srm = metrics["srm"]
    assert isinstance(srm, dict)  # noqa: S101 - written by the product
    p = srm["p_value"]
    in_words = "–" if p is None else f"{p:.3g}"
    if srm["ok"]:
        out.print(f"sample ratio as designed (p = {in_words})")
    else:
        out.print(f"[bold red]SAMPLE-RATIO MISMATCH[/] (p = {in_words}): do not trust the lift")


def _warnings(metrics: Mapping[str, Json]) -> list[str]:
    found = metrics.get("warnings")
    return [str(warning) for warning in found] if isinstance(found, list) else []


def _print_totals(out: Console, run: Run) -> None:
    totals = run.totals
    tokens = totals.get("tokens")
    spent = sum(tokens.values()) if isinstance(tokens, dict) else 0
    out.print(
        f"run {run.run_id}: {totals.get('runtime_seconds')} s, "
        f"{totals.get('metered_calls')} metered calls, {spent:,} tokens, "
        f"{totals.get('cost_usd'):.4f} USD"
        if totals
        else f"run {run.run_id}"
    )


def show_status(run: Run, *, json: bool) -> None:
    """A run's record."""
    if json:
        print_json(run)
        return
    out = _out()
    out.print(
        f"[bold]{run.run_id}[/] {run.status}" + (f": {escape(run.reason)}" if run.reason else "")
    )
    table = Table("stage", "state", "seconds", "finished")
    by_name = {stage.name: stage for stage in run.stages}
    for stage in STAGES:
        record = by_name.get(stage.name)
        if record is None:
            table.add_row(stage.name, "not yet", "", "")
        else:
            table.add_row(stage.name, record.status, f"{record.seconds:.2f}", record.finished_at)
    out.print(table)


def show_runs(runs: Sequence[Run], *, json: bool) -> None:
    """All runs, by start."""
    if json:
        print_json(list(runs))
        return
    table = Table("run", "status", "started", "engagement")
    for run in runs:
        kind = "simulated" if run.simulated else "real"
        table.add_row(run.run_id, run.status, run.started_at, kind)
    _out().print(table)


# ── Answers ───────────────────────────────────────────────────────────────────────────────────


def show_init(folder: Path, files: Sequence[Path], *, json: bool) -> None:
    """What was laid down, and what to type next."""
    if json:
        print_json({"workspace": str(folder), "files": [str(file) for file in files]})
        return
    _out().print(
        f"{len(files)} files in {folder}. Next: liftwright run --workspace {escape(str(folder))}"
    )


def show_plan(plan: Plan, *, json: bool) -> None:
    """Calls, cost and power of a campaign."""
    if json:
        print_json(plan.to_json())
        return
    out = _out()
    table = Table("port", "adapter", "metered", title="Calls", title_justify="left")
    for name in ("expected", "at most", "input tokens", "output tokens", "USD", "USD at most"):
        table.add_column(name, justify="right")
    for one in plan.calls:
        table.add_row(
            one.port,
            one.adapter,
            "yes" if one.metered else "no",
            *(f"{n:,}" for n in (one.expected, one.at_most, one.input_tokens, one.output_tokens)),
            *(f"{usd:.4f}" for usd in (one.expected_usd, one.at_most_usd)),
        )
    out.print(table)
    table = Table(
        "segment",
        "metric",
        title=f"Smallest detectable lift (alpha {plan.alpha:g}, power {plan.power:.0%})",
        title_justify="left",
    )
    for name in ("base rate", "per arm", "control", "smallest lift", "customers for +10 %"):
        table.add_column(name, justify="right")
    for row in plan.detectable:
        table.add_row(
            escape(row.segment),
            row.metric,
            f"{row.base_rate:.1%}",
            f"{row.per_arm:,}",
            f"{row.control:,}",
            _percent(row.smallest_lift),
            "–" if row.customers_needed is None else f"{row.customers_needed:,}",
        )
    out.print(table)
    for sentence in plan.answers:
        out.print(escape(sentence))
    for warning in plan.warnings:
        out.print(f"[yellow]![/] {escape(warning)}")
    budget = "" if plan.budget_usd is None else f"; the budget is {plan.budget_usd:.2f} USD"
    out.print(f"cost: {plan.expected_usd:.4f} USD expected, {plan.at_most_usd:.4f} at most{budget}")


def show_files(files: Sequence[Path], *, json: bool) -> None:
    """The files that were written."""
    if json:
        print_json([str(file) for file in files])
        return
    for file in files:
        _out().print(escape(str(file)))


def show_verification(found: Verification, *, json: bool) -> None:
    """Whether the audit log is what was written."""
    if json:
        print_json(found)
        return
    out = _out()
    if found.ok:
        out.print(f"[green]unchanged[/]: {found.lines} records")
        return
    out.print(f"[bold red]ALTERED[/]: {found.lines} records")
    for problem in found.problems:
        out.print(f"  {escape(problem)}")


def show_checks(checks: Sequence[Check], *, json: bool) -> None:
    """What the doctor found."""
    if json:
        print_json({"ok": all(check.ok for check in checks), "checks": checks})
        return
    table = Table("", "part", "found")
    for check in checks:
        sign = "[green]ok[/]" if check.ok else "[bold red]fault[/]"
        table.add_row(sign, check.name, escape(check.detail))
    _out().print(table)


def show_index(report: IndexReport, *, json: bool) -> None:
    """What indexing did."""
    if json:
        print_json(report)
        return
    out = _out()
    out.print(f"Indexed {report.documents} documents successfully. {len(report.errors)} errors.")
    out.print(
        f"{report.paragraphs} paragraphs; {report.added} added, {report.changed} changed, "
        f"{report.removed} removed, {report.unchanged} unchanged; {report.embedded} embedded"
    )


def show_passages(passages: Sequence[Passage], *, json: bool) -> None:
    """Passages for one query."""
    from liftwright.workspace.asking import passage_json

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
    _out().print(table)


def show_search_lines(found: Iterator[tuple[Json, tuple[Passage, ...]]]) -> None:
    """Passages for many queries, a JSON line each."""
    from liftwright.workspace.asking import passage_json

    for name, passages in found:
        print_line({"id": name, "results": [passage_json(passage) for passage in passages]})


def show_screened(found: Iterable[Screened], *, json: bool) -> int:
    """Each text's decision; 1 where one is blocked, else 0."""
    status = 0
    for one in found:
        status |= one.decision.status != "pass"
        if json:
            print_line(one.to_json())
            continue
        name = "" if one.id is None else f"{one.id}: "
        worst = ", ".join(f"{f.category} {f.severity}" for f in one.decision.findings)
        out = f"{name}{one.decision.status} ({worst})"
        _out().print(
            escape(out if not one.decision.reasons else f"{out}: {'; '.join(one.decision.reasons)}")
        )
    return int(status)


def show_grounded(found: Iterable[GroundedText], *, json: bool) -> int:
    """Each text's claims; 1 where one is unsupported, else 0."""
    status = 0
    for one in found:
        status |= not one.supported
        if json:
            print_line(one.to_json())
            continue
        out = _out()
        out.print(f"[bold]{escape(str(one.id))}[/] {one.grounded.score:.2f}")
        for claim in one.grounded.claims:
            out.print(f"  {claim.verdict:<12} {claim.score:.2f}  {escape(claim.text)}")
    return int(status)


def show_comparison(document: Mapping[str, Json], *, json: bool) -> None:
    """The result of `analyze`."""
    if json:
        print_json(document)
        return
    out = _out()
    table = Table("arm", title=f"{document['n']:,} units", title_justify="left")
    arms = document["arms"]
    assert isinstance(arms, list)  # noqa: S101 - written by the product
    names = list(arms[0]["metrics"]) if arms else []
    for name in ("n", *names):
        table.add_column(name, justify="right")
    for arm in arms:
        values = (_value(v["value"], v["kind"]) for v in arm["metrics"].values())
        table.add_row(escape(arm["arm"]), f"{arm['n']:,}", *values)
    out.print(table)
    _print_comparisons(out, document, only=None)
    rows = document["comparisons"]
    assert isinstance(rows, list)  # noqa: S101 - written by the product
    for text in dict.fromkeys(
        f"{r['arm']}, {r['metric']}: {w}" for r in rows for w in r["warnings"]
    ):
        out.print(f"[yellow]![/] {escape(text)}")
    excluded = document.get("excluded")
    if isinstance(excluded, dict):
        for reason, count in excluded.items():
            if count:
                out.print(f"[yellow]![/] left out: {count:,} {reason.replace('_', ' ')}")


def show_evaluation(found: Evaluation, *, json: bool) -> None:
    """How well a part did on labelled cases, and whether that is enough."""
    if json:
        print_json(found.to_json())
        return
    out = _out()
    table = Table("measure", title=f"{found.what}: {found.n:,} cases", title_justify="left")
    table.add_column("value", justify="right")
    for name, value in found.measures.items():
        if not isinstance(value, dict):
            table.add_row(name.replace("_", " "), _measure(value))
    out.print(table)
    categories = found.measures.get("categories")
    if isinstance(categories, dict):
        names = list(next(iter(categories.values())))
        table = Table("category")
        for name in names:
            table.add_column(name.replace("_", " "), justify="right")
        for category, values in categories.items():
            table.add_row(category, *(_measure(values[name]) for name in names))
        out.print(table)
    answer = "[green]reached[/]" if found.ok else "[bold red]not reached[/]"
    out.print(f"score {_measure(found.score)}, floor {found.floor:g}: {answer}")


def show_approval(decision: SafetyDecision, *, json: bool) -> None:
    """A person's approval."""
    if json:
        print_json(decision)
        return
    _out().print(f"{decision.variant_id}: {decision.status} by {escape(decision.decided_by)}")


# ── Numbers for people ────────────────────────────────────────────────────────────────────────


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _value(value: float | None, kind: str) -> str:
    if value is None:
        return "–"
    return f"{value:.2%}" if kind == "binary" else f"{value:,.4g}"


def _measure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "–" if value is None else f"{value:,}"


def _percent(value: float | None) -> str:
    return "not estimable" if value is None else f"{value:+.1%}"


def _interval(ends: Sequence[float | None] | None) -> str:
    if not ends or ends[0] is None:
        return "–"
    high = "∞" if ends[1] is None else f"{ends[1]:+.1%}"
    return f"{ends[0]:+.1%} to {high}"
