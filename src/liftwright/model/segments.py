"""A segment and its distinguishing features."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - records are read back by their annotations
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSummary:
    """The distribution of a numeric feature in a segment; `missing` counts customers without it."""

    mean: float | None
    median: float | None
    std: float | None
    min: float | None
    q25: float | None
    q75: float | None
    max: float | None
    missing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DefiningFeature:
    """A feature in which a segment differs from all customers.

    Attributes:
        effect: (segment median - overall median) / overall interquartile range.
        words: the difference in plain words ("orders often").
    """

    feature: str
    segment_median: float
    overall_median: float
    effect: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A group of customers: its label, definition and profile.

    Attributes:
        label: the human-readable name; internal, never shown to a customer.
        size: the number of customers; `share` is of all customers, in [0, 1].
        definition: the conditions, score ranges or centroid, in words.
        audience: the words by which documents name this audience.
        interests: words for the customers' interests; the query for content uses them.
        tiers: customers per tier; a tier that is not listed has none.
        locations: the most frequent locations and their counts.
    """

    label: str
    size: int
    share: float
    definition: str
    description: str
    audience: tuple[str, ...] = ()
    interests: tuple[str, ...] = ()
    features: Mapping[str, FeatureSummary] = field(default_factory=dict)
    defining_features: tuple[DefiningFeature, ...] = ()
    tiers: Mapping[str, int] = field(default_factory=dict)
    locations: Mapping[str, int] = field(default_factory=dict)
    mean_confidence: float | None = None
    warnings: tuple[str, ...] = ()
