"""The check `screener`: scores each part of a message in four harm categories (port `screen`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from liftwright import log
from liftwright.agents.safety.message_parts import Part, message_parts
from liftwright.errors import LiftwrightError
from liftwright.model import CATEGORIES, Finding
from liftwright.model.checks import SAFETY, Check, CheckResult
from liftwright.model.messages import NOT_JUDGED, UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from liftwright.config import Safety
    from liftwright.model import Identity
    from liftwright.model.checks import Message
    from liftwright.ports import Screen

NAME = "screener"
_HIGHEST = 7


class _InvalidReply(Exception):  # noqa: N818 - never leaves this module
    """A reply without exactly one finding for each category."""


def screener_check(screen: Screen, policy: Safety) -> Check:
    """The check that blocks a message if a severity is above its threshold.

    The result always has one finding for each of the four categories, in order: the worst of all
    parts. If screening failed, severity and score are None and a reason begins with `unavailable`.
    Findings of the screener's blocklists follow; any of them blocks the message.

    Args:
        screen: the screener; if it has a method `many`, one call covers all parts of a message.
        policy: the severity above which each category blocks.
    """
    return Check(
        name=NAME,
        stage=SAFETY,
        settings={category: policy.threshold_of(category) for category in CATEGORIES},
        find=partial(_find, screen, policy),
    )


def screener_name(identity: Identity) -> str:
    """The short name of a screener: `provider/model@version`."""
    name = "/".join(part for part in (identity.provider, identity.model) if part)
    return f"{name}@{identity.version}" if identity.version else name


def unavailable(error: Exception, check: str = "") -> str:
    """The reason to block a message that could not be checked.

    Args:
        error: the cause. Its message is included only for our own errors, because others may
            quote the message text.
        check: the name of the check; empty for the screener.
    """
    detail = f": {error}" if isinstance(error, LiftwrightError) else ""
    prefix = f"{check}: " if check else ""
    return f"{UNAVAILABLE}: {prefix}{type(error).__name__}{detail}"


def _find(screen: Screen, policy: Safety, message: Message) -> CheckResult:
    worst: dict[str, Finding] = {}
    others: dict[str, Finding] = {}
    failures: list[str] = []
    try:
        for part, reply in _replies(message_parts(message), screen):
            if _is_not_judged(reply):
                failures = [NOT_JUDGED]
                continue
            for category, finding in _by_category(reply).items():
                # Of equal findings the last is kept: parts follow the whole text and are more
                # specific about the position.
                if category not in worst or _rank(finding) >= _rank(worst[category]):
                    worst[category] = part.locate(finding)
            for finding in _other_findings(reply):
                reason = f"{finding.check}: {finding.reason} ({part.where})"
                others.setdefault(reason, part.locate(finding))
    except _InvalidReply as error:
        failures.append(f"{UNAVAILABLE}: {error}")
        log.event("screening_failed", agent="safety", level="error", reason=str(error))
    except Exception as error:  # noqa: BLE001 - any failure blocks the message
        failures.append(unavailable(error))
        log.fault("screening_failed", error, agent="safety")
    above = [
        finding
        for category, finding in worst.items()
        if finding.severity is not None and finding.severity > policy.threshold_of(category)
    ]
    if failures:
        # Severities seen before the failure are lower bounds: only those that block are kept.
        worst = {finding.category: finding for finding in above}
    reasons = [
        f"{finding.category}: severity {finding.severity} is above "
        f"{policy.threshold_of(finding.category)} ({finding.where})"
        for finding in above
    ]
    return CheckResult(
        reasons=(*failures, *reasons, *others),
        findings=(
            *(
                worst.get(category)
                or Finding(check="safety", category=category, severity=None, score=None)
                for category in CATEGORIES
            ),
            *others.values(),
        ),
    )


def _replies(parts: Sequence[Part], screen: Screen) -> Iterator[tuple[Part, object]]:
    """Each part with its reply, from one call if the screener supports it, else one call each."""
    many = getattr(screen, "many", None)
    if not callable(many):
        for part in parts:
            yield part, screen(part.text)
        return
    replies = many(tuple(part.text for part in parts))
    if not isinstance(replies, Sequence) or len(replies) != len(parts):
        raise _InvalidReply(f"the number of replies differs from the {len(parts)} parts")
    yield from zip(parts, replies, strict=True)


def _is_not_judged(reply: object) -> bool:
    """Whether the reply is a finding `not_judged` for each category, and nothing else."""
    return (
        isinstance(reply, Sequence)
        and [getattr(finding, "category", None) for finding in reply] == list(CATEGORIES)
        and all(
            (finding.severity, finding.score, finding.reason) == (None, None, NOT_JUDGED)
            for finding in reply
        )
    )


def _rank(finding: Finding) -> tuple[int, float]:
    return finding.severity or 0, finding.score or 0.0


def _by_category(reply: object) -> dict[str, Finding]:
    """The findings of a reply by category; it must have exactly one valid finding for each."""
    if not isinstance(reply, Sequence):
        raise _InvalidReply("the reply is not a list of findings")
    by_category: dict[str, Finding] = {}
    for finding in reply:
        if isinstance(finding, Finding) and finding.check != "safety":
            continue
        if not isinstance(finding, Finding) or finding.category not in CATEGORIES:
            raise _InvalidReply("the reply contains an unknown category")
        if finding.category in by_category:
            raise _InvalidReply(f"the reply has {finding.category} twice")
        by_category[finding.category] = finding
        if type(finding.severity) is not int or not 0 <= finding.severity <= _HIGHEST:
            raise _InvalidReply(
                f"the severity of {finding.category} is not between 0 and {_HIGHEST}"
            )
        if not _is_fraction(finding.score):
            raise _InvalidReply(f"the score of {finding.category} is not between 0 and 1")
    missing = [category for category in CATEGORIES if category not in by_category]
    if missing:
        raise _InvalidReply(f"the reply lacks {', '.join(missing)}")
    return by_category


def _other_findings(reply: object) -> Iterator[Finding]:
    """Findings of checks other than `safety`, such as a blocklist."""
    for finding in reply if isinstance(reply, Sequence) else ():
        if isinstance(finding, Finding) and finding.check != "safety" and finding.severity != 0:
            yield finding


def _is_fraction(score: object) -> bool:
    if isinstance(score, bool) or not isinstance(score, int | float):
        return False
    return math.isfinite(score) and 0 <= score <= 1
