"""What `analyze` prints for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from rich.markup import escape

from liftwright.analysis import few
from liftwright.cli.terminal import numbers
from liftwright.cli.terminal.experiment import (
    difference,
    ends,
    entries,
    p_value,
    plain_table,
    print_decisions,
    print_excluded,
    print_ratio,
    print_row_warnings,
    print_rows,
    print_tests,
    print_winners,
)
from liftwright.cli.terminal.many_experiments import print_many
from liftwright.cli.terminal.output import console, print_json

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from rich.console import Console

    from liftwright.model import Json

    Entry = Mapping[str, Any]

# More rows than a screen or two are for a program to read.
_MOST_ROWS = 60
_SENSITIVITY = {
    "cuped": "CUPED",
    "winsorised": "winsorised",
    "sequential": "any time",
    "exposed": "exposed",
}


def show_analysis(document: Mapping[str, Json], *, json: bool, lower: Container[str] = ()) -> None:
    """The result of `analyze`, verdicts last; `lower` names metrics for which lower is better."""
    if json:
        print_json(document)
        return
    out = console()
    if "experiments" in document:
        print_many(out, document)
        return
    level = 1 - numbers.as_number(document["alpha"])
    _print_arms(out, document)
    rows = entries(document["comparisons"])
    overall = [row for row in rows if row["segment"] == "all"]
    print_rows(out, overall, f"Against {escape(str(document['control']))}", lower=lower)
    segments = [row for row in rows if row["segment"] != "all"]
    if len(segments) > _MOST_ROWS:
        out.print(f"{len(segments):,} rows of segments are in the output of --json\n")
    elif segments:
        print_rows(out, segments, "By segment (exploratory)", lower=lower)
    _print_sensitivity(out, document)
    _print_interactions(out, document)
    _print_posteriors(out, document)
    _print_explained(out, document)
    out.print()
    print_tests(out, rows)
    out.print(
        f"[dim]Intervals at {level:.0%}, not adjusted; p adjusted ({document['correction']}) "
        "below the raw one; 'any time' holds at every look.[/]\n"
    )
    _print_verdicts(out, document)
    print_row_warnings(out, rows)
    print_excluded(out, document)


def _print_arms(out: Console, document: Mapping[str, Json]) -> None:
    arms = entries(document["arms"])
    srm = cast("Entry", document["srm"])
    table = plain_table(f"{document['n']:,} units")
    table.add_column("arm", overflow="fold")
    for name in ("units", "expected", *(arms[0]["metrics"] if arms else ())):
        table.add_column(escape(str(name)), justify="right")
    for arm in arms:
        values = (numbers.value(v["value"], v["kind"]) for v in arm["metrics"].values())
        expected = srm["expected"].get(arm["arm"], 0.0)
        table.add_row(escape(arm["arm"]), f"{arm['n']:,}", f"{expected:,.1f}", *values)
    out.print(table)


def _print_sensitivity(out: Console, document: Mapping[str, Json]) -> None:
    """The other estimators beside each other, of all units."""
    found: list[tuple[str, Entry]] = []
    for key, name in _SENSITIVITY.items():
        rows = document.get(key)
        if isinstance(rows, dict):
            rows = rows["comparisons"]
        found += [
            (name, row)
            for row in entries(rows)
            # Without an interval there is nothing that the main rows do not say.
            if row["segment"] == "all" and row["difference_ci"] is not None
        ]
    if found and len(found) <= _MOST_ROWS:
        _print_others(out, found)
    reduction = document.get("variance_reduction")
    if isinstance(reduction, dict):
        told = ", ".join(f"{name} {numbers.as_number(r):.0%}" for name, r in reduction.items())
        out.print(f"CUPED takes away of the variance: {escape(told)}")
    _print_caps(out, document)
    _print_exposed(out, document)


def _print_others(out: Console, found: Sequence[tuple[str, Entry]]) -> None:
    table = plain_table("Other estimates")
    table.add_column("arm\nestimate, metric", overflow="fold")
    for name in ("difference\ninterval", "lift\ninterval", "p adj."):
        table.add_column(name, justify="right", no_wrap=True)
    for name, row in found:
        kind = row["kind"]
        table.add_row(
            escape(f"{row['arm']}\n{name}, {row['metric']}"),
            f"{difference(row['difference'], kind)}\n{ends(row['difference_ci'], kind)}",
            f"{numbers.percent(row['lift'])}\n{numbers.interval(row['lift_ci'])}",
            p_value(row["p_adjusted"]),
        )
    out.print(table)


def _print_caps(out: Console, document: Mapping[str, Json]) -> None:
    caps = document.get("winsorised_at")
    if not isinstance(caps, dict) or not caps:
        return
    told = []
    for name, (low, high) in caps.items():
        limits = [f"below {numbers.figure(low, 4)}"] if low is not None else []
        limits += [f"above {numbers.figure(high, 4)}"] if high is not None else []
        told.append(f"{name} {' and '.join(limits) or 'nowhere'}")
    out.print(f"winsorised, cut: {escape('; '.join(told))}")


def _print_exposed(out: Console, document: Mapping[str, Json]) -> None:
    exposed = document.get("exposed")
    if not isinstance(exposed, dict):
        return
    arms = {str(arm["arm"]): int(arm["n"]) for arm in entries(exposed["arms"])}
    told = f"exposed: {escape('; '.join(f'{arm}: {n:,}' for arm, n in arms.items()))}"
    nobody = [arm for arm, n in arms.items() if not n]
    if nobody:
        out.print(f"{told}; nobody of {escape(few(nobody))} was: the exposed cannot be compared")
        return
    srm = cast("Entry", exposed["srm"])
    state = "as designed" if srm["ok"] else "[bold red]NOT as designed[/]"
    out.print(f"{told}; their ratio is {state} (p = {p_value(srm['p_value'])})")


def _print_interactions(out: Console, document: Mapping[str, Json]) -> None:
    rows = entries(document.get("interactions"))
    if not rows or len(rows) > _MOST_ROWS:
        return
    table = plain_table("Does the effect differ between segments?")
    for name in ("arm", "metric", "test"):
        table.add_column(name, overflow="fold")
    for name in ("segments", "p", "p adj."):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("differs", no_wrap=True)
    for row in rows:
        table.add_row(
            escape(row["arm"]),
            escape(row["metric"]),
            row["test"] or "–",
            str(row["segments_compared"]),
            p_value(row["p_value"]),
            p_value(row["p_adjusted"]),
            "[green]yes[/]" if row["significant"] else "no sign",
        )
    out.print(table)


def _print_posteriors(out: Console, document: Mapping[str, Json]) -> None:
    rows = entries(document.get("bayes"))
    if not rows:
        return
    table = plain_table("Posterior")
    for name in ("arm", "metric"):
        table.add_column(name, overflow="fold")
    for name in ("best", "better than control", "expected loss"):
        table.add_column(name, justify="right")
    for row in rows:
        loss = row["expected_loss"]
        table.add_row(
            escape(row["arm"]),
            escape(row["metric"]),
            _share(row["probability_best"]),
            _share(row["probability_better"]),
            "–" if loss is None else difference(loss, row["kind"]).lstrip("+"),
        )
    out.print(table)
    allocation = cast("Entry", document["allocation"])
    if allocation["shares"]:
        told = ", ".join(f"{arm} {share:.1%}" for arm, share in allocation["shares"].items())
        out.print(
            f"Thompson shares of a next wave, by {escape(allocation['metric'])}: {escape(told)}"
        )
        for caveat in allocation["caveats"]:
            out.print(f"  [dim]{escape(caveat)}[/]")


def _print_explained(out: Console, document: Mapping[str, Json]) -> None:
    explained = cast("Entry | None", document.get("explain"))
    if explained is None:
        return
    if explained["rows"]:
        table = plain_table(f"What goes with a larger effect on {escape(explained['metric'])}")
        table.add_column("arm\nfeature", overflow="fold")
        for name in ("change per sd\ninterval", "p\nadjusted"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("sign.", no_wrap=True)
        for row in explained["rows"]:
            table.add_row(
                escape(f"{row['arm']}\n{row['feature']}"),
                f"{numbers.figure(row['change'], 4, '+')}\n{ends(row['interval'], 'mean')}",
                f"{p_value(row['p_value'])}\n{p_value(row['p_adjusted'])}",
                "[green]yes[/]" if row["significant"] else "no",
            )
        out.print(table)
    out.print(escape(explained["reason"]))
    for arm, found in explained.get("forest", {}).items():
        told = ", ".join(
            f"{one['feature']} {one['mean_absolute_shap']:.3g}" for one in found["importances"]
        )
        out.print(escape(f"forest of {arm} (exploratory): {found['reason']}{told and ': '}{told}"))


def _print_verdicts(out: Console, document: Mapping[str, Json]) -> None:
    print_ratio(out, document)
    for one in entries(document.get("omnibus")):
        if one["p_value"] is not None:
            out.print(
                escape(f"{one['metric']}, all arms at once: {one['test']} ")
                + f"{one['statistic']:,.6g}, p = {p_value(one['p_value'])}"
            )
    print_winners(out, document)
    print_decisions(out, document)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
