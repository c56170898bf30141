"""The metrics of a campaign, each declared once.

Everything else is derived from `METRICS`: the columns of the engagement table, the sums that the
engine computes, the metrics that the configuration may name, guardrails, directions, planning,
CUPED, and the names in reports. docs/data-science.md explains how to add one.
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
        rate: Key of `simulation` in experiment_config.yaml. With `after`, it is the rate among
            customers with the earlier event (None is all of them); without `after`, the rate of
            customers without a history (the others have the metric's `covariate`).
        after: Name of the metric whose event comes first.
        amount: For a mean, the customers' column with the mean amount of an event.
    """

    rate: str | None = None
    after: str | None = None
    amount: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """A metric: what is measured, from which column, and which direction is better.

    `analyze` uses only the name, kind and direction.

    Attributes:
        name: Name in metrics.json and in the configuration.
        kind: "binary" (the rate of an event among units), "mean" (of a number per unit) or "ratio"
            (of two sums over units; here of two events).
        direction: Whether higher or lower values are better.
        label: Name in a report.
        unit: Unit of its value.
        column: Column of the engagement table; for a ratio, the numerator. Outcomes without the
            column leave the metric out.
        denominator: For a ratio, the column of the denominator.
        role: Role in an experiment unless the configuration gives it another.
        covariate: Column of the customers' table with its value before the messages, for CUPED;
            None if there is none.
        simulated: Simulation of the metric; None if it is not simulated.
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
"""Ratios of two metrics' columns, reported in `ratios` of metrics.json."""

BY_NAME = {metric.name: metric for metric in METRICS}


def direction_of(name: str) -> Direction:
    """The better direction of a metric; higher if it is not one of `METRICS`."""
    metric = BY_NAME.get(name)
    return "higher" if metric is None else metric.direction


def parse_guardrail(text: str) -> tuple[str, float | None]:
    """The metric and the margin of `NAME` or `NAME:MARGIN`; no margin is None.

    Args:
        text: MARGIN is the relative loss that is tolerated, a fraction such as 0.02, or "2%".

    Raises:
        ValueError: The margin is not within 0 and 1.
    """
    name, colon, tail = text.rpartition(":")
    scale = 0.01 if tail.endswith("%") else 1.0
    try:
        margin = float(tail.removesuffix("%")) * scale
    except ValueError:
        margin = None
    if not colon or margin is None:
        return text, None
    if not 0.0 <= margin <= 1.0:
        raise ValueError(
            f"found the margin {tail}, allowed: 0 to 1, as a fraction (0.02 is a loss of 2 %)"
        )
    return name, margin
