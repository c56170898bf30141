"""Statistics on counts and moments; rows of customers never come here."""

from __future__ import annotations

from liftwright.stats.estimates import Estimate
from liftwright.stats.means import (
    compare_means,
    compare_ratios,
    compare_stratified_means,
    estimate_means,
)
from liftwright.stats.moments import Counts, Moments, RatioMoments, calculate_lift
from liftwright.stats.multiplicity import Correction, adjust_p_values
from liftwright.stats.power import (
    power_of,
    sample_size,
    sample_size_of_means,
    smallest_detectable_difference,
    smallest_detectable_effect,
)
from liftwright.stats.proportions import (
    TestType,
    compare_proportions,
    compare_stratified_proportions,
    estimate_proportions,
)
from liftwright.stats.srm import SRM_ALPHA, Srm, check_srm

__all__ = [
    "SRM_ALPHA",
    "Correction",
    "Counts",
    "Estimate",
    "Moments",
    "RatioMoments",
    "Srm",
    "TestType",
    "adjust_p_values",
    "calculate_lift",
    "check_srm",
    "compare_means",
    "compare_proportions",
    "compare_ratios",
    "compare_stratified_means",
    "compare_stratified_proportions",
    "estimate_means",
    "estimate_proportions",
    "power_of",
    "sample_size",
    "sample_size_of_means",
    "smallest_detectable_difference",
    "smallest_detectable_effect",
]
