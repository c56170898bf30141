"""What customers did before the messages, to take their differences out of the result (CUPED)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.agents.experimentation.results_options import Metric
from liftwright.agents.experimentation.results_sums import Sums, adjust
from liftwright.data import identifier
from liftwright.model import Column, Kind, Table

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from liftwright.analysis import Cell
    from liftwright.data import Tables

HISTORY = Table(
    name="history",
    columns=(
        Column(name="customer_id", kind=Kind.TEXT),
        Column(name="historical_open_rate", kind=Kind.NUMBER, nullable=True, low=0.0, high=1.0),
        Column(name="historical_click_rate", kind=Kind.NUMBER, nullable=True, low=0.0, high=1.0),
    ),
)
"""One row per assigned customer: rates from before the messages."""

_FLAG = "case when e.{} then 1 else 0 end"
# Which outcome is explained by which rate; a rate that explains nothing takes nothing away.
_PAIRS = {
    "open_rate": (_FLAG.format("opened"), "historical_open_rate"),
    "click_rate": (_FLAG.format("clicked"), "historical_click_rate"),
    "conversion_rate": (_FLAG.format("converted"), "historical_click_rate"),
    "revenue": ("e.revenue", "historical_click_rate"),
}


_KEYS = ("n", "x", "xx", "y", "yy", "xy")
# In the order of the keys; `#` is a metric's number.
_SUMS = (
    "count(x_#), sum(x_#), sum(cast(x_# * x_# as decimal(18, 9))), "
    "sum(case when x_# is not null then y_# end), "
    "sum(case when x_# is not null then cast(y_# * y_# as decimal(28, 4)) end), "
    "sum(cast(x_# * y_# as decimal(28, 8)))"
)


def keep_history(tables: Tables, file: Path, *, known: Path | None = None) -> None:
    """Write the assigned customers' rates to a file of the run: later outcomes will need them.

    Args:
        tables: hold `assignments` and `customers`.
        file: where to.
        known: the same file of a run that this one extends; its customers keep those rates.
    """
    if known is not None:
        tables.read("known_history", known, HISTORY)
        tables.write(tables.sql("history_late"), file, HISTORY)
        return
    assigned, customer = tables.with_features("assignments")
    tables.write(tables.sql("history", assigned=assigned, customer=customer), file, HISTORY)


def adjust_by_history(
    tables: Tables, engagement: str, metrics: Collection[str]
) -> tuple[tuple[Cell, ...], dict[str, float]]:
    """The cells of the metrics adjusted by what was known before, as means.

    Args:
        tables: holds the engagement and `history`.
        engagement: the name of its table.
        metrics: those that were measured.

    Returns:
        Cells, and by metric the share of variance that is taken away; without metrics whose
        customers have no history.
    """
    if not metrics:
        return (), {}
    statement = tables.sql(
        "measure_history",
        engagement=identifier(engagement),
        values=", ".join(
            f"cast({_PAIRS[name][0]} as decimal(18, 4)) as y_{n}, "
            f"cast(h.{_PAIRS[name][1]} as decimal(9, 6)) as x_{n}"
            for n, name in enumerate(metrics)
        ),
        sums=", ".join(_SUMS.replace("#", str(n)) for n, _ in enumerate(metrics)),
    )
    rows = sorted(tables.rows(statement), key=lambda row: (str(row[0]), str(row[1])))
    cells: list[Cell] = []
    reduction: dict[str, float] = {}
    for n, name in enumerate(metrics):
        place = 2 + len(_KEYS) * n
        sums = [
            Sums(
                segment=str(segment),
                arm=str(arm),
                units=int(str(found[0])),
                sums={
                    (name, key): float(str(value)) for key, value in zip(_KEYS, found, strict=True)
                },
                origins={name: 0.0},
            )
            for segment, arm, found in (
                (row[0], row[1], row[place : place + len(_KEYS)]) for row in rows
            )
            if found[0]
        ]
        if sums:
            metric = Metric(name=name, column=name, kind="mean", covariate=_PAIRS[name][1])
            adjusted, share = adjust(sums, [metric])
            cells += adjusted
            reduction |= share
    return tuple(cells), reduction
