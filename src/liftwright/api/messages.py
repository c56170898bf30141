"""Passages, messages and whether they may be sent."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from liftwright.agents import generation, retrieval, safety
from liftwright.api.records import to_passage, to_plain
from liftwright.api.session import open_session, segment_of, workspace_root
from liftwright.campaign.bootstrap import log_key
from liftwright.campaign.checks import message_checks
from liftwright.content.documents import invalid_on
from liftwright.data import did_you_mean
from liftwright.errors import InputError, NoExperiment
from liftwright.log import anonymise
from liftwright.model import CATEGORIES, Failure, Segment, Variant, utc_now
from liftwright.model.checks import DRAFTING, SAFETY, in_stage
from liftwright.text import references, snippet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from liftwright.campaign.context import RunContext
    from liftwright.model import Passage

    Row = Mapping[str, Any]
    CustomersLike = pd.DataFrame | Sequence[Row] | str | Path
    SegmentLike = Segment | Row | str


def retrieve_content(
    segment: SegmentLike, top_k: int = 5, *, workspace: str | Path | None = None
) -> list[dict[str, Any]]:
    """The approved passages that fit a segment, best first.

    Args:
        segment: a label, a `Segment`, or a mapping with `name` and what else is known of it.
        top_k: how many at most.
        workspace: whose content and configuration hold.
    """
    with contextlib.closing(open_session(workspace)) as context:
        return [to_plain(one) for one in _passages(context, segment_of(context, segment), top_k)]


def extract_snippet(text: str, max_length: int = 200) -> str:
    """The beginning of a text, `max_length` words at most, ending with a sentence."""
    return snippet(text, max_length)


def _passages(
    context: RunContext, segment: Segment, top_k: int | None = None
) -> tuple[Passage, ...]:
    report = context.index(context.corpus.documents)
    config = context.settings.experiment.retrieval
    if top_k is not None:
        config = config.model_copy(update={"top_k": top_k})
    excluded = invalid_on(context.corpus.documents, datetime.now(UTC).date())
    return retrieval.retrieve(
        segment,
        context.search(report.name),
        documents=context.corpus.documents,
        config=config,
        excluded=tuple(document.document_id for document in excluded),
    )


def generate_variant(
    segment: SegmentLike,
    content: Sequence[Passage | Row] | None = None,
    tone: str = "informational",
    *,
    workspace: str | Path | None = None,
) -> dict[str, Any]:
    """One message for a segment in a tone, checked like those of a run.

    Args:
        segment: a label, a `Segment`, or a mapping with `name` and what else is known of it.
        content: passages as `retrieve_content` gives them; retrieved where it is None.
        tone: one of the configured tones.
        workspace: whose configuration holds.

    Raises:
        InputError: where the tone is not configured.
        NoExperiment: where no draft passed the checks, with the reasons.
    """
    with contextlib.closing(open_session(workspace)) as context:
        settings = context.settings
        if tone not in settings.experiment.tones:
            hint = did_you_mean(tone, settings.experiment.tones)
            raise InputError(f"tone {tone!r}: not configured{hint}")
        one = segment_of(context, segment)
        passages = _passages(context, one) if content is None else tuple(map(to_passage, content))
        limits = generation.message_limits(settings.channel.variant)
        (outcome,) = generation.generate_variants(
            [one],
            {one.label: passages},
            writing=generation.Writing(
                brand=settings.experiment.brand,
                tones=(tone,),
                limits=limits,
                templates=settings.prompts,
                max_redrafts=settings.experiment.generation.max_redrafts,
            ),
            complete=context.complete,
            checks=in_stage(context.checks, DRAFTING),
            known_tiers=tuple(one.tiers),
        )
    if isinstance(outcome, Failure):
        raise NoExperiment(_why(outcome))
    return to_plain(outcome)


def extract_citations(text: str) -> list[dict[str, str]]:
    """The `[Source: Title, Section]` marks of a text; where a title has commas, the last parts."""
    found = []
    for reference in references(text, ()):
        inside = text[reference.start : reference.end].strip("[]").removeprefix("Source:").strip()
        title, _, section = inside.rpartition(",")
        found.append({"title": (title or inside).strip(), "section": section.strip()})
    return found


def _why(failure: Failure) -> str:
    return f"{failure.tone}: no draft passed after {failure.attempts}: {'; '.join(failure.reasons)}"


def check_safety(variant: Row | Variant, *, workspace: str | Path | None = None) -> dict[str, Any]:
    """Whether a message may be sent; what cannot be screened is blocked.

    Args:
        variant: a `Variant`, or a mapping with `body` and, where known, `subject`, `variant_id`.
        workspace: whose thresholds and screener hold.

    Returns:
        `variant_id`, `status` (pass or block), `block_reason`, and per category its severity as
        `hate_severity` … (None where it is not known).

    Raises:
        InputError: where there is no `body`.
    """
    given = variant if isinstance(variant, Mapping) else to_plain(variant)
    if not isinstance(given.get("body"), str):
        raise InputError("variant: found no 'body', allowed: a mapping with a text as 'body'")
    subject, body = str(given.get("subject", "")), str(given.get("body", ""))
    name = str(given.get("variant_id") or generation.variant_id("", None, subject, body))
    with contextlib.closing(open_session(workspace)) as context:
        message = Variant.bare(name, arm="", segment=None, subject=subject, body=body)
        screen = safety.screen_concurrently(
            safety.message_parts(message), context.screen, context.concurrency
        )
        decision = safety.screen_variant(
            message,
            in_stage(message_checks(context, screen), SAFETY),
            decided_by=safety.screener_name(screen.identity),
            decided_at=utc_now(),
        )
    return {
        "variant_id": name,
        "status": decision.status,
        "block_reason": "; ".join(decision.reasons),
        **{f"{category}_severity": decision.severities[category] for category in CATEGORIES},
        "checked_at": decision.decided_at,
    }


def anonymize_customer_id(customer_id: str, *, workspace: str | Path | None = None) -> str:
    """A customer's id as it may stand in a log: 16 hex digits of a hash under the log's key."""
    return anonymise(customer_id, key=log_key(workspace_root(workspace)))


def apply_policy_threshold(severities: Mapping[str, int | None], threshold: int = 4) -> str:
    """`block` where a severity is above the threshold or a category is missing, else `pass`."""
    levels = [severities.get(c, severities.get(f"{c}_severity")) for c in CATEGORIES]
    return "pass" if all(level is not None and level <= threshold for level in levels) else "block"
