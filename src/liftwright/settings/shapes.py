"""The shapes of the configuration: one model per file of config/, every key with its type.

What each key means to a person stands as a comment beside it in the shipped YAML; here stand the
types, ranges and defaults. Unknown keys are refused.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations at run time
from datetime import date  # noqa: TC003 - the same
from typing import Annotated, Literal

from pydantic import Field, model_validator

from liftwright.settings.azure import (
    Authentication,
    AzureContentSafety,
    AzureOpenAI,
    AzureSearch,
    KeyVault,
)
from liftwright.settings.shape import Count, Name, NotNegative, Positive, Shape, Share, Slug

# ── azure_config.yaml: which adapter serves each port ─────────────────────────────────────────


class Adapters(Shape):
    """The adapter of each port, by the name `wiring` knows it by."""

    complete: Name = "embedded"
    embed: Name = "embedded"
    search: Name = "embedded"
    screen: Name = "embedded"
    engine: Name = "duckdb"
    store: Name = "sqlite"
    track: Name = "json"
    secrets: Name = "environment"
    telemetry: Name = "off"


class OpenAICompatible(Shape):
    """A server that speaks the OpenAI wire format: Ollama, vLLM, llama.cpp, LM Studio."""

    base_url: Name
    model: Name
    api_key_secret: str | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.7
    max_output_tokens: Annotated[int, Field(ge=16)] = 800
    structured_output: bool = True


class Price(Shape):
    """What a model's tokens cost, in US dollars per million, as of a day."""

    input_usd_per_million: NotNegative
    cached_input_usd_per_million: NotNegative
    output_usd_per_million: NotNegative
    as_of: date


class Timeouts(Shape):
    """Seconds that one attempt may take, per port."""

    complete: Positive = 10.0
    embed: Positive = 10.0
    search: Positive = 1.0
    screen: Positive = 2.0


class Calls(Shape):
    """How calls to the outside are made."""

    retries: Annotated[int, Field(ge=0, le=10)] = 3
    backoff_seconds: NotNegative = 2.0
    max_wait_seconds: Positive = 60.0
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    timeout_seconds: Timeouts = Timeouts()


class Services(Shape):
    """azure_config.yaml."""

    adapters: Adapters = Adapters()
    openai_compatible: OpenAICompatible | None = None
    authentication: Authentication = Authentication()
    azure_openai: AzureOpenAI | None = None
    azure_search: AzureSearch | None = None
    azure_content_safety: AzureContentSafety | None = None
    key_vault: KeyVault | None = None
    calls: Calls = Calls()
    prices: Mapping[str, Price] = {}
    budget_usd: NotNegative | None = None
    engine_memory: Annotated[str, Field(pattern=r"^\d+(\.\d+)?\s?(MB|GB)$")] | None = None
    engine_threads: Count | None = None

    @property
    def writer(self) -> AzureOpenAI | OpenAICompatible | None:
        """The options of the language model that writes; None where it is none of these."""
        options: dict[str, AzureOpenAI | OpenAICompatible | None] = {
            "azure_openai": self.azure_openai,
            "openai_compatible": self.openai_compatible,
        }
        return options.get(self.adapters.complete)


# ── experiment_config.yaml ────────────────────────────────────────────────────────────────────


class Brand(Shape):
    """Who is speaking."""

    name: Name
    postal_address: Name
    unsubscribe_url: Name
    link_hosts: tuple[str, ...] = ()


class Content(Shape):
    """Where the approved content lies."""

    path: Name = "data/content/approved_content"
    on_bad_documents: Literal["refuse", "skip"] = "refuse"


class Retrieval(Shape):
    """How passages are chosen for a segment."""

    top_k: Annotated[int, Field(ge=3, le=5)] = 4
    min_score: Share = 0.5
    max_snippet_words: Annotated[int, Field(ge=20, le=200)] = 200
    categories: tuple[str, ...] = ()
    fallback_documents: tuple[str, ...] = ()


class Generation(Shape):
    """How drafts are asked for."""

    max_redrafts: Annotated[int, Field(ge=0, le=10)] = 3


class Grounding(Shape):
    """From which score a claim counts as supported or weak; what a draft may hold."""

    supported_score: Share = 0.7
    weak_score: Share = 0.5
    allow_weak: bool = True


class Approval(Shape):
    """Whether a person must approve each variant before anyone is assigned to it."""

    required: bool = False


class Engagement(Shape):
    """Real engagement; null simulates it, marked SIMULATED everywhere."""

    path: str | None = None


class Uplift(Shape):
    """A relative uplift of every engagement rate: its mean and spread over customers."""

    mean: Annotated[float, Field(ge=-1, le=10)] = 0.0
    sd: NotNegative = 0.0


class Simulation(Shape):
    """The seeded simulator of engagement."""

    delivery_rate: Share = 0.98
    uplift: Mapping[str, Uplift] = {}
    click_without_open_share: Share = 0.005
    conversion_rate_of_clicks: Share = 0.12
    default_open_rate: Share = 0.22
    default_click_rate: Share = 0.06


class Analysis(Shape):
    """How the results are tested."""

    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    power: Annotated[float, Field(gt=0, lt=1)] = 0.8
    correction: Literal["holm", "bh", "none"] = "holm"
    test_type: Literal["auto", "chi_square", "z_test", "fisher_exact", "t_test"] = "auto"
    primary_metric: Literal["open_rate", "click_rate", "conversion_rate", "revenue"] = "click_rate"


class Experiment(Shape):
    """experiment_config.yaml."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,79}$")]
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 20261
    brand: Brand
    channel: Name = "email"
    tones: Annotated[tuple[Slug, ...], Field(min_length=3, max_length=4)]
    shares: Mapping[str, Share] = {}
    content: Content = Content()
    retrieval: Retrieval = Retrieval()
    generation: Generation = Generation()
    grounding: Grounding = Grounding()
    approval: Approval = Approval()
    engagement: Engagement = Engagement()
    simulation: Simulation = Simulation()
    analysis: Analysis = Analysis()

    @property
    def arms(self) -> tuple[str, ...]:
        """Control first, then one arm per tone in configured order."""
        return ("control", *self.tones)

    def arm_shares(self) -> dict[str, float]:
        """Each arm's share of a segment; equal where none is configured."""
        if not self.shares:
            return {arm: 1 / len(self.arms) for arm in self.arms}
        return {arm: self.shares[arm] for arm in self.arms}

    @model_validator(mode="after")
    def _arms_agree(self) -> Experiment:
        if len(set(self.tones)) != len(self.tones) or "control" in self.tones:
            raise ValueError("tones must differ from each other and from 'control'")
        if self.shares and set(self.shares) != set(self.arms):
            raise ValueError(f"shares must name exactly these arms: {', '.join(self.arms)}")
        if self.shares and abs(sum(self.shares.values()) - 1) > 1e-9:  # noqa: PLR2004 - rounding
            raise ValueError(f"shares must sum to 1, not {sum(self.shares.values()):g}")
        if self.shares and not all(self.shares.values()):
            raise ValueError("shares must be above 0")
        unknown = set(self.simulation.uplift) - set(self.tones)
        if unknown:
            raise ValueError(f"simulation.uplift names {min(unknown)!r}, which is not a tone")
        if self.grounding.weak_score > self.grounding.supported_score:
            raise ValueError("grounding.weak_score must not exceed grounding.supported_score")
        return self


# ── customers.yaml ────────────────────────────────────────────────────────────────────────────


class Conversion(Shape):
    """A file's column that must be converted to become ours."""

    from_: Annotated[str, Field(alias="from", min_length=1)]
    as_: Annotated[
        Literal["text", "number", "integer", "years", "days_since", "percent"],
        Field(alias="as"),
    ] = "text"
    formats: tuple[str, ...] = ()
    values: Mapping[str, str] | None = None


class IdMap(Shape):
    """A table that turns the orders' ids into customer ids."""

    path: Name
    from_: Annotated[str, Field(alias="from", min_length=1)]
    to: Name


class Orders(Shape):
    """One file of orders, or of order lines."""

    path: Name
    id: Name | Conversion
    date: Name
    amount: Name
    formats: tuple[str, ...] = ()
    order_id: str | None = None
    id_map: IdMap | None = None


class Columns(Shape):
    """Our columns by the file's: a name, null where it has none, or a conversion."""

    customer_id: Name | Conversion = "customer_id"
    age: Name | Conversion | None = "age"
    location: Name | Conversion | None = "location"
    tier: Name | Conversion | None = "tier"
    purchase_frequency: Name | Conversion | None = "purchase_frequency"
    avg_order_value: Name | Conversion | None = "avg_order_value"
    last_engagement_days: Name | Conversion | None = "last_engagement_days"
    historical_open_rate: Name | Conversion | None = "historical_open_rate"
    historical_click_rate: Name | Conversion | None = "historical_click_rate"


class Customers(Shape):
    """customers.yaml."""

    path: str | None = "data/raw/customers.csv"
    columns: Columns = Columns()
    on_bad_rows: Literal["refuse", "reject"] = "refuse"
    orders: tuple[Orders, ...] = ()
    as_of: date | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> Customers:
        if self.path is None and not self.orders:
            raise ValueError("path is null and there are no orders: customers must come from one")
        return self


# ── safety_thresholds.yaml ────────────────────────────────────────────────────────────────────


class CategoryThresholds(Shape):
    """A threshold of its own for a category; null takes the general one."""

    hate: Annotated[int, Field(ge=0, le=7)] | None = None
    violence: Annotated[int, Field(ge=0, le=7)] | None = None
    self_harm: Annotated[int, Field(ge=0, le=7)] | None = None
    sexual: Annotated[int, Field(ge=0, le=7)] | None = None


class Safety(Shape):
    """safety_thresholds.yaml: a text is blocked where a severity is above its threshold."""

    threshold: Annotated[int, Field(ge=0, le=7)] = 4
    categories: CategoryThresholds = CategoryThresholds()

    def threshold_of(self, category: str) -> int:
        """The severity above which `category` blocks."""
        own: int | None = getattr(self.categories, category)
        return self.threshold if own is None else own


# ── segments.yaml ─────────────────────────────────────────────────────────────────────────────


class Condition(Shape):
    """A rule and its weight."""

    when: Name
    weight: Annotated[int, Field(ge=1, le=100)] = 1


class SegmentRule(Shape):
    """A segment by weighted conditions; one without conditions takes whom no other fits."""

    label: Name
    description: Name
    audience: tuple[str, ...] = ()
    interests: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()


class RfmBand(Shape):
    """A segment by the sum of the three scores, 3 to 15: from `at_least` up to the next band."""

    label: Name
    description: Name
    at_least: Annotated[int, Field(ge=3, le=15)]
    audience: tuple[str, ...] = ()
    interests: tuple[str, ...] = ()


class KMeans(Shape):
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


class FeatureWords(Shape):
    """What a feature at one end means: for a label, in a sentence, to the content index."""

    label: Name
    words: Name
    audience: tuple[str, ...] = ()
    interests: tuple[str, ...] = ()


class FeatureEnds(Shape):
    """The words for a feature that is low, and for one that is high."""

    low: FeatureWords
    high: FeatureWords


class Segments(Shape):
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
                raise ValueError(f"{name}: labels must differ")
            if any(label.strip().isdigit() for label in labels):
                raise ValueError(f"{name}: a label must be readable, not a number")
            if any(label.strip().casefold() == "all" for label in labels):
                raise ValueError(f"{name}: 'all' is the name of all segments together")
        return self

    @model_validator(mode="after")
    def _bands_cover(self) -> Segments:
        starts = sorted(band.at_least for band in self.rfm)
        if len(set(starts)) != len(starts) or starts[0] != 3:  # noqa: PLR2004 - the least sum
            raise ValueError(f"rfm: at_least is {starts}; they must differ, the lowest must be 3")
        return self

    @model_validator(mode="after")
    def _rules_have_conditions(self) -> Segments:
        if all(not rule.conditions for rule in self.rules):
            raise ValueError("rules: at least one segment needs conditions")
        return self


# ── channels.yaml ─────────────────────────────────────────────────────────────────────────────


class Form(Shape):
    """The limits of a message: subject in characters, body in words, footer not counted."""

    subject_max_characters: Annotated[int, Field(ge=10, le=200)] = 60
    body_min_words: Annotated[int, Field(ge=0, le=2000)] = 150
    body_max_words: Annotated[int, Field(ge=1, le=2000)] = 200

    @model_validator(mode="after")
    def _ordered(self) -> Form:
        if self.body_min_words > self.body_max_words:
            raise ValueError("body_min_words must not exceed body_max_words")
        return self


class Channel(Shape):
    """A channel: the limits of a variant and of the control message, and the footer."""

    variant: Form = Form()
    control: Form = Form(body_min_words=20)
    footer: str = ""


# ── frames/*.yaml ─────────────────────────────────────────────────────────────────────────────

Lines = Annotated[tuple[Name, ...], Field(min_length=1)]


class Frames(Shape):
    """A tone's frames for the grounded composer: wording without any claim."""

    subjects: Lines
    greetings: Lines
    openings: Lines
    bridges: Lines
    closings: Lines
    calls_to_action: Lines
