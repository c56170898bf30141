"""What was said: screening, sources, claims, and the messages themselves."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from liftwright.agents.reporting.markdown import (
    Words,
    bullets,
    callout,
    code,
    count,
    joined,
    listed,
    metric_name,
    number,
    percent,
    plain,
    plural,
    signed,
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
_SHOWN_CITATIONS = 15
_SHORT = 12


def safety(run: RunFiles) -> Words:
    """How many messages were screened, passed and blocked, and for what."""
    total, blocked = len(run.decisions), [one for one in run.decisions if one.status == "block"]
    waiting = sum(one.status == "waiting" for one in run.decisions)
    causes = Counter(cause for one in blocked for cause in one.blocked_by)
    rows = [
        ("Screened, the control among them", count(total)),
        ("Passed", count(total - len(blocked) - waiting)),
        ("Waiting for a person", count(waiting)),
        ("Blocked", count(len(blocked))),
        *(
            (f"Blocked for {_cause(name)}", count(number_of))
            for name, number_of in (dict.fromkeys(CATEGORIES, 0) | causes).items()
        ),
        ("Blocked: could not be screened", count(sum(one.is_unavailable for one in blocked))),
        ("Pass rate", percent((total - len(blocked)) / total if total else None)),
    ]
    return joined(
        table(("Messages", ">Number"), rows),
        "Highest severity found in a message, by category:",
        _severities(run.decisions),
        _at_threshold(run),
        _blocked_list(run, blocked),
    )


def audit(run: RunFiles) -> Words:
    """Where this run's decisions stand in the audit log, and the hash that proves them."""
    found = run.run.get("audit")
    if not isinstance(found, dict) or not found.get("count"):
        return Words("This run recorded no lines in the audit log.")
    return joined(
        plain(
            f"Every decision is a line of safety_audit.log. This run's {found['count']} lines "
            f"are between line {found['first']} and line {found['last']}. The hash of the last:"
        )
        + f"\\\n{code(str(found['head']))}",
        f"{code(f'liftwright verify {run.run_id}')} recomputes the chain and compares it.",
    )


def citations(run: RunFiles) -> Words:
    """The documents that were cited most, over all and in the variants that did best."""
    cited = Counter(one.document_id for variant in run.variants for one in variant.citations)
    if not cited:
        return Words("No message cites a document.")
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
                signed(sum(lifts) / len(lifts)) if lifts else None,
                "yes" if all(is_verified(v, c) for v in using for c in v.citations) else "NO",
            )
        )
    left = len(rows) - _SHOWN_CITATIONS
    metric = metric_name(run.result.deciding_metric)
    return joined(
        plain(
            f"Best variants: the {len(best)} of {len(run.variants)} with the highest positive lift "
            f"on the {metric} in their segment, at most half of all. A lift of one variant in one "
            "segment is uncertain; this shows what to try next, not what works. Verified: each "
            "citation names a passage that the writer was given."
        ),
        table(
            ("Document", "Id", ">Cited", ">In variants", ">In best", ">Mean lift", "Verified"),
            rows[:_SHOWN_CITATIONS],
        ),
        f"{plural(left, 'more document')} cited." if left > 0 else None,
    )


def best_variants(run: RunFiles) -> frozenset[str]:
    """Ids of the variants with the highest positive lift on the primary metric, half at most."""
    lifts = sorted(
        ((row.lift, variant_id) for variant_id, row in _primary_rows(run).items() if row.lift),
        reverse=True,
    )
    return frozenset(name for lift, name in lifts[: (len(run.variants) + 1) // 2] if lift > 0)


def is_verified(variant: Variant, citation: Citation) -> bool:
    """Whether a citation names a passage that the variant's writer was given."""
    return any(
        (passage.document_id, passage.version, passage.paragraph_index)
        == (citation.document_id, citation.version, citation.paragraph_index)
        for passage in variant.passages
    )


def grounding(run: RunFiles) -> Words:
    """How many of the messages' sentences are claims, and how many of those are supported."""
    verdicts = Counter(claim.verdict for found in run.claims.values() for claim in found.claims)
    if not verdicts:
        return Words("No claims were recorded.")
    claims = sum(n for verdict, n in verdicts.items() if verdict != "not_a_claim")
    rows = [
        (name, count(verdicts[key]), percent(verdicts[key] / claims if claims else None))
        for key, name in (
            ("supported", "Supported by its source"),
            ("weak", "Weakly supported"),
            ("unsupported", "Not supported"),
        )
    ]
    return joined(
        f"{plural(claims, 'sentence')} of {sum(verdicts.values())} make a claim; each was compared "
        "with the passage that it cites.",
        table(("Claims", ">Number", ">Share"), rows),
    )


def failures(run: RunFiles) -> Words:
    """The messages that never became valid, and why."""
    if not run.failures:
        return Words("None: every message that was asked for became valid.")
    rows = [
        (one.segment, one.tone, one.cause, one.attempts, count(one.affected_customers), _why(one))
        for one in run.failures
    ]
    return joined(
        "These messages never became valid. Their customers got the control.",
        table(("Segment", "Tone", "Cause", ">Drafts", ">Customers", "Reasons"), rows),
    )


def appendix(run: RunFiles) -> Words:
    """Every message in full, with its sources and what was found in it."""
    parts = [_message(run, variant) for variant in run.messages()]
    return joined(*parts) if parts else Words("No message was written.")


def _message(run: RunFiles, variant: Variant) -> str:
    title = "Control" if variant.arm == CONTROL else f"{variant.segment}: {variant.arm}"
    decision = run.decision(variant.variant_id)
    status = {"pass": "passed", "block": "BLOCKED", "waiting": "waiting"}
    facts = [
        f"Variant {variant.variant_id[:_SHORT]}",
        f"screening: {status.get(decision.status, decision.status) if decision else 'none'}",
        f"written by {variant.model}" if variant.model else "",
        _claim_counts(run, variant),
    ]
    parts = [plain(part) for part in variant.body.split("\n\n") if part.strip()]
    sources = dict.fromkeys(f"{one.title}, {one.section}" for one in variant.citations)
    return str(
        joined(
            f"### {plain(title)}",
            callout("\n\n".join([f"**{plain(variant.subject)}**", *parts])),
            plain(f"Sources: {'; '.join(sources)}.") if sources else None,
            f"*{plain('; '.join(filter(None, facts)))}.*",
        )
    )


def _claim_counts(run: RunFiles, variant: Variant) -> str:
    found = run.claims.get(variant.variant_id)
    if found is None:
        return ""
    verdicts = Counter(claim.verdict for claim in found.claims)
    told = [f"{verdicts[key]} {key}" for key in ("supported", "weak", "unsupported")]
    return f"claims: {listed(told)} (least score {number(found.score)})"


def _severities(decisions: Sequence[SafetyDecision]) -> str:
    levels = sorted(
        {0, 2, 4, 6} | {s for one in decisions for s in one.severities.values() if s is not None}
    )
    rows = []
    for name in CATEGORIES:
        found = Counter(one.severities.get(name) for one in decisions)
        rows.append((_category(name), *(count(found[at]) for at in levels), count(found[None])))
    heads = [f">{_SEVERITIES.get(at, 'severity')} ({at})" for at in levels]
    return table(("Category", *heads, ">Not known"), rows)


def _at_threshold(run: RunFiles) -> str:
    thresholds = run.campaign.get("thresholds")
    known: Mapping[str, object] = thresholds if isinstance(thresholds, dict) else {}
    limits = {name: int(str(known.get(name, _MEDIUM))) for name in CATEGORIES}
    at = [
        one.variant_id[:_SHORT]
        for one in run.decisions
        if one.status != "block"
        and any(0 < limits[name] == one.severities.get(name) for name in CATEGORIES)
    ]
    levels = listed(sorted({str(limit) for limit in limits.values()}))
    where = "exactly at the threshold" if known else "with medium severity"
    told = f"Not blocked, but {where} ({levels}): {len(at)}"
    return plain(f"{told}; a person should look at {listed(at)}." if at else f"{told}.")


def _blocked_list(run: RunFiles, blocked: Sequence[SafetyDecision]) -> str:
    messages = {variant.variant_id: variant for variant in run.messages()}
    lines = []
    for one in blocked:
        variant = messages.get(one.variant_id)
        name = f"{variant.segment or 'all'}: {variant.arm}" if variant else one.variant_id[:_SHORT]
        lines.append(f"Blocked {plain(name)}: {plain('; '.join(one.reasons) or 'no reason given')}")
    return bullets(lines)


def _cause(name: str) -> str:
    return _category(name) if name in CATEGORIES else name.replace("_", " ")


def _category(name: str) -> str:
    return name.replace("_", "-")


def _why(failure: Failure) -> str:
    return "; ".join(failure.reasons) or "not recorded"


def _primary_rows(run: RunFiles) -> dict[str, ArmComparison]:
    """The primary metric's row of each variant that was sent, by variant id."""
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
