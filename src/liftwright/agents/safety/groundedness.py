"""The check `groundedness`: a second model judges a message's claims against their sources."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from liftwright import log
from liftwright.agents.safety.screener import screener_name, unavailable
from liftwright.model import Finding, JudgeRequest
from liftwright.model.checks import SAFETY, Check, CheckResult
from liftwright.model.run_files import VariantJudgment
from liftwright.text import without_citations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from liftwright.model import SafetyDecision
    from liftwright.model.checks import Message
    from liftwright.ports import Judge

NAME = "groundedness"
_NO_CLAIM = "not_a_claim"
_HIGH = 6


def groundedness_check(judge: Judge) -> Check:
    """The check that blocks a message if a judge finds a claim that the sources do not support.

    The judge sees only sentences that the grounding agent classified as claims: no source supports
    a greeting. Messages that are already blocked or make no claim are not judged. The score of the
    finding is the unsupported share of the claims' text.
    """
    return Check(
        name=NAME,
        stage=SAFETY,
        settings=screener_name(judge.identity),
        find=partial(_find, judge),
        skips_refused=True,
    )


def opinions(decisions: Iterable[SafetyDecision], judge: Judge) -> Iterator[VariantJudgment]:
    """The judge's verdict on each message that it was asked about; None if the call failed."""
    for decision in decisions:
        for finding in decision.findings:
            if finding.check == NAME:
                yield VariantJudgment(
                    variant_id=decision.variant_id,
                    judge=screener_name(judge.identity),
                    grounded=None if finding.severity is None else finding.severity == 0,
                    ungrounded_share=finding.score,
                )


def _find(judge: Judge, message: Message) -> CheckResult:
    claims = [without_citations(c.text).strip() for c in message.claims if c.verdict != _NO_CLAIM]
    if not claims:
        return CheckResult()
    sources = tuple(f"{passage.title}\n{passage.text}" for passage in message.passages)
    try:
        opinion = judge(JudgeRequest(text="\n".join(claims), sources=sources))
    except Exception as error:  # noqa: BLE001 - any failure blocks the message
        log.fault("second_opinion_failed", error, agent="safety")
        return CheckResult(reasons=(unavailable(error, NAME),), findings=(_finding(None, None),))
    log.event(
        "second_opinion_given",
        agent="safety",
        judge=screener_name(judge.identity),
        grounded=opinion.grounded,
        ungrounded_share=opinion.ungrounded_share,
    )
    severity = 0 if opinion.grounded else _HIGH
    share = f"{opinion.ungrounded_share:.0%} of the claims' text"
    reason = f"{share} is not supported by the sources ({screener_name(judge.identity)})"
    return CheckResult(
        reasons=() if opinion.grounded else (f"{NAME}: {reason}",),
        findings=(_finding(severity, opinion.ungrounded_share),),
    )


def _finding(severity: int | None, share: float | None) -> Finding:
    return Finding(check=NAME, category=NAME, severity=severity, score=share, where="body")
