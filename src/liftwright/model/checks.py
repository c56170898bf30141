"""Checks on a message: what a check is, what it reads, and what it says.

An agent offers its checks and the campaign composes one list of them (`campaign/checks.py`).
Drafting checks judge a draft, which is asked for again with the reasons; safety checks judge a
finished message, which is blocked and never asked for again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.model.json import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from liftwright.model.content import Passage
    from liftwright.model.messages import Claim, Finding, Variant
    from liftwright.model.segments import Segment

DRAFTING, SAFETY = "drafting", "safety"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as checks read it.

    Attributes:
        subject: one line of plain text; None where a text is checked that is not a message.
        body: without subject and footer, with its inline citations.
        segment, tone: the readers and the style; None for the control.
        passages: what the writer was given.
        claims: the sentences with their verdicts, once they are recorded.
        others: the variants for the same readers that it must differ from.
        labels: the names of all segments; internal, so none may be shown.
        known_tiers: every tier that any customer holds.
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
    """What checks say of a message.

    Attributes:
        reasons: why the message is refused, each once; none where it passes.
        findings: what was found and where, including what does not refuse the message.
    """

    reasons: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def status(self) -> str:
        """`block` where there is a reason, else `pass`."""
        return "block" if self.reasons else "pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check on a message.

    Attributes:
        stage: drafting | safety.
        find: reads a message and says what it found; what it raises refuses the message.
        version: changes with the outcome for an equal message and equal settings.
        settings: the configuration that shapes the outcome, as JSON values.
        skips_refused: whether messages that an earlier check refused are left out, as the check
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
        """SHA-256 in hex of what names the check's outcome: name, stage, version, settings."""
        return fingerprint(self.name, self.stage, self.version, self.settings)


def in_stage(checks: Iterable[Check], stage: str) -> tuple[Check, ...]:
    """The checks of a stage, in their order."""
    return tuple(check for check in checks if check.stage == stage)


def run_checks(
    checks: Sequence[Check], message: Message, *, failed: Callable[[Check, Exception], str]
) -> CheckResult:
    """All that the checks say of a message, in their order.

    Args:
        checks: those to run.
        message: the message.
        failed: gives the reason to refuse the message where a check raised; or raises itself.
    """
    reasons: dict[str, None] = {}
    findings: list[Finding] = []
    for check in checks:
        if reasons and check.skips_refused:
            continue
        try:
            found = check.find(message)
        except Exception as error:  # noqa: BLE001 - a check that fails must not let a message pass
            reasons[failed(check, error)] = None
        else:
            reasons |= dict.fromkeys(found.reasons)
            findings += found.findings
    return CheckResult(reasons=tuple(reasons), findings=tuple(findings))


def policy_sha256(checks: Iterable[Check]) -> str:
    """The fingerprint of the policy that messages are held to: every check, in any order."""
    return fingerprint(sorted(check.digest for check in checks))
