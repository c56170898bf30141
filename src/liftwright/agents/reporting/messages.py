"""Screening results, citations, claims, and the messages themselves."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from liftwright.agents.reporting.markdown import (
    Markdown,
    bullets,
    callout,
    code,
    count,
    escape,
    join_list,
    metric_label,
    number,
    paragraphs,
    percent,
    plural,
    signed_percent,
    table,
)
from liftwright.model import CATEGORIES, CONTROL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from liftwright.agents.reporting.run_reader import RunFiles
    from liftwright.analysis import ArmComparison
    from liftwright.model import Citation, Failure, SafetyDecision, Variant

_SEVERITIES = {0: "none", 2: "low", 4: "medium", 6: "high"}
_MEDIUM = 4
_MAX_CITATIONS = 15
_ID_LENGTH = 12


def safety(run: RunFiles) -> Markdown:
    """How many messages were screened, passed and blocked, and why."""
    total, blocked = (
        len(run.decisions),
        [decision for decision in run.decisions if decision.status == "block"],
    )
    waiting = sum(decision.status == "waiting" for decision in run.decisions)
    causes = Counter(cause for decision in blocked for cause in decision.blocked_by)
    rows = [
        ("Screened, including the control", count(total)),
        ("Passed", count(total - len(blocked) - waiting)),
        ("Waiting for approval", count(waiting)),
        ("Blocked", count(len(blocked))),
        *(
            (f"Blocked for {name.replace('_', '-' if name in CATEGORIES else ' ')}", count(times))
            for name, times in (dict.fromkeys(CATEGORIES, 0) | causes).items()
        ),
        (
            "Blocked: could not be screened",
            count(sum(decision.is_unavailable for decision in blocked)),
        ),
        ("Pass rate", percent((total - len(blocked)) / total if total else None)),
    ]
    return paragraphs(
        table(("Messages", ">Number"), rows),
        "Highest severity per message, by category:",
        _severities(run.decisions),
        _at_threshold(run),
        _blocked_list(run, blocked),
    )


def audit(run: RunFiles) -> Markdown:
    """The lines of this run in the audit log, and the hash that proves them."""
    recorded = run.run.get("audit")
    if not isinstance(recorded, dict) or not recorded.get("count"):
        return Markdown("This run has no lines in the audit log.")
    return paragraphs(
        escape(
            f"Every decision is a line of safety_audit.log. This run has "
            f"{plural(recorded['count'], 'line')}, from line {recorded['first']} to line "
            f"{recorded['last']}. The hash of the last line:"
        )
        + f"\\\n{code(str(recorded['head']))}",
        f"{code(f'liftwright verify {run.run_id}')} recomputes and checks the hash chain.",
    )


def citations(run: RunFiles) -> Markdown:
    """The most cited documents, overall and in the best variants."""
    cited = Counter(
        citation.document_id for variant in run.variants for citation in variant.citations
    )
    if not cited:
        return Markdown("No message cites a document.")
    results = _primary_rows(run)
    best = best_variants(run)
    rows = []
    for document_id, times in sorted(cited.items(), key=lambda item: (-item[1], item[0])):
        using = [v for v in run.variants if document_id in {c.document_id for c in v.citations}]
        lifts = [
            row.lift for v in using if (row := results.get(v.variant_id)) and row.lift is not None
        ]
        rows.append(
            (
                next(c.title for v in using for c in v.citations if c.document_id == document_id),
                document_id,
                count(times),
                count(len(using)),
                count(sum(v.variant_id in best for v in using)),
                signed_percent(sum(lifts) / len(lifts)) if lifts else None,
                "yes" if all(is_verified(v, c) for v in using for c in v.citations) else "NO",
            )
        )
    left = len(rows) - _MAX_CITATIONS
    metric = metric_label(run.result.deciding_metric)
    return paragraphs(
        escape(
            f"Best variants: the {len(best)} of {len(run.variants)} with the highest positive lift "
            f"in {metric} in their segment, at most half of all. The lift of one variant in one "
            "segment is uncertain: use this for ideas, not as evidence. Verified: every citation "
            "refers to a passage that the writer was given."
        ),
        table(
            ("Document", "Id", ">Cited", ">In variants", ">In best", ">Mean lift", "Verified"),
            rows[:_MAX_CITATIONS],
        ),
        f"{plural(left, 'more document')} cited." if left > 0 else None,
    )


def best_variants(run: RunFiles) -> frozenset[str]:
    """The ids of the variants with the highest positive primary lift, at most half of all."""
    lifts = sorted(
        ((row.lift, variant_id) for variant_id, row in _primary_rows(run).items() if row.lift),
        reverse=True,
    )
    return frozenset(name for lift, name in lifts[: (len(run.variants) + 1) // 2] if lift > 0)


def is_verified(variant: Variant, citation: Citation) -> bool:
    """Whether a citation refers to a passage that the variant's writer was given."""
    return any(
        (passage.document_id, passage.version, passage.paragraph_index)
        == (citation.document_id, citation.version, citation.paragraph_index)
        for passage in variant.passages
    )


def grounding(run: RunFiles) -> Markdown:
    """How many sentences are claims, and how many claims are supported."""
    verdicts = Counter(claim.verdict for record in run.claims.values() for claim in record.claims)
    if not verdicts:
        return Markdown("No claims were recorded.")
    claims = sum(n for verdict, n in verdicts.items() if verdict != "not_a_claim")
    rows = [
        (name, count(verdicts[key]), percent(verdicts[key] / claims if claims else None))
        for key, name in (
            ("supported", "Supported by its source"),
            ("weak", "Weakly supported"),
            ("unsupported", "Not supported"),
        )
    ]
    return paragraphs(
        f"{claims:,} of {plural(sum(verdicts.values()), 'sentence')} make a claim; each claim was "
        "compared with the passage that it cites.",
        table(("Claims", ">Number", ">Share"), rows),
    )


def failures(run: RunFiles) -> Markdown:
    """The messages without a valid draft, and the reasons."""
    if not run.failures:
        return Markdown("None: every requested message is valid.")
    rows = [
        (
            failure.segment,
            failure.tone,
            failure.cause,
            failure.attempts,
            count(failure.affected_customers),
            _failure_reasons(failure),
        )
        for failure in run.failures
    ]
    return paragraphs(
        "No draft of these messages was valid. Their customers got the control.",
        table(("Segment", "Tone", "Cause", ">Drafts", ">Customers", "Reasons"), rows),
    )


def appendix(run: RunFiles) -> Markdown:
    """Every message in full, with its sources and check results."""
    parts = [_message(run, variant) for variant in run.messages()]
    return paragraphs(*parts) if parts else Markdown("No message was written.")


def _message(run: RunFiles, variant: Variant) -> str:
    title = "Control" if variant.arm == CONTROL else f"{variant.segment}: {variant.arm}"
    decision = run.decision(variant.variant_id)
    status = {"pass": "passed", "block": "BLOCKED", "waiting": "waiting"}
    facts = [
        f"Variant {variant.variant_id[:_ID_LENGTH]}",
        f"screening: {status.get(decision.status, decision.status) if decision else 'none'}",
        f"written by {variant.model}" if variant.model else "",
        _claim_counts(run, variant),
    ]
    parts = [escape(part) for part in variant.body.split("\n\n") if part.strip()]
    sources = dict.fromkeys(
        f"{citation.title}, {citation.section}" for citation in variant.citations
    )
    return str(
        paragraphs(
            f"### {escape(title)}",
            callout("\n\n".join([f"**{escape(variant.subject)}**", *parts])),
            escape(f"Sources: {'; '.join(sources)}.") if sources else None,
            f"*{escape('; '.join(filter(None, facts)))}.*",
        )
    )


def _claim_counts(run: RunFiles, variant: Variant) -> str:
    record = run.claims.get(variant.variant_id)
    if record is None:
        return ""
    verdicts = Counter(claim.verdict for claim in record.claims)
    counts = [f"{verdicts[key]} {key}" for key in ("supported", "weak", "unsupported")]
    return f"claims: {join_list(counts)} (lowest score {number(record.score)})"


def _severities(decisions: Sequence[SafetyDecision]) -> str:
    levels = sorted(
        {0, 2, 4, 6}
        | {s for decision in decisions for s in decision.severities.values() if s is not None}
    )
    rows = []
    for name in CATEGORIES:
        counts = Counter(decision.severities.get(name) for decision in decisions)
        rows.append(
            (
                name.replace("_", "-"),
                *(count(counts[severity]) for severity in levels),
                count(counts[None]),
            )
        )
    heads = [f">{_SEVERITIES.get(severity, 'severity')} ({severity})" for severity in levels]
    return table(("Category", *heads, ">Unknown"), rows)


def _at_threshold(run: RunFiles) -> str:
    thresholds = run.campaign.get("thresholds")
    known: Mapping[str, object] = thresholds if isinstance(thresholds, dict) else {}
    limits = {name: int(str(known.get(name, _MEDIUM))) for name in CATEGORIES}
    at = [
        decision.variant_id[:_ID_LENGTH]
        for decision in run.decisions
        if decision.status != "block"
        and any(0 < limits[name] == decision.severities.get(name) for name in CATEGORIES)
    ]
    levels = join_list(sorted({str(limit) for limit in limits.values()}))
    where = "exactly at the threshold" if known else "with medium severity"
    note = f"Not blocked, but {where} ({levels}): {len(at)}"
    return escape(f"{note}; a person should review {join_list(at)}." if at else f"{note}.")


def _blocked_list(run: RunFiles, blocked: Sequence[SafetyDecision]) -> str:
    messages = {variant.variant_id: variant for variant in run.messages()}
    lines = []
    for decision in blocked:
        variant = messages.get(decision.variant_id)
        name = (
            f"{variant.segment or 'all'}: {variant.arm}"
            if variant
            else decision.variant_id[:_ID_LENGTH]
        )
        lines.append(
            f"Blocked {escape(name)}: {escape('; '.join(decision.reasons) or 'no reason given')}"
        )
    return bullets(lines)


def _failure_reasons(failure: Failure) -> str:
    return "; ".join(failure.reasons) or "not recorded"


def _primary_rows(run: RunFiles) -> dict[str, ArmComparison]:
    """The comparison in the primary metric of each variant that was sent, by variant id."""
    metric = run.result.deciding_metric
    rows = {(row.segment, row.arm): row for row in run.result.comparisons if row.metric == metric}
    return {
        variant.variant_id: rows[variant.segment, variant.arm]
        for variant in run.variants
        if variant.segment is not None and (variant.segment, variant.arm) in rows
    }


__all__ = [
    "appendix",
    "audit",
    "best_variants",
    "citations",
    "failures",
    "grounding",
    "is_verified",
    "safety",
]
