"""What `analyze --by` prints for a person: many experiments in sum, and the clearest of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from liftwright.analysis import few
from liftwright.cli.terminal.experiment import entries, print_excluded, print_rows
from liftwright.cli.terminal.numbers import as_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from liftwright.model import Json

_MOST_ROWS = 20


def print_many(out: Console, document: Mapping[str, Json]) -> None:
    """How many experiments there are, how many arms differ, and the clearest of them."""
    experiments = entries(document["experiments"])
    rows = [
        {**row, "segment": one["experiment"]}
        for one in experiments
        for row in one["comparisons"]
        if row["p_value"] is not None
    ]
    rows.sort(key=lambda row: row["p_value"])
    shown = rows[:_MOST_ROWS]
    if shown:
        print_rows(out, shown, f"The {len(shown)} clearest of {len(rows):,} comparisons")
    level = 1 - as_number(document["alpha"])
    out.print(
        f"[dim]Intervals at {level:.0%}, not adjusted; p adjusted ({document['correction']}) over "
        f"all {len(rows):,} comparisons below the raw one.[/]\n"
    )
    out.print(
        f"{len(experiments):,} experiments, {document['n']:,} units; each against its "
        f"{escape(str(document['control']))}"
    )
    by_chance = as_number(document["tests"]) * as_number(document["alpha"])
    out.print(
        f"{document['significant']:,} of {document['tests']:,} comparisons are below "
        f"{document['alpha']:g} after the correction; before it "
        f"{document['significant_uncorrected']:,} are, of which chance alone gives about "
        f"{by_chance:,.0f}"
    )
    _print_named(out, document["srm_failed"], "[bold red]SAMPLE-RATIO MISMATCH[/] in")
    _print_named(out, document["without_control"], "[yellow]![/] not compared, no control in")
    print_excluded(out, document)


def _print_named(out: Console, names: object, what: str) -> None:
    found: Sequence[str] = names if isinstance(names, list) else ()
    if found:
        out.print(f"{what} {len(found):,}: {escape(few(found))}")
