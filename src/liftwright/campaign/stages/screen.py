"""From the messages to what may be sent, and by whom it was approved."""

from __future__ import annotations

from dataclasses import asdict, fields
from functools import partial
from typing import TYPE_CHECKING

from liftwright.agents import safety
from liftwright.calls.retry import at_once
from liftwright.campaign.checks import message_checks
from liftwright.log import event
from liftwright.model import SafetyDecision, to_json, utc_now
from liftwright.model.artifacts import Approval, VariantClaims, Variants
from liftwright.model.checks import SAFETY, in_stage, policy_sha256

if TYPE_CHECKING:
    from liftwright.campaign.run_context import Work
    from liftwright.model import Json, Variant
    from liftwright.run_folder import RunFolder


def screen(work: Work) -> str:
    """For every message, the control included, whether it may be sent; into the audit log."""
    variants = work.folder.read("variants.json", Variants).all
    approvals = {approval.variant_id: approval for approval in read_approvals(work.folder)}
    claims = {
        entry.variant_id: entry.claims
        for entry in work.folder.read_list("claims.json", VariantClaims)
    }
    judge = work.judge

    # What is far away is asked for all parts of all messages at once, and before any is decided on.
    parts = [part for variant in variants for part in safety.message_parts(variant)]
    screener = safety.asked_ahead(parts, work.screen, work.concurrency)
    checks = in_stage(message_checks(work, screener), SAFETY)

    def decide(variant: Variant) -> SafetyDecision:
        return safety.screen_variant(
            variant,
            checks,
            decided_by=safety.screener_name(screener.identity),
            decided_at=utc_now(),
            approval_required=work.settings.experiment.approval.required,
            # The control claims nothing, and has no sources.
            claims=claims.get(variant.variant_id, ()),
        )

    workers = work.concurrency if judge is not None and judge.metered else 1
    screened = at_once([partial(decide, variant) for variant in variants], workers)
    if judge is not None:
        work.folder.write("opinions.json", tuple(safety.opinions(screened, judge)))
    else:
        # Of an earlier process, before the switch was set back.
        work.folder.file("opinions.json").unlink(missing_ok=True)
    policy, decisions, records = policy_sha256(work.checks), [], []
    for variant, decision in zip(variants, screened, strict=True):
        taken = [decision]
        approval = approvals.get(variant.variant_id)
        if (
            approval
            and decision.status == "waiting"
            and approval.content_sha256 == decision.content_sha256
        ):
            taken.append(safety.approve(decision, who=approval.who, at=approval.at))
        records += [
            safety.audit_record(
                one, run_id=work.run.run_id, segment=variant.segment, policy_sha256=policy
            )
            for one in taken
        ]
        decisions.append(taken[-1])
    since = work.run.audit.since if work.run.audit else None
    appended = work.audit.append(records, run_id=work.run.run_id, since=since)
    work.save(audit=appended.range)
    work.folder.write("decisions.json", list(map(_to_json, decisions)))
    summary = safety.summarise_safety(decisions, work.settings.safety)
    event("safety_summarised", agent="safety", **asdict(summary))
    causes = [f"{name} {count}" for name, count in summary.blocked_by_category.items() if count]
    blocked = f"{summary.blocked} blocked" + (f" ({', '.join(causes)})" if causes else "")
    return f"{summary.passed} pass, {blocked}, {summary.waiting} waiting"


def _to_json(decision: SafetyDecision) -> dict[str, Json]:
    """A decision as decisions.json holds it; `findings` only where there is one."""
    row = {field.name: to_json(getattr(decision, field.name)) for field in fields(decision)}
    return {name: value for name, value in row.items() if name != "findings" or value}


def read_approvals(folder: RunFolder) -> tuple[Approval, ...]:
    """The approvals that people gave so far."""
    if not folder.file("approvals.json").is_file():
        return ()
    return folder.read_list("approvals.json", Approval)
