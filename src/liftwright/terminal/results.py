"""The results of an experiment, and of an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from liftwright.terminal import numbers
from liftwright.terminal.output import console, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from liftwright.domain import Json
    from liftwright.workspace.evaluating import Evaluation


def print_comparisons(out: Console, metrics: Mapping[str, Json], *, only: str | None) -> None:
    """The table of comparisons; only those of the segment `only`, where one is named."""
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
    level = 1 - float(numbers.as_number(metrics["alpha"]))
    for row in shown:
        table.add_row(
            *((escape(row["segment"]),) if by_segment else ()),
            escape(row["arm"]),
            escape(row["metric"]),
            f"{row['n_treatment']:,} / {row['n_control']:,}",
            numbers.value(row["treatment"], row["kind"]),
            numbers.value(row["control"], row["kind"]),
            numbers.percent(row["lift"]),
            numbers.interval(row["lift_ci"]),
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
    failed = metrics.get("srm_failed")
    where = ", ".join(map(str, failed)) if isinstance(failed, list) else ""
    if srm["ok"] and not where:
        out.print(f"sample ratio as designed (p = {in_words})")
    else:
        out.print(
            f"[bold red]SAMPLE-RATIO MISMATCH[/] ({escape(where or 'overall')}; p = {in_words} "
            "overall): do not trust the lift; no winner is named"
        )


def show_evaluation(found: Evaluation, *, json: bool) -> None:
    """How well a part did on labelled cases, and whether that is enough."""
    if json:
        print_json(found.to_json())
        return
    out = console()
    table = Table("measure", title=f"{found.what}: {found.n:,} cases", title_justify="left")
    table.add_column("value", justify="right")
    for name, value in found.measures.items():
        if not isinstance(value, dict):
            table.add_row(name.replace("_", " "), numbers.measure(value))
    out.print(table)
    categories = found.measures.get("categories")
    if isinstance(categories, dict):
        names = list(next(iter(categories.values())))
        table = Table("category")
        for name in names:
            table.add_column(name.replace("_", " "), justify="right")
        for category, values in categories.items():
            table.add_row(category, *(numbers.measure(values[name]) for name in names))
        out.print(table)
    answer = "[green]reached[/]" if found.ok else "[bold red]not reached[/]"
    out.print(f"score {numbers.measure(found.score)}, floor {found.floor:g}: {answer}")
