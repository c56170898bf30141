"""What an experiment came to, as a person reads it: of a run, and of any file of results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from rich import box
from rich.markup import escape
from rich.table import Table

from liftwright.analysis import few
from liftwright.cli.terminal import numbers

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from rich.console import Console

    from liftwright.model import Json

    Entry = Mapping[str, Any]

_COLOURS = {"ship": "green", "stop": "red", "continue": "yellow"}
_MOST_NAMED = 3
# In a narrow terminal numbers are cut before a name is gone.
_LEAST_NAME = 10


def entries(value: object) -> Sequence[Entry]:
    """The objects of a list in a document; none where it is no list."""
    return cast("Sequence[Entry]", value) if isinstance(value, list) else ()


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
    out: Console, rows: Sequence[Entry], title: str, *, lower: Container[str] = ()
) -> None:
    """Contrasts, each on two lines: the values, and below them what they are compared with.

    Args:
        out: Where they are printed.
        rows: Rows of `comparisons`.
        title: Of the table.
        lower: Metrics of which less is better.
    """
    by_segment = any(row["segment"] != "all" for row in rows)
    table = plain_table(title)
    named = "segment\narm\nmetric" if by_segment else "arm\nmetric"
    table.add_column(named, overflow="fold", min_width=_LEAST_NAME)
    for name in ("value\ncontrol", "difference\ninterval", "lift\ninterval", "p\nadjusted"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("sign.", no_wrap=True)
    for row in rows:
        kind = row["kind"]
        better = (row["difference"] or 0.0) * (-1 if row["metric"] in lower else 1) > 0
        name = f"{row['arm']}\n{row['metric']}"
        table.add_row(
            escape(f"{row['segment']}\n{name}" if by_segment else name),
            f"{numbers.value(row['treatment'], kind)}\n{numbers.value(row['control'], kind)}",
            f"{difference(row['difference'], kind)}\n{ends(row['difference_ci'], kind)}",
            f"{numbers.percent(row['lift'])}\n{numbers.interval(row['lift_ci'])}",
            f"{p_value(row['p_value'])}\n{p_value(row['p_adjusted'])}",
            f"[{'green' if better else 'red'}]yes[/]" if row["significant"] else "no",
        )
    out.print(table)


def print_tests(out: Console, rows: Sequence[Entry]) -> None:
    """Which test each metric's overall rows were made by."""
    tests: dict[str, list[str]] = {}
    for row in rows:
        names = tests.setdefault(row["test"], []) if row["test"] else []
        if row["segment"] == "all" and row["metric"] not in names:
            names.append(row["metric"])
    told = "; ".join(f"{test}: {', '.join(names)}" for test, names in tests.items() if names)
    if told:
        out.print(f"[dim]Tests: {escape(told)}.[/]")


def print_row_warnings(out: Console, rows: Sequence[Entry]) -> None:
    """Each warning once, with the first comparisons that it concerns."""
    told: dict[str, list[str]] = {}
    for row in rows:
        for warning in row["warnings"]:
            where = "" if row["segment"] == "all" else f" in {row['segment']}"
            told.setdefault(warning, []).append(f"{row['arm']}, {row['metric']}{where}")
    for warning, places in told.items():
        shown = "; ".join(places[:_MOST_NAMED])
        more = len(places) - _MOST_NAMED
        further = f"; and {more:,} more" if more > 0 else ""
        out.print(f"[yellow]![/] {escape(warning)} ({escape(shown)}{further})")


def print_excluded(out: Console, document: Mapping[str, Json]) -> None:
    """How many rows and units were left out, by reason."""
    excluded = document.get("excluded")
    for reason, count in (excluded if isinstance(excluded, dict) else {}).items():
        if count:
            out.print(f"[yellow]![/] left out: {count:,} {reason.replace('_', ' ')}")


def print_ratio(out: Console, document: Mapping[str, Json]) -> None:
    """Whether the arms have the sizes that were meant."""
    srm = cast("Entry", document["srm"])
    failed = cast("Sequence[str]", document.get("srm_failed") or ())
    p = p_value(srm["p_value"])
    if failed:
        out.print(
            f"[bold red]SAMPLE-RATIO MISMATCH[/] in: {escape(few(failed))} (all units: p = {p}): "
            "do not trust the lift; no winner is named"
        )
    else:
        out.print(f"sample ratio as designed (p = {p})")


def print_winners(out: Console, document: Mapping[str, Json]) -> None:
    """Who won, overall and where a segment has a winner of its own."""
    if document.get("srm_failed"):
        return
    for best in entries(document.get("best")):
        if best["segment"] != "all" and best["arm"] is None:
            continue
        where = "" if best["segment"] == "all" else f" in {best['segment']}"
        named = f"best is {best['arm']}" if best["arm"] else "no winner"
        out.print(escape(f"{best['metric']}{where}: {named} ({best['reason']})"))


def print_decisions(out: Console, document: Mapping[str, Json]) -> None:
    """What to do with each arm now; arms with one decision and one reason are told together."""
    told: dict[tuple[str, str], list[str]] = {}
    for one in entries(document.get("decisions")):
        told.setdefault((one["decision"], "; ".join(one["reasons"])), []).append(one["arm"])
    for (choice, reasons), arms in told.items():
        colour = _COLOURS[choice]
        out.print(f"[{colour}]{choice}[/] {escape(', '.join(arms))}: {escape(reasons)}")


def difference(value: float | None, kind: str) -> str:
    """A difference with its sign; of rates in percentage points."""
    if value is None:
        return "–"
    return f"{100 * value:+.2f} pts" if kind == "binary" else numbers.figure(value, 4, "+")


def ends(interval: Iterable[float] | None, kind: str) -> str:
    """The ends of an interval of a difference."""
    if interval is None:
        return "–"
    low, high = interval
    if kind == "binary":
        return f"{100 * low:+.2f} to {100 * high:+.2f}"
    return f"{numbers.figure(low, 3, '+')} to {numbers.figure(high, 3, '+')}"


def p_value(value: float | None) -> str:
    """A p-value; what is too small for a float is told as such."""
    if value is None:
        return "–"
    return f"{value:.3g}" if value > 0 else "<1e-300"
