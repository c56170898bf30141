"""The metrics of a campaign, each declared once.

Everything else is derived from `METRICS`: the sums that the engine computes, the metrics that the
configuration may name, guardrails, directions, planning, CUPED, and the names in reports.
docs/data-science.md explains how to add one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MetricKind = Literal["binary", "mean", "ratio"]
Direction = Literal["higher", "lower"]
MetricRole = Literal["primary", "secondary", "guardrail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationSpec:
    """How the simulator draws a metric; planning assumes the same for the control.

    Attributes:
        rate: Key of `simulation` in experiment_config.yaml. Without `after`, the rate of customers
            without a history (the others use the metric's `covariate`); with it, the rate among
            customers with that event. None: all of them.
        after: Name of the metric whose event precedes this one.
        amount: For a mean, the column of the customers' table with an event's mean amount.
    """

    rate: str | None = None
    after: str | None = None
    amount: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """A metric: its column, kind, direction and role.

    `analyze` uses only the name, kind and direction.

    Attributes:
        name: As in metrics.json and in the configuration.
        kind: "binary" (the rate of an event among units), "mean" (of a number per unit) or "ratio"
            (a sum over units divided by another; here of two events).
        direction: Whether a higher or a lower value is better.
        label: Its name in reports.
        unit: The unit of its value.
        column: Column of the engagement table; the numerator of a ratio. The metric is left out
            if the outcomes lack the column.
        denominator: The denominator column of a ratio.
        role: The default role; the configuration may set another.
        covariate: Column of the customers' table with the pre-experiment value, for CUPED; None
            if there is none.
        simulated: How it is simulated; None if it is not.
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
    simulated: SimulationSpec | None = None


_SHARE = "share of delivered messages"

METRICS = (
    MetricSpec(
        name="open_rate",
        kind="binary",
        label="open rate",
        unit=_SHARE,
        column="opened",
        covariate="historical_open_rate",
        simulated=SimulationSpec(rate="default_open_rate"),
    ),
    MetricSpec(
        name="click_rate",
        kind="binary",
        label="click rate",
        unit=_SHARE,
        column="clicked",
        role="primary",
        covariate="historical_click_rate",
        simulated=SimulationSpec(rate="default_click_rate"),
    ),
    MetricSpec(
        name="conversion_rate",
        kind="binary",
        label="conversion rate",
        unit=_SHARE,
        column="converted",
        covariate="historical_click_rate",
        simulated=SimulationSpec(rate="conversion_rate_of_clicks", after="click_rate"),
    ),
    MetricSpec(
        name="revenue",
        kind="mean",
        label="revenue per customer",
        unit="currency per delivered message",
        column="revenue",
        covariate="historical_click_rate",
        simulated=SimulationSpec(after="conversion_rate", amount="avg_order_value"),
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
"""Ratios of two metrics' columns, in `ratios` of metrics.json."""

BY_NAME = {metric.name: metric for metric in METRICS}


def direction_of(name: str) -> Direction:
    """The better direction of a metric; `higher` for a name that is not in `METRICS`."""
    metric = BY_NAME.get(name)
    return "higher" if metric is None else metric.direction
