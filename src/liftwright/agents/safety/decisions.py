"""Asking the screener, judging its replies, and deciding; approval and the summary."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright import log
from liftwright.agents.safety.message_parts import Part, parts_of
from liftwright.audit import AuditRecord
from liftwright.errors import InputError, LiftwrightError
from liftwright.model import CATEGORIES, CONTROL, Finding, SafetyDecision, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from liftwright.config import Safety
    from liftwright.model import Identity, Variant
    from liftwright.ports import Screen

PASS, BLOCK, WAITING = "pass", "block", "waiting"
UNAVAILABLE = "unavailable: "

_HIGHEST = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """The worst that was found of one category.

    Attributes:
        severity: 0 to 7; None where it is not known.
        score: in [0, 1]; None with the severity.
        where: the part of the message: `subject`, `body`, `sentence 3`, `link`.
        start, end: characters of the screened text; None where the part is the whole or no part
            of the text as given.
    """

    category: str
    severity: int | None
    score: float | None
    where: str = ""
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDecision:
    """Whether a text may be sent.

    Attributes:
        status: pass | block.
        findings: one for each of the four categories, in their order.
        reasons: what blocked it; the first begins with `unavailable: ` where screening failed.
    """

    status: str
    findings: tuple[Harm, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetySummary:
    """What came of screening a run's messages, the control among them.

    Attributes:
        passed: free to be sent; `waiting` passed screening and wait for a person.
        blocked_by_category: blocked messages by each category above its threshold; a message
            can stand under several.
        unavailable: blocked for lack of a usable reply; a part of `blocked`.
        pass_rate: (passed + waiting) / total; None without messages.
        at_threshold: messages not blocked with a severity exactly at its threshold above 0, for
            a person to look at.
    """

    total: int
    passed: int
    blocked: int
    waiting: int
    blocked_by_category: Mapping[str, int]
    unavailable: int
    pass_rate: float | None
    at_threshold: int


class _Unusable(Exception):  # noqa: N818 - a reply's state, which never leaves this module
    """A reply that is not one finding for each category."""


def screen_variant(
    variant: Variant,
    screen: Screen,
    policy: Safety,
    *,
    decided_at: str,
    approval_required: bool = False,
) -> SafetyDecision:
    """Screen a message, subject and body, and decide.

    Args:
        variant: the message; its footer is not a part of it.
        screen: the screener; where it has a `many`, it is asked once for all parts.
        policy: from which severity on a category blocks.
        decided_at: the time of the decision, ISO-8601 in UTC.
        approval_required: whether a message that passes must wait for a person.
    """
    found = _screen(message_parts(variant), screen, policy)
    status = WAITING if approval_required and found.status == PASS else found.status
    decision = SafetyDecision(
        variant_id=variant.variant_id,
        content_sha256=content_sha256(variant),
        status=status,
        reasons=found.reasons,
        severities={harm.category: harm.severity for harm in found.findings},
        decided_by=screener_name(screen.identity),
        decided_at=decided_at,
    )
    _report(decision, variant.segment)
    return decision


def message_parts(variant: Variant) -> list[Part]:
    """The parts of a message that are screened: its subject, and those of its body."""
    return [Part(variant.subject, "subject"), *parts_of(variant.body, "body")]


def _report(decision: SafetyDecision, segment: str | None) -> None:
    def event(action: str, level: str, **more: object) -> None:
        log.event(
            action,
            agent="safety",
            level=level,
            variant_id=decision.variant_id,
            segment=segment,
            status=decision.status,
            severities=decision.severities,
            screener=decision.decided_by,
            content_sha256=decision.content_sha256,
            **more,
        )

    event("variant_screened", "info")
    if decision.status == BLOCK:
        event("variant_blocked", "warning", reasons=decision.reasons)


def screen_text(text: str, screen: Screen, policy: Safety) -> TextDecision:
    """Screen a text as a message's body is screened, and decide."""
    return _screen(parts_of(text, "text"), screen, policy)


def approve(decision: SafetyDecision, *, who: str, at: str) -> SafetyDecision:
    """A person's approval of a message that waits for it; a new decision of status `pass`.

    Raises:
        InputError: the message does not wait, or nobody is named.
    """
    who = " ".join(who.split())
    if not who:
        raise InputError("approve: the name of who approves is empty")
    if decision.status != WAITING:
        raise InputError(
            f"variant {decision.variant_id}: its status is {decision.status!r}; "
            f"only one that is {WAITING!r} can be approved"
        )
    log.event("variant_approved", agent="safety", variant_id=decision.variant_id)
    return dataclasses.replace(decision, status=PASS, decided_by=f"human:{who}", decided_at=at)


def summarise_safety(decisions: Sequence[SafetyDecision], policy: Safety) -> SafetySummary:
    """Count what came of screening; one decision per message, the latest."""
    blocked = [decision for decision in decisions if decision.status == BLOCK]
    waiting = sum(decision.status == WAITING for decision in decisions)
    total, free = len(decisions), len(decisions) - len(blocked)
    return SafetySummary(
        total=total,
        passed=free - waiting,
        blocked=len(blocked),
        waiting=waiting,
        blocked_by_category={
            category: sum(_is_above(decision, category, policy) for decision in blocked)
            for category in CATEGORIES
        },
        unavailable=sum(map(is_unavailable, blocked)),
        pass_rate=free / total if total else None,
        at_threshold=sum(
            any(_is_at(decision, category, policy) for category in CATEGORIES)
            for decision in decisions
            if decision.status != BLOCK
        ),
    )


def audit_record(
    decision: SafetyDecision, *, run_id: str, segment: str | None, policy: Safety
) -> AuditRecord:
    """The decision as a line of the audit log; the control, of no segment, stands as `control`."""
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
        policy_sha256=policy_sha256(policy),
    )


def content_sha256(variant: Variant) -> str:
    """SHA-256 in hex of what is said: subject, line feed, body, in UTF-8."""
    text = f"{variant.subject}\n{variant.body}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def policy_sha256(policy: Safety) -> str:
    """The fingerprint of the thresholds in force, category by category."""
    return fingerprint({category: policy.threshold_of(category) for category in CATEGORIES})


def screener_name(identity: Identity) -> str:
    """A screener in one word: `provider/model@version`."""
    name = "/".join(part for part in (identity.provider, identity.model) if part)
    return f"{name}@{identity.version}" if identity.version else name


def is_unavailable(decision: SafetyDecision) -> bool:
    """Whether the message was blocked because it could not be screened."""
    return decision.status == BLOCK and any(r.startswith(UNAVAILABLE) for r in decision.reasons)


# ── Asking and judging ────────────────────────────────────────────────────────────────────────


def _screen(parts: Sequence[Part], screen: Screen, policy: Safety) -> TextDecision:
    worst: dict[str, Harm] = {}
    listed: dict[str, None] = {}
    fault = ""
    try:
        for part, reply in _replies(parts, screen):
            for category, finding in _by_category(reply).items():
                _keep_worst(worst, category, finding, part)
            listed.update(
                dict.fromkeys(f"{f.check}: {f.reason} ({part.where})" for f in _further(reply))
            )
    except _Unusable as error:
        fault = str(error)
        log.event("screening_failed", agent="safety", level="error", reason=fault)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong, the message is blocked
        log.fault("screening_failed", error, agent="safety")
        # Only our own errors are known to hold no text of the message.
        told = f": {error}" if isinstance(error, LiftwrightError) else ""
        fault = f"{type(error).__name__}{told}"
    above = [
        harm
        for harm in worst.values()
        if _exceeds(harm.severity, policy.threshold_of(harm.category))
    ]
    if fault or not worst:
        # What was seen before the fault is only a lower bound: it counts where it blocks.
        worst = {harm.category: harm for harm in above}
    reasons_above = [
        f"{harm.category}: severity {harm.severity} is above "
        f"{policy.threshold_of(harm.category)} ({harm.where})"
        for harm in above
    ]
    reasons = (*((UNAVAILABLE + fault,) if fault else ()), *reasons_above, *listed)
    return TextDecision(
        status=BLOCK if reasons else PASS,
        findings=tuple(
            worst.get(category) or Harm(category=category, severity=None, score=None)
            for category in CATEGORIES
        ),
        reasons=reasons,
    )


def _replies(parts: Sequence[Part], screen: Screen) -> Iterator[tuple[Part, object]]:
    """Each part with its reply: asked for together where the screener can, else one by one."""
    many = getattr(screen, "many", None)
    if not callable(many):
        for part in parts:
            yield part, screen(part.text)
        return
    replies = many(tuple(part.text for part in parts))
    if not isinstance(replies, Sequence) or len(replies) != len(parts):
        raise _Unusable(f"not one reply for each of {len(parts)} parts")
    yield from zip(parts, replies, strict=True)


def _keep_worst(worst: dict[str, Harm], category: str, finding: Finding, part: Part) -> None:
    start, end = part.start, part.end
    if part.exact and start is not None and finding.start is not None and finding.end is not None:
        start, end = start + finding.start, start + finding.end
    now = Harm(
        category=category,
        severity=finding.severity,
        score=finding.score,
        where=part.where,
        start=start,
        end=end,
    )
    # Of equals the later stays: parts follow the whole, and say better where the harm is.
    if category not in worst or _rank(now) >= _rank(worst[category]):
        worst[category] = now


def _rank(harm: Harm) -> tuple[int, float]:
    return (-1 if harm.severity is None else harm.severity, harm.score or 0.0)


def _by_category(reply: object) -> dict[str, Finding]:
    """The reply by category, once it is exactly one usable finding for each."""
    if not isinstance(reply, Sequence):
        raise _Unusable("the reply is not a list of findings")
    found: dict[str, Finding] = {}
    for finding in reply:
        if isinstance(finding, Finding) and finding.check != "safety":
            continue
        if not isinstance(finding, Finding) or finding.category not in CATEGORIES:
            raise _Unusable("the reply holds an unknown category")
        if finding.category in found:
            raise _Unusable(f"the reply names {finding.category} twice")
        found[finding.category] = finding
        if type(finding.severity) is not int or not 0 <= finding.severity <= _HIGHEST:
            raise _Unusable(f"the severity of {finding.category} is not from 0 to {_HIGHEST}")
        if not _is_share(finding.score):
            raise _Unusable(f"the score of {finding.category} is not from 0 to 1")
    missing = [category for category in CATEGORIES if category not in found]
    if missing:
        raise _Unusable(f"the reply lacks {', '.join(missing)}")
    return found


def _further(reply: object) -> Iterator[Finding]:
    """Findings of other checks than `safety` (a blocklist): each blocks by being there."""
    for finding in reply if isinstance(reply, Sequence) else ():
        if isinstance(finding, Finding) and finding.check != "safety" and finding.severity > 0:
            yield finding


def _is_share(score: object) -> bool:
    if isinstance(score, bool) or not isinstance(score, int | float):
        return False
    return math.isfinite(score) and 0 <= score <= 1


def _exceeds(severity: int | None, threshold: int) -> bool:
    return severity is not None and severity > threshold


def _is_above(decision: SafetyDecision, category: str, policy: Safety) -> bool:
    return _exceeds(decision.severities[category], policy.threshold_of(category))


def _is_at(decision: SafetyDecision, category: str, policy: Safety) -> bool:
    return 0 < policy.threshold_of(category) == decision.severities[category]
