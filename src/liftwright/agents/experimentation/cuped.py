"""Variance reduction by covariates from before the experiment (CUPED).

Units without the covariate stay in: they get its mean, and an indicator of the missing value is a
second covariate.

Source: Deng, Xu, Kohavi, Walker (2013), Improving the Sensitivity of Online Controlled Experiments
by Utilizing Pre-Experiment Data, WSDM; the indicator: Zhao, Ding (2024), To adjust or not to
adjust? Estimating the average treatment effect in randomized experiments with missing covariates,
Journal of the American Statistical Association 119.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from liftwright.analysis import ArmTotals
from liftwright.data import identifier
from liftwright.model import CUSTOMERS, METRICS, TableSchema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from liftwright.data import Tables
    from liftwright.model import MetricSpec

    Array = NDArray[np.float64]

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

# In the order of the fields of `CovariateSums`; `#` is a metric's number.
_SUMS = (
    "count(*), sum(y_#), sum(cast(y_# * y_# as decimal(28, 4))), "
    "count(x_#), coalesce(sum(x_#), 0), coalesce(sum(cast(x_# * x_# as decimal(18, 9))), 0), "
    "coalesce(sum(cast(x_# * y_# as decimal(28, 8))), 0), "
    "coalesce(sum(case when x_# is not null then y_# end), 0)"
)
_SUMS_PER_METRIC = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CovariateSums:
    """A metric `y` and its covariate `x` over the units of one arm in one segment.

    Attributes:
        n, y, yy: Units with the metric, its sum and its sum of squares.
        known: Units with both; x, xx, xy, y_known: sums over these alone.
        origin: Value subtracted from `y`.
    """

    segment: str | None
    arm: str
    n: float
    y: float
    yy: float
    known: float
    x: float
    xx: float
    xy: float
    y_known: float
    origin: float = 0.0

    @classmethod
    def of(
        cls, segment: str | None, arm: str, values: Sequence[object], origin: float = 0.0
    ) -> CovariateSums:
        """The sums in the order of the fields, as an engine returns them."""
        n, y, yy, known, x, xx, xy, y_known = (float(str(value)) for value in values)
        return cls(
            segment=segment,
            arm=arm,
            n=n,
            y=y,
            yy=yy,
            known=known,
            x=x,
            xx=xx,
            xy=xy,
            y_known=y_known,
            origin=origin,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted:
    """A metric after the adjustment.

    Attributes:
        totals: Per segment and arm, as a mean.
        reduction: The share of the variance that is removed.
        missing: Units without the covariate.
    """

    totals: tuple[ArmTotals, ...]
    reduction: float
    missing: int


def adjust(metric: str, sums: Sequence[CovariateSums]) -> Adjusted:
    """Adjust a metric by its covariate, with one coefficient for all arms and segments.

    Args:
        metric: The metric's name.
        sums: The sums of every segment and arm.

    Returns:
        Totals of y - theta (x - mean of x), with coefficients pooled within segments and arms.
    """
    import numpy as np

    known = math.fsum(one.known for one in sums)
    mean_x = math.fsum(one.x for one in sums) / known if known else 0.0
    units = math.fsum(one.n for one in sums)
    missing = units - known
    mean_missing = missing / units if units else 0.0
    parts = [_centred(one, mean_x, mean_missing) for one in sums]
    gram, product, square = np.zeros((2, 2)), np.zeros(2), 0.0
    for one, (first, second, with_y) in zip(sums, parts, strict=True):
        if one.n:
            gram += second - np.outer(first, first) / one.n
            product += with_y - first * one.y / one.n
            square += one.yy - one.y**2 / one.n
    theta = np.linalg.pinv(gram, rcond=1e-12, hermitian=True) @ product
    totals = []
    for one, (first, second, with_y) in zip(sums, parts, strict=True):
        total = one.y - float(theta @ first)
        total_sq = one.yy - 2.0 * float(theta @ with_y) + float(theta @ second @ theta)
        totals.append(
            ArmTotals(
                segment=one.segment,
                arm=one.arm,
                metric=metric,
                n=round(one.n),
                total=total,
                # Rounding may bring a constant's square below what its mean allows.
                total_sq=max(total_sq, total**2 / one.n if one.n else 0.0),
                origin=one.origin,
            )
        )
    reduction = float(theta @ product) / square if square > 0 else 0.0
    return Adjusted(
        totals=tuple(totals), reduction=min(max(reduction, 0.0), 1.0), missing=round(missing)
    )


def _centred(one: CovariateSums, mean_x: float, mean_missing: float) -> tuple[Array, Array, Array]:
    """Sums, squares and products with `y` of the two covariates, each less its mean.

    The first is x less its mean, 0 where x is missing; the second indicates the missing ones.
    """
    import numpy as np

    x = one.x - one.known * mean_x
    missing = one.n - one.known
    m = missing - one.n * mean_missing
    xx = one.xx - 2.0 * mean_x * one.x + one.known * mean_x**2
    mm = missing - 2.0 * mean_missing * missing + one.n * mean_missing**2
    first = np.array([x, m])
    second = np.array([[xx, -mean_missing * x], [-mean_missing * x, mm]])
    with_y = np.array([one.xy - mean_x * one.y_known, one.y - one.y_known - mean_missing * one.y])
    return first, second, with_y


def keep_history(tables: Tables, file: Path, *, known: Path | None = None) -> None:
    """Write the assigned customers' rates to a file of the run: later outcomes will need them.

    Args:
        tables: Hold `assignments` and `customers`.
        file: The file to write.
        known: The same file of a run that this one extends; its customers keep those rates.
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
) -> dict[str, Adjusted]:
    """The metrics adjusted for the customers' history before the messages.

    Args:
        tables: Hold the engagement and `history`.
        engagement: Name of the engagement table.
        metrics: The metrics that were measured.

    Returns:
        By metric; without those that have no covariate or whose customers have no history.
    """
    with_covariate = [metric for metric in metrics if metric.covariate]
    if not with_covariate:
        return {}
    statement = tables.sql(
        "measure_history",
        engagement=identifier(engagement),
        values=", ".join(
            f"cast({_outcome(metric)} as decimal(18, 4)) as y_{n}, "
            f"cast(h.{metric.covariate} as decimal(9, 6)) as x_{n}"
            for n, metric in enumerate(with_covariate)
        ),
        sums=", ".join(_SUMS.replace("#", str(n)) for n, _ in enumerate(with_covariate)),
    )
    rows = sorted(tables.rows(statement), key=lambda row: (str(row[0]), str(row[1])))
    found = {}
    for place, metric in enumerate(with_covariate):
        start = 2 + _SUMS_PER_METRIC * place
        sums = [
            CovariateSums.of(str(row[0]), str(row[1]), row[start : start + _SUMS_PER_METRIC])
            for row in rows
        ]
        if any(one.known for one in sums):
            found[metric.name] = adjust(metric.name, sums)
    return found


def _outcome(metric: MetricSpec) -> str:
    column = f"e.{metric.column}"
    return f"case when {column} then 1 else 0 end" if metric.kind == "binary" else column
