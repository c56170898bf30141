"""The statistics of an experiment, on counts and moments: estimators, tests and the comparison.

Rows of customers never come here. Aggregates (segment x arm x metric) become estimates, and those
become what an experiment says of every arm: for `analyze` and for a run's `metrics.json`.
"""

from __future__ import annotations

from liftwright.analysis.aggregates import OVERALL, Cell
from liftwright.analysis.comparison import compare
from liftwright.analysis.document import row_json, srm_json, to_json
from liftwright.analysis.estimates import Estimate
from liftwright.analysis.means import (
    compare_means,
    compare_ratios,
    compare_stratified_means,
    estimate_means,
)
from liftwright.analysis.moments import Counts, Moments, RatioMoments, calculate_lift
from liftwright.analysis.multiplicity import Correction, adjust_p_values
from liftwright.analysis.power import (
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
from liftwright.analysis.results import ArmSummary, ArmValue, Comparison, Row
from liftwright.analysis.runner_up import beside_runner_up
from liftwright.analysis.secondary_analyses import (
    Contrasts,
    bayes_rows,
    interaction_rows,
    omnibus_entries,
    sequential_rows,
)
from liftwright.analysis.srm import SRM_ALPHA, Srm, check_srm
from liftwright.analysis.verdicts import (
    Decision,
    Stopping,
    Verdict,
    decide_arms,
    failed_checks,
    few,
    name_winners,
)
from liftwright.model import Direction, MetricSpec

__all__ = [
    "OVERALL",
    "SRM_ALPHA",
    "ArmSummary",
    "ArmValue",
    "Cell",
    "Comparison",
    "Contrasts",
    "Correction",
    "Counts",
    "Decision",
    "Direction",
    "Estimate",
    "MetricSpec",
    "Moments",
    "RatioMoments",
    "Row",
    "Srm",
    "Stopping",
    "TestType",
    "Verdict",
    "adjust_p_values",
    "bayes_rows",
    "beside_runner_up",
    "calculate_lift",
    "check_srm",
    "compare",
    "compare_means",
    "compare_proportions",
    "compare_ratios",
    "compare_stratified_means",
    "compare_stratified_proportions",
    "decide_arms",
    "estimate_means",
    "estimate_proportions",
    "failed_checks",
    "few",
    "interaction_rows",
    "name_winners",
    "omnibus_entries",
    "row_json",
    "sample_size",
    "sample_size_of_means",
    "sequential_rows",
    "smallest_detectable_difference",
    "smallest_detectable_effect",
    "srm_json",
    "to_json",
]
