"""Segments by k-means: fitted on a sample, labelled by each cluster's distinctive features.

Source: Arthur and Vassilvitskii (2007), k-means++; Rousseeuw (1987), Silhouettes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from liftwright import log
from liftwright.agents.segmentation.model import (
    AGENT,
    FeatureScale,
    Model,
    SegmentDefinition,
    customer_columns,
    label_case,
    merged_note,
    value_text,
)
from liftwright.agents.segmentation.naming import distinct_labels, join_words, words_for
from liftwright.data import identifier, literal
from liftwright.errors import ConfigurationError
from liftwright.model import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy as np
    import numpy.typing as npt

    from liftwright.config import Segments
    from liftwright.data import Tables

    Matrix = npt.NDArray[np.float64]
    Labels = npt.NDArray[np.intp]

_RESTARTS = 8
# Each restart is fitted on this many rows; the best one is then fitted to the whole sample.
_TRIAL_ROWS = 10_000
_SILHOUETTE_ROWS = 2_000
_MAX_ITERATIONS = 50
# Centres are rounded, so that floating-point differences between machines do not show.
_DECIMALS = 3
_THOUSAND = 1_000
# Values are clipped at these quantiles; otherwise a few outliers form their own clusters.
_WINSOR_QUANTILES = (0.02, 0.98)
# A cluster is described by at most this many features, at least so many SD from the mean.
_MAX_TRAITS = 2
_MIN_TRAIT_EFFECT = 0.3


def fit(
    tables: Tables,
    config: Segments,
    edges: Mapping[str, tuple[float, ...]],
    *,
    seed: int,
    absent: Collection[str],
) -> Model:
    """Fit the clusters on a sample of the customers.

    Raises:
        ConfigurationError: a feature is not a numeric column, or all features are absent.
    """
    features = _features(tables, config, absent)
    sample = _sample(tables, features, seed, config.kmeans.sample_rows)
    scales, points = _standardise(features, sample)
    centres, silhouettes = _select_k(points, config.kmeans.k_min, config.kmeans.k_max, seed)
    order = sorted(range(len(centres)), key=lambda index: tuple(-centres[index]))
    rounded = [tuple(round(float(value), _DECIMALS) for value in centres[i]) for i in order]
    return Model(
        method="kmeans",
        groups=_define_segments(rounded, scales, config),
        edges=dict(edges),
        scales=scales,
        silhouettes=silhouettes,
    )


def columns_used(model: Model) -> set[str]:
    """The customer columns that the clusters use."""
    return {scale.feature for scale in model.scales}


def segment_sql(tables: Tables, model: Model, scored: str) -> str:
    """The query that assigns every row of `scored` to the nearest cluster of `model`."""
    columns = customer_columns(tables)
    count = len(model.groups)
    keys = [f"key_{index}" for index in range(count)]
    conditions = {
        group.label: f"best = {key}" for group, key in zip(model.groups, keys, strict=True)
    }
    # `least` needs two arguments; the second key is never the nearest.
    names = [*keys, "9223372036854775807"] if count == 1 else keys
    return tables.sql(
        "segment_kmeans",
        scored=scored,
        standardised=", ".join(_standardised_column(i, s) for i, s in enumerate(model.scales)),
        keys=", ".join(
            f"{_key(group, index, count)} as {key}"
            for index, (group, key) in enumerate(zip(model.groups, keys, strict=True))
        ),
        key_names=", ".join(names),
        runner_up_keys=", ".join(
            f"case when {key} = best then 9223372036854775807 else {key} end" for key in names
        ),
        label=label_case(model, conditions),
        confidence=_confidence(count),
        reason=_reasons(model, columns),
    )


def _features(tables: Tables, config: Segments, absent: Collection[str]) -> tuple[str, ...]:
    columns = customer_columns(tables)
    numeric = [
        name for name, kind in columns.items() if kind in (ColumnKind.NUMBER, ColumnKind.INTEGER)
    ]
    for index, name in enumerate(config.kmeans.features):
        if name not in numeric:
            raise ConfigurationError(
                f"segments.yaml: kmeans.features[{index}]: {name!r} is not a numeric column of "
                f"the customers; allowed: {', '.join(sorted(numeric))}"
            )
    features = tuple(name for name in config.kmeans.features if name not in absent)
    if not features:
        raise ConfigurationError(
            f"segments.yaml: kmeans.features: the customers have none of "
            f"{', '.join(config.kmeans.features)} (customers.yaml maps them to null)"
        )
    if len(features) < len(config.kmeans.features):
        missing = sorted(set(config.kmeans.features) - set(features))
        log.event("features_left_out", agent=AGENT, level="warning", features=missing)
    return features


def _sample(tables: Tables, features: tuple[str, ...], seed: int, limit: int) -> Matrix:
    import numpy as np

    rows = tables.rows(
        tables.sql(
            "customer_sample",
            features=", ".join(identifier(feature) for feature in features),
            salt=literal(f"{seed}:sample:"),
            rows=str(limit),
        )
    )
    return np.array(rows, dtype=np.float64).reshape(-1, len(features))


def _standardise(
    features: tuple[str, ...], sample: Matrix
) -> tuple[tuple[FeatureScale, ...], Matrix]:
    import numpy as np

    scales, columns = [], []
    for index, feature in enumerate(features):
        values = sample[:, index]
        known = values[~np.isnan(values)]
        median = float(np.median(known)) if known.size else 0.0
        low, high = (
            (
                float(edge)
                for edge in np.quantile(known, _WINSOR_QUANTILES, method="closest_observation")
            )
            if known.size
            else (0.0, 0.0)
        )
        filled = np.clip(np.where(np.isnan(values), median, values), low, high)
        mean, sd = float(filled.mean()), float(filled.std())
        # A constant feature carries no information; scaling would amplify its rounding noise.
        sd = sd if sd > abs(mean) * 1e-9 else 1.0
        scale = FeatureScale(
            feature=feature,
            median=median,
            low=low,
            high=high,
            mean=_significant(mean),
            sd=_significant(sd),
        )
        scales.append(scale)
        columns.append((filled - scale.mean) / scale.sd)
    return tuple(scales), np.column_stack(columns)


def _significant(value: float) -> float:
    """Nine significant digits: further ones vary between machines."""
    return float(f"{value:.9g}")


def _select_k(points: Matrix, k_min: int, k_max: int, seed: int) -> tuple[Matrix, dict[str, float]]:
    """The centres of the number of clusters with the best silhouette, and all silhouettes."""
    import numpy as np
    from scipy.cluster.vq import vq

    distinct = np.unique(np.round(points, _DECIMALS), axis=0)
    if len(distinct) <= k_min:
        return distinct, {}
    fits: dict[int, Matrix] = {}
    silhouettes: dict[int, float] = {}
    sample = points[:_SILHOUETTE_ROWS]
    for k in range(k_min, min(k_max, len(distinct)) + 1):
        fits[k] = _cluster(points, k, seed)
        labels = cast("Labels", vq(sample, fits[k])[0])
        silhouettes[k] = round(_silhouette(sample, labels), 4)
    best = max(silhouettes, key=lambda k: silhouettes[k])
    return fits[best], {str(k): silhouette for k, silhouette in silhouettes.items()}


def _cluster(points: Matrix, k: int, seed: int) -> Matrix:
    import numpy as np

    trial = points[:_TRIAL_ROWS]
    fits = [
        _lloyd(trial, _plus_plus(trial, k, np.random.default_rng([seed, k, restart])))
        for restart in range(_RESTARTS)
    ]
    centres = min(fits, key=lambda fit: fit[1])[0]
    return _lloyd(points, centres)[0] if len(points) > len(trial) else centres


def _plus_plus(points: Matrix, k: int, rng: np.random.Generator) -> Matrix:
    """Initial centres, each drawn in proportion to its squared distance from the earlier ones."""
    import numpy as np

    centres = [points[rng.integers(len(points))]]
    nearest = ((points - centres[0]) ** 2).sum(axis=1)
    while len(centres) < k:
        reach = np.cumsum(nearest)
        drawn = int(np.searchsorted(reach, rng.random() * reach[-1], side="right"))
        centres.append(points[min(drawn, len(points) - 1)])
        nearest = np.minimum(nearest, ((points - centres[-1]) ** 2).sum(axis=1))
    return np.array(centres)


def _lloyd(points: Matrix, centres: Matrix) -> tuple[Matrix, float]:
    """Lloyd's algorithm from given centres: the final centres and the inertia."""
    import numpy as np
    from scipy.cluster.vq import vq

    inertia = np.inf
    for _ in range(_MAX_ITERATIONS):
        labels, distances = vq(points, centres)
        counts = np.bincount(labels, minlength=len(centres))
        sums = np.column_stack(
            [
                np.bincount(labels, weights=points[:, column], minlength=len(centres))
                for column in range(points.shape[1])
            ]
        )
        # A centre without points does not move.
        moved = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)
        inertia = float((distances**2).sum())
        if np.abs(moved - centres).max() < 10.0 ** -(_DECIMALS + 1):
            return moved, inertia
        centres = moved
    return centres, inertia


def _silhouette(points: Matrix, labels: Labels) -> float:
    """Mean silhouette; 0 for a point alone in its cluster. -1 if there is only one cluster."""
    import numpy as np
    from scipy.spatial.distance import cdist

    clusters = np.unique(labels)
    if len(clusters) == 1:
        return -1.0
    distances = cdist(points, points)
    sums = np.column_stack([distances[:, labels == cluster].sum(axis=1) for cluster in clusters])
    counts = np.array([(labels == cluster).sum() for cluster in clusters])
    own = np.searchsorted(clusters, labels)
    rows = np.arange(len(points))
    inside = sums[rows, own] / np.maximum(counts[own] - 1, 1)
    means = sums / counts
    means[rows, own] = np.inf
    outside = means.min(axis=1)
    widest = np.maximum(inside, outside)
    values = np.where(
        (counts[own] > 1) & (widest > 0), (outside - inside) / np.maximum(widest, 1e-300), 0.0
    )
    return float(values.mean())


def _define_segments(
    centres: list[tuple[float, ...]], scales: tuple[FeatureScale, ...], config: Segments
) -> tuple[SegmentDefinition, ...]:
    features = [scale.feature for scale in scales]
    effects = [dict(zip(features, centre, strict=True)) for centre in centres]
    labels = distinct_labels(effects, config.feature_words)
    groups = []
    for label, centre, effect in zip(labels, centres, effects, strict=True):
        strongest = sorted(effect, key=lambda name: -abs(effect[name]))[:_MAX_TRAITS]
        traits = tuple(n for n in strongest if abs(effect[n]) >= _MIN_TRAIT_EFFECT) or (
            strongest[0],
        )
        ends = [words_for(name, effect[name], config.feature_words) for name in traits]
        groups.append(
            SegmentDefinition(
                label=label,
                description=f"They {join_words([end.words for end in ends])}.",
                audience=tuple(dict.fromkeys(word for end in ends for word in end.audience)),
                interests=tuple(dict.fromkeys(word for end in ends for word in end.interests)),
                centre=centre,
                traits=traits,
            )
        )
    return tuple(groups)


def _standardised_column(index: int, scale: FeatureScale) -> str:
    value = f"coalesce({identifier(scale.feature)}, {literal(scale.median)})"
    clipped = f"least(greatest({value}, {literal(scale.low)}), {literal(scale.high)})"
    z = f"({clipped} - {literal(scale.mean)}) / {literal(scale.sd)} * 1e3 + 5e-1"
    return f"cast(floor({z}) as bigint) as z_{index}"


def _key(group: SegmentDefinition, index: int, count: int) -> str:
    squares = " + ".join(
        f"(z_{feature} - ({centre})) * (z_{feature} - ({centre}))"
        for feature, centre in enumerate(round(value * _THOUSAND) for value in group.centre)
    )
    return f"({squares}) * {count} + {index}"


def _confidence(count: int) -> str:
    """1 minus the ratio of the distances to the nearest and the second-nearest centre."""
    if count == 1:
        return "1e0"
    near, far = f"cast(best // {count} as double)", f"cast(runner_up // {count} as double)"
    return (
        f"case when runner_up // {count} = 0 then 0e0 "
        f"else floor((1e0 - sqrt({near} / {far})) * 1e4 + 5e-1) / 1e4 end"
    )


def _reasons(model: Model, columns: Mapping[str, ColumnKind]) -> str:
    scales = {scale.feature: (index, scale) for index, scale in enumerate(model.scales)}
    branches = []
    for index, group in enumerate(model.groups):
        parts = []
        for trait in group.traits:
            position, scale = scales[trait]
            centre = scale.mean + group.centre[position] * scale.sd
            parts.append(
                f"{literal(trait + ' ')} || {value_text(trait, columns[trait])} || "
                f"{literal(f' (centre {centre:.2f})')}"
            )
        start = literal(f"nearest to the centre of '{group.label}': ")
        text = f"{start} || " + " || ', ' || ".join(parts)
        note = merged_note(model, group)
        branches.append(
            f"when best = key_{index} then {text}" + (f" || {literal(note)}" if note else "")
        )
    return f"case {' '.join(branches)} end"
