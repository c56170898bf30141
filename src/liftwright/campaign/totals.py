"""What a run came to: runtime, calls, tokens, cost, rows, latencies and error rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.agents.segmentation import Segmentation
from liftwright.campaign.costs import costs_of
from liftwright.model import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from liftwright.campaign.run_context import Work


def totals_of(work: Work, seconds: float) -> Mapping[str, object]:
    """The totals of run.json: calls, tokens and cost are those that this run paid for."""
    folder, paid = work.folder, work.paid
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
        "metered_calls": paid.calls if paid else 0,
        "replayed_calls": paid.replayed if paid else 0,
        **costs_of(paid, folder),
        "services": to_json(work.calls.totals()),
    }
