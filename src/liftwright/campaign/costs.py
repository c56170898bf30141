"""What a run has paid: to each service, and for each approved variant."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from liftwright.calls.budget import usd
from liftwright.model import SafetyDecision, Tokens, to_json
from liftwright.model.artifacts import Variants

if TYPE_CHECKING:
    from collections.abc import Mapping

    from liftwright.calls.ledger import Ledger
    from liftwright.run_folder import RunFolder

_PASS = "pass"  # noqa: S105 - a status


def costs_of(paid: Ledger | None, folder: RunFolder) -> Mapping[str, object]:
    """The costs of run.json's totals; they are those that the ledger holds for this run.

    Args:
        paid: the run's ledger; None where the run has asked it for nothing.
        folder: the run's files, which say how many variants were approved.

    Returns:
        `cost_usd` is exactly the sum of what stands under `cost_by_service`: for each port the
        calls that were charged for, the tokens and other units that the service counted, and the
        cost. `cost_per_approved_variant_usd` is the whole cost over the variants that may be sent,
        the control not counted; None without one. `tokens` are those of the writer.
    """
    by_service = paid.paid() if paid else {}
    cost_usd = usd(math.fsum(one.cost_usd for one in by_service.values()))
    approved = _approved(folder)
    writer = by_service.get("complete")
    return {
        "tokens": to_json(writer.usage.tokens if writer else Tokens()),
        "cost_usd": cost_usd,
        "cost_by_service": {
            port: {
                "calls": one.calls,
                "tokens": to_json(one.usage.tokens),
                "units": one.usage.units,
                "cost_usd": one.cost_usd,
            }
            for port, one in by_service.items()
        },
        "approved_variants": approved,
        "cost_per_approved_variant_usd": usd(cost_usd / approved) if approved else None,
    }


def _approved(folder: RunFolder) -> int | None:
    """The variants that may be sent; None before they were screened."""
    if not folder.file("decisions.json").is_file():
        return None
    control = folder.read("variants.json", Variants).control.variant_id
    decisions = folder.read_list("decisions.json", SafetyDecision)
    return sum(one.status == _PASS and one.variant_id != control for one in decisions)
