"""A person's word on a variant that waits: into approvals.json, and into the audit log."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from liftwright.agents import safety
from liftwright.campaign.bootstrap import audit_log
from liftwright.campaign.pipeline import read_approvals
from liftwright.campaign.requests import overrides_again
from liftwright.errors import InputError
from liftwright.log import Log, logging_to
from liftwright.model import SafetyDecision, utc_now
from liftwright.model.artifacts import Approval, Variants
from liftwright.wiring import read_settings

if TYPE_CHECKING:
    from pathlib import Path

    from liftwright.run_folder import RunFolder


def approve_variant(root: Path, folder: RunFolder, variant_id: str, who: str) -> SafetyDecision:
    """Approve one variant; it counts once it stands in the audit log.

    Raises:
        InputError: where the run has no such variant, or it does not wait.
    """
    run = folder.record()
    decisions = {one.variant_id: one for one in folder.read_list("decisions.json", SafetyDecision)}
    if run is None or variant_id not in decisions:
        known = ", ".join(one for one, d in decisions.items() if d.status == "waiting") or "none"
        raise InputError(f"variant {variant_id!r}: not of this run; waiting are: {known}")
    variant = next(
        one for one in folder.read("variants.json", Variants).all if one.variant_id == variant_id
    )
    earlier = read_approvals(folder)
    if any(approval.variant_id == variant_id for approval in earlier):
        raise InputError(f"variant {variant_id}: approved already; run again to go on")
    # The policy that the run was screened by, which an override may have changed.
    policy = read_settings(root, overrides_again(run)).safety
    with logging_to(Log(root / "logs"), run=run.run_id):
        decision = safety.approve(decisions[variant_id], who=who, at=utc_now())
        record = safety.audit_record(
            decision, run_id=run.run_id, segment=variant.segment, policy=policy
        )
        since = run.audit.since if run.audit else None
        appended = audit_log(root).append([record], run_id=run.run_id, since=since)
    folder.save(dataclasses.replace(run, audit=appended.range))
    approval = Approval(
        variant_id=variant_id,
        content_sha256=decision.content_sha256,
        who=decision.decided_by.removeprefix("human:"),
        at=decision.decided_at,
    )
    folder.write("approvals.json", (*earlier, approval))
    return decision
