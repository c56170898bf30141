"""Describes each segment: size, distribution of every feature, and defining features."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from liftwright.agents.segmentation import rfm
from liftwright.agents.segmentation.naming import words_for
from liftwright.data import identifier, literal
from liftwright.model import FEATURES, DefiningFeature, FeatureSummary, Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from liftwright.agents.segmentation.model import Model, SegmentDefinition
    from liftwright.config import Segments
    from liftwright.data import Tables

_CONFIDENCE = "confidence"
_NUMBERS = (*FEATURES, _CONFIDENCE)
_WORDS = ("tier", "location")
_MAX_LOCATIONS = 10
_MAX_TIERS = 50
_MAX_DEFINING = 3
# A defining feature's median differs by at least this many interquartile ranges.
_MIN_EFFECT = 0.2
_DIGITS = 9

Quartiles = dict[str | None, FeatureSummary]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moments:
    """The size of a segment, and the mean and standard deviation of each feature."""

    customers: int
    features: Mapping[str, tuple[float, float]]


def summarise(tables: Tables, model: Model, config: Segments) -> tuple[Segment, ...]:
    """The segments that have customers, in order of definition.

    Args:
        tables: holds `profiles`, from which the table `value_counts` is made.
        model: the model that the customers were segmented with.
        config: the words for each feature, and the share below which a segment is small.
    """
    tables.keep("value_counts", _value_counts(tables))
    sums = _sums(tables)
    summaries = {feature: _quartiles(tables, feature, sums) for feature in FEATURES}
    tiers = _most_frequent(tables, "tier", _MAX_TIERS)
    locations = _most_frequent(tables, "location", _MAX_LOCATIONS)
    total = sum(segment.customers for segment in sums.values())
    segments = []
    for group in model.groups:
        own = sums.get(group.label)
        if own is None:
            continue
        share = own.customers / total
        features = {name: by_segment[group.label] for name, by_segment in summaries.items()}
        overall = {name: by_segment[None] for name, by_segment in summaries.items()}
        segments.append(
            Segment(
                label=group.label,
                size=own.customers,
                share=share,
                definition=_definition(model, group),
                description=group.description,
                audience=group.audience,
                interests=group.interests,
                features=features,
                defining_features=_defining(features, overall, config),
                tiers=tiers.get(group.label, {}),
                locations=locations.get(group.label, {}),
                mean_confidence=round(own.features[_CONFIDENCE][0], 4),
                warnings=_warnings(share, config.minimum_share),
            )
        )
    return tuple(segments)


def _value_counts(tables: Tables) -> str:
    def each(names: Sequence[str], shown: Callable[[str], str]) -> str:
        return " ".join(f"when grouping({identifier(n)}) = 0 then {shown(n)}" for n in names)

    return tables.sql(
        "value_counts",
        name_cases=each((*_NUMBERS, *_WORDS), literal),
        value_cases=each(_NUMBERS, identifier),
        word_cases=each(_WORDS, identifier),
        sets=", ".join(f"(segment, {identifier(name)})" for name in (*_NUMBERS, *_WORDS)),
    )


def _sums(tables: Tables) -> dict[str, _Moments]:
    """The moments of each segment, summed around the middle of each feature's range."""
    middles = tables.rows(
        "select feature, (min(value) + max(value)) / 2e0 from value_counts "
        "where value is not null group by feature"
    )
    centres = {str(feature): float(cast("float", middle)) for feature, middle in middles}
    cases = " ".join(f"when {literal(f)} then {literal(c)}" for f, c in centres.items())
    query = tables.sql("profile_sums", centres=cases)
    sizes: dict[str, int] = {}
    moments: dict[str, dict[str, tuple[float, float]]] = {}
    for segment, feature, customers, known, total, square in tables.rows(query):
        if feature not in _NUMBERS:
            continue
        name, label = str(feature), str(segment)
        sizes[label] = int(str(customers))
        moments.setdefault(label, {})[name] = _mean_and_std(
            int(str(known)), cast("float", total), cast("float", square), centres.get(name, 0.0)
        )
    return {
        label: _Moments(customers=sizes[label], features=features)
        for label, features in moments.items()
    }


def _mean_and_std(count: int, total: float, square: float, centre: float) -> tuple[float, float]:
    """The mean and the sample standard deviation; NaN where undefined."""
    mean = total / count if count else math.nan
    if count < 2:  # noqa: PLR2004 - a standard deviation needs two
        return mean + centre, math.nan
    return mean + centre, math.sqrt(max(square - total * mean, 0.0) / (count - 1))


def _quartiles(tables: Tables, feature: str, sums: Mapping[str, _Moments]) -> Quartiles:
    """A feature's summary per segment, and for all customers under None (without mean and std)."""
    sizes: dict[str | None, int] = {label: own.customers for label, own in sums.items()}
    sizes[None] = sum(sizes.values())
    summaries = {segment: _no_summary(size) for segment, size in sizes.items()}
    query = tables.sql("quartiles", feature=literal(feature))
    for segment, rows, *values in tables.rows(query):
        label = None if segment is None else str(segment)
        total = int(cast("int", rows))
        low, q25, q25_next, q50, q50_next, q75, q75_next, high = cast("list[float]", values)
        mean, std = (math.nan, math.nan) if label is None else sums[label].features[feature]
        summaries[label] = FeatureSummary(
            mean=_rounded(mean),
            median=_interpolate(q50, q50_next, 2 * (total - 1) % 4),
            std=_rounded(std),
            min=low,
            q25=_interpolate(q25, q25_next, (total - 1) % 4),
            q75=_interpolate(q75, q75_next, 3 * (total - 1) % 4),
            max=high,
            missing=sizes[label] - total,
        )
    return summaries


def _no_summary(missing: int) -> FeatureSummary:
    return FeatureSummary(
        mean=None, median=None, std=None, min=None, q25=None, q75=None, max=None, missing=missing
    )


def _interpolate(low: float, high: float, quarters: int) -> float | None:
    """Linear interpolation between two adjacent ranks."""
    return _rounded(low + (high - low) * quarters / 4)


def _rounded(value: float) -> float | None:
    """Nine significant digits, because engines add in different orders; None for NaN."""
    return None if math.isnan(value) else float(f"{value:.{_DIGITS}g}")


def _most_frequent(tables: Tables, column: str, most: int) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    query = tables.sql("most_frequent", column=literal(column), most=str(most))
    for segment, value, customers in tables.rows(query):
        counts.setdefault(str(segment), {})[str(value)] = cast("int", customers)
    return counts


def _defining(
    features: Mapping[str, FeatureSummary],
    overall: Mapping[str, FeatureSummary],
    config: Segments,
) -> tuple[DefiningFeature, ...]:
    defining = []
    for name, own in features.items():
        everyone = overall[name]
        if own.median is None or everyone.median is None:
            continue
        spread = (everyone.q75 or 0.0) - (everyone.q25 or 0.0)
        # If the interquartile range is 0, the full range is the scale.
        spread = spread or (everyone.max or 0.0) - (everyone.min or 0.0)
        effect = (own.median - everyone.median) / spread if spread else 0.0
        if abs(effect) >= _MIN_EFFECT:
            defining.append(
                DefiningFeature(
                    feature=name,
                    segment_median=own.median,
                    overall_median=everyone.median,
                    effect=round(effect, 4),
                    words=words_for(name, effect, config.feature_words).words,
                )
            )
    return tuple(sorted(defining, key=lambda feature: -abs(feature.effect))[:_MAX_DEFINING])


def _definition(model: Model, group: SegmentDefinition) -> str:
    merged = [
        f"also '{other.label}': {_base_definition(model, other)}"
        for other in model.groups
        if other.label in model.merged and model.final_label(other.label) == group.label
    ]
    return "; ".join([_base_definition(model, group), *merged])


def _base_definition(model: Model, group: SegmentDefinition) -> str:
    if model.method == "rfm":
        low, high = rfm.bounds(model, group)
        return f"recency, frequency and monetary score sum to {low} to {high}"
    if model.method == "kmeans":
        return "centre: " + ", ".join(
            f"{scale.feature} {scale.mean + centre * scale.sd:.4g}"
            for scale, centre in zip(model.scales, group.centre, strict=True)
        )
    if not group.rules:
        return "satisfies no rule of another segment"
    rules = "; ".join(f"{rule.when} (weight {rule.weight})" for rule in group.rules)
    return f"best weighted score of: {rules}"


def _warnings(share: float, minimum: float) -> tuple[str, ...]:
    if share >= minimum:
        return ()
    return (f"has {share:.1%} of the customers, below the minimum of {minimum:.1%}",)
