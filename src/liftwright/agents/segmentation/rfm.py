"""Segments by the sum of the recency, frequency and monetary scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.agents.segmentation.model import (
    SCORES,
    Model,
    SegmentDefinition,
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

_MIN_SUM, _MAX_SUM = 3, 15
# One score can move the sum by four points; a margin of five is certain.
_CERTAIN_MARGIN = 5


def fit(config: Segments, edges: Mapping[str, tuple[float, ...]], absent: Collection[str]) -> Model:
    """The model of the configured bands, highest first.

    Raises:
        ConfigurationError: one of the three features is absent, or the bands do not cover all
            sums.
    """
    for score, feature in SCORES.items():
        if feature in absent:
            raise ConfigurationError(
                f"segments.yaml: method: rfm needs {score!r}; the customers do not have "
                f"{feature!r} (customers.yaml maps it to null), allowed: rules or kmeans"
            )
    bands = sorted(config.rfm, key=lambda band: -band.at_least)
    starts = [band.at_least for band in bands]
    if len(set(starts)) != len(starts) or starts[-1] != _MIN_SUM:
        raise ConfigurationError(
            f"segments.yaml: rfm: at_least is {starts}; the values must be unique and the lowest "
            f"must be {_MIN_SUM}"
        )
    return Model(
        method="rfm",
        groups=tuple(
            SegmentDefinition(
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


def segment_sql(tables: Tables, model: Model, scored: str) -> str:
    """The query that assigns every row of `scored` to a band of `model`."""
    conditions = {group.label: f"total >= {group.at_least}" for group in model.groups}
    return tables.sql(
        "segment_rfm",
        scored=scored,
        label=label_case(model, conditions),
        confidence=f"case {' '.join(_confidences(model))} end",
        reason=_reasons(model),
    )


def bounds(model: Model, group: SegmentDefinition) -> tuple[int, int]:
    """The lowest and highest sum in the group's band."""
    above = [other.at_least for other in model.groups if other.at_least > group.at_least]
    return group.at_least, min(above) - 1 if above else _MAX_SUM


def _confidences(model: Model) -> list[str]:
    """Per band: the distance to the nearest other band, as a fraction of a certain margin."""
    branches = []
    for group in model.groups:
        low, high = bounds(model, group)
        margins = [str(_CERTAIN_MARGIN)]
        if low > _MIN_SUM:
            margins.append(f"total - {low - 1}")
        if high < _MAX_SUM:
            margins.append(f"{high + 1} - total")
        steps = f"least({', '.join(margins)})" if len(margins) > 1 else margins[0]
        branches.append(f"when total >= {low} then {fraction(steps, _CERTAIN_MARGIN)}")
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
