"""What a run came to: runtime, calls, tokens, cost, rows, latencies and error rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.agents.segmentation import Segmentation
from liftwright.domain import to_json
from liftwright.pipeline import Variants

if TYPE_CHECKING:
    from collections.abc import Mapping

    from liftwright.stages import Work


def totals_of(work: Work, seconds: float) -> Mapping[str, object]:
    """The totals of run.json; tokens and cost are those of all drafts of the kept variants."""
    folder = work.folder
    variants = (
        folder.read("variants.json", Variants).variants
        if folder.file("variants.json").is_file()
        else ()
    )
    customers = (
        folder.read("segments.json", Segmentation).customers
        if folder.file("segments.json").is_file()
        else 0
    )
    return {
        "runtime_seconds": seconds,
        "rows": {
            "customers": customers,
            "rejected": sum(work.customers.rejected.values()) if work.customers_read else None,
        },
        "metered_calls": work.ledger.calls if work.ledger_used else 0,
        "replayed_calls": work.ledger.replayed if work.ledger_used else 0,
        "tokens": {
            name: sum(getattr(variant.tokens, name) for variant in variants)
            for name in ("input", "cached_input", "output")
        },
        "cost_usd": round(
            work.ledger.spent_usd
            if work.ledger_used
            else sum(variant.cost_usd for variant in variants),
            6,
        ),
        "services": to_json(work.calls.totals()),
    }
