"""The outlook: next steps, scaling, production, technical debt, and a timeline."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from liftwright.agents.reporting.markdown import (
    Markdown,
    bullets,
    code,
    count,
    escape,
    metric_label,
    metric_value,
    number,
    paragraphs,
    percent,
    signed_percent,
    table,
)
from liftwright.agents.reporting.outcomes import TARGET_LIFT, customers_for

if TYPE_CHECKING:
    from liftwright.agents.reporting.run_reader import RunFiles

_PER_CUSTOMER = ("segment", "assign", "observe", "measure")
_PLAN = (
    ("Confirm", "1", "This design measured with real engagement; content and messages reviewed",
     "marketing manager, compliance officer, data scientist (part-time)"),
    ("Connect", "2 to 3", "Writer, search and screening on Azure; secrets; export to the ESP",
     "two developers, cloud administrator (part-time)"),
    ("Pilot", "4", "One campaign of the size given in the sample-size table; approval required",
     "marketing operations, data scientist, compliance officer"),
    ("Regular use", "ongoing", "A campaign a month; screening and retrieval quality monitored",
     "marketing operations, developer (half-time)"),
)  # fmt: skip
_PORT_LABELS = {
    "complete": "Writing",
    "embed": "Embedding",
    "search": "Search",
    "screen": "Screening",
    "shield": "Screening documents for prompt injections",
    "judge": "Second opinion",
}
_PRODUCTION = (
    ("Writing", "grounded composer or any OpenAI-compatible server", "Azure OpenAI"),
    ("Search", "BM25 and MiniLM vectors, fused", "Azure AI Search"),
    ("Screening", "MiniLM with linear heads, and a lexicon", "Azure AI Content Safety"),
    ("Tables", "DuckDB on one machine", "Spark"),
    ("Outcomes", "simulator, or a file", "export of the e-mail service provider"),
    ("Records", "SQLite and files", "PostgreSQL; object storage"),
    ("Secrets, traces", "environment; off", "Key Vault; Azure Monitor"),
)
_DEBTS = (
    "The embedded writer combines approved sentences; a language model writes more freely.",
    "The embedded screener supports English only; other languages need another screener.",
    "An experiment has one channel; several channels need one experiment each.",
    "Thompson sampling suggests shares for the next wave; within a wave, shares do not change.",
)


def next_steps(run: RunFiles) -> Markdown:
    """What to do next, in order, with the numbers of this run."""
    steps: list[str | None] = []
    if run.simulated:
        steps.append(
            f"Send the messages as assigned, then measure this run with real outcomes: "
            f"{code(f'liftwright run --run-id {run.run_id} --engagement FILE')}."
        )
    steps.append(_customers_needed(run))
    blocked = sum(decision.status == "block" for decision in run.decisions)
    if blocked or run.failures:
        steps.append(
            f"Revise the messages that were not sent: {blocked} blocked, {len(run.failures)} never "
            "valid; their customers got the control."
        )
    small = [segment.label for segment in run.segments if segment.share < TARGET_LIFT]
    if small:
        steps.append(escape(f"Merge or redefine small segments: {', '.join(small)}."))
    steps.append("Have a person read every message in the appendix before it is sent.")
    return Markdown(
        "\n".join(f"{n}. {step}" for n, step in enumerate(filter(None, steps), start=1))
    )


def scaling(run: RunFiles) -> Markdown:
    """The cost and duration of this run, and what they scale with."""
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
    return paragraphs(
        _cost(run),
        escape(
            "Messages are written for segments, not for customers, so they cost the same for ten "
            "or ten million customers. Tables grow with customers; they are processed by one "
            "engine, which can be switched to Spark in the configuration."
        ),
        table(("Stage", ">Seconds", "Scales with"), rows) if rows else None,
    )


def _cost(run: RunFiles) -> Markdown:
    """The cost by service from the run's totals; else the sum over its messages."""
    recorded = run.run.get("totals")
    totals = recorded if isinstance(recorded, dict) else {}
    services = totals.get("cost_by_service")
    if not isinstance(services, dict) or not services:
        tokens = sum(v.tokens.input + v.tokens.output for v in run.variants)
        cost = math.fsum(v.cost_usd for v in run.variants)
        return paragraphs(
            escape(
                f"The {len(run.variants)} messages of this run used "
                f"{count(tokens) if tokens else 'no'} tokens and cost {cost:.2f} US dollars."
            )
        )
    rows = [
        (
            _PORT_LABELS.get(str(port), str(port)),
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
    return paragraphs(
        escape(
            f"This run cost {float(totals['cost_usd']):.4f} US dollars at the configured "
            f"prices{per_variant}. Cached replies from an earlier run cost nothing; rejected "
            "drafts are included."
        ),
        table(("Service", ">Paid calls", ">Tokens", ">Records, queries", ">US dollars"), rows),
    )


def production_architecture() -> Markdown:
    """The component behind each port, on one machine and in production."""
    return paragraphs(
        "Each component implements a port and can be replaced in the configuration:",
        table(("Component", "On one machine", "In production"), _PRODUCTION),
    )


def technical_debt() -> Markdown:
    """Known limitations."""
    return Markdown(bullets(escape(item) for item in _DEBTS))


def timeline() -> Markdown:
    """A rollout plan with people and weeks."""
    return paragraphs(
        "An estimate for one brand, not based on measurements.",
        table(("Phase", "Week", "Done when", "Who"), _PLAN),
    )


def _customers_needed(run: RunFiles) -> str | None:
    result = run.result
    effects = [row for row in result.power if row.metric == result.deciding_metric]
    needs = [(need, row.base) for row in effects if (need := customers_for(row, result))]
    if not needs:
        return None
    per_arm, base = max(need for need, _ in needs), needs[0][1]
    arms = len(effects) + 1
    kind = next(row.kind for row in result.rows(metric=result.deciding_metric))
    total = per_arm * arms
    enough = "this run had enough" if result.n >= total else f"this run had {count(result.n)}"
    return escape(
        f"Plan for enough customers: to detect a lift of {signed_percent(TARGET_LIFT, 0)} in "
        f"{metric_label(result.deciding_metric)} (control: {metric_value(base, kind)}) with "
        f"{percent(effects[0].power, 0)} power, {count(per_arm)} customers per arm are needed, "
        f"{count(total)} in {arms} arms; {enough}."
    )
