"""The statistics of an experiment, on counts and moments: estimators, tests and the result.

Rows of customers never come here. Aggregates (segment x arm x metric) become estimates, and those
become an `ExperimentResult`: for `analyze` and for a run's `metrics.json`.
"""

from __future__ import annotations

from liftwright.analysis.aggregates import Cell
from liftwright.analysis.comparison import (
    Contrasts,
    adjust_p_values,
    bayes_rows,
    compare,
    interaction_rows,
    omnibus_tests,
    sequential_rows,
)
from liftwright.analysis.estimates import Estimate
from liftwright.analysis.experiment import (
    Aggregates,
    AnalysisOptions,
    ArmSizes,
    ExperimentData,
    analyze_experiment,
    analyze_experiments,
)
from liftwright.analysis.means import (
    compare_means,
    compare_ratios,
    compare_stratified_means,
    estimate_means,
)
from liftwright.analysis.moments import Counts, Moments, RatioMoments, calculate_lift
from liftwright.analysis.power import (
    detectable_effects,
    sample_size,
    sample_size_of_means,
    smallest_detectable_difference,
    smallest_detectable_effect,
)
from liftwright.analysis.proportions import (
    TestType,
    compare_proportions,
    compare_stratified_proportions,
    estimate_proportions,
)
from liftwright.analysis.result import (
    OVERALL,
    ArmComparison,
    Correction,
    ExperimentResult,
    ManyExperimentsResult,
)
from liftwright.analysis.srm import SRM_ALPHA, check_srm
from liftwright.analysis.verdicts import (
    StoppingRule,
    compare_runner_up,
    decide_arms,
    failed_checks,
    few,
    name_winners,
)
from liftwright.model import Direction, MetricKind, MetricSpec

__all__ = [
    "OVERALL",
    "SRM_ALPHA",
    "Aggregates",
    "AnalysisOptions",
    "ArmComparison",
    "ArmSizes",
    "Cell",
    "Contrasts",
    "Correction",
    "Counts",
    "Direction",
    "Estimate",
    "ExperimentData",
    "ExperimentResult",
    "ManyExperimentsResult",
    "MetricKind",
    "MetricSpec",
    "Moments",
    "RatioMoments",
    "StoppingRule",
    "TestType",
    "adjust_p_values",
    "analyze_experiment",
    "analyze_experiments",
    "bayes_rows",
    "calculate_lift",
    "check_srm",
    "compare",
    "compare_means",
    "compare_proportions",
    "compare_ratios",
    "compare_runner_up",
    "compare_stratified_means",
    "compare_stratified_proportions",
    "decide_arms",
    "detectable_effects",
    "estimate_means",
    "estimate_proportions",
    "failed_checks",
    "few",
    "interaction_rows",
    "name_winners",
    "omnibus_tests",
    "sample_size",
    "sample_size_of_means",
    "sequential_rows",
    "smallest_detectable_difference",
    "smallest_detectable_effect",
]
