"""Checks on a message: the `Check` itself, its input and its result.

Agents define checks, and `campaign/checks.py` lists those of a campaign. A drafting check runs on a
draft; if it fails, the writer is asked again with the reasons. A safety check runs on a finished
message; if it fails, the message is blocked and not written again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.model.json import fingerprint
from liftwright.model.messages import NOT_JUDGED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from liftwright.model.content import Passage
    from liftwright.model.messages import Claim, Finding, Variant
    from liftwright.model.segments import Segment

DRAFTING, SAFETY = "drafting", "safety"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as input to checks.

    Attributes:
        subject: one line of plain text; None for a text that is not a message.
        body: without subject and footer, with its inline citations.
        segment, tone: None for the control.
        passages: the passages in the writer's prompt.
        claims: the sentences with their verdicts, once they are known.
        others: the segment's other variants, from which this one must differ.
        labels: the names of all segments; internal, so none may appear in the message.
        known_tiers: all tiers that occur among the customers.
    """

    subject: str | None
    body: str
    segment: Segment | None = None
    tone: str | None = None
    passages: tuple[Passage, ...] = ()
    claims: tuple[Claim, ...] = ()
    others: tuple[Variant, ...] = ()
    labels: tuple[str, ...] = ()
    known_tiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The result of one or more checks on a message.

    Attributes:
        reasons: why the message is refused, without repeats; empty if it passes.
        findings: what was found and where, including findings that do not refuse the message.
    """

    reasons: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def status(self) -> str:
        """`block` if there is a reason, `not_judged` if that is the only one, else `pass`."""
        if self.reasons == (NOT_JUDGED,):
            return NOT_JUDGED
        return "block" if self.reasons else "pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check on a message.

    Attributes:
        stage: drafting | safety.
        find: checks a message; an exception refuses it.
        version: changed whenever the same message and settings could give another result.
        settings: the configuration that affects the result, as JSON values.
        skips_refused: whether to skip messages that an earlier check refused, because the check
            costs a call.
    """

    name: str
    stage: str
    find: Callable[[Message], CheckResult]
    version: str = "1"
    settings: object = None
    skips_refused: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 in hex of everything that determines a result besides the message."""
        return fingerprint(self.name, self.stage, self.version, self.settings)


def in_stage(checks: Iterable[Check], stage: str) -> tuple[Check, ...]:
    """The checks of a stage, in their order."""
    return tuple(check for check in checks if check.stage == stage)


def run_checks(
    checks: Sequence[Check], message: Message, *, failed: Callable[[Check, Exception], str]
) -> CheckResult:
    """Run the checks in order and combine their results.

    Args:
        checks: the checks to run.
        message: the message.
        failed: gives the reason to refuse the message when a check raises, or raises itself.
    """
    reasons: dict[str, None] = {}
    findings: list[Finding] = []
    for check in checks:
        if reasons and check.skips_refused:
            continue
        try:
            result = check.find(message)
        except Exception as error:  # noqa: BLE001 - a check that fails must not let a message pass
            reasons[failed(check, error)] = None
        else:
            reasons |= dict.fromkeys(result.reasons)
            findings += result.findings
    return CheckResult(reasons=tuple(reasons), findings=tuple(findings))


def policy_sha256(checks: Iterable[Check]) -> str:
    """The fingerprint of the safety policy: of all checks, in any order."""
    return fingerprint(sorted(check.digest for check in checks))
