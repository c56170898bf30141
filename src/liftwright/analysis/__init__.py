"""The statistics of an experiment, on counts and moments: estimators, tests and the result.

Totals (segment x arm x metric) become estimates, and those become an `ExperimentResult`, for
`analyze` and for a run's `metrics.json`. No module here sees rows of customers.
"""

from __future__ import annotations

from liftwright.analysis.aggregates import ArmTotals
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
from liftwright.analysis.means import estimate_means
from liftwright.analysis.moments import Counts, Moments, RatioMoments, calculate_lift
from liftwright.analysis.power import (
    PowerPlan,
    alpha_per_test,
    detectable_effects,
    plan_rates,
    sample_size,
    sample_size_of_means,
    smallest_detectable_difference,
    smallest_detectable_effect,
)
from liftwright.analysis.proportions import TestType, estimate_proportions
from liftwright.analysis.result import (
    OVERALL,
    ArmComparison,
    Correction,
    ExperimentResult,
    ManyExperimentsResult,
    MultipleExposure,
)
from liftwright.analysis.srm import (
    MULTIPLE_EXPOSURE_SHARE,
    SRM_ALPHA,
    check_multiple_exposure,
    check_srm,
)
from liftwright.analysis.verdict import DecisionRule, Guardrail, few
from liftwright.model import Direction, MetricKind, MetricSpec

__all__ = [
    "MULTIPLE_EXPOSURE_SHARE",
    "OVERALL",
    "SRM_ALPHA",
    "Aggregates",
    "AnalysisOptions",
    "ArmComparison",
    "ArmSizes",
    "ArmTotals",
    "Contrasts",
    "Correction",
    "Counts",
    "DecisionRule",
    "Direction",
    "Estimate",
    "ExperimentData",
    "ExperimentResult",
    "Guardrail",
    "ManyExperimentsResult",
    "MetricKind",
    "MetricSpec",
    "Moments",
    "MultipleExposure",
    "PowerPlan",
    "RatioMoments",
    "TestType",
    "adjust_p_values",
    "alpha_per_test",
    "analyze_experiment",
    "analyze_experiments",
    "bayes_rows",
    "calculate_lift",
    "check_multiple_exposure",
    "check_srm",
    "compare",
    "detectable_effects",
    "estimate_means",
    "estimate_proportions",
    "few",
    "interaction_rows",
    "omnibus_tests",
    "plan_rates",
    "sample_size",
    "sample_size_of_means",
    "sequential_rows",
    "smallest_detectable_difference",
    "smallest_detectable_effect",
]
