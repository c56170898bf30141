"""The lines of metrics.json as records, for a table that a person reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from liftwright.analysis import OVERALL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.model import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftRow:
    """One line of the result for a person: an arm against the control over its segments."""

    segment: str
    arm: str
    metric: str
    n_treatment: int
    n_control: int
    treatment: float | None
    control: float | None
    lift: float | None
    lift_ci: tuple[float, float] | None
    p_adjusted: float | None
    significant: bool


def lift_rows(metrics: Mapping[str, Json], *, segment: str = OVERALL) -> tuple[LiftRow, ...]:
    """The rows of metrics.json for one segment, or over all, as records for a table."""
    found = []
    for row in cast("Sequence[Mapping[str, object]]", metrics["comparisons"]):
        if row["segment"] == segment:
            interval = cast("Sequence[float] | None", row["lift_ci"])
            found.append(
                LiftRow(
                    segment=segment,
                    arm=str(row["arm"]),
                    metric=str(row["metric"]),
                    n_treatment=_whole(row["n_treatment"]),
                    n_control=_whole(row["n_control"]),
                    treatment=cast("float | None", row["treatment"]),
                    control=cast("float | None", row["control"]),
                    lift=cast("float | None", row["lift"]),
                    lift_ci=(interval[0], interval[1]) if interval else None,
                    p_adjusted=cast("float | None", row["p_adjusted"]),
                    significant=bool(row["significant"]),
                )
            )
    return tuple(found)


def _whole(value: object) -> int:
    return int(str(value))
