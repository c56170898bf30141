"""The tables and verdicts that `analyze` prints."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rich.markup import escape

from liftwright.analysis import OVERALL, ManyExperimentsResult, few
from liftwright.cli.terminal import numbers
from liftwright.cli.terminal.experiment import (
    plain_table,
    print_excluded,
    print_ratio,
    print_row_warnings,
    print_rows,
    print_tests,
    print_verdict,
    print_winners,
)
from liftwright.cli.terminal.output import console, print_json
from liftwright.model import to_json

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from rich.console import Console

    from liftwright.analysis import ArmComparison, ExperimentResult, PowerPlan

# Longer tables are left to --json.
_MAX_ROWS = 60
_MAX_SIGNIFICANT = 20


def show_analysis(
    result: ExperimentResult | ManyExperimentsResult, *, json: bool, lower: Container[str] = ()
) -> None:
    """Print the result of `analyze`, verdicts last; `lower` lists lower-is-better metrics."""
    if json:
        print_json(result.to_json())
        return
    out = console()
    if isinstance(result, ManyExperimentsResult):
        _print_many(out, result)
        return
    _print_arms(out, result)
    print_rows(out, result.rows(), f"Compared with {escape(result.control)}", lower=lower)
    segments = [row for row in result.comparisons if row.segment != OVERALL]
    if len(segments) > _MAX_ROWS:
        out.print(f"{len(segments):,} rows by segment not shown; use --json\n")
    elif segments:
        print_rows(out, segments, "By segment (exploratory)", lower=lower)
    _print_sensitivity(out, result)
    _print_interactions(out, result)
    _print_posteriors(out, result)
    _print_explained(out, result)
    out.print()
    print_tests(out, result.comparisons)
    out.print(
        f"[dim]Intervals at {1 - result.alpha:.0%}, not adjusted; p adjusted "
        f"({result.correction}) below the raw p; 'any time' is valid at every look.[/]\n"
    )
    _print_verdicts(out, result)
    print_row_warnings(out, result.comparisons)
    print_excluded(out, result.excluded)


def show_power(plan: PowerPlan, *, json: bool) -> None:
    """Print the result of `power`."""
    if json:
        print_json(to_json(plan))
        return
    lift = "no lift" if plan.lift is None else f"a lift of {numbers.percent(plan.lift)}"
    console().print(
        f"{plan.n_per_arm:,} units per arm detect {lift} over a baseline of {plan.baseline:.4g}\n"
        f"Each comparison is at a significance level of {plan.alpha_per_test:.4g}."
    )


def _print_many(out: Console, result: ManyExperimentsResult) -> None:
    """Print the most significant comparisons, and how many are significant."""
    rows = [
        (row.p_value, replace(row, segment=experiment.experiment))
        for experiment in result.experiments
        for row in experiment.comparisons
        if row.p_value is not None
    ]
    rows.sort(key=lambda row: row[0])
    shown = [row for _, row in rows[:_MAX_SIGNIFICANT]]
    if shown:
        print_rows(out, shown, f"The {len(shown)} most significant of {len(rows):,} comparisons")
    out.print(
        f"[dim]Intervals at {1 - result.alpha:.0%}, not adjusted; p adjusted "
        f"({result.correction}) over all {len(rows):,} comparisons below the raw p.[/]\n"
    )
    out.print(
        f"{len(result.experiments):,} experiments, {result.n:,} units; each compared with "
        f"{escape(result.control)} of the same experiment"
    )
    out.print(
        f"{result.significant:,} of {result.tests:,} comparisons are significant at "
        f"{result.alpha:g} after correction; {result.significant_uncorrected:,} before, about "
        f"{result.tests * result.alpha:,.0f} of them expected by chance"
    )
    for names, problem in (
        (result.srm_failed, "[bold red]SAMPLE-RATIO MISMATCH[/] in"),
        (result.without_control, "[yellow]![/] not compared, without a control:"),
    ):
        if names:
            out.print(f"{problem} {len(names):,}: {escape(few(names))}")
    print_excluded(out, result.excluded)


def _print_arms(out: Console, result: ExperimentResult) -> None:
    table = plain_table(f"{result.n:,} units")
    table.add_column("arm", overflow="fold")
    for name in ("units", "expected", *result.metrics):
        table.add_column(escape(name), justify="right")
    for arm in result.arms:
        values = (numbers.value(metric.value, metric.kind) for metric in arm.metrics.values())
        expected = result.srm.expected.get(arm.arm, 0.0)
        table.add_row(escape(arm.arm), f"{arm.n:,}", f"{expected:,.1f}", *values)
    out.print(table)


def _print_sensitivity(out: Console, result: ExperimentResult) -> None:
    """The sensitivity analyses side by side, over all segments."""
    estimators = {
        "CUPED": result.cuped,
        "winsorised": result.winsorised,
        "any time": result.sequential,
        "exposed": result.exposed.comparisons if result.exposed else (),
    }
    estimates = [
        (name, row)
        for name, rows in estimators.items()
        for row in rows
        # Rows without an interval add nothing to the main table.
        if row.segment == OVERALL and row.difference_ci is not None
    ]
    if estimates and len(estimates) <= _MAX_ROWS:
        _print_others(out, estimates)
    if result.variance_reduction:
        reductions = [f"{name} {share:.0%}" for name, share in result.variance_reduction.items()]
        out.print(f"variance reduction by CUPED: {escape(', '.join(reductions))}")
    _print_caps(out, result)
    _print_exposed(out, result)


def _print_others(out: Console, estimates: Sequence[tuple[str, ArmComparison]]) -> None:
    table = plain_table("Other estimates")
    table.add_column("arm\nestimate, metric", overflow="fold")
    for name in ("difference\ninterval", "lift\ninterval", "p adj."):
        table.add_column(name, justify="right", no_wrap=True)
    for name, row in estimates:
        table.add_row(
            escape(f"{row.arm}\n{name}, {row.metric}"),
            f"{numbers.difference(row.difference, row.kind)}\n"
            f"{numbers.difference_interval(row.difference_ci, row.kind)}",
            f"{numbers.percent(row.lift)}\n{numbers.interval(row.lift_ci)}",
            numbers.p_value(row.p_adjusted),
        )
    out.print(table)


def _print_caps(out: Console, result: ExperimentResult) -> None:
    caps = []
    for name, (low, high) in result.winsorised_at.items():
        limits = [f"below {numbers.figure(low, 4)}"] if low is not None else []
        limits += [f"above {numbers.figure(high, 4)}"] if high is not None else []
        caps.append(f"{name} {' and '.join(limits) or 'not at all'}")
    if caps:
        out.print(f"winsorised: {escape('; '.join(caps))}")


def _print_exposed(out: Console, result: ExperimentResult) -> None:
    exposed = result.exposed
    if exposed is None:
        return
    sizes = f"exposed: {escape('; '.join(f'{arm.arm}: {arm.n:,}' for arm in exposed.arms))}"
    empty = [arm.arm for arm in exposed.arms if not arm.n]
    if empty:
        out.print(f"{sizes}; no units of {escape(few(empty))} were exposed, so no comparison")
        return
    state = "as planned" if exposed.srm.ok else "[bold red]NOT as planned[/]"
    out.print(f"{sizes}; ratio {state} (p = {numbers.p_value(exposed.srm.p_value)})")


def _print_interactions(out: Console, result: ExperimentResult) -> None:
    if not result.interactions or len(result.interactions) > _MAX_ROWS:
        return
    table = plain_table("Does the effect differ between segments?")
    for name in ("arm", "metric", "test"):
        table.add_column(name, overflow="fold")
    for name in ("segments", "p", "p adj."):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("differs", no_wrap=True)
    for row in result.interactions:
        table.add_row(
            escape(row.arm),
            escape(row.metric),
            row.test or "–",
            str(row.segments_compared),
            numbers.p_value(row.p_value),
            numbers.p_value(row.p_adjusted),
            "[green]yes[/]" if row.significant else "no",
        )
    out.print(table)


def _print_posteriors(out: Console, result: ExperimentResult) -> None:
    if not result.bayes:
        return
    table = plain_table("Posterior")
    for name in ("arm", "metric"):
        table.add_column(name, overflow="fold")
    for name in ("best", "better than control", "expected loss"):
        table.add_column(name, justify="right")
    for row in result.bayes:
        loss = row.expected_loss
        table.add_row(
            escape(row.arm),
            escape(row.metric),
            _share(row.probability_best),
            _share(row.probability_better),
            "–" if loss is None else numbers.difference(loss, row.kind).lstrip("+"),
        )
    out.print(table)
    allocation = result.allocation
    if allocation is not None and allocation.shares:
        shares = ", ".join(f"{arm} {share:.1%}" for arm, share in allocation.shares.items())
        out.print(
            f"Thompson shares for the next wave, by {escape(allocation.metric)}: {escape(shares)}"
        )
        for caveat in allocation.caveats:
            out.print(f"  [dim]{escape(caveat)}[/]")


def _print_explained(out: Console, result: ExperimentResult) -> None:
    explained = result.explain
    if explained is None:
        return
    if explained.rows:
        table = plain_table(
            f"Features associated with a larger effect on {escape(explained.metric)}"
        )
        table.add_column("arm\nfeature", overflow="fold")
        for name in ("change per sd\ninterval", "p\nadjusted"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("sign.", no_wrap=True)
        for row in explained.rows:
            table.add_row(
                escape(f"{row.arm}\n{row.feature}"),
                f"{numbers.figure(row.change, 4, '+')}\n"
                f"{numbers.difference_interval(row.interval, 'mean')}",
                f"{numbers.p_value(row.p_value)}\n{numbers.p_value(row.p_adjusted)}",
                "[green]yes[/]" if row.significant else "no",
            )
        out.print(table)
    out.print(escape(explained.reason))
    for arm, forest in (explained.forest or {}).items():
        importances = ", ".join(
            f"{i.feature} {i.mean_absolute_shap:.3g}" for i in forest.importances
        )
        text = ": ".join(filter(None, (forest.reason, importances)))
        out.print(escape(f"uplift forest of {arm} (exploratory): {text}"))


def _print_verdicts(out: Console, result: ExperimentResult) -> None:
    print_ratio(out, result)
    for test in result.omnibus:
        if test.p_value is not None:
            out.print(
                escape(f"{test.metric}, all arms at once: {test.test} ")
                + f"{test.statistic:,.6g}, p = {numbers.p_value(test.p_value)}"
            )
    print_winners(out, result)
    print_verdict(out, result)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
