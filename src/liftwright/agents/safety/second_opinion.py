"""A second opinion on a variant's claims; what it does not bear out is blocked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from liftwright import log
from liftwright.agents.safety.decisions import BLOCK, UNAVAILABLE, screener_name
from liftwright.errors import LiftwrightError
from liftwright.model import Sourced
from liftwright.model.artifacts import VariantOpinion
from liftwright.text import without_citations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from liftwright.model import Claim, SafetyDecision, Variant
    from liftwright.ports import Judge

CHECK = "groundedness"
_NO_CLAIM = "not_a_claim"


def second_opinion(
    decision: SafetyDecision, variant: Variant, claims: Sequence[Claim], judge: Judge
) -> tuple[SafetyDecision, VariantOpinion | None]:
    """The decision as it stands after a second opinion, and the opinion.

    The judge is asked about the sentences that claim something, as our own grounding found them:
    a greeting is borne out by nothing. What is blocked already, or claims nothing, is not asked
    about.

    Args:
        decision: what screening came to.
        variant: the message; its passages are the sources.
        claims: its sentences.
        judge: who is asked.
    """
    said = [without_citations(one.text).strip() for one in claims if one.verdict != _NO_CLAIM]
    if decision.status == BLOCK or not said:
        return decision, None
    name = screener_name(judge.identity)
    sources = tuple(f"{passage.title}\n{passage.text}" for passage in variant.passages)
    try:
        opinion = judge(Sourced(text="\n".join(said), sources=sources))
    except Exception as error:  # noqa: BLE001 - whatever goes wrong, the message is blocked
        log.fault("second_opinion_failed", error, agent="safety", variant_id=variant.variant_id)
        # Only our own errors are known to hold no text of the message.
        told = f": {error}" if isinstance(error, LiftwrightError) else ""
        reason = f"{UNAVAILABLE}{CHECK}: {type(error).__name__}{told}"
        unknown = VariantOpinion(
            variant_id=variant.variant_id, judge=name, grounded=None, ungrounded_share=None
        )
        return _blocked(decision, variant, reason), unknown
    log.event(
        "second_opinion_given",
        agent="safety",
        variant_id=variant.variant_id,
        judge=name,
        grounded=opinion.grounded,
        ungrounded_share=opinion.ungrounded_share,
    )
    found = VariantOpinion(
        variant_id=variant.variant_id,
        judge=name,
        grounded=opinion.grounded,
        ungrounded_share=opinion.ungrounded_share,
    )
    if opinion.grounded:
        return decision, found
    share = f"{opinion.ungrounded_share:.0%} of the claims' text"
    reason = f"{CHECK}: {share} is not borne out by the sources ({name})"
    return _blocked(decision, variant, reason), found


def _blocked(decision: SafetyDecision, variant: Variant, reason: str) -> SafetyDecision:
    log.event(
        "variant_blocked",
        agent="safety",
        level="warning",
        variant_id=variant.variant_id,
        segment=variant.segment,
        status=BLOCK,
        reasons=(reason,),
    )
    return replace(decision, status=BLOCK, reasons=(reason,))
