"""What a run has paid so far, summed from the rows that the ledger wrote."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from liftwright.calls.budget import usd
from liftwright.model import Usage, from_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from liftwright.ports import Store

_CHARGED = ("done", "lost", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """What a run paid to one service.

    Attributes:
        calls: those that were charged for: replies, lost replies, and charged failures.
        usage: what the service counted; that of lost replies is not known.
        cost_usd: reservations of lost replies included.
    """

    calls: int
    usage: Usage
    cost_usd: float


def paid_by(store: Store, run_id: str) -> Mapping[str, Paid]:
    """What a run paid so far, by port; what was answered from memory cost nothing."""
    rows = defaultdict(list)
    for row in store.rows(run_id=run_id):
        if row["status"] in _CHARGED and (row["status"] != "failed" or "usage" in row):
            rows[str(row["port"])].append(row)
    return {
        port: Paid(
            calls=len(found),
            usage=reduce(add, (_usage(row) for row in found), Usage()),
            cost_usd=usd(math.fsum(number(row["cost_usd"]) for row in found)),
        )
        for port, found in sorted(rows.items())
    }


def number(value: object) -> float:
    """A number of a row; 0 where there is none."""
    return float(value) if isinstance(value, int | float) else 0.0


def _usage(row: Mapping[str, object]) -> Usage:
    found = row.get("usage")
    return from_json(Usage, found) if found is not None else Usage()
