"""Retrieves passages, writes messages and screens them."""

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
        segment: a label, a `Segment`, or a mapping with `name` and other known fields.
        top_k: the maximum number of passages.
        workspace: provides content and configuration.
    """
    with contextlib.closing(open_session(workspace)) as context:
        return [
            to_plain(passage) for passage in _passages(context, segment_of(context, segment), top_k)
        ]


def extract_snippet(text: str, max_length: int = 200) -> str:
    """The first whole sentences of a text, at most `max_length` words."""
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
    """Write a message for a segment in a tone, checked as in a run.

    Args:
        segment: a label, a `Segment`, or a mapping with `name` and other known fields.
        content: passages as returned by `retrieve_content`; None to retrieve them.
        tone: one of the configured tones.
        workspace: provides the configuration.

    Raises:
        InputError: the tone is not configured.
        NoExperiment: no draft passed the checks; gives the reasons.
    """
    with contextlib.closing(open_session(workspace)) as context:
        settings = context.settings
        if tone not in settings.experiment.tones:
            hint = did_you_mean(tone, settings.experiment.tones)
            raise InputError(f"tone {tone!r}: not configured{hint}")
        readers = segment_of(context, segment)
        passages = (
            _passages(context, readers) if content is None else tuple(map(to_passage, content))
        )
        limits = generation.message_limits(settings.channel.variant)
        (outcome,) = generation.generate_variants(
            [readers],
            {readers.label: passages},
            writing=generation.Writing(
                brand=settings.experiment.brand,
                tones=(tone,),
                limits=limits,
                templates=settings.prompts,
                max_redrafts=settings.experiment.generation.max_redrafts,
            ),
            complete=context.complete,
            checks=in_stage(context.checks, DRAFTING),
            known_tiers=tuple(readers.tiers),
        )
    if isinstance(outcome, Failure):
        raise NoExperiment(_failure_message(outcome))
    return to_plain(outcome)


def extract_citations(text: str) -> list[dict[str, str]]:
    """The `[Source: Title, Section]` citations of a text, split at the last comma."""
    citations = []
    for reference in references(text, ()):
        inside = text[reference.start : reference.end].strip("[]").removeprefix("Source:").strip()
        title, _, section = inside.rpartition(",")
        citations.append({"title": (title or inside).strip(), "section": section.strip()})
    return citations


def _failure_message(failure: Failure) -> str:
    return f"{failure.tone}: no draft passed after {failure.attempts}: {'; '.join(failure.reasons)}"


def check_safety(variant: Row | Variant, *, workspace: str | Path | None = None) -> dict[str, Any]:
    """Whether a message may be sent; a message that cannot be screened is blocked.

    Args:
        variant: a `Variant`, or a mapping with `body` and optionally `subject`, `variant_id`.
        workspace: provides thresholds and screener.

    Returns:
        `variant_id`, `status` (pass or block), `block_reason`, and the severity of each category
        as `hate_severity` … (None if unknown).

    Raises:
        InputError: there is no `body`.
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
    """The pseudonym of a customer id in logs: 16 hex digits of a keyed hash."""
    return anonymise(customer_id, key=log_key(workspace_root(workspace)))


def apply_policy_threshold(severities: Mapping[str, int | None], threshold: int = 4) -> str:
    """`block` if a severity is above the threshold or a category is missing, else `pass`."""
    levels = [severities.get(c, severities.get(f"{c}_severity")) for c in CATEGORIES]
    return "pass" if all(level is not None and level <= threshold for level in levels) else "block"
