"""Approval of a waiting variant by a person, recorded in approvals.json and in the audit log."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from liftwright.agents import safety
from liftwright.campaign.bootstrap import audit_log
from liftwright.campaign.stages.messages import read_approvals
from liftwright.errors import InputError, IntegrityError
from liftwright.log import Log, logging_to
from liftwright.model import SafetyDecision, utc_now
from liftwright.model.run_files import Approval, Variants

if TYPE_CHECKING:
    from pathlib import Path

    from liftwright.audit import AuditLog
    from liftwright.model.run_files import RunFolder


def approve_variant(root: Path, folder: RunFolder, variant_id: str, who: str) -> SafetyDecision:
    """Approve a variant; it takes effect once it is in the audit log.

    Raises:
        InputError: the run has no such variant, or the variant is not waiting.
        IntegrityError: the audit log does not record the variant as waiting.
    """
    run = folder.record()
    decisions = {d.variant_id: d for d in folder.read_list("decisions.json", SafetyDecision)}
    if run is None or variant_id not in decisions:
        waiting = [name for name, decision in decisions.items() if decision.status == "waiting"]
        raise InputError(
            f"variant {variant_id!r}: no such variant in this run; "
            f"waiting: {', '.join(waiting) or 'none'}"
        )
    variants = {
        variant.variant_id: variant for variant in folder.read("variants.json", Variants).all
    }
    earlier = read_approvals(folder)
    if any(approval.variant_id == variant_id for approval in earlier):
        raise InputError(f"variant {variant_id}: already approved; run again to continue")
    log = audit_log(root)
    with logging_to(Log(root / "logs"), run=run.run_id):
        decision = safety.approve(decisions[variant_id], who=who, at=utc_now())
        record = safety.audit_record(
            decision,
            run_id=run.run_id,
            segment=variants[variant_id].segment,
            policy_sha256=_policy(log, run.run_id, decisions[variant_id]),
        )
        since = run.audit.since if run.audit else None
        appended = log.append([record], run_id=run.run_id, since=since)
    folder.save(dataclasses.replace(run, audit=appended.range))
    approval = Approval(
        variant_id=variant_id,
        content_sha256=decision.content_sha256,
        who=decision.decided_by.removeprefix("human:"),
        at=decision.decided_at,
    )
    folder.write("approvals.json", (*earlier, approval))
    return decision


def _policy(log: AuditLog, run_id: str, decision: SafetyDecision) -> str:
    """The policy under which a waiting message was screened, regardless of later changes."""
    policies = [
        record.policy_sha256
        for record in (log.records(run_id) if log.path.is_file() else ())
        if (record.variant_id, record.content_sha256, record.status)
        == (decision.variant_id, decision.content_sha256, decision.status)
    ]
    if not policies:
        raise IntegrityError(
            f"{log.path}: no record that variant {decision.variant_id} of run {run_id} is waiting"
        )
    return policies[-1]
