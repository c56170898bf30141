"""The design of the experiment: each arm's variant and share in each segment."""

from __future__ import annotations

import math
from collections.abc import Mapping  # noqa: TC003 - read at run time when arms.json is read back
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright import log
from liftwright.errors import NoExperiment
from liftwright.model import CONTROL, Arm

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from liftwright.config import Experiment
    from liftwright.model import SafetyDecision, Variant

AGENT = "experimentation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Each arm's variant and share in each segment, fixed before customers are assigned.

    Attributes:
        salt: Prefix of the hashed customer ids: the experiment's name.
        arms: Control first, then the treatments, with their configured shares.
        sizes: Customers per segment.
        cells: Per segment, the id of each arm's variant; all are approved.
        shares: Per segment, each arm's share; the control takes the shares of missing arms.
        approved: The ids of all approved variants; `cells` has no others.
    """

    salt: str
    arms: tuple[Arm, ...]
    sizes: Mapping[str, int]
    cells: Mapping[str, Mapping[str, str]]
    shares: Mapping[str, Mapping[str, float]]
    approved: tuple[str, ...]

    @property
    def compared(self) -> tuple[str, ...]:
        """The segments with a treatment; only these count for the lift."""
        return tuple(segment for segment, arms in self.cells.items() if len(arms) > 1)


def design_experiment(
    variants: Iterable[Variant],
    decisions: Iterable[SafetyDecision],
    experiment: Experiment,
    sizes: Mapping[str, int],
) -> Design:
    """Give each arm its approved variant and its share in each segment.

    Args:
        variants: The control and the variants of all segments, including blocked ones.
        decisions: The safety decisions; only variants with status `pass` are approved.
        experiment: Tones, shares and the name.
        sizes: Customers per segment.

    Raises:
        NoExperiment: The control or every variant is not approved, or there are too few customers.
    """
    passed = {decision.variant_id for decision in decisions if decision.status == "pass"}
    approved = [variant for variant in variants if variant.variant_id in passed]
    control = next((variant for variant in approved if variant.arm == CONTROL), None)
    if control is None:
        raise NoExperiment("no experiment: the control message is not approved")
    ids = {(variant.segment, variant.arm): variant.variant_id for variant in approved}
    variant_ids = {
        segment: {
            CONTROL: control.variant_id,
            **{tone: ids[segment, tone] for tone in experiment.tones if (segment, tone) in ids},
        }
        for segment in sorted(sizes)
    }
    if all(len(arms) == 1 for arms in variant_ids.values()):
        raise NoExperiment("no experiment: no segment has an approved variant")
    customers = sum(sizes.values())
    if customers < len(experiment.arms):
        raise NoExperiment(
            f"no experiment: {customers} customers for {len(experiment.arms)} arms; "
            "each arm needs at least one customer"
        )
    shares = experiment.arm_shares()
    design = Design(
        salt=experiment.name,
        arms=tuple(Arm(name=name, share=share) for name, share in shares.items()),
        sizes=dict(sorted(sizes.items())),
        cells=variant_ids,
        shares={segment: _shares_in(arms, shares) for segment, arms in variant_ids.items()},
        approved=tuple(sorted(variant.variant_id for variant in approved)),
    )
    _log_missing(design)
    return design


def _shares_in(arms: Collection[str], shares: Mapping[str, float]) -> dict[str, float]:
    missing = math.fsum(share for arm, share in shares.items() if arm not in arms)
    return {
        arm: share + missing if arm == CONTROL else share
        for arm, share in shares.items()
        if arm in arms
    }


def _log_missing(design: Design) -> None:
    for segment, arms in design.cells.items():
        missing = [arm.name for arm in design.arms if arm.name not in arms]
        if missing:
            log.event(
                "arm_left_out",
                agent=AGENT,
                level="warning",
                segment=segment,
                arms=missing,
                in_lift=len(arms) > 1,
            )
