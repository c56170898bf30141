"""What was learnt once about all customers, as records; it is applied as SQL, and again later."""

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
"""The score that each feature gives; recency is turned round, as few days are recent."""

HIGHEST_SCORE = 5
# Beyond this a number's hundredths leave a 64-bit integer; a reason then shows the limit.
_LARGEST_SHOWN = "9e14"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedRule:
    """A condition's text and its weight."""

    when: str
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One segment as it was defined, before anyone was placed.

    Attributes:
        rules: for the method `rules`; none takes whom no other group fits.
        at_least: for `rfm`, the least sum of scores.
        centre: for `kmeans`, per feature of the model, in standard deviations from the mean.
        traits: for `kmeans`, the features that set the group apart, the strongest first.
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
class Scale:
    """How a feature is standardised.

    Attributes:
        median: stands in where the feature is missing.
        low, high: values beyond count as these, so that a few extremes make no cluster of theirs.
        mean, sd: of the sample after that.
    """

    feature: str
    median: float
    low: float
    high: float
    mean: float
    sd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """All that is needed to place a customer, also one who comes later.

    Attributes:
        method: rules | rfm | kmeans.
        groups: the segments as defined, in order of priority.
        edges: per score, the feature's values from which it rises to 2, 3, 4 and 5 (recency: falls
            to 4, 3, 2, 1); fewer where many customers share a value.
        scales: for kmeans, the features in order.
        silhouettes: for kmeans, by number of clusters.
        merged: small segments and the one that took each in.
    """

    method: str
    groups: tuple[Group, ...]
    edges: Mapping[str, tuple[float, ...]]
    scales: tuple[Scale, ...] = ()
    silhouettes: Mapping[str, float] = field(default_factory=dict)
    merged: Mapping[str, str] = field(default_factory=dict)

    def final_label(self, label: str) -> str:
        """The segment that holds those of group `label` after merging."""
        while label in self.merged:
            label = self.merged[label]
        return label


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """The content of segments.json: the segments, how they came to be, and what to beware of.

    Attributes:
        customers: all; the sizes of the segments sum to it.
        segments: those with customers, in order of definition.
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
    """The edges of the scores whose features the customers have."""
    edges: dict[str, tuple[float, ...]] = {}
    for score, feature in SCORES.items():
        if feature not in absent:
            ((*found,),) = tables.rows(tables.sql("score_edges", feature=identifier(feature)))
            edges[score] = tuple(cast("float", edge) for edge in found if edge is not None)
    return edges


def score_columns(edges: Mapping[str, tuple[float, ...]]) -> str:
    """The scores as columns of a statement on `customers`."""
    columns = []
    for score, thresholds in edges.items():
        feature = identifier(SCORES[score])
        steps = " ".join(
            f"{'-' if score == 'recency_score' else '+'} "
            f"case when {feature} >= {literal(edge)} then 1 else 0 end"
            for edge in thresholds
        )
        start = HIGHEST_SCORE if score == "recency_score" else 1
        columns.append(f"{start} {steps} as {score}")
    return ", ".join(columns) or "0 as _no_score"


def columns_needed(own: Collection[str] = ()) -> str:
    """The customers' columns that a placing statement carries along."""
    names = [*CUSTOMERS.names, *(name for name in sorted(own) if name not in CUSTOMERS.names)]
    return ", ".join(identifier(name) for name in names)


def customer_columns(tables: Tables) -> dict[str, ColumnKind]:
    """The columns of `customers`; refuses one that has the name of a score.

    Raises:
        ConfigurationError: such a column exists.
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
    """The final segment of each customer; `conditions` say when a group was chosen."""
    *rest, last = model.groups
    branches = " ".join(
        f"when {conditions[group.label]} then {literal(model.final_label(group.label))}"
        for group in rest
    )
    final = literal(model.final_label(last.label))
    return f"case {branches} else {final} end" if rest else final


def merged_note(model: Model, group: Group) -> str:
    """What a reason adds where the group was merged into another."""
    if group.label not in model.merged:
        return ""
    return f"; '{group.label}' is too small and was merged into '{model.final_label(group.label)}'"


def fraction(numerator: str, denominator: int) -> str:
    """A whole number over another as a double, rounded to 4 decimals by whole-number arithmetic."""
    return f"cast((20000 * ({numerator}) + {denominator}) // {2 * denominator} as double) / 1e4"


def value_text(column: str, kind: ColumnKind) -> str:
    """A column's value as text that reads alike on every engine; numbers to two decimals."""
    name = identifier(column)
    if kind is ColumnKind.NUMBER:
        hundredths = f"cast(floor(least(abs({name}), {_LARGEST_SHOWN}) * 1e2 + 5e-1) as bigint)"
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
