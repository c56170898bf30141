"""The results of an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from liftwright.cli.terminal import numbers
from liftwright.cli.terminal.output import console, print_json

if TYPE_CHECKING:
    from liftwright.campaign.evaluate import Evaluation


def show_evaluation(found: Evaluation, *, json: bool) -> None:
    """Print the measures of an evaluation and whether the score reaches the floor."""
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
