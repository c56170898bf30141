"""From the messages to what may be sent, and by whom it was approved."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from liftwright.agents import safety
from liftwright.calls.retry import at_once
from liftwright.log import event
from liftwright.model import SafetyDecision, utc_now
from liftwright.model.artifacts import Approval, VariantClaims, VariantOpinion, Variants

if TYPE_CHECKING:
    from liftwright.campaign.run_context import Work
    from liftwright.model import Variant
    from liftwright.run_folder import RunFolder


def screen(work: Work) -> str:
    """For every message, the control included, whether it may be sent; into the audit log."""
    variants = work.folder.read("variants.json", Variants).all
    approvals = {approval.variant_id: approval for approval in read_approvals(work.folder)}
    policy, decisions, records = work.settings.safety, [], []
    claims = {
        entry.variant_id: entry.claims
        for entry in work.folder.read_list("claims.json", VariantClaims)
    }
    judge = work.judge

    # What is far away is asked for all parts of all messages at once, and before any is decided on.
    parts = [part for variant in variants for part in safety.message_parts(variant)]
    work.screen_ahead.stop()
    screener = safety.asked_ahead(
        parts, work.screen, work.concurrency, earlier=work.screen_ahead.reply
    )

    def decide(variant: Variant) -> tuple[SafetyDecision, VariantOpinion | None]:
        decision = safety.screen_variant(
            variant,
            screener,
            policy,
            decided_at=utc_now(),
            approval_required=work.settings.experiment.approval.required,
        )
        # The control claims nothing, and has no sources.
        if judge is None or variant.variant_id not in claims:
            return decision, None
        return safety.second_opinion(decision, variant, claims[variant.variant_id], judge)

    workers = work.concurrency if judge is not None and judge.metered else 1
    screened = at_once([partial(decide, variant) for variant in variants], workers)
    if judge is not None:
        work.folder.write("opinions.json", [opinion for _, opinion in screened if opinion])
    else:
        # Of an earlier process, before the switch was set back.
        work.folder.file("opinions.json").unlink(missing_ok=True)
    for variant, (decision, _) in zip(variants, screened, strict=True):
        taken = [decision]
        approval = approvals.get(variant.variant_id)
        if (
            approval
            and decision.status == "waiting"
            and approval.content_sha256 == decision.content_sha256
        ):
            taken.append(safety.approve(decision, who=approval.who, at=approval.at))
        records += [
            safety.audit_record(one, run_id=work.run.run_id, segment=variant.segment, policy=policy)
            for one in taken
        ]
        decisions.append(taken[-1])
    since = work.run.audit.since if work.run.audit else None
    appended = work.audit.append(records, run_id=work.run.run_id, since=since)
    work.save(audit=appended.range)
    work.folder.write("decisions.json", decisions)
    summary = safety.summarise_safety(decisions, policy)
    event("safety_summarised", agent="safety", **asdict(summary))
    return f"{summary.passed} pass, {summary.blocked} blocked, {summary.waiting} waiting"


def read_approvals(folder: RunFolder) -> tuple[Approval, ...]:
    """The approvals that people gave so far."""
    if not folder.file("approvals.json").is_file():
        return ()
    return folder.read_list("approvals.json", Approval)
