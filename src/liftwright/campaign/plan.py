"""Plans a run: its calls and their cost, and the effects it could detect."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.agents.experimentation import (
    OVERALL,
    PlannedPower,
    choose_eligible,
    expected_outcomes,
    plan_power,
    segment_sentence,
    sentences,
)
from liftwright.agents.segmentation import segment_customers
from liftwright.campaign.bootstrap import open_context
from liftwright.campaign.cost_estimate import PlannedCalls, planned_calls, unpriced
from liftwright.campaign.run_resolver import overrides_of
from liftwright.log import Log, logging_to
from liftwright.model import to_json
from liftwright.wiring import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from liftwright.campaign.run_resolver import RunRequest
    from liftwright.model import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The answer of `liftwright plan`.

    Attributes:
        answers: For each metric, a sentence on whether the campaign has enough power, and a
            sentence on the power of each segment.
        left_out: Customers who would get no message, by reason; without those that an earlier run
            assigned, which only the run itself excludes.
        set_aside: rows of the customer file that would be set aside, by reason.
    """

    customers: int
    segments: Mapping[str, int]
    arms: Mapping[str, float]
    calls: tuple[PlannedCalls, ...]
    expected_usd: float
    at_most_usd: float
    budget_usd: float | None
    alpha: float
    power: float
    minimum_lift: float
    detectable: tuple[PlannedPower, ...]
    answers: tuple[str, ...]
    left_out: Mapping[str, int]
    set_aside: Mapping[str, int]
    warnings: tuple[str, ...] = ()

    def to_json(self) -> Json:
        """The object that `liftwright plan --json` prints."""
        return to_json(self)


def plan_campaign(root: Path, request: RunRequest) -> Plan:
    """Segment the customers, estimate the calls, and compute the detectable lifts."""
    settings = read_settings(root, overrides_of(request))
    with (
        logging_to(Log(root / "logs")),
        contextlib.closing(open_context(root, settings)) as context,
    ):
        report = context.customers
        segmentation = segment_customers(
            context.tables,
            settings.segments,
            seed=settings.experiment.seed,
            absent=report.features_absent,
        )
        experiment = settings.experiment
        eligible = choose_eligible(context.tables, experiment, suppressed=context.suppressed)
        expected = expected_outcomes(context.tables, experiment, among="eligible")
        detectable = plan_power(expected, experiment)
        overall = {row.metric: row for row in detectable if row.segment == OVERALL}
        customers = sum(eligible.sizes.values())
        answers = sentences(overall, customers, experiment.analysis)
        by_segment = segment_sentence(detectable, experiment.analysis)
        calls = planned_calls(context, segmentation.segments)
    return Plan(
        customers=segmentation.customers,
        segments=segmentation.sizes,
        arms=settings.experiment.arm_shares(),
        calls=calls,
        expected_usd=round(sum(call.expected_usd for call in calls), 6),
        at_most_usd=round(sum(call.at_most_usd for call in calls), 6),
        budget_usd=settings.services.budget_usd,
        alpha=settings.experiment.analysis.alpha,
        power=settings.experiment.analysis.power,
        minimum_lift=settings.experiment.analysis.minimum_lift,
        detectable=detectable,
        answers=(*answers, *([by_segment] if by_segment else [])),
        left_out=eligible.left_out,
        set_aside=report.rejected,
        warnings=(
            *report.warnings,
            *segmentation.warnings,
            *eligible.warnings,
            *unpriced(calls),
        ),
    )
