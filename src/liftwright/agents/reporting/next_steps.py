"""What comes next: scale, production, debts, and who is needed for how long."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from liftwright.agents.reporting.markdown import (
    Words,
    bullets,
    code,
    count,
    joined,
    level,
    metric_name,
    number,
    percent,
    plain,
    signed,
    table,
)
from liftwright.agents.reporting.outcomes import WANTED_LIFT, customers_for

if TYPE_CHECKING:
    from liftwright.agents.reporting.run_reader import RunFiles

_PER_CUSTOMER = ("segment", "assign", "observe", "measure")
_PLAN = (
    ("Confirm", "1", "Real engagement of this design measured; content and messages reviewed",
     "marketing manager, compliance officer, data scientist (part-time)"),
    ("Connect", "2 to 3", "Writer, search and screening on Azure; secrets; export to the sender",
     "two developers, cloud administrator (part-time)"),
    ("Pilot", "4", "One campaign at the size that the sample-size table asks for; approval on",
     "marketing operations, data scientist, compliance officer"),
    ("Regular use", "ongoing", "A campaign a month; screening and retrieval quality watched",
     "marketing operations; half a developer"),
)  # fmt: skip
_SERVICES = {
    "complete": "Writing",
    "embed": "Embedding",
    "search": "Search",
    "screen": "Screening",
    "shield": "Looking for attacks in documents",
    "judge": "Second opinion",
}
_PRODUCTION = (
    ("Writing", "grounded composer or any OpenAI-compatible server", "Azure OpenAI"),
    ("Search", "BM25 and MiniLM vectors, fused", "Azure AI Search"),
    ("Screening", "MiniLM with linear heads, and a lexicon", "Azure AI Content Safety"),
    ("Tables", "DuckDB on one machine", "Spark"),
    ("Outcomes", "simulator, or a file", "export of the e-mail service"),
    ("Records", "SQLite and files", "PostgreSQL; object storage"),
    ("Secrets, traces", "environment; off", "Key Vault; Azure Monitor"),
)
_DEBTS = (
    "The embedded writer joins approved sentences; a language model writes more freely.",
    "The embedded screener reads English; messages in another language need another screener.",
    "One experiment is one channel; several channels need an experiment each.",
    "Thompson shares serve a next wave; within a wave the shares stay as they were assigned.",
)


def next_steps(run: RunFiles) -> Words:
    """What to do now, in order, with the numbers of this run."""
    steps: list[str | None] = []
    if run.simulated:
        steps.append(
            f"Send the messages as assigned, and measure this run with real outcomes: "
            f"{code(f'liftwright run --run-id {run.run_id} --engagement FILE')}."
        )
    steps.append(_customers_needed(run))
    blocked = sum(one.status == "block" for one in run.decisions)
    if blocked or run.failures:
        steps.append(
            f"Rewrite what did not get through: {blocked} messages were blocked and "
            f"{len(run.failures)} never became valid; their customers got the control."
        )
    small = [one.label for one in run.segments if one.share < WANTED_LIFT]
    if small:
        steps.append(plain(f"Merge or redefine small segments: {', '.join(small)}."))
    steps.append("Let a person read every message in the appendix before it is sent.")
    return Words("\n".join(f"{n}. {step}" for n, step in enumerate(filter(None, steps), start=1)))


def scaling(run: RunFiles) -> Words:
    """What grows with customers, what does not, and what this run took."""
    stages = run.run.get("stages")
    seconds = {
        str(stage["name"]): float(stage["seconds"])
        for stage in (stages if isinstance(stages, list) else [])
    }
    rows = [
        (name, number(value), "customers" if name in _PER_CUSTOMER else "messages and documents")
        for name, value in seconds.items()
        if name != "report"
    ]
    return joined(
        _cost(run),
        plain(
            "Messages are written for segments, not for customers, so their cost stays the same "
            "for ten or ten million customers. Tables grow with customers; they run in one engine, "
            "and on Spark by configuration."
        ),
        table(("Stage", ">Seconds", "Grows with"), rows) if rows else None,
    )


def _cost(run: RunFiles) -> Words:
    """What the run has paid to each service, as the ledger holds it; else what its drafts say."""
    found = run.run.get("totals")
    totals = found if isinstance(found, dict) else {}
    services = totals.get("cost_by_service")
    if not isinstance(services, dict) or not services:
        tokens = sum(v.tokens.input + v.tokens.output for v in run.variants)
        cost = math.fsum(v.cost_usd for v in run.variants)
        return joined(
            plain(
                f"The {len(run.variants)} messages of this run took "
                f"{count(tokens) if tokens else 'no'} tokens and {cost:.2f} US dollars."
            )
        )
    rows = [
        (
            _SERVICES.get(str(port), str(port)),
            count(paid["calls"]),
            count(paid["tokens"]["input"] + paid["tokens"]["output"]),
            count(paid["units"]),
            f"{paid['cost_usd']:.4f}",
        )
        for port, paid in services.items()
    ]
    each, approved = totals.get("cost_per_approved_variant_usd"), totals.get("approved_variants")
    per_variant = (
        f", {each:.4f} for each of the {approved} approved variants"
        if isinstance(each, float)
        else ""
    )
    return joined(
        plain(
            f"This run has paid {float(totals['cost_usd']):.4f} US dollars to services by the "
            f"prices of its configuration{per_variant}. Replies that were remembered from an "
            "earlier run cost nothing; drafts that were refused are counted."
        ),
        table(("Service", ">Paid calls", ">Tokens", ">Records, queries", ">US dollars"), rows),
    )


def production() -> Words:
    """Which part is exchanged for which service; the code between them stays."""
    return joined(
        "Each part stands behind a port and is exchanged by configuration:",
        table(("Part", "On one machine", "In production"), _PRODUCTION),
    )


def debts() -> Words:
    """Known limits that more work would lift."""
    return Words(bullets(plain(item) for item in _DEBTS))


def timeline() -> Words:
    """A plan with people and weeks; estimates, not measurements."""
    return joined(
        "An estimate for one brand; no part of it was measured.",
        table(("Phase", "Week", "Done when", "Who"), _PLAN),
    )


def _customers_needed(run: RunFiles) -> str | None:
    result = run.result
    rows = [one for one in result.power if one.metric == result.deciding_metric]
    needs = [need for one in rows if (need := customers_for(one, result)) is not None]
    if not needs:
        return None
    per_arm, arms = max(needs), len(rows) + 1
    base = next(one.base for one in rows if customers_for(one, result) is not None)
    kind = next(row.kind for row in result.rows(metric=result.deciding_metric))
    have = result.n
    total = per_arm * arms
    enough = "this run had enough" if have >= total else f"this run had {count(have)}"
    return plain(
        f"Plan for enough customers: to find a lift of {signed(WANTED_LIFT, 0)} in "
        f"{metric_name(result.deciding_metric)} (control: {level(base, kind)}) with "
        f"{percent(rows[0].power, 0)} power, {count(per_arm)} customers per arm are needed, "
        f"{count(total)} in {arms} arms; {enough}."
    )
