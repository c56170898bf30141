"""The metrics of a campaign, each declared once.

Everything else is derived from `METRICS`: the sums that the engine computes, the metrics that the
configuration may name, guardrails, directions, planning, CUPED, and the names in reports.
docs/data-science.md says how to add one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MetricKind = Literal["binary", "mean", "ratio"]
Direction = Literal["higher", "lower"]
MetricRole = Literal["primary", "secondary", "guardrail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """How the simulator draws a metric; planning expects the same of the control.

    Attributes:
        rate: Key of `simulation` in experiment_config.yaml. Without `after`, the rate of a customer
            without a history (one with a history has the metric's `covariate`); with it, the rate
            among those who did that. None: everyone who did that.
        after: Name of the metric whose event comes before this one.
        amount: Column of the customers' table with the mean amount of an event, for a mean.
    """

    rate: str | None = None
    after: str | None = None
    amount: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """A metric: what is measured, from which column, and which way is good.

    The analysis of any file (`analyze`) uses the name, kind and direction alone.

    Attributes:
        name: As in metrics.json and in the configuration.
        kind: "binary" (the rate of an event among units), "mean" (of a number per unit) or "ratio"
            (a sum over units divided by another; here of two events).
        direction: Whether more of it is better, or less.
        label: As a report calls it.
        unit: What its value is a number of.
        column: Column of the engagement table; of a ratio, the numerator. Where the outcomes lack
            it, the metric is left out.
        denominator: Of a ratio, the column below the line.
        role: In an experiment whose configuration gives it no other.
        covariate: Column of the customers' table with what it was before the messages, by which
            CUPED adjusts it; None where nothing is known.
        simulated: How it is simulated; None where it is not.
    """

    name: str
    kind: MetricKind
    direction: Direction = "higher"
    label: str = ""
    unit: str = ""
    column: str = ""
    denominator: str | None = None
    role: MetricRole = "secondary"
    covariate: str | None = None
    simulated: Simulated | None = None


_SHARE = "share of delivered messages"

METRICS = (
    MetricSpec(
        name="open_rate",
        kind="binary",
        label="open rate",
        unit=_SHARE,
        column="opened",
        covariate="historical_open_rate",
        simulated=Simulated(rate="default_open_rate"),
    ),
    MetricSpec(
        name="click_rate",
        kind="binary",
        label="click rate",
        unit=_SHARE,
        column="clicked",
        role="primary",
        covariate="historical_click_rate",
        simulated=Simulated(rate="default_click_rate"),
    ),
    MetricSpec(
        name="conversion_rate",
        kind="binary",
        label="conversion rate",
        unit=_SHARE,
        column="converted",
        covariate="historical_click_rate",
        simulated=Simulated(rate="conversion_rate_of_clicks", after="click_rate"),
    ),
    MetricSpec(
        name="revenue",
        kind="mean",
        label="revenue per customer",
        unit="currency per delivered message",
        column="revenue",
        covariate="historical_click_rate",
        simulated=Simulated(after="conversion_rate", amount="avg_order_value"),
    ),
    MetricSpec(
        name="unsubscribe_rate",
        kind="binary",
        direction="lower",
        label="unsubscribe rate",
        unit=_SHARE,
        column="unsubscribed",
        role="guardrail",
    ),
    MetricSpec(
        name="complaint_rate",
        kind="binary",
        direction="lower",
        label="complaint rate",
        unit=_SHARE,
        column="complained",
        role="guardrail",
    ),
)
"""The metrics in the order of metrics.json."""

RATIOS = (
    MetricSpec(
        name="click_to_open",
        kind="ratio",
        label="click to open",
        unit="clicks per opened message",
        column="clicked",
        denominator="opened",
    ),
)
"""The ratios of two of the metrics' columns; they stand apart, in `ratios` of metrics.json."""

BY_NAME = {metric.name: metric for metric in METRICS}


def direction_of(name: str) -> Direction:
    """Which way is good for a metric of this name; higher where it is not one of `METRICS`."""
    metric = BY_NAME.get(name)
    return "higher" if metric is None else metric.direction
