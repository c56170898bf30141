"""The fitted segmentation model: records that are stored and applied as SQL, also by later runs."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read at run time when a model is read back
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from liftwright.data import identifier, literal
from liftwright.errors import ConfigurationError
from liftwright.model import CUSTOMERS, ColumnKind, Segment

if TYPE_CHECKING:
    from collections.abc import Collection

    from liftwright.data import Tables

AGENT = "segmentation"
SCORES = {
    "recency_score": "last_engagement_days",
    "frequency_score": "purchase_frequency",
    "monetary_score": "avg_order_value",
}
"""The feature behind each score; recency is inverted: fewer days give a higher score."""

MAX_SCORE = 5
# Larger values overflow a 64-bit integer when counted in hundredths; a reason shows this limit.
_MAX_SHOWN = "9e14"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedRule:
    """A condition's text and its weight."""

    when: str
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentDefinition:
    """A segment as defined by the configuration or found by k-means.

    Attributes:
        rules: for the method `rules`; a definition without rules takes everyone else.
        at_least: for `rfm`, the lowest sum of scores.
        centre: for `kmeans`, per feature of the model, in standard deviations from the mean.
        traits: for `kmeans`, the most distinctive features, strongest first.
    """

    label: str
    description: str
    audience: tuple[str, ...] = ()
    interests: tuple[str, ...] = ()
    rules: tuple[WeightedRule, ...] = ()
    at_least: int = 0
    centre: tuple[float, ...] = ()
    traits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureScale:
    """How a feature is standardised.

    Attributes:
        median: replaces missing values.
        low, high: values are clipped to this range, so that a few outliers do not form a cluster.
        mean, sd: of the sample after imputing and clipping.
    """

    feature: str
    median: float
    low: float
    high: float
    mean: float
    sd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Everything needed to find a customer's segment, also for customers who arrive later.

    Attributes:
        method: rules | rfm | kmeans.
        groups: the segments as defined, in order of priority.
        edges: per score, the feature values from which it rises to 2, 3, 4 and 5 (recency: falls
            to 4, 3, 2, 1); fewer if many customers share a value.
        scales: for kmeans, the features in order.
        silhouettes: for kmeans, by number of clusters.
        merged: the target of each small segment that was merged.
    """

    method: str
    groups: tuple[SegmentDefinition, ...]
    edges: Mapping[str, tuple[float, ...]]
    scales: tuple[FeatureScale, ...] = ()
    silhouettes: Mapping[str, float] = field(default_factory=dict)
    merged: Mapping[str, str] = field(default_factory=dict)

    def final_label(self, label: str) -> str:
        """The segment that `label` belongs to after merging."""
        while label in self.merged:
            label = self.merged[label]
        return label


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """The content of segments.json: the segments, the fitted model and its warnings.

    Attributes:
        customers: the total number; the segment sizes add up to it.
        segments: those that have customers, in order of definition.
    """

    method: str
    customers: int
    segments: tuple[Segment, ...]
    model: Model
    warnings: tuple[str, ...] = ()

    @property
    def sizes(self) -> dict[str, int]:
        """Customers per segment."""
        return {segment.label: segment.size for segment in self.segments}


def fit_edges(tables: Tables, absent: Collection[str]) -> dict[str, tuple[float, ...]]:
    """The edges of every score whose feature is available.

    However many customers have no orders, none of them scores above 1 in frequency and monetary
    value (both 0), or in recency if nobody has been away for longer.
    """
    never = f"{identifier(SCORES['frequency_score'])} = 0e0"
    known = SCORES["frequency_score"] not in absent
    edges: dict[str, tuple[float, ...]] = {}
    for score, feature in SCORES.items():
        if feature not in absent:
            recency = score == "recency_score"
            statement = tables.sql(
                "score_edges",
                feature=identifier(feature),
                above="-1e0" if recency else "0e0",
                never=never if recency and known else "false",
            )
            ((*row,),) = tables.rows(statement)
            edges[score] = tuple(cast("float", edge) for edge in row if edge is not None)
    return edges


def score_columns(edges: Mapping[str, tuple[float, ...]]) -> str:
    """The scores as columns of a query on `customers`."""
    columns = []
    for score, thresholds in edges.items():
        feature = identifier(SCORES[score])
        steps = " ".join(
            f"{'-' if score == 'recency_score' else '+'} "
            f"case when {feature} >= {literal(edge)} then 1 else 0 end"
            for edge in thresholds
        )
        start = MAX_SCORE if score == "recency_score" else 1
        columns.append(f"{start} {steps} as {score}")
    return ", ".join(columns) or "0 as _no_score"


def select_list(used: Collection[str]) -> str:
    """The customer columns to select: the standard ones, and others that the segments use."""
    names = [*CUSTOMERS.names, *(name for name in sorted(used) if name not in CUSTOMERS.names)]
    return ", ".join(identifier(name) for name in names)


def customer_columns(tables: Tables) -> dict[str, ColumnKind]:
    """The columns of `customers`.

    Raises:
        ConfigurationError: a column has the name of a score.
    """
    columns = dict(tables.columns("customers"))
    for name in SCORES:
        if name in columns:
            raise ConfigurationError(
                f"customers.yaml: the customers have a column {name!r}, a name reserved for "
                "a computed column; rename or remove it"
            )
    return columns


def label_case(model: Model, conditions: Mapping[str, str]) -> str:
    """The SQL expression for a customer's final segment, given each group's condition."""
    *rest, last = model.groups
    branches = " ".join(
        f"when {conditions[group.label]} then {literal(model.final_label(group.label))}"
        for group in rest
    )
    final = literal(model.final_label(last.label))
    return f"case {branches} else {final} end" if rest else final


def merged_note(model: Model, group: SegmentDefinition) -> str:
    """The suffix of a reason if the group was merged into another; else empty."""
    if group.label not in model.merged:
        return ""
    return f"; '{group.label}' is too small and was merged into '{model.final_label(group.label)}'"


def fraction(numerator: str, denominator: int) -> str:
    """The SQL quotient of two integers as a double, rounded to 4 decimals in integer arithmetic."""
    return f"cast((20000 * ({numerator}) + {denominator}) // {2 * denominator} as double) / 1e4"


def value_text(column: str, kind: ColumnKind) -> str:
    """A column as text in the same format on every engine; numbers have two decimals."""
    name = identifier(column)
    if kind is ColumnKind.NUMBER:
        hundredths = f"cast(floor(least(abs({name}), {_MAX_SHOWN}) * 1e2 + 5e-1) as bigint)"
        text = (
            f"case when {name} < 0e0 then '-' else '' end || "
            f"cast({hundredths} // 100 as varchar) || "
            f"case when {hundredths} % 100 = 0 then '' "
            f"else '.' || substr(cast(100 + {hundredths} % 100 as varchar), 2, 2) end"
        )
    elif kind is ColumnKind.TEXT:
        text = name
    else:
        text = f"cast({name} as varchar)"
    return f"coalesce({text}, 'none')"
