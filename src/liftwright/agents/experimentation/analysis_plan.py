"""The analysis plan: what will be tested and how, laid down and hashed before any engagement."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read at run time when plan.json is read back
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from liftwright.agents.experimentation.arms import Slice  # noqa: TC001 - the same
from liftwright.errors import IntegrityError
from liftwright.model import CONTROL, METRICS, Arm, fingerprint, to_json

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
    """plan.json: what was decided before anything was known.

    Attributes:
        hypotheses: in words, one for each treatment.
        direction: of each metric: which way is good. Tests are two-sided all the same.
        alpha, power, correction, test_type: as configured.
        minimum_lift: the least relative lift of interest.
        minimum_sample: messages that must arrive in an arm to find it; None where unknown.
        stopping: fixed | anytime; `stopping_rule` says it in words.
        salt, slices: what gives each customer the arm; the slices are cut points of hashes in hex.
        shares, sizes: per segment.
        sha256: of all the others but `planned_at`.
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
    slices: Mapping[str, tuple[Slice, ...]]
    left_out: Mapping[str, int]
    planned_at: str
    sha256: str = ""


def write_analysis_plan(
    assignment: Assignment, experiment: Experiment, *, minimum_sample: int | None, planned_at: str
) -> AnalysisPlan:
    """The plan of an experiment whose customers have their arms, hashed."""
    analysis, design = experiment.analysis, assignment.design
    guardrails = analysis.guardrails
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
            if metric.name not in (analysis.primary_metric, *guardrails)
        ),
        guardrail_metrics=guardrails,
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
    """How the analysis deviates from what was planned, a sentence each; empty where it does not.

    Args:
        plan: as it was laid down.
        assignment: of the experiment.
        experiment: how it would be analysed now.
        extended: whether customers came later, who make segments larger than was planned.
        absent: metrics whose column the outcomes lack: what was planned for them does not matter.

    Raises:
        IntegrityError: the plan is not the one that was laid down.
    """
    if plan.sha256 != _hash(plan):
        raise IntegrityError(
            "plan.json: is not what was laid down before the outcomes (its hash differs); "
            "restore it: a plan cannot be changed afterwards"
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
        guardrail_metrics=tuple(m for m in plan.guardrail_metrics if m not in metrics),
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
    """A plain value as it is; what is long, by its digest."""
    if isinstance(value, str | int | float | None):
        return repr(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(map(str, value)) or "none"
    return f"another ({fingerprint(value)[:12]})"
