"""The experimentation agent: design and assignment, and the analysis of the outcomes."""

from __future__ import annotations

from liftwright.agents.experimentation.analysis_plan import (
    AnalysisPlan,
    check_plan,
    write_analysis_plan,
)
from liftwright.agents.experimentation.arms import (
    Assignment,
    HashRange,
    assign,
    exact_counts,
)
from liftwright.agents.experimentation.baselines import (
    OVERALL,
    Expected,
    PlannedPower,
    expected_outcomes,
    least_per_arm,
    plan_power,
    segment_sentence,
    sentences,
)
from liftwright.agents.experimentation.counts import ArmOutcomes, count_engagement
from liftwright.agents.experimentation.cuped import HISTORY, keep_history
from liftwright.agents.experimentation.design import Design, design_experiment
from liftwright.agents.experimentation.eligibility import Eligible, choose_eligible
from liftwright.agents.experimentation.measure import interim_looks, measure

__all__ = [
    "HISTORY",
    "OVERALL",
    "AnalysisPlan",
    "ArmOutcomes",
    "Assignment",
    "Design",
    "Eligible",
    "Expected",
    "HashRange",
    "PlannedPower",
    "assign",
    "check_plan",
    "choose_eligible",
    "count_engagement",
    "design_experiment",
    "exact_counts",
    "expected_outcomes",
    "interim_looks",
    "keep_history",
    "least_per_arm",
    "measure",
    "plan_power",
    "segment_sentence",
    "sentences",
    "write_analysis_plan",
]
