"""A run's start event, its tracking, totals and costs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from liftwright.agents.segmentation import Segmentation
from liftwright.calls.budget import usd
from liftwright.errors import LiftwrightError
from liftwright.log import event
from liftwright.model import SafetyDecision, Tokens, to_json
from liftwright.model.run_files import Variants
from liftwright.tracing import span
from liftwright.wiring import endpoints

if TYPE_CHECKING:
    from collections.abc import Mapping

    from liftwright.calls.ledger import Ledger
    from liftwright.campaign.context import RunContext
    from liftwright.model.run_files import RunFolder

_PASS = "pass"  # noqa: S105 - a status


def track_run(context: RunContext) -> None:
    """Send the run to the tracker; a failure is only a warning, because the run is complete."""
    tracker = context.settings.services.adapters.track
    record = to_json(context.run)
    try:
        with span("call", service="track", provider=tracker, metered=False) as call:
            call.set(outcome="unavailable")
            context.ports.track(record if isinstance(record, dict) else {}, context.folder.path)
            call.set(outcome="ok")
    except Exception as error:  # noqa: BLE001 - a third-party tracker may raise anything
        event(
            "run_not_tracked",
            agent="tracking",
            level="warning",
            tracker=tracker,
            error=type(error).__name__,
            # The message of a third-party error may contain a secret.
            reason=str(error) if isinstance(error, LiftwrightError) else "",
        )


def log_run_started(context: RunContext) -> None:
    """Log the configuration and inputs of the run."""
    settings = context.settings
    event(
        "run_started",
        agent="pipeline",
        experiment=settings.experiment.name,
        arms=settings.experiment.arm_shares(),
        adapters=settings.services.adapters.model_dump(),
        customers=_customers(context),
        documents=_documents(context),
        inputs=context.inputs,
        overrides=sorted(settings.overrides),
        configuration=settings.experiment.model_dump(mode="json"),
        endpoints=endpoints(settings.services),
    )


def _customers(context: RunContext) -> int | None:
    """The number of customers; None if not known yet."""
    if context.customers_read:
        return context.customers.rows_kept
    try:
        return context.folder.read("segments.json", Segmentation).customers
    except LiftwrightError:
        # Not written yet, or damaged, which the segment stage reports or repairs.
        return None


def _documents(context: RunContext) -> int | None:
    return len(context.corpus.documents) if "corpus" in context.__dict__ else None


def totals_of(context: RunContext, seconds: float) -> Mapping[str, object]:
    """The totals of run.json; calls, tokens and cost are those that this run paid for."""
    folder, paid = context.folder, context.paid
    customers = (
        folder.read("segments.json", Segmentation).customers
        if folder.file("segments.json").is_file()
        else 0
    )
    return {
        "runtime_seconds": seconds,
        "rows": {
            "customers": customers,
            "rejected": sum(context.customers.rejected.values())
            if context.customers_read
            else None,
        },
        "metered_calls": paid.calls if paid else 0,
        "replayed_calls": paid.replayed if paid else 0,
        **costs_of(paid, folder),
        "services": to_json(context.calls.totals()),
    }


def costs_of(paid: Ledger | None, folder: RunFolder) -> Mapping[str, object]:
    """The costs of run.json's totals, from this run's rows of the ledger.

    Args:
        paid: the run's ledger; None if the run has not used it.
        folder: the run's files, for the number of approved variants.

    Returns:
        `cost_usd` is exactly the sum of `cost_by_service`, which has the charged calls, tokens,
        other units and cost of each port. `cost_per_approved_variant_usd` is the total cost per
        approved variant, without the control; None if there is none. `tokens` are the writer's.
    """
    by_service = paid.spend() if paid else {}
    cost_usd = usd(math.fsum(value.cost_usd for value in by_service.values()))
    approved = _approved(folder)
    writer = by_service.get("complete")
    return {
        "tokens": to_json(writer.usage.tokens if writer else Tokens()),
        "cost_usd": cost_usd,
        "cost_by_service": {
            port: {
                "calls": value.calls,
                "tokens": to_json(value.usage.tokens),
                "units": value.usage.units,
                "cost_usd": value.cost_usd,
            }
            for port, value in by_service.items()
        },
        "approved_variants": approved,
        "cost_per_approved_variant_usd": usd(cost_usd / approved) if approved else None,
    }


def _approved(folder: RunFolder) -> int | None:
    """The number of approved variants; None before screening."""
    if not folder.file("decisions.json").is_file():
        return None
    control = folder.read("variants.json", Variants).control.variant_id
    decisions = folder.read_list("decisions.json", SafetyDecision)
    return sum(
        decision.status == _PASS and decision.variant_id != control for decision in decisions
    )
