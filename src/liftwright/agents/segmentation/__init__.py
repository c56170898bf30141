"""The segmentation agent: every customer in exactly one of 3 to 5 segments, with a reason."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, cast

from liftwright import log
from liftwright.agents.segmentation import kmeans, rfm, rules
from liftwright.agents.segmentation.model import (
    AGENT,
    HIGHEST_SCORE,
    SCORES,
    Group,
    Model,
    Scale,
    Segmentation,
    WeightedRule,
    columns_needed,
    customer_columns,
    fit_edges,
    score_columns,
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
    "Group",
    "Model",
    "Scale",
    "Segmentation",
    "WeightedRule",
    "place_customers",
    "segment_customers",
]

_FEWEST = 3


def segment_customers(
    tables: Tables, config: Segments, *, seed: int, absent: Collection[str] = ()
) -> Segmentation:
    """Learn the segments from `customers` and make the table `segmented`.

    Args:
        tables: holds `customers`.
        config: the method and its parameters.
        seed: draws the sample that k-means learns from; the other methods draw nothing.
        absent: features that the customers do not have at all.

    Raises:
        ConfigurationError: a rule or feature is not one, or is absent.
        NoExperiment: there are no customers.
    """
    if not tables.count("customers"):
        raise NoExperiment("no experiment: there are no customers")
    model = _fit(tables, config, seed, absent)
    place_customers(tables, model)
    if config.merge_small and (merged := _merge(tables, model, config.minimum_share)):
        model = dataclasses.replace(model, merged=merged)
        place_customers(tables, model)
    segments = summarise(tables, model, config)
    warnings = _warnings(model, config, {segment.label: segment.share for segment in segments})
    for warning in warnings:
        log.event("segmentation_warned", agent=AGENT, level="warning", warning=warning)
    found = Segmentation(
        method=model.method,
        customers=sum(segment.size for segment in segments),
        segments=segments,
        model=model,
        warnings=warnings,
    )
    log.event("customers_segmented", agent=AGENT, method=model.method, segments=found.sizes)
    return found


def place_customers(tables: Tables, model: Model) -> None:
    """Make `segmented` from `customers` by what was learnt before, and `profiles` beside it.

    `profiles` has one row per customer too: id, segment, confidence, reason, tier, location, the
    features and the scores. Where scores alone decide, it is a view, as to look up what they come
    to is quick; else it is parked in a file, as a table of all customers would fill memory.

    Raises:
        ConfigurationError: a rule uses a column that the customers do not have.
    """
    used = _columns_used(tables, model)
    tables.keep(
        "scored",
        tables.sql("scored", columns=columns_needed(used), scores=score_columns(model.edges)),
        stored=False,
    )
    tables.keep(
        "placed",
        _statement(tables, model, "scored") if used else _placed_by_scores(tables, model),
        stored=False,
    )
    columns = ", ".join(identifier(name) for name in ("tier", "location", *FEATURES, *model.edges))
    profiles = (
        "select customer_id, _label as segment, _confidence as confidence, "  # noqa: S608 - built
        f"_reason as reason, {columns} from placed"
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


def _placed_by_scores(tables: Tables, model: Model) -> str:
    """The statement that looks up what each customer's scores come to.

    There are few ways to score (5 to the power of the scores): the model places each of them once.
    """
    scores = list(model.edges)
    ways = list(itertools.product(range(1, HIGHEST_SCORE + 1), repeat=len(scores)))
    tables.keep(
        "score_cases",
        tables.sql(
            "score_cases",
            names=", ".join(("place", *scores)),
            cases=", ".join(f"({', '.join(map(str, (n, *way)))})" for n, way in enumerate(ways, 1)),
        ),
    )
    placing = _statement(tables, model, "score_cases")
    placed = tables.rows(
        f"select _label, _confidence, _reason from ({placing}) as found order by place"  # noqa: S608 - built
    )
    steps = [HIGHEST_SCORE**power for power in reversed(range(len(scores)))]
    place = " + ".join(f"({score} - 1) * {step}" for score, step in zip(scores, steps, strict=True))
    labels, confidences, reasons = zip(*placed, strict=True)
    return tables.sql(
        "segment_by_scores",
        place=f"{place} + 1" if place else "1",
        label=text_at([str(label) for label in labels], "place"),
        confidence=number_at([cast("float", one) for one in confidences], "place"),
        reason=text_at([str(reason) for reason in reasons], "place"),
    )


def _columns_used(tables: Tables, model: Model) -> set[str]:
    """The customers' columns, apart from the scores, that decide where one is placed."""
    if model.method == "rules":
        return rules.columns_used(tables, model)
    return kmeans.columns_used(model) if model.method == "kmeans" else set()


def _statement(tables: Tables, model: Model, scored: str) -> str:
    by_method = {"rules": rules.statement, "rfm": rfm.statement, "kmeans": kmeans.statement}
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
    """Which small segments go into which others, smallest first, while more than 3 remain."""
    sizes, centres = _centres(tables, model)
    total = sum(sizes.values())
    merged: dict[str, str] = {}
    while len(sizes) > _FEWEST:
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
    """Each segment's size and mean scores; customers without a score are compared by size alone."""
    means = ", ".join(f"avg({score})" for score in model.edges) or "0e0"
    rows = tables.rows(
        f"select segment, count(*), {means} from profiles group by segment"  # noqa: S608 - built
    )
    found = {str(label): (cast("int", size), values) for label, size, *values in rows}
    order = [group.label for group in model.groups if group.label in found]
    sizes = {label: found[label][0] for label in order}
    centres = {label: tuple(float(cast("float", v)) for v in found[label][1]) for label in order}
    return sizes, centres


def _distance(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


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
    if len(shares) < _FEWEST:
        warnings.append(
            f"only {len(shares)} of {_FEWEST} to 5 segments have customers; the customers are "
            "too similar for this method"
        )
    missing = [
        name
        for name in config.kmeans.features
        if model.method == "kmeans" and name not in {scale.feature for scale in model.scales}
    ]
    if missing:
        warnings.append(f"no customer column {', '.join(missing)}; clustered without")
    return tuple(warnings)
