"""Deciding whether a message may be sent; approval, the audit record and the summary."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright import log
from liftwright.agents.safety.screener import unavailable
from liftwright.audit import AuditRecord
from liftwright.errors import InputError
from liftwright.model import CATEGORIES, CONTROL, SafetyDecision
from liftwright.model.checks import Message, run_checks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.config import Safety
    from liftwright.model import Claim, Variant
    from liftwright.model.checks import Check, CheckResult

PASS, BLOCK, WAITING = "pass", "block", "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetySummary:
    """The outcome of screening a run's messages, including the control.

    Attributes:
        passed: may be sent; those `waiting` passed screening but still need approval.
        blocked_by_category: blocked messages by the category or check that blocked them, always
            with the four categories; a message can count more than once.
        unavailable: blocked because there was no valid reply; included in `blocked`.
        pass_rate: (passed + waiting) / total; None without messages.
        at_threshold: messages not blocked whose severity equals a threshold above 0; worth a
            manual review.
    """

    total: int
    passed: int
    blocked: int
    waiting: int
    blocked_by_category: Mapping[str, int]
    unavailable: int
    pass_rate: float | None
    at_threshold: int


def screen_variant(  # noqa: PLR0913 - the fields of a decision
    variant: Variant,
    checks: Sequence[Check],
    *,
    decided_by: str,
    decided_at: str,
    approval_required: bool = False,
    claims: Sequence[Claim] = (),
) -> SafetyDecision:
    """Run the safety checks on a message and decide whether it may be sent.

    Args:
        variant: the message, without its footer.
        checks: the safety checks; any reason blocks the message.
        decided_by: the screener's name.
        decided_at: the time of the decision, ISO-8601 in UTC.
        approval_required: whether a message that passes must be approved by a person.
        claims: the message's claims, if grounding recorded them.
    """
    message = Message(
        subject=variant.subject,
        body=variant.body,
        tone=variant.tone,
        passages=variant.passages,
        claims=tuple(claims),
    )
    with log.log_context(variant_id=variant.variant_id):
        result = _run(checks, message)
    severities = dict.fromkeys(CATEGORIES) | {
        finding.category: finding.severity
        for finding in result.findings
        if finding.category in CATEGORIES
    }
    status = BLOCK if result.reasons else WAITING if approval_required else PASS
    decision = SafetyDecision(
        variant_id=variant.variant_id,
        content_sha256=content_sha256(variant),
        status=status,
        reasons=result.reasons,
        severities=severities,
        decided_by=decided_by,
        decided_at=decided_at,
        findings=tuple(f for f in result.findings if f.category not in CATEGORIES),
    )
    _report(decision, variant.segment)
    return decision


def screen_text(text: str, checks: Sequence[Check]) -> CheckResult:
    """Run the safety checks on a text, as if it were the body of a message."""
    return _run(checks, Message(subject=None, body=text))


def _run(checks: Sequence[Check], message: Message) -> CheckResult:
    def failed(check: Check, error: Exception) -> str:
        log.fault("check_failed", error, agent="safety", check=check.name)
        return unavailable(error, check.name)

    return run_checks(checks, message, failed=failed)


def _report(decision: SafetyDecision, segment: str | None) -> None:
    def event(name: str, level: str, **fields: object) -> None:
        log.event(
            name,
            agent="safety",
            level=level,
            variant_id=decision.variant_id,
            segment=segment,
            status=decision.status,
            severities=decision.severities,
            screener=decision.decided_by,
            content_sha256=decision.content_sha256,
            **fields,
        )

    event("variant_screened", "info")
    if decision.status == BLOCK:
        event("variant_blocked", "warning", reasons=decision.reasons)


def approve(decision: SafetyDecision, *, who: str, at: str) -> SafetyDecision:
    """Approve a waiting message: a new decision with status `pass`.

    Raises:
        InputError: the message is not waiting, or the name is blank.
    """
    who = " ".join(who.split())
    if not who:
        raise InputError("approve: found no approver name, allowed: a name that is not blank")
    if decision.status != WAITING:
        raise InputError(
            f"variant {decision.variant_id}: its status is {decision.status!r}; "
            f"only one that is {WAITING!r} can be approved"
        )
    log.event("variant_approved", agent="safety", variant_id=decision.variant_id)
    return dataclasses.replace(decision, status=PASS, decided_by=f"human:{who}", decided_at=at)


def summarise_safety(decisions: Sequence[SafetyDecision], policy: Safety) -> SafetySummary:
    """Count the outcomes of screening, given the latest decision for each message."""
    blocked = [decision for decision in decisions if decision.status == BLOCK]
    waiting = sum(decision.status == WAITING for decision in decisions)
    total, not_blocked = len(decisions), len(decisions) - len(blocked)
    causes = Counter(cause for decision in blocked for cause in decision.blocked_by)
    return SafetySummary(
        total=total,
        passed=not_blocked - waiting,
        blocked=len(blocked),
        waiting=waiting,
        blocked_by_category=dict.fromkeys(CATEGORIES, 0) | causes,
        unavailable=sum(decision.is_unavailable for decision in blocked),
        pass_rate=not_blocked / total if total else None,
        at_threshold=sum(
            any(_is_at_threshold(decision, category, policy) for category in CATEGORIES)
            for decision in decisions
            if decision.status != BLOCK
        ),
    )


def audit_record(
    decision: SafetyDecision, *, run_id: str, segment: str | None, policy_sha256: str
) -> AuditRecord:
    """The decision as an audit record; the segment of the control is `control`."""
    return AuditRecord(
        timestamp=decision.decided_at,
        variant_id=decision.variant_id,
        segment=segment or CONTROL,
        status=decision.status,
        severities=decision.severities,
        block_reason="; ".join(decision.reasons),
        run_id=run_id,
        content_sha256=decision.content_sha256,
        screener=decision.decided_by,
        policy_sha256=policy_sha256,
    )


def content_sha256(variant: Variant) -> str:
    """SHA-256 in hex of subject, line feed and body in UTF-8."""
    text = f"{variant.subject}\n{variant.body}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _is_at_threshold(decision: SafetyDecision, category: str, policy: Safety) -> bool:
    return 0 < policy.threshold_of(category) == decision.severities[category]
