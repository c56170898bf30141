"""The course of an experiment that was measured more than once: what each look found."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from liftwright.analysis import OVERALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from liftwright.model import Json

_TOLD = ("arm", "n_treatment", "n_control", "lift", "lift_ci", "p_value", "p_adjusted")


def course_of(looks: Iterable[Mapping[str, Json]]) -> list[Json]:
    """Each look's estimates of the primary metric, over all segments, in the order of the looks.

    Args:
        looks: contents of metrics.json, the earliest first; simulated ones are no looks. Each
            look is told by the primary metric of the last one, so that one thing is followed.

    Returns:
        A row a look and treatment: `look` from 1, `measured_at`, `metric`, and the estimates of
        `comparisons`; empty where there was one look alone.
    """
    real = [look for look in looks if not look.get("simulated", True)]
    if len(real) < 2:  # noqa: PLR2004 - one look has no course
        return []
    primary = real[-1]["primary_metric"]
    return [
        {
            "look": number,
            "measured_at": look.get("measured_at"),
            "metric": primary,
            **{name: row[name] for name in _TOLD},
        }
        for number, look in enumerate(real, start=1)
        for row in cast("list[dict[str, Json]]", look["comparisons"])
        if row["segment"] == OVERALL and row["metric"] == primary
    ]
