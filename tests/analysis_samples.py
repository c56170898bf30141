"""One contrast at a time, for comparisons with other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.analysis import Moments, estimate_means, estimate_proportions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from liftwright.analysis import Counts, Estimate, RatioMoments, TestType

    Numbers = Moments | RatioMoments


def compare_means(treatment: Numbers, control: Numbers) -> Estimate:
    return estimate_means([[(treatment, control)]], alpha=0.05, stratified=False)[0]


def compare_stratified_means(strata: Sequence[tuple[Numbers, Numbers]]) -> Estimate:
    return estimate_means([strata], alpha=0.05, stratified=True)[0]


def compare_proportions(
    treatment: Counts, control: Counts, *, alpha: float = 0.05, test_type: TestType = "auto"
) -> Estimate:
    rows = [[(treatment, control)]]
    return estimate_proportions(rows, alpha=alpha, test_type=test_type, stratified=False)[0]


def compare_stratified_proportions(strata: Sequence[tuple[Counts, Counts]]) -> Estimate:
    return estimate_proportions([strata], alpha=0.05, stratified=True)[0]


def moments_of(values: Sequence[float]) -> Moments:
    """The moments of single values, with the values."""
    return Moments(
        n=len(values),
        total=sum(values),
        total_sq=sum(value * value for value in values),
        values=tuple((value, 1) for value in values),
    )
