"""What a run left undone because a provider failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.model import Failure, SafetyDecision

if TYPE_CHECKING:
    from liftwright.campaign.run_context import Work


def provider_stages(work: Work) -> tuple[str, ...]:
    """The stages that hold failures of a provider: those must be run again for an answer."""
    held = []
    if work.folder.file("failures.json").is_file():
        failures = work.folder.read_list("failures.json", Failure)
        if any(failure.cause == "provider" for failure in failures):
            held.append("generate")
    if work.folder.file("decisions.json").is_file():
        decisions = work.folder.read_list("decisions.json", SafetyDecision)
        if any(decision.is_unavailable for decision in decisions):
            held.append("screen")
    return tuple(held)
