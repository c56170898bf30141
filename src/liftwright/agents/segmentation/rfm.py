"""Segments by the sum of the recency, frequency and monetary scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.agents.segmentation.model import (
    SCORES,
    Group,
    Model,
    fraction,
    label_case,
    merged_note,
)
from liftwright.data import literal
from liftwright.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from liftwright.config import Segments
    from liftwright.data import Tables

_LEAST_SUM, _LARGEST_SUM = 3, 15
# One score can move the sum by four points: who would stay then is placed for certain.
_STEPS_TO_CERTAINTY = 5


def fit(config: Segments, edges: Mapping[str, tuple[float, ...]], absent: Collection[str]) -> Model:
    """The bands as a model, the highest first.

    Raises:
        ConfigurationError: the customers lack one of the three features, or the bands leave sums
            without a segment.
    """
    for score, feature in SCORES.items():
        if feature in absent:
            raise ConfigurationError(
                f"segments.yaml: method: rfm needs {score!r}; the customers do not have "
                f"{feature!r} (customers.yaml maps it to null), allowed: rules or kmeans"
            )
    bands = sorted(config.rfm, key=lambda band: -band.at_least)
    starts = [band.at_least for band in bands]
    if len(set(starts)) != len(starts) or starts[-1] != _LEAST_SUM:
        raise ConfigurationError(
            f"segments.yaml: rfm: at_least is {starts}; the values must be unique and the lowest "
            f"must be {_LEAST_SUM}"
        )
    return Model(
        method="rfm",
        groups=tuple(
            Group(
                label=band.label,
                description=band.description,
                audience=band.audience,
                interests=band.interests,
                at_least=band.at_least,
            )
            for band in bands
        ),
        edges=dict(edges),
    )


def statement(tables: Tables, model: Model, scored: str) -> str:
    """The statement that places every row of `scored` by the bands of `model`."""
    conditions = {group.label: f"total >= {group.at_least}" for group in model.groups}
    return tables.sql(
        "segment_rfm",
        scored=scored,
        label=label_case(model, conditions),
        confidence=f"case {' '.join(_confidences(model))} end",
        reason=_reasons(model),
    )


def bounds(model: Model, group: Group) -> tuple[int, int]:
    """The least and the largest sum in the group's band."""
    above = [other.at_least for other in model.groups if other.at_least > group.at_least]
    return group.at_least, min(above) - 1 if above else _LARGEST_SUM


def _confidences(model: Model) -> list[str]:
    """How many points the sum is from the nearest other band, over those that make it certain."""
    branches = []
    for group in model.groups:
        low, high = bounds(model, group)
        ways_out = [str(_STEPS_TO_CERTAINTY)]
        if low > _LEAST_SUM:
            ways_out.append(f"total - {low - 1}")
        if high < _LARGEST_SUM:
            ways_out.append(f"{high + 1} - total")
        steps = f"least({', '.join(ways_out)})" if len(ways_out) > 1 else ways_out[0]
        branches.append(f"when total >= {low} then {fraction(steps, _STEPS_TO_CERTAINTY)}")
    return branches


def _reasons(model: Model) -> str:
    branches = []
    for group in model.groups:
        low, high = bounds(model, group)
        ending = f", between {low} and {high}{merged_note(model, group)}"
        branches.append(f"when total >= {low} then {literal(ending)}")
    scores = " || ".join(
        f"{literal(f'{separator}{score} ')} || cast({score} as varchar)"
        for separator, score in zip(("", " + ", " + "), SCORES, strict=True)
    )
    return f"{scores} || ' = ' || cast(total as varchar) || case {' '.join(branches)} end"
