"""The base model of the configuration, and the models of the smaller files of config/.

Those files are customers, engagement, safety, segments, channels and frames. Comments in the
shipped YAML explain each key; the models have the types, ranges and defaults. Unknown keys are
refused.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations at run time
from datetime import date  # noqa: TC003 - the same
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from liftwright.model import CUSTOMERS, ColumnKind

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(min_length=1)]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


def _known_encoding(name: str) -> str:
    """The name in Python's spelling; raises if Python does not know it as an encoding of text."""
    try:
        found = codecs.lookup(name)
    except LookupError:
        found = None
    # Python also calls rot13 and base64 codecs.
    if found is None or not getattr(found, "_is_text_encoding", True):
        raise ValueError("not an encoding; allowed: such as cp1252, mac_roman, shift_jis or utf-16")
    return found.name


class ConfigModel(BaseModel):
    """A frozen mapping that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FileLayout(ConfigModel):
    """Where the table in a file is, as far as the file itself does not show it; null detects it."""

    encoding: Annotated[str, AfterValidator(_known_encoding)] | None = None
    delimiter: Annotated[str, Field(pattern=r"^[^\w\"\r\n]$")] | None = None
    skip_rows: Annotated[int, Field(ge=0)] | None = None
    sheet: Name | None = None

    @property
    def layout(self) -> dict[str, object]:
        """These options alone, without the keys of a subclass."""
        return {name: getattr(self, name) for name in FileLayout.model_fields}


class FileOptions(FileLayout):
    """How a table file and the numbers in it are written."""

    decimal: Literal[".", ","] = "."
    thousands: Literal[".", ",", "'", " "] | None = None

    @property
    def file_options(self) -> FileOptions:
        """These options alone, without the keys of a subclass; hashable."""
        return FileOptions(**{name: getattr(self, name) for name in FileOptions.model_fields})

    @model_validator(mode="after")
    def _has_two_separators(self) -> Self:
        if self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}; they must differ")
        return self


class ContentDefaults(ConfigModel):
    """The fields of documents that state none; None if they stay unknown."""

    approval_date: date | None = None
    category: Name | None = None


class ContentFile(ConfigModel):
    """content.yaml."""

    defaults: ContentDefaults = ContentDefaults()


class Conversion(ConfigModel):
    """A file's column and its conversion to one of ours."""

    from_: Annotated[str, Field(alias="from", min_length=1)]
    as_: Annotated[
        Literal["text", "number", "integer", "years", "days_since", "percent", "per_year"],
        Field(alias="as"),
    ] = "text"
    formats: tuple[str, ...] = ()
    values: Mapping[str, str] | None = None
    divide_by: Name | None = None
    since: Name | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The file's columns that are read."""
        return tuple(name for name in (self.from_, self.divide_by, self.since) if name is not None)

    @model_validator(mode="after")
    def _counts_from_a_date(self) -> Self:
        if (self.as_ == "per_year") != (self.since is not None):
            raise ValueError("as: per_year and since need each other")
        return self


class IdMap(FileOptions):
    """A file that maps the orders' ids to customer ids."""

    path: Name
    from_: Annotated[Name | Conversion, Field(alias="from")]
    to: Name | Conversion


class Orders(FileOptions):
    """A file of orders or order lines."""

    path: Name
    id: Name | Conversion
    date: Name
    amount: Name
    formats: tuple[str, ...] = ()
    order_id: str | None = None
    id_map: IdMap | None = None
    where: Name | None = None
    refund: Name | None = None
    currency: Name | None = None
    rates: Mapping[Name, Positive] = {}

    @model_validator(mode="after")
    def _rates_need_a_currency(self) -> Orders:
        if self.rates and self.currency is None:
            raise ValueError("rates need the column of each order's currency: set currency")
        return self


class CustomerColumns(ConfigModel):
    """How each of our columns is read: a column's name, null for none, or a conversion."""

    customer_id: Name | Conversion = "customer_id"
    age: Name | Conversion | None = "age"
    location: Name | Conversion | None = "location"
    tier: Name | Conversion | None = "tier"
    purchase_frequency: Name | Conversion | None = "purchase_frequency"
    avg_order_value: Name | Conversion | None = "avg_order_value"
    last_engagement_days: Name | Conversion | None = "last_engagement_days"
    historical_open_rate: Name | Conversion | None = "historical_open_rate"
    historical_click_rate: Name | Conversion | None = "historical_click_rate"


class Customers(FileOptions):
    """customers.yaml."""

    path: str | None = "data/raw/customers.csv"
    columns: CustomerColumns = CustomerColumns()
    missing: Mapping[str, str | float | None] = {}
    on_bad_rows: Literal["refuse", "reject"] = "refuse"
    on_same_address: Literal["refuse", "merge"] = "refuse"
    orders: tuple[Orders, ...] = ()
    as_of: date | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths or URLs of all files that customers are read from."""
        paths = [self.path] if self.path else []
        for orders in self.orders:
            paths += [orders.path, *([orders.id_map.path] if orders.id_map else [])]
        return tuple(paths)

    @field_validator("missing")
    @classmethod
    def _are_defaults(
        cls, missing: Mapping[str, str | float | None]
    ) -> Mapping[str, str | float | None]:
        columns = {column.name: column for column in CUSTOMERS.columns[1:]}
        for name, value in missing.items():
            if name not in columns:
                raise ValueError(f"found {name!r}, allowed: {', '.join(columns)}")
            column = columns[name]
            is_text = column.kind is ColumnKind.TEXT
            if value is None or (is_text and isinstance(value, str)):
                continue
            if is_text or isinstance(value, str):
                expected = "a text" if is_text else "a number"
                raise ValueError(f"{name}: found {value!r}, allowed: {expected}")
            if not (column.low or 0.0) <= value <= (column.high or math.inf):
                raise ValueError(f"{name}: found {value!r}, outside of the column's range")
        return missing

    @model_validator(mode="after")
    def _has_a_source(self) -> Customers:
        if self.path is None and not self.orders:
            raise ValueError("path is null and there are no orders; set one of them")
        return self


class EngagementColumns(ConfigModel):
    """How each column of real outcomes is read; null ignores a column with our name."""

    customer_id: Name | Conversion | None = "customer_id"
    arm: Name | Conversion | None = "arm"
    variant_id: Name | Conversion | None = "variant_id"
    delivered: Name | Conversion | None = "delivered"
    opened: Name | Conversion | None = "opened"
    clicked: Name | Conversion | None = "clicked"
    converted: Name | Conversion | None = "converted"
    revenue: Name | Conversion | None = "revenue"
    unsubscribed: Name | Conversion | None = "unsubscribed"
    complained: Name | Conversion | None = "complained"
    bounced: Name | Conversion | None = "bounced"
    delivered_at: Name | Conversion | None = "delivered_at"
    opened_at: Name | Conversion | None = "opened_at"
    clicked_at: Name | Conversion | None = "clicked_at"
    converted_at: Name | Conversion | None = "converted_at"


class EngagementEvents(ConfigModel):
    """A file with one row per event: the column of its name, and the names of our outcomes."""

    event: Name
    time: Name | Conversion | None = None
    delivered: tuple[Name, ...] = ()
    opened: tuple[Name, ...] = ()
    clicked: tuple[Name, ...] = ()
    converted: tuple[Name, ...] = ()
    unsubscribed: tuple[Name, ...] = ()
    complained: tuple[Name, ...] = ()
    bounced: tuple[Name, ...] = ()


class EngagementFormat(FileLayout):
    """engagement.yaml: how a file of real outcomes is read."""

    preset: Literal["mailchimp", "klaviyo", "sendgrid", "hubspot", "braze"] | None = None
    columns: EngagementColumns = EngagementColumns()
    events: EngagementEvents | None = None
    id_map: IdMap | None = None
    decimal: Literal[".", ","] | None = None
    unknown_ids: Literal["refuse", "ignore"] = "refuse"


class CategoryThresholds(ConfigModel):
    """The threshold of each category; null takes the general one."""

    hate: Annotated[int, Field(ge=0, le=7)] | None = None
    violence: Annotated[int, Field(ge=0, le=7)] | None = None
    self_harm: Annotated[int, Field(ge=0, le=7)] | None = None
    sexual: Annotated[int, Field(ge=0, le=7)] | None = None


class Safety(ConfigModel):
    """safety_thresholds.yaml: a text is blocked if a severity is above its threshold."""

    threshold: Annotated[int, Field(ge=0, le=7)] = 4
    categories: CategoryThresholds = CategoryThresholds()

    def threshold_of(self, category: str) -> int:
        """The severity above which `category` blocks."""
        specific: int | None = getattr(self.categories, category)
        return self.threshold if specific is None else specific


class Condition(ConfigModel):
    """A rule and its weight."""

    when: Name
    weight: Annotated[int, Field(ge=1, le=100)] = 1


class SegmentRule(ConfigModel):
    """A segment by weighted conditions; one without conditions takes the remaining customers."""

    label: Name
    description: Name
    audience: tuple[str, ...] = ()
    interests: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()


class RfmBand(ConfigModel):
    """A segment by the sum of the three scores, 3 to 15: from `at_least` up to the next band."""

    label: Name
    description: Name
    at_least: Annotated[int, Field(ge=3, le=15)]
    audience: tuple[str, ...] = ()
    interests: tuple[str, ...] = ()


class KMeans(ConfigModel):
    """Clusters of standardised features."""

    k_min: Annotated[int, Field(ge=3, le=5)] = 3
    k_max: Annotated[int, Field(ge=3, le=5)] = 5
    features: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "purchase_frequency",
        "avg_order_value",
        "last_engagement_days",
        "historical_open_rate",
        "historical_click_rate",
    )
    sample_rows: Annotated[int, Field(ge=100, le=100_000)] = 100_000

    @model_validator(mode="after")
    def _ordered(self) -> KMeans:
        if self.k_min > self.k_max:
            raise ValueError("k_min must not exceed k_max")
        return self


class FeatureWords(ConfigModel):
    """Words for a low or a high feature: for labels, sentences and content queries."""

    label: Name
    words: Name
    audience: tuple[str, ...] = ()
    interests: tuple[str, ...] = ()


class FeatureEnds(ConfigModel):
    """The words for a low and for a high feature."""

    low: FeatureWords
    high: FeatureWords


class Segments(ConfigModel):
    """segments.yaml."""

    method: Literal["rules", "rfm", "kmeans"] = "rules"
    minimum_share: Share = 0.1
    merge_small: bool = False
    rules: Annotated[tuple[SegmentRule, ...], Field(min_length=3, max_length=5)]
    rfm: Annotated[tuple[RfmBand, ...], Field(min_length=3, max_length=5)]
    kmeans: KMeans = KMeans()
    feature_words: Mapping[str, FeatureEnds]

    @model_validator(mode="after")
    def _labels_differ(self) -> Segments:
        for name, labels in (
            ("rules", [rule.label for rule in self.rules]),
            ("rfm", [band.label for band in self.rfm]),
        ):
            if len(set(labels)) != len(labels):
                raise ValueError(f"{name}: labels must be unique")
            if any(label.strip().isdigit() for label in labels):
                raise ValueError(f"{name}: a label must be text, not a number")
            if any(label.strip().casefold() == "all" for label in labels):
                raise ValueError(f"{name}: 'all' is reserved for all segments together")
        return self

    @model_validator(mode="after")
    def _bands_cover(self) -> Segments:
        starts = sorted(band.at_least for band in self.rfm)
        if len(set(starts)) != len(starts) or starts[0] != 3:  # noqa: PLR2004 - the least sum
            raise ValueError(
                f"rfm: at_least is {starts}; they must be unique and the lowest must be 3"
            )
        return self

    @model_validator(mode="after")
    def _rules_have_conditions(self) -> Segments:
        if all(not rule.conditions for rule in self.rules):
            raise ValueError("rules: at least one segment needs conditions")
        return self


class MessageLimits(ConfigModel):
    """The limits of a message: subject in characters, body in words without the footer."""

    subject_max_characters: Annotated[int, Field(ge=10, le=200)] = 60
    body_min_words: Annotated[int, Field(ge=0, le=2000)] = 150
    body_max_words: Annotated[int, Field(ge=1, le=2000)] = 200

    @model_validator(mode="after")
    def _ordered(self) -> MessageLimits:
        if self.body_min_words > self.body_max_words:
            raise ValueError("body_min_words must not exceed body_max_words")
        return self


class Channel(ConfigModel):
    """A channel: the limits of a variant and of the control message, and the footer."""

    variant: MessageLimits = MessageLimits()
    control: MessageLimits = MessageLimits(body_min_words=20)
    footer: str = ""


Lines = Annotated[tuple[Name, ...], Field(min_length=1)]


class Frames(ConfigModel):
    """A tone's frames for the grounded composer: texts without any claim."""

    subjects: Lines
    greetings: Lines
    openings: Lines
    bridges: Lines
    closings: Lines
    calls_to_action: Lines
