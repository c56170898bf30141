"""What customers did before the messages, to take their differences out of the result (CUPED)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from liftwright.agents.experimentation.results_columns import MetricColumns
from liftwright.agents.experimentation.results_file import Sums, adjust
from liftwright.data import identifier
from liftwright.model import CUSTOMERS, METRICS, TableSchema

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from liftwright.analysis import Cell
    from liftwright.data import Tables
    from liftwright.model import MetricSpec

_COVARIATES = frozenset(metric.covariate for metric in METRICS)
HISTORY = TableSchema(
    name="history",
    columns=tuple(
        replace(column, nullable=column.name in _COVARIATES)
        for column in CUSTOMERS.columns
        if column.name in {"customer_id", *_COVARIATES}
    ),
)
"""One row per assigned customer: the covariates of metrics, from before the messages."""

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
        known_then = "case when k.customer_id is null then c.{0} else k.{0} end as {0}"
        columns = ", ".join(known_then.format(name) for name in HISTORY.names[1:])
        tables.write(tables.sql("history_late", columns=columns), file, HISTORY)
        return
    assigned, customer = tables.with_features("assignments")
    columns = ", ".join(f"{customer}.{name}" for name in HISTORY.names[1:])
    tables.write(tables.sql("history", assigned=assigned, columns=columns), file, HISTORY)


def adjust_by_history(
    tables: Tables, engagement: str, metrics: Iterable[MetricSpec]
) -> tuple[tuple[Cell, ...], dict[str, float]]:
    """The cells of the metrics adjusted by what was known before, as means.

    Args:
        tables: holds the engagement and `history`.
        engagement: the name of its table.
        metrics: those that were measured.

    Returns:
        Cells, and by metric the share of variance that is taken away; without metrics that have no
        covariate, or whose customers have no history.
    """
    known = [metric for metric in metrics if metric.covariate]
    if not known:
        return (), {}
    statement = tables.sql(
        "measure_history",
        engagement=identifier(engagement),
        values=", ".join(
            f"cast({_outcome(metric)} as decimal(18, 4)) as y_{n}, "
            f"cast(h.{metric.covariate} as decimal(9, 6)) as x_{n}"
            for n, metric in enumerate(known)
        ),
        sums=", ".join(_SUMS.replace("#", str(n)) for n, _ in enumerate(known)),
    )
    rows = sorted(tables.rows(statement), key=lambda row: (str(row[0]), str(row[1])))
    cells: list[Cell] = []
    reduction: dict[str, float] = {}
    for n, metric in enumerate(known):
        name = metric.name
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
            as_mean = MetricColumns(name=name, column=name, kind="mean", covariate=metric.covariate)
            adjusted, share = adjust(sums, [as_mean])
            cells += adjusted
            reduction |= share
    return tuple(cells), reduction


def _outcome(metric: MetricSpec) -> str:
    column = f"e.{metric.column}"
    return f"case when {column} then 1 else 0 end" if metric.kind == "binary" else column
