"""What metrics.json has beside the comparisons: decisions, other estimators, the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003 - fields' types, read back
from dataclasses import dataclass, field

from liftwright.agents.reporting.json_values import Values, items, mapping, record
from liftwright.model import from_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What to do with an arm now, ship | stop | continue, and why."""

    arm: str
    metric: str
    decision: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """One row of another estimator, over all segments or in one."""

    segment: str
    arm: str
    metric: str
    kind: str
    difference_ci: tuple[float, float] | None
    lift: float | None
    lift_ci: tuple[float, float] | None
    p_adjusted: float | None
    significant: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """Whether an arm's effect differs between segments."""

    arm: str
    metric: str
    test: str | None
    segments_compared: int
    p_value: float | None
    p_adjusted: float | None
    significant: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """How probable it is that an arm is the best, and what choosing it is expected to cost."""

    arm: str
    metric: str
    kind: str
    probability_best: float | None
    probability_better: float | None
    expected_loss: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """Which analysis plan the numbers follow, and how they deviate from it."""

    sha256: str = ""
    deviations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """All of it; what a run has not is empty.

    Attributes:
        estimates: by key of metrics.json, the rows of that estimator.
        variance_reduction: by metric, the share of variance that CUPED takes away.
        caps: by metric, the value above which the winsorised rows cut.
    """

    decisions: tuple[Decided, ...] = ()
    estimates: Mapping[str, Sequence[Estimated]] = field(default_factory=dict)
    variance_reduction: Mapping[str, float] = field(default_factory=dict)
    caps: Mapping[str, float | None] = field(default_factory=dict)
    interactions: tuple[Interaction, ...] = ()
    beliefs: tuple[Belief, ...] = ()
    plan: Planned = Planned()

    def decision(self, arm: str) -> Decided | None:
        """What to do with an arm; None where nothing was decided."""
        return next((one for one in self.decisions if one.arm == arm), None)


def read_beside(metrics: Values) -> Beside:
    """What metrics.json has beside the comparisons.

    Raises:
        TypeError, ValueError, KeyError: a part is not what the product writes.
    """
    keys = ("assigned", "cuped", "winsorised", "ratios", "sequential")
    caps = mapping(metrics.get("winsorised_at") or {})
    return Beside(
        decisions=tuple(record(Decided, item) for item in items(metrics.get("decisions"))),
        estimates={
            key: tuple(record(Estimated, item) for item in items(metrics.get(key))) for key in keys
        },
        variance_reduction=from_json(dict[str, float], metrics.get("variance_reduction") or {}),
        caps={
            metric: from_json(tuple[float | None, float | None], ends)[1]
            for metric, ends in caps.items()
        },
        interactions=tuple(
            record(Interaction, item) for item in items(metrics.get("interactions"))
        ),
        beliefs=tuple(record(Belief, item) for item in items(metrics.get("bayes"))),
        plan=record(Planned, metrics.get("plan") or {}),
    )
