"""What each segment looks like: size, distribution of every feature, and what sets it apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from liftwright.agents.segmentation import rfm
from liftwright.agents.segmentation.naming import end_of
from liftwright.data import identifier, literal
from liftwright.model import FEATURES, DefiningFeature, FeatureSummary, Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from liftwright.agents.segmentation.model import Group, Model
    from liftwright.config import Segments
    from liftwright.data import Tables

_CONFIDENCE = "confidence"
_NUMBERS = (*FEATURES, _CONFIDENCE)
_WORDS = ("tier", "location")
_MOST_LOCATIONS = 10
_MOST_TIERS = 50
_DEFINING = 3
# Below this many interquartile ranges a difference does not set a segment apart.
_LEAST_EFFECT = 0.2
_DIGITS = 9

Quartiles = dict[str | None, FeatureSummary]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sums:
    """Sums over one segment; per feature: mean and standard deviation."""

    customers: int
    confidence: float
    features: Mapping[str, tuple[float, float]]


def summarise(tables: Tables, model: Model, config: Segments) -> tuple[Segment, ...]:
    """The segments that hold customers, in order of definition.

    Args:
        tables: holds `profiles`; the table `tallies` is made of it.
        model: by which the customers were placed.
        config: the words of the features, and the share below which a segment is small.
    """
    tables.keep("tallies", _tallies(tables))
    sums = _sums(tables)
    summaries = {feature: _quartiles(tables, feature, sums) for feature in FEATURES}
    tiers = _most_frequent(tables, "tier", _MOST_TIERS)
    locations = _most_frequent(tables, "location", _MOST_LOCATIONS)
    total = sum(found.customers for found in sums.values())
    segments = []
    for group in model.groups:
        found = sums.get(group.label)
        if found is None:
            continue
        share = found.customers / total
        features = {name: by_segment[group.label] for name, by_segment in summaries.items()}
        overall = {name: by_segment[None] for name, by_segment in summaries.items()}
        segments.append(
            Segment(
                label=group.label,
                size=found.customers,
                share=share,
                definition=_definition(model, group),
                description=group.description,
                audience=group.audience,
                interests=group.interests,
                features=features,
                defining_features=_defining(features, overall, config),
                tiers=tiers.get(group.label, {}),
                locations=locations.get(group.label, {}),
                mean_confidence=round(found.confidence / found.customers, 4),
                warnings=_warnings(share, config.minimum_share),
            )
        )
    return tuple(segments)


def _tallies(tables: Tables) -> str:
    def each(names: Sequence[str], shown: Callable[[str], str]) -> str:
        return " ".join(f"when grouping({identifier(n)}) = 0 then {shown(n)}" for n in names)

    return tables.sql(
        "tallies",
        name_cases=each((*_NUMBERS, *_WORDS), literal),
        value_cases=each(_NUMBERS, identifier),
        word_cases=each(_WORDS, identifier),
        sets=", ".join(f"(segment, {identifier(name)})" for name in (*_NUMBERS, *_WORDS)),
    )


def _sums(tables: Tables) -> dict[str, _Sums]:
    """The sums of each segment, around the middle of each feature's range."""
    middles = tables.rows(
        "select feature, (min(value) + max(value)) / 2e0 from tallies "
        "where value is not null group by feature"
    )
    centres = {str(feature): float(cast("float", middle)) for feature, middle in middles}
    cases = " ".join(f"when {literal(f)} then {literal(c)}" for f, c in centres.items())
    statement = tables.sql("profile_sums", centres=cases)
    sizes: dict[str, int] = {}
    moments: dict[str, dict[str, tuple[float, float]]] = {}
    for segment, feature, customers, known, total, square in tables.rows(statement):
        if feature not in _NUMBERS:
            continue
        name, label = str(feature), str(segment)
        sizes[label] = int(str(customers))
        moments.setdefault(label, {})[name] = _mean_and_std(
            int(str(known)), cast("float", total), cast("float", square), centres.get(name, 0.0)
        )
    return {
        label: _Sums(
            customers=sizes[label], confidence=found[_CONFIDENCE][0] * sizes[label], features=found
        )
        for label, found in moments.items()
    }


def _mean_and_std(count: int, total: float, square: float, centre: float) -> tuple[float, float]:
    """The mean, and the sample's standard deviation; NaN where there is none."""
    mean = total / count if count else math.nan
    if count < 2:  # noqa: PLR2004 - a spread needs two
        return mean + centre, math.nan
    return mean + centre, math.sqrt(max(square - total * mean, 0.0) / (count - 1))


def _quartiles(tables: Tables, feature: str, sums: Mapping[str, _Sums]) -> Quartiles:
    """A feature's summary per segment, and for all customers under None (without mean and std)."""
    everyone = sum(found.customers for found in sums.values())
    sizes: dict[str | None, int] = {None: everyone, **{s: f.customers for s, f in sums.items()}}
    summaries = {segment: _no_summary(size) for segment, size in sizes.items()}
    statement = tables.sql("quartiles", feature=literal(feature))
    for segment, rows, *values in tables.rows(statement):
        label = None if segment is None else str(segment)
        total = int(cast("int", rows))
        low, q25, q25_next, q50, q50_next, q75, q75_next, high = cast("list[float]", values)
        mean, std = (math.nan, math.nan) if label is None else sums[label].features[feature]
        summaries[label] = FeatureSummary(
            mean=_rounded(mean),
            median=_between(q50, q50_next, 2 * (total - 1) % 4),
            std=_rounded(std),
            min=low,
            q25=_between(q25, q25_next, (total - 1) % 4),
            q75=_between(q75, q75_next, 3 * (total - 1) % 4),
            max=high,
            missing=sizes[label] - total,
        )
    return summaries


def _no_summary(missing: int) -> FeatureSummary:
    return FeatureSummary(
        mean=None, median=None, std=None, min=None, q25=None, q75=None, max=None, missing=missing
    )


def _between(low: float, high: float, quarters: int) -> float | None:
    """The value so many quarters of the way from one rank's value to the next one's."""
    return _rounded(low + (high - low) * quarters / 4)


def _rounded(value: float) -> float | None:
    """Nine significant digits, as engines add in different orders; None for NaN."""
    return None if math.isnan(value) else float(f"{value:.{_DIGITS}g}")


def _most_frequent(tables: Tables, column: str, most: int) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    statement = tables.sql("most_frequent", column=literal(column), most=str(most))
    for segment, value, customers in tables.rows(statement):
        found.setdefault(str(segment), {})[str(value)] = cast("int", customers)
    return found


def _defining(
    features: Mapping[str, FeatureSummary],
    overall: Mapping[str, FeatureSummary],
    config: Segments,
) -> tuple[DefiningFeature, ...]:
    found = []
    for name, here in features.items():
        everywhere = overall[name]
        if here.median is None or everywhere.median is None:
            continue
        spread = (everywhere.q75 or 0.0) - (everywhere.q25 or 0.0)
        # Where the middle half is all alike, the whole range is the measure.
        spread = spread or (everywhere.max or 0.0) - (everywhere.min or 0.0)
        effect = (here.median - everywhere.median) / spread if spread else 0.0
        if abs(effect) >= _LEAST_EFFECT:
            found.append(
                DefiningFeature(
                    feature=name,
                    segment_median=here.median,
                    overall_median=everywhere.median,
                    effect=round(effect, 4),
                    words=end_of(name, effect, config.feature_words).words,
                )
            )
    return tuple(sorted(found, key=lambda feature: -abs(feature.effect))[:_DEFINING])


def _definition(model: Model, group: Group) -> str:
    taken_in = [label for label in model.merged if model.final_label(label) == group.label]
    groups = [group, *(other for other in model.groups if other.label in taken_in)]
    texts = [_own_definition(model, one) for one in groups]
    merged = [f"also '{o.label}': {t}" for o, t in zip(groups[1:], texts[1:], strict=True)]
    return "; ".join([texts[0], *merged])


def _own_definition(model: Model, group: Group) -> str:
    if model.method == "rfm":
        low, high = rfm.bounds(model, group)
        return f"recency, frequency and monetary score sum to {low} to {high}"
    if model.method == "kmeans":
        return "centre: " + ", ".join(
            f"{scale.feature} {scale.mean + place * scale.sd:.4g}"
            for scale, place in zip(model.scales, group.centre, strict=True)
        )
    return _rules_in_words([(rule.when, rule.weight) for rule in group.rules])


def _rules_in_words(rules: Sequence[tuple[str, int]]) -> str:
    if not rules:
        return "satisfies no rule of another segment"
    return "best weighted score of: " + "; ".join(f"{when} (weight {w})" for when, w in rules)


def _warnings(share: float, minimum: float) -> tuple[str, ...]:
    if share >= minimum:
        return ()
    return (f"has {share:.1%} of the customers, below the minimum of {minimum:.1%}",)
