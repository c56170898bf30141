"""The models of experiment_config.yaml: the campaign, and the analysis of its result."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations at run time
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from liftwright.config.models import ConfigModel, Name, NotNegative, Share, Slug
from liftwright.model import METRICS
from liftwright.model.metrics import BY_NAME, parse_guardrail


class Brand(ConfigModel):
    """The sender of the messages."""

    name: Name
    postal_address: Name
    unsubscribe_url: Name
    link_hosts: tuple[str, ...] = ()


class Content(ConfigModel):
    """The location of the approved content."""

    path: Name = "data/content/approved_content"
    on_bad_documents: Literal["refuse", "skip"] = "refuse"


class Retrieval(ConfigModel):
    """How passages are chosen for a segment."""

    top_k: Annotated[int, Field(ge=3, le=5)] = 4
    min_score: Share = 0.5
    max_snippet_words: Annotated[int, Field(ge=20, le=200)] = 200
    categories: tuple[str, ...] = ()
    fallback_documents: tuple[str, ...] = ()


class Generation(ConfigModel):
    """How drafts are requested."""

    max_redrafts: Annotated[int, Field(ge=0, le=10)] = 3


class Grounding(ConfigModel):
    """The scores from which a claim counts as supported or weak, and whether weak is allowed."""

    supported_score: Share = 0.7
    weak_score: Share = 0.5
    allow_weak: bool = True


class ApprovalSettings(ConfigModel):
    """Whether a person must approve each variant before anyone is assigned to it."""

    required: bool = False


class Holdout(ConfigModel):
    """Customers that no campaign mails, selected by a salt."""

    share: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    salt: Name = "holdout"


class Exclusions(ConfigModel):
    """Customers that this campaign must not mail; `consent` names those it may."""

    rules: tuple[Name, ...] = ()
    consent: tuple[Name, ...] = ()
    suppressed: str | None = None
    assigned_within_days: Annotated[int, Field(ge=1, le=3650)] | None = None


class Engagement(ConfigModel):
    """Real engagement; null simulates it, marked SIMULATED everywhere."""

    path: str | None = None
    machine_seconds: Annotated[int, Field(ge=0, le=3600)] = 10
    burst_clicks: Annotated[int, Field(ge=2, le=1000)] = 3
    domain_burst_clicks: Annotated[int, Field(ge=2, le=100_000)] = 20


class Uplift(ConfigModel):
    """A relative uplift of every engagement rate: its mean and spread over customers."""

    mean: Annotated[float, Field(ge=-1, le=10)] = 0.0
    sd: NotNegative = 0.0


class Simulation(ConfigModel):
    """The seeded simulator of engagement."""

    delivery_rate: Share = 0.98
    uplift: Mapping[str, Uplift] = {}
    click_without_open_share: Share = 0.005
    conversion_rate_of_clicks: Share = 0.12
    default_open_rate: Share = 0.22
    default_click_rate: Share = 0.06


if TYPE_CHECKING:
    MetricName = str
else:
    MetricName = Literal[*(metric.name for metric in METRICS)]


def _check_guardrail(text: str) -> str:
    name, _ = parse_guardrail(text)
    if name not in BY_NAME:
        raise ValueError(f"must be NAME or NAME:MARGIN with NAME one of {', '.join(BY_NAME)}")
    return text


GuardrailText = Annotated[str, AfterValidator(_check_guardrail)]
(_PRIMARY,) = (metric.name for metric in METRICS if metric.role == "primary")


class Analysis(ConfigModel):
    """How the results are tested."""

    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    power: Annotated[float, Field(gt=0, lt=1)] = 0.8
    correction: Literal["holm", "bh", "none"] = "holm"
    test_type: Literal["auto", "chi_square", "z_test", "fisher_exact", "t_test"] = "auto"
    primary_metric: MetricName = _PRIMARY
    guardrail_metrics: tuple[GuardrailText, ...] | None = None
    minimum_lift: Annotated[float, Field(gt=0, le=10)] = 0.1
    stopping: Literal["fixed", "anytime"] = "fixed"

    @property
    def guardrails(self) -> Mapping[str, float | None]:
        """The margin of each metric that no arm may harm: those configured, or the default ones."""
        if self.guardrail_metrics is not None:
            return dict(parse_guardrail(text) for text in self.guardrail_metrics)
        return {
            metric.name: None
            for metric in METRICS
            if metric.role == "guardrail" and metric.name != self.primary_metric
        }

    @model_validator(mode="after")
    def _guardrails_are_others(self) -> Analysis:
        if self.primary_metric in self.guardrails:
            raise ValueError(
                f"guardrail_metrics must not name the primary metric {self.primary_metric!r}"
            )
        return self


class Experiment(ConfigModel):
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
    approval: ApprovalSettings = ApprovalSettings()
    holdout: Holdout = Holdout()
    exclusions: Exclusions = Exclusions()
    engagement: Engagement = Engagement()
    simulation: Simulation = Simulation()
    analysis: Analysis = Analysis()

    @property
    def arms(self) -> tuple[str, ...]:
        """Control first, then one arm per tone in configured order."""
        return ("control", *self.tones)

    def arm_shares(self) -> dict[str, float]:
        """Each arm's share of a segment; equal if none are configured."""
        if not self.shares:
            return {arm: 1 / len(self.arms) for arm in self.arms}
        return {arm: self.shares[arm] for arm in self.arms}

    @model_validator(mode="after")
    def _arms_agree(self) -> Experiment:
        if len(set(self.tones)) != len(self.tones) or "control" in self.tones:
            raise ValueError("tones must be unique and must not include 'control'")
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
