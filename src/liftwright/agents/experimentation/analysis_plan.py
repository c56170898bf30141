"""The analysis plan: the tests, fixed and hashed before any engagement is read."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read at run time when plan.json is read back
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from liftwright.agents.experimentation.arms import HashRange  # noqa: TC001 - the same
from liftwright.errors import IntegrityError
from liftwright.model import CONTROL, METRICS, Arm, fingerprint, to_json
from liftwright.model.metrics import parse_guardrail

if TYPE_CHECKING:
    from collections.abc import Collection

    from liftwright.agents.experimentation.arms import Assignment
    from liftwright.config import Experiment

_GROWING = ("sizes", "left_out")
_STOPPING = {
    "fixed": "one look, when the outcomes are complete; an earlier look decides nothing",
    "anytime": "any number of looks, by the anytime-valid intervals alone",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisPlan:
    """plan.json: the decisions made before any outcome was known.

    Attributes:
        hypotheses: A sentence per treatment.
        guardrail_metrics: NAME, or NAME:MARGIN with the tolerated relative loss.
        direction: The better direction of each metric. All tests are two-sided.
        alpha, power, correction, test_type: Copied from the configuration.
        minimum_lift: The smallest relative lift of interest.
        minimum_sample: Messages that must arrive in each arm to detect `minimum_lift` on the
            primary metric, corrected for all metrics of the plan; None if unknown.
        stopping: fixed | anytime; `stopping_rule` explains it.
        salt, slices: Determine each customer's arm; slices are cut points of hashes in hex.
        shares, sizes: Shares of the arms and number of customers, per segment.
        sha256: Hash of all fields except `planned_at`.
    """

    experiment: str
    hypotheses: tuple[str, ...]
    primary_metric: str
    secondary_metrics: tuple[str, ...]
    guardrail_metrics: tuple[str, ...]
    direction: Mapping[str, str]
    alpha: float
    power: float
    correction: str
    test_type: str
    minimum_lift: float
    minimum_sample: int | None
    stopping: str
    stopping_rule: str
    arms: tuple[Arm, ...]
    sizes: Mapping[str, int]
    shares: Mapping[str, Mapping[str, float]]
    salt: str
    slices: Mapping[str, tuple[HashRange, ...]]
    left_out: Mapping[str, int]
    planned_at: str
    sha256: str = ""


def write_analysis_plan(
    assignment: Assignment, experiment: Experiment, *, minimum_sample: int | None, planned_at: str
) -> AnalysisPlan:
    """The plan of an experiment whose customers have their arms, hashed."""
    analysis, design = experiment.analysis, assignment.design
    plan = AnalysisPlan(
        experiment=experiment.name,
        hypotheses=tuple(
            f"'{arm.name}' changes the {analysis.primary_metric} against control"
            for arm in design.arms
            if arm.name != CONTROL
        ),
        primary_metric=analysis.primary_metric,
        secondary_metrics=tuple(
            metric.name
            for metric in METRICS
            if metric.name not in (analysis.primary_metric, *analysis.guardrails)
        ),
        guardrail_metrics=tuple(
            name if margin is None else f"{name}:{margin:g}"
            for name, margin in analysis.guardrails.items()
        ),
        direction={metric.name: f"{metric.direction} is better" for metric in METRICS},
        alpha=analysis.alpha,
        power=analysis.power,
        correction=analysis.correction,
        test_type=analysis.test_type,
        minimum_lift=analysis.minimum_lift,
        minimum_sample=minimum_sample,
        stopping=analysis.stopping,
        stopping_rule=_STOPPING[analysis.stopping],
        arms=design.arms,
        sizes=design.sizes,
        shares=design.shares,
        salt=design.salt,
        slices=assignment.slices,
        left_out=assignment.left_out,
        planned_at=planned_at,
    )
    return replace(plan, sha256=_hash(plan))


def check_plan(
    plan: AnalysisPlan,
    assignment: Assignment,
    experiment: Experiment,
    *,
    extended: bool = False,
    absent: Collection[str] = (),
) -> tuple[str, ...]:
    """The deviations of the analysis from its plan, a sentence each.

    Args:
        plan: The plan as it was written.
        assignment: The experiment's assignment.
        experiment: The current configuration.
        extended: Whether customers were added later, which makes segments larger than planned.
        absent: Metrics whose column the outcomes lack; their part of the plan does not matter.

    Raises:
        IntegrityError: The plan was changed after it was written.
    """
    if plan.sha256 != _hash(plan):
        raise IntegrityError(
            "plan.json: was changed after it was written (its hash differs); restore it: a plan "
            "cannot be changed afterwards"
        )
    now = write_analysis_plan(
        assignment,
        experiment,
        minimum_sample=plan.minimum_sample,
        planned_at=plan.planned_at,
    )
    planned, used = _fields(_without(plan, absent)), _fields(_without(now, absent))
    return tuple(
        f"deviates from plan: {name.replace('_', ' ')} was planned as {_short(planned[name])} "
        f"and is {_short(used[name])}"
        for name in planned
        if planned[name] != used[name] and not (extended and name in _GROWING)
    )


def _without(plan: AnalysisPlan, metrics: Collection[str]) -> AnalysisPlan:
    return replace(
        plan,
        secondary_metrics=tuple(m for m in plan.secondary_metrics if m not in metrics),
        guardrail_metrics=tuple(
            text for text in plan.guardrail_metrics if parse_guardrail(text)[0] not in metrics
        ),
        direction={m: way for m, way in plan.direction.items() if m not in metrics},
    )


def _fields(plan: AnalysisPlan) -> dict[str, object]:
    values = to_json(plan)
    if not isinstance(values, dict):
        raise IntegrityError("plan.json: not a record")
    return {name: value for name, value in values.items() if name not in ("planned_at", "sha256")}


def _hash(plan: AnalysisPlan) -> str:
    return fingerprint(_fields(plan))


def _short(value: object) -> str:
    """A short value as it is, a long one by its digest."""
    if isinstance(value, str | int | float | None):
        return repr(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(map(str, value)) or "none"
    return f"another ({fingerprint(value)[:12]})"
