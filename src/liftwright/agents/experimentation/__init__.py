"""The experimentation agent: who is sent what, and what came of it."""

from __future__ import annotations

from liftwright.agents.experimentation.arms import (
    Assignment,
    Design,
    Slice,
    assign,
    design_experiment,
    exact_counts,
)
from liftwright.agents.experimentation.balance import Balance, check_balance
from liftwright.agents.experimentation.measuring import (
    CellCounts,
    LiftRow,
    count_engagement,
    lift_rows,
    measure,
)

__all__ = [
    "Assignment",
    "Balance",
    "CellCounts",
    "Design",
    "LiftRow",
    "Slice",
    "assign",
    "check_balance",
    "count_engagement",
    "design_experiment",
    "exact_counts",
    "lift_rows",
    "measure",
]
