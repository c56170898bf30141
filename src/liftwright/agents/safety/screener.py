"""The check `screener`: the four categories of harm, asked of the port `screen` part by part."""

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
from liftwright.model.messages import UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from liftwright.config import Safety
    from liftwright.model import Identity
    from liftwright.model.checks import Message
    from liftwright.ports import Screen

NAME = "screener"
_HIGHEST = 7


class _Unusable(Exception):  # noqa: N818 - a reply's state, which never leaves this module
    """A reply that is not one finding for each category."""


def screener_check(screen: Screen, policy: Safety) -> Check:
    """The check that blocks a message where a severity is above its threshold.

    Its result always has one finding for each of the four categories, in their order, the worst
    of the parts; where screening failed, severity and score are None and a reason begins with
    `unavailable`. Findings of the screener's own lists follow, and block by being there.

    Args:
        screen: the screener; where it has a `many`, it is asked once for all parts of a message.
        policy: the severity above which each category blocks.
    """
    return Check(
        name=NAME,
        stage=SAFETY,
        settings={category: policy.threshold_of(category) for category in CATEGORIES},
        find=partial(_find, screen, policy),
    )


def screener_name(identity: Identity) -> str:
    """A screener in one word: `provider/model@version`."""
    name = "/".join(part for part in (identity.provider, identity.model) if part)
    return f"{name}@{identity.version}" if identity.version else name


def unavailable(error: Exception, what: str = "") -> str:
    """The reason to block a message that could not be checked.

    Args:
        error: what was raised. Only our own errors are known to hold no text of the message.
        what: the name of the check; empty for the screener.
    """
    told = f": {error}" if isinstance(error, LiftwrightError) else ""
    named = f"{what}: " if what else ""
    return f"{UNAVAILABLE}: {named}{type(error).__name__}{told}"


def _find(screen: Screen, policy: Safety, message: Message) -> CheckResult:
    worst: dict[str, Finding] = {}
    listed: dict[str, Finding] = {}
    faults: list[str] = []
    try:
        for part, reply in _replies(message_parts(message), screen):
            for category, finding in _by_category(reply).items():
                _keep_worst(worst, category, part.place(finding))
            for finding in _of_lists(reply):
                reason = f"{finding.check}: {finding.reason} ({part.where})"
                listed.setdefault(reason, part.place(finding))
    except _Unusable as error:
        faults.append(f"{UNAVAILABLE}: {error}")
        log.event("screening_failed", agent="safety", level="error", reason=str(error))
    except Exception as error:  # noqa: BLE001 - whatever goes wrong, the message is blocked
        faults.append(unavailable(error))
        log.fault("screening_failed", error, agent="safety")
    above = [one for name, one in worst.items() if _exceeds(one, policy.threshold_of(name))]
    if faults:
        # What was seen before the fault is only a lower bound: it counts where it blocks.
        worst = {finding.category: finding for finding in above}
    reasons = [
        f"{one.category}: severity {one.severity} is above "
        f"{policy.threshold_of(one.category)} ({one.where})"
        for one in above
    ]
    return CheckResult(
        reasons=(*faults, *reasons, *listed),
        findings=(
            *(worst.get(category) or unknown(category) for category in CATEGORIES),
            *listed.values(),
        ),
    )


def unknown(category: str) -> Finding:
    """The finding for a category that could not be screened."""
    return Finding(check="safety", category=category, severity=None, score=None)


def _replies(parts: Sequence[Part], screen: Screen) -> Iterator[tuple[Part, object]]:
    """Each part with its reply: asked for together where the screener can, else one by one."""
    many = getattr(screen, "many", None)
    if not callable(many):
        for part in parts:
            yield part, screen(part.text)
        return
    replies = many(tuple(part.text for part in parts))
    if not isinstance(replies, Sequence) or len(replies) != len(parts):
        raise _Unusable(f"the number of replies differs from the {len(parts)} parts")
    yield from zip(parts, replies, strict=True)


def _keep_worst(worst: dict[str, Finding], category: str, finding: Finding) -> None:
    # Of equals the later stays: parts follow the whole, and say better where the harm is.
    if category not in worst or _rank(finding) >= _rank(worst[category]):
        worst[category] = finding


def _rank(finding: Finding) -> tuple[int, float]:
    return finding.severity or 0, finding.score or 0.0


def _by_category(reply: object) -> dict[str, Finding]:
    """The reply by category, once it is exactly one usable finding for each."""
    if not isinstance(reply, Sequence):
        raise _Unusable("the reply is not a list of findings")
    found: dict[str, Finding] = {}
    for finding in reply:
        if isinstance(finding, Finding) and finding.check != "safety":
            continue
        if not isinstance(finding, Finding) or finding.category not in CATEGORIES:
            raise _Unusable("the reply contains an unknown category")
        if finding.category in found:
            raise _Unusable(f"the reply names {finding.category} twice")
        found[finding.category] = finding
        if type(finding.severity) is not int or not 0 <= finding.severity <= _HIGHEST:
            raise _Unusable(f"the severity of {finding.category} is not between 0 and {_HIGHEST}")
        if not _is_share(finding.score):
            raise _Unusable(f"the score of {finding.category} is not between 0 and 1")
    missing = [category for category in CATEGORIES if category not in found]
    if missing:
        raise _Unusable(f"the reply lacks {', '.join(missing)}")
    return found


def _of_lists(reply: object) -> Iterator[Finding]:
    """Findings of other checks than `safety`, such as a blocklist."""
    for finding in reply if isinstance(reply, Sequence) else ():
        if isinstance(finding, Finding) and finding.check != "safety" and finding.severity != 0:
            yield finding


def _is_share(score: object) -> bool:
    if isinstance(score, bool) or not isinstance(score, int | float):
        return False
    return math.isfinite(score) and 0 <= score <= 1


def _exceeds(finding: Finding, threshold: int) -> bool:
    return finding.severity is not None and finding.severity > threshold
