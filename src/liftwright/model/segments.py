"""A segment and what sets it apart."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - records are read back by their annotations
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSummary:
    """The distribution of one numeric feature in a segment; `missing` counts rows without it."""

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
    """A feature that sets a segment apart.

    Attributes:
        effect: (segment median - overall median) / overall interquartile range.
        words: how a person would say it ("orders often").
    """

    feature: str
    segment_median: float
    overall_median: float
    effect: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A group of customers: its label, how it is defined and what it looks like.

    Attributes:
        label: the human-readable name; internal, never shown to a customer.
        size: customers in it; `share` is of all customers, in [0, 1].
        definition: the conditions, score ranges or centroid, in words.
        audience: words that name these people to the content index.
        interests: words for what may interest them; the content is searched for these.
        tiers: customers per tier; a tier that is absent here holds nobody.
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
