"""The segmentation agent: every customer in exactly one of 3 to 5 segments, with a reason."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, cast

from liftwright import log
from liftwright.agents.segmentation import kmeans, rfm, rules
from liftwright.agents.segmentation.model import (
    AGENT,
    MAX_SCORE,
    SCORES,
    FeatureScale,
    Model,
    Segmentation,
    SegmentDefinition,
    WeightedRule,
    customer_columns,
    fit_edges,
    score_columns,
    select_list,
)
from liftwright.agents.segmentation.summary import summarise
from liftwright.data import identifier, number_at, text_at
from liftwright.errors import NoExperiment
from liftwright.model import FEATURES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from liftwright.config import Segments
    from liftwright.data import Tables

__all__ = [
    "SCORES",
    "FeatureScale",
    "Model",
    "SegmentDefinition",
    "Segmentation",
    "WeightedRule",
    "assign_segments",
    "segment_customers",
]

_MIN_SEGMENTS = 3


def segment_customers(
    tables: Tables, config: Segments, *, seed: int, absent: Collection[str] = ()
) -> Segmentation:
    """Fit the segments on `customers` and create the table `segmented`.

    Args:
        tables: holds `customers`.
        config: the method and its parameters.
        seed: for the sample that k-means is fitted on; unused by the other methods.
        absent: features that the customer data does not have.

    Raises:
        ConfigurationError: a rule is invalid, or a feature is unknown or absent.
        NoExperiment: there are no customers.
    """
    if not tables.count("customers"):
        raise NoExperiment("no experiment: there are no customers")
    model = _fit(tables, config, seed, absent)
    assign_segments(tables, model)
    if config.merge_small and (merged := _merge(tables, model, config.minimum_share)):
        model = dataclasses.replace(model, merged=merged)
        assign_segments(tables, model)
    segments = summarise(tables, model, config)
    warnings = _warnings(model, config, {segment.label: segment.share for segment in segments})
    for warning in warnings:
        log.event("segmentation_warned", agent=AGENT, level="warning", warning=warning)
    segmentation = Segmentation(
        method=model.method,
        customers=sum(segment.size for segment in segments),
        segments=segments,
        model=model,
        warnings=warnings,
    )
    log.event("customers_segmented", agent=AGENT, method=model.method, segments=segmentation.sizes)
    return segmentation


def assign_segments(tables: Tables, model: Model) -> None:
    """Apply a fitted model to `customers`: creates the tables `segmented` and `profiles`.

    `profiles` has one row per customer: id, segment, confidence, reason, tier, location, features
    and scores. If only scores decide, it is a view, because looking up their combination is fast;
    otherwise it is written to a file, because it could fill the memory.

    Raises:
        ConfigurationError: a rule uses a column that does not exist.
    """
    used = _columns_used(tables, model)
    tables.keep(
        "scored",
        tables.sql("scored", columns=select_list(used), scores=score_columns(model.edges)),
        stored=False,
    )
    tables.keep(
        "labelled",
        _segment_sql(tables, model, "scored") if used else _lookup_by_scores(tables, model),
        stored=False,
    )
    columns = ", ".join(identifier(name) for name in ("tier", "location", *FEATURES, *model.edges))
    profiles = (
        "select customer_id, _label as segment, _confidence as confidence, "  # noqa: S608 - built
        f"_reason as reason, {columns} from labelled"
    )
    if used:
        tables.materialize("profiles", profiles)
    else:
        tables.keep("profiles", profiles, stored=False)
    tables.keep(
        "segmented",
        "select customer_id, segment, confidence, reason from profiles",
        stored=False,
    )


def _lookup_by_scores(tables: Tables, model: Model) -> str:
    """The query that looks up each customer's combination of scores.

    There are few combinations (5 to the power of the number of scores), so the model is applied to
    each of them only once.
    """
    scores = list(model.edges)
    combinations = list(itertools.product(range(1, MAX_SCORE + 1), repeat=len(scores)))
    tables.keep(
        "score_combinations",
        tables.sql(
            "score_combinations",
            names=", ".join(("position", *scores)),
            cases=", ".join(
                f"({', '.join(map(str, (position, *combination)))})"
                for position, combination in enumerate(combinations, 1)
            ),
        ),
    )
    query = _segment_sql(tables, model, "score_combinations")
    rows = tables.rows(
        f"select _label, _confidence, _reason from ({query}) as labelled order by position"  # noqa: S608 - built
    )
    steps = [MAX_SCORE**power for power in reversed(range(len(scores)))]
    terms = (f"({score} - 1) * {step}" for score, step in zip(scores, steps, strict=True))
    labels, confidences, reasons = zip(*rows, strict=True)
    return tables.sql(
        "segment_lookup",
        position=" + ".join((*terms, "1")),
        label=text_at([str(label) for label in labels], "position"),
        confidence=number_at([cast("float", value) for value in confidences], "position"),
        reason=text_at([str(reason) for reason in reasons], "position"),
    )


def _columns_used(tables: Tables, model: Model) -> set[str]:
    """The customer columns, other than scores, that the segments depend on."""
    if model.method == "rules":
        return rules.columns_used(tables, model)
    return kmeans.columns_used(model) if model.method == "kmeans" else set()


def _segment_sql(tables: Tables, model: Model, scored: str) -> str:
    by_method = {"rules": rules.segment_sql, "rfm": rfm.segment_sql, "kmeans": kmeans.segment_sql}
    return by_method[model.method](tables, model, scored)


def _fit(tables: Tables, config: Segments, seed: int, absent: Collection[str]) -> Model:
    customer_columns(tables)
    edges = fit_edges(tables, absent)
    if config.method == "rules":
        return rules.fit(tables, config, edges, absent)
    if config.method == "rfm":
        return rfm.fit(config, edges, absent)
    return kmeans.fit(tables, config, edges, seed=seed, absent=absent)


def _merge(tables: Tables, model: Model, minimum: float) -> dict[str, str]:
    """The target of each segment that is too small, smallest first, while more than 3 remain."""
    sizes, centres = _centres(tables, model)
    total = sum(sizes.values())
    merged: dict[str, str] = {}
    while len(sizes) > _MIN_SEGMENTS:
        smallest = min(sizes, key=lambda label: (sizes[label], label))
        if sizes[smallest] >= minimum * total:
            break
        others = [label for label in sizes if label != smallest]
        nearest = min(others, key=lambda label: _distance(centres[label], centres[smallest]))
        merged[smallest] = nearest
        both = sizes[nearest] + sizes[smallest]
        centres[nearest] = tuple(
            (a * sizes[nearest] + b * sizes[smallest]) / both
            for a, b in zip(centres[nearest], centres[smallest], strict=True)
        )
        sizes[nearest] = both
        del sizes[smallest]
        log.event("segment_merged", agent=AGENT, segment=smallest, into=nearest)
    return merged


def _centres(tables: Tables, model: Model) -> tuple[dict[str, int], dict[str, tuple[float, ...]]]:
    """Each segment's size and mean scores; without scores, segments are compared by size alone."""
    means = ", ".join(f"avg({score})" for score in model.edges) or "0e0"
    rows = tables.rows(
        f"select segment, count(*), {means} from profiles group by segment"  # noqa: S608 - built
    )
    stats = {str(label): (cast("int", size), values) for label, size, *values in rows}
    order = [group.label for group in model.groups if group.label in stats]
    sizes = {label: stats[label][0] for label in order}
    centres = {label: tuple(float(cast("float", v)) for v in stats[label][1]) for label in order}
    return sizes, centres


def _distance(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    return sum((a - b) ** 2 for a, b in zip(first, second, strict=True))


def _warnings(model: Model, config: Segments, shares: Mapping[str, float]) -> tuple[str, ...]:
    warnings = [
        f"segment '{group.label}' has no customers and was dropped"
        for group in model.groups
        if group.label not in shares and group.label not in model.merged
    ]
    warnings += [
        f"segment '{label}' has {share:.1%} of the customers, below the minimum of "
        f"{config.minimum_share:.1%}"
        for label, share in shares.items()
        if share < config.minimum_share
    ]
    warnings += [
        f"segment '{small}' was below the minimum of {config.minimum_share:.1%} and was merged "
        f"into '{into}'"
        for small, into in model.merged.items()
    ]
    if len(shares) < _MIN_SEGMENTS:
        warnings.append(
            f"only {len(shares)} of {_MIN_SEGMENTS} to 5 segments have customers; the customers "
            "are too similar for this method"
        )
    missing = [
        name
        for name in config.kmeans.features
        if model.method == "kmeans" and name not in {scale.feature for scale in model.scales}
    ]
    if missing:
        warnings.append(f"clustered without {', '.join(missing)}: no such customer column")
    return tuple(warnings)
