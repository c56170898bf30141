"""The stages that work on messages: index, retrieve, generate, ground, screen."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import asdict, fields
from functools import partial
from typing import TYPE_CHECKING

from liftwright.agents import generation, grounding, retrieval, safety
from liftwright.agents.segmentation import Segmentation
from liftwright.calls.concurrency import run_concurrently
from liftwright.campaign.checks import message_checks
from liftwright.config.prompt_templates import CONTROL_MESSAGE
from liftwright.content.documents import invalid_on
from liftwright.errors import DataError
from liftwright.log import event
from liftwright.model import Failure, Passage, SafetyDecision, to_json, utc_now
from liftwright.model.checks import DRAFTING, SAFETY, in_stage, policy_sha256
from liftwright.model.run_files import Approval, ChannelRecord, IndexRecord, VariantClaims, Variants
from liftwright.ports import ManagesIndexes

if TYPE_CHECKING:
    from liftwright.campaign.context import RunContext
    from liftwright.config import Settings
    from liftwright.model import Document, Json, Segment, Variant
    from liftwright.model.run_files import RunFolder


def index(context: RunContext) -> str:
    """Index the approved content and list the documents that are not valid today."""
    documents, blocked = shield_content(context, context.corpus.documents)
    report = context.index(documents)
    excluded = invalid_on(documents, context.run.valid_on)
    if len(excluded) == len(documents) and any(d.approval_date is None for d in excluded):
        raise DataError(
            f"content: none of the {len(documents)} documents may be used: they have no approval "
            "date; set defaults.approval_date in config/content.yaml"
        )
    if excluded:
        ids = [document.document_id for document in excluded]
        event("documents_excluded", agent="retrieval", level="warning", documents=ids)
    warnings = context.content_warnings(context.corpus)
    context.folder.write(
        "index.json",
        IndexRecord(
            name=report.name,
            documents=report.documents,
            paragraphs=report.paragraphs,
            excluded=tuple(document.document_id for document in excluded),
            skipped=context.corpus.skipped,
            blocked=blocked,
            warnings=warnings,
        ),
    )
    for warning in warnings:
        event("content_warning", agent="retrieval", level="warning", message=warning)
    summary = f"Indexed {report.documents} documents successfully. {len(report.errors)} errors."
    return " ".join((summary, *warnings))


def index_exists(context: RunContext) -> bool:
    """Whether the run's index still exists; False for a service that cannot list its indexes."""
    keeper = context.ports.index
    if not isinstance(keeper, ManagesIndexes):
        return False
    kept = context.calls.make("index", keeper.index_names, local=not keeper.metered)
    return context.folder.read("index.json", IndexRecord).name in (kept.in_use, *kept.others)


def retrieve(context: RunContext) -> str:
    """Find the approved passages that fit each segment."""
    indexed = context.folder.read("index.json", IndexRecord)
    documents = tuple(
        document
        for document in context.corpus.documents
        if document.document_id not in indexed.blocked
    )
    search = retrieval.CachedRetriever(context.search(indexed.name))
    segments = context.folder.read("segments.json", Segmentation).segments

    def find(segment: Segment) -> tuple[Passage, ...]:
        return retrieval.retrieve(
            segment,
            search,
            documents=documents,
            config=context.settings.experiment.retrieval,
            excluded=indexed.excluded,
        )

    # The control does not depend on the passages.
    prefetch_screening(context, _control(context.settings))
    # A local search already uses all processors.
    workers = context.concurrency if search.metered else 1
    results = run_concurrently([partial(find, segment) for segment in segments], workers)
    labels = [segment.label for segment in segments]
    passages = dict(zip(labels, results, strict=True))
    context.folder.write("passages.json", passages)
    return f"{sum(map(len, passages.values()))} passages for {len(segments)} segments"


def shield_content(
    context: RunContext, documents: tuple[Document, ...]
) -> tuple[tuple[Document, ...], tuple[str, ...]]:
    """The documents without a prompt injection, and the ids of the blocked ones."""
    shield = context.shield
    if shield is None:
        return documents, ()
    return retrieval.shield_documents(
        documents,
        shield,
        skip=context.settings.experiment.content.on_bad_documents == "skip",
        workers=context.settings.services.calls.concurrency,
    )


def generate(context: RunContext) -> str:
    """Write the control and one variant per segment and tone."""
    settings = context.settings
    segments = context.folder.read("segments.json", Segmentation).segments
    passages = context.folder.read("passages.json", dict[str, tuple[Passage, ...]])
    limits = generation.message_limits(settings.channel.variant)
    control = _control(settings)
    sources = list(itertools.chain.from_iterable(passages.values()))
    variants: list[Variant] = []
    failures: list[Failure] = []
    with ThreadPoolExecutor(max_workers=1) as pool:
        # Embed the sources, which drafts are checked against, while the writer is busy.
        pool.submit(copy_context().run, grounding.prepare, sources, context.ports.embed)
        outcomes = generation.generate_variants(
            segments,
            passages,
            writing=generation.Writing(
                brand=settings.experiment.brand,
                tones=settings.experiment.tones,
                limits=limits,
                templates=settings.prompts,
                max_redrafts=settings.experiment.generation.max_redrafts,
                concurrency=context.concurrency,
            ),
            complete=context.complete,
            checks=in_stage(context.checks, DRAFTING),
            known_tiers={tier for segment in segments for tier in segment.tiers},
        )
        for outcome in outcomes:
            if isinstance(outcome, Failure):
                failures.append(outcome)
            else:
                variants.append(outcome)
                prefetch_screening(context, outcome)
    channel = ChannelRecord(channel=settings.experiment.channel, footer=_footer(settings))
    context.folder.write("channel.json", channel)
    context.folder.write("variants.json", Variants(control=control, variants=tuple(variants)))
    context.folder.write("failures.json", failures)
    return f"{len(variants)} variants, {len(failures)} failed"


def _control(settings: Settings) -> Variant:
    """The message of the control arm."""
    limits = generation.message_limits(settings.channel.control)
    return generation.control_variant(
        settings.prompts[CONTROL_MESSAGE], brand=settings.experiment.brand, limits=limits
    )


def prefetch_screening(context: RunContext, variant: Variant) -> None:
    """Screen a final message in the background while others are still being written."""
    context.screen_prefetch.submit(part.text for part in safety.message_parts(variant))


def ground(context: RunContext) -> str:
    """Record the claims of every variant with their supporting sources."""
    claims = []
    for variant in context.folder.read("variants.json", Variants).variants:
        # Cached if this process accepted the draft.
        grounded = context.grounder.ground(variant.body, variant.passages, variant.tone)
        claims.append(
            VariantClaims(
                variant_id=variant.variant_id, score=grounded.score, claims=grounded.claims
            )
        )
        event(
            "variant_grounded",
            agent="grounding",
            variant_id=variant.variant_id,
            claims=len(grounded.claims),
            score=grounded.score,
        )
    context.folder.write("claims.json", claims)
    return f"{sum(len(entry.claims) for entry in claims)} sentences checked"


def _footer(settings: Settings) -> str:
    brand, text = settings.experiment.brand, settings.channel.footer
    values = {
        "brand": brand.name,
        "postal_address": brand.postal_address,
        "unsubscribe_url": brand.unsubscribe_url,
    }
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text.strip()


def screen(context: RunContext) -> str:
    """Decide for every message, including the control, whether it may be sent, and audit it."""
    variants = context.folder.read("variants.json", Variants).all
    approvals = {approval.variant_id: approval for approval in read_approvals(context.folder)}
    claims = {
        entry.variant_id: entry.claims
        for entry in context.folder.read_list("claims.json", VariantClaims)
    }
    judge = context.judge

    # A remote screener is called for all parts of all messages concurrently.
    parts = [part for variant in variants for part in safety.message_parts(variant)]
    context.screen_prefetch.stop()
    screener = safety.screen_concurrently(
        parts, context.screen, context.concurrency, earlier=context.screen_prefetch.reply
    )
    checks = in_stage(message_checks(context, screener), SAFETY)

    def decide(variant: Variant) -> SafetyDecision:
        return safety.screen_variant(
            variant,
            checks,
            decided_by=safety.screener_name(screener.identity),
            decided_at=utc_now(),
            approval_required=context.settings.experiment.approval.required,
            # The control has no claims and no sources.
            claims=claims.get(variant.variant_id, ()),
        )

    workers = context.concurrency if judge is not None and judge.metered else 1
    screened = run_concurrently([partial(decide, variant) for variant in variants], workers)
    if judge is not None:
        context.folder.write("opinions.json", tuple(safety.opinions(screened, judge)))
    else:
        # From an earlier process, before the judge was switched off.
        context.folder.file("opinions.json").unlink(missing_ok=True)
    policy, decisions, records = policy_sha256(context.checks), [], []
    for variant, decision in zip(variants, screened, strict=True):
        history = [decision]
        approval = approvals.get(variant.variant_id)
        if (
            approval
            and decision.status == "waiting"
            and approval.content_sha256 == decision.content_sha256
        ):
            history.append(safety.approve(decision, who=approval.who, at=approval.at))
        records += [
            safety.audit_record(
                entry, run_id=context.run.run_id, segment=variant.segment, policy_sha256=policy
            )
            for entry in history
        ]
        decisions.append(history[-1])
    since = context.run.audit.since if context.run.audit else None
    appended = context.audit.append(records, run_id=context.run.run_id, since=since)
    context.save(audit=appended.range)
    context.folder.write("decisions.json", list(map(_to_json, decisions)))
    summary = safety.summarise_safety(decisions, context.settings.safety)
    event("safety_summarised", agent="safety", **asdict(summary))
    causes = [f"{name} {count}" for name, count in summary.blocked_by_category.items() if count]
    blocked = f"{summary.blocked} blocked" + (f" ({', '.join(causes)})" if causes else "")
    return f"{summary.passed} pass, {blocked}, {summary.waiting} waiting"


def _to_json(decision: SafetyDecision) -> dict[str, Json]:
    """A decision in the format of decisions.json; `findings` is omitted if empty."""
    row = {field.name: to_json(getattr(decision, field.name)) for field in fields(decision)}
    return {name: value for name, value in row.items() if name != "findings" or value}


def read_approvals(folder: RunFolder) -> tuple[Approval, ...]:
    """The approvals given so far."""
    if not folder.file("approvals.json").is_file():
        return ()
    return folder.read_list("approvals.json", Approval)
