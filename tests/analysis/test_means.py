from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from analysis_samples import compare_means, compare_stratified_means
from analysis_samples import moments_of as with_values
from liftwright.analysis import (
    Moments,
    RatioMoments,
)

samples = st.lists(st.floats(0, 100), min_size=2, max_size=50)


def moments_of(numbers: list[float]) -> Moments:
    return Moments(n=len(numbers), total=sum(numbers), total_sq=sum(x * x for x in numbers))


def ratio_of(numerators: np.ndarray, denominators: np.ndarray) -> RatioMoments:
    return RatioMoments(
        n=len(numerators),
        numerator=float(numerators.sum()),
        denominator=float(denominators.sum()),
        numerator_sq=float((numerators**2).sum()),
        denominator_sq=float((denominators**2).sum()),
        product=float((numerators * denominators).sum()),
    )


@settings(deadline=None)
@given(samples, samples)
def test_compare_means_is_welchs_test(one: list[float], zero: list[float]) -> None:
    assume(min(np.ptp(one), np.ptp(zero)) > 0.01)
    found = compare_means(moments_of(one), moments_of(zero))
    oracle = scipy_stats.ttest_ind(one, zero, equal_var=False)
    assert found.test == "Welch t"
    assert found.p_value == pytest.approx(oracle.pvalue, rel=1e-4, abs=1e-12)
    assert found.difference_ci == pytest.approx(oracle.confidence_interval(), rel=1e-4, abs=1e-4)


def test_lift_interval_solves_fiellers_equation() -> None:
    rng = np.random.default_rng(5)
    one, zero = rng.normal(12, 3, 40).tolist(), rng.normal(10, 4, 60).tolist()
    found = compare_means(moments_of(one), moments_of(zero))
    v1, v0 = np.var(one, ddof=1) / 40, np.var(zero, ddof=1) / 60
    df = (v1 + v0) ** 2 / (v1**2 / 39 + v0**2 / 59)
    assert found.lift == pytest.approx(np.mean(one) / np.mean(zero) - 1)
    assert found.lift_ci is not None
    for limit in found.lift_ci:
        theta = limit + 1
        t = abs(np.mean(one) - theta * np.mean(zero)) / math.sqrt(v1 + theta**2 * v0)
        assert t == pytest.approx(scipy_stats.t.ppf(0.975, df), rel=1e-9)


def test_lift_interval_near_zero_control_is_refused_with_a_reason() -> None:
    found = compare_means(moments_of([3.0, 4.0, 5.0]), moments_of([0.0, 0.0, 0.0, 9.0]))
    assert found.lift is not None
    assert found.lift_ci is None
    assert found.warnings == ("lift interval not estimable: the values are not clearly above 0",)


@pytest.mark.parametrize(
    ("control", "reason"),
    [([0.0, 0.0, 0.0], "control has no event"), ([-1.0, -2.0, -4.0], "not above 0")],
)
def test_lift_over_a_control_that_is_not_positive_is_refused(
    control: list[float], reason: str
) -> None:
    found = compare_means(with_values([1.0, 2.0, 4.0]), with_values(control))
    assert (found.lift, found.lift_ci) == (None, None)
    assert reason in found.warnings[0]
    assert found.p_value is not None


def test_a_constant_metric_has_no_p_value_and_says_so() -> None:
    found = compare_means(moments_of([0.1] * 30), moments_of([0.1] * 70))
    assert (found.p_value, found.difference_ci, found.lift_ci) == (None, None, None)
    assert found.difference == pytest.approx(0.0, abs=1e-15)
    assert found.warnings == ("p-value not estimable: the metric is constant",)


@pytest.mark.parametrize(
    ("one", "zero"),
    [
        ([0.0] * 49 + [80.0], [0.0] * 1_000),
        ([0.0] * 300 + [5.0, 9.0, 7.0, 2.0] * 5, [0.0] * 40),
        ([0.0] * 30, [0.0] * 200 + [12.0, 40.0, 3.0] * 6),
    ],
    ids=["one-buyer", "no-buyer-in-control", "no-buyer-in-treatment"],
)
def test_one_arm_without_spread_takes_the_larger_of_welch_and_permutation(
    one: list[float], zero: list[float]
) -> None:
    found = compare_means(with_values(one), with_values(zero))
    welch = scipy_stats.ttest_ind(one, zero, equal_var=False).pvalue
    permuted = scipy_stats.permutation_test(
        (one, zero),
        lambda a, b: abs(np.mean(a) - np.mean(b)),
        n_resamples=9_999,
        alternative="greater",
        rng=1,
    ).pvalue
    assert found.test == "Welch t and permutation"
    assert found.p_value == pytest.approx(max(welch, permuted), rel=0.15)
    assert found.difference_ci is not None
    assert (found.difference_ci[0] < 0 < found.difference_ci[1]) is (found.p_value > 0.05)
    bare = compare_means(moments_of(one), moments_of(zero))
    assert (bare.p_value, bare.difference_ci) == (None, None)


def test_skewed_arms_of_unequal_size_get_the_interval_that_agrees_with_the_permutation() -> None:
    # One small order in the small arm: Welch's test takes its mean for well known.
    one, zero = [0.0] * 99 + [1.0], [0.0] * 1_900 + [20.0, 35.0, 90.0, 12.0] * 25
    found = compare_means(with_values(one), with_values(zero))
    assert scipy_stats.ttest_ind(one, zero, equal_var=False).pvalue < 0.001
    assert found.p_value is not None
    assert found.p_value > 0.05
    assert found.difference_ci is not None
    assert found.difference_ci[1] > 0
    equal = compare_means(with_values(one * 20), with_values(zero))
    assert equal.test == "Welch t"


def test_permutation_over_strata_agrees_with_one_stratum() -> None:
    pair = (with_values([0.0] * 49 + [80.0]), with_values([0.0] * 1_000))
    plain, stratified = compare_means(*pair), compare_stratified_means([pair])
    assert stratified.p_value == plain.p_value
    twice = compare_stratified_means([pair, pair])
    assert twice.p_value is not None
    # Both buyers in the small arms: 0.048 squared, and Welch's t is the square root of 2.
    assert twice.p_value == pytest.approx(2 * scipy_stats.t.sf(math.sqrt(2), 98), rel=0.02)


def test_an_arm_without_units_gives_nothing_but_a_warning() -> None:
    found = compare_means(moments_of([]), moments_of([1.0, 2.0]))
    assert (found.treatment, found.control, found.p_value) == (None, None, None)
    assert found.warnings == ("not estimable: no units in one of the arms",)


def test_compare_means_agrees_with_the_linearised_values() -> None:
    rng = np.random.default_rng(9)
    d1, d0 = rng.integers(1, 9, 300).astype(float), rng.integers(1, 9, 400).astype(float)
    n1, n0 = rng.binomial(d1.astype(int), 0.3) * 1.0, rng.binomial(d0.astype(int), 0.2) * 1.0
    found = compare_means(ratio_of(n1, d1), ratio_of(n0, d0))
    r1, r0 = n1.sum() / d1.sum(), n0.sum() / d0.sum()
    oracle = scipy_stats.ttest_ind(
        r1 + (n1 - r1 * d1) / d1.mean(), r0 + (n0 - r0 * d0) / d0.mean(), equal_var=False
    )
    assert found.test == "delta method"
    assert found.difference == pytest.approx(r1 - r0)
    assert found.p_value == pytest.approx(oracle.pvalue, rel=1e-8)
    assert found.difference_ci == pytest.approx(oracle.confidence_interval(), rel=1e-8)
    assert ratio_of(n1, d1).sd == pytest.approx(np.std((n1 - r1 * d1) / d1.mean(), ddof=1))


def test_stratified_means_weigh_strata_by_their_harmonic_size() -> None:
    strata = [
        (moments_of([10.0, 12.0]), moments_of([9.0, 8.0, 10.0, 9.0])),
        (moments_of([20.0, 21.0, 25.0]), moments_of([18.0, 19.0, 20.0])),
        (moments_of([]), moments_of([1000.0, 2000.0])),
    ]
    found = compare_stratified_means(strata)
    weights = np.array([8 / 6, 9 / 6])
    shares = weights / weights.sum()
    variance = shares**2 @ [2 / 2 + (2 / 3) / 4, 7 / 3 + 1 / 3]
    assert found.treatment == pytest.approx(shares @ [11, 22])
    assert found.control == pytest.approx(shares @ [9, 19])
    assert (found.n_treatment, found.n_control) == (5, 7)
    parts = shares**4 @ [1.0**2 / 1 + (1 / 6) ** 2 / 3, (7 / 3) ** 2 / 2 + (1 / 3) ** 2 / 2]
    t = scipy_stats.t.ppf(0.975, variance**2 / parts)
    assert found.difference is not None
    half = t * math.sqrt(variance)
    expected = (found.difference - half, found.difference + half)
    assert found.difference_ci == pytest.approx(expected, rel=1e-9)


def test_a_stratum_of_one_unit_takes_the_spread_of_the_others() -> None:
    wide = (moments_of([1.0, 3.0, 5.0]), moments_of([1.0, 2.0, 3.0]))
    single = (moments_of([4.0]), moments_of([2.0, 4.0]))
    found = compare_stratified_means([wide, single])
    assert found.p_value is not None
    assert found.n_treatment == 4
    alone = compare_stratified_means([single, single])
    assert alone.p_value is None
    assert alone.warnings == ("not estimable: an arm has fewer than two units",)


def test_false_positive_rate_on_skewed_revenue_is_near_alpha() -> None:
    rng = np.random.default_rng(3)
    draws = 2000

    def draw() -> Moments:
        spent = rng.exponential(20, rng.binomial(1000, 0.1))
        return Moments(n=1000, total=float(spent.sum()), total_sq=float((spent**2).sum()))

    found = [compare_means(draw(), draw()) for _ in range(draws)]
    rejected = np.mean([e.p_value is not None and e.p_value < 0.05 for e in found])
    covered = np.mean([e.lift_ci is not None and e.lift_ci[0] <= 0 <= e.lift_ci[1] for e in found])
    assert rejected == pytest.approx(0.05, abs=0.015)
    assert covered == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize(("opened", "clicked"), [(0.05, 0.3), (0.1, 0.3), (0.2, 0.15)])
def test_sparse_ratios_are_refused_rather_than_rejected_too_often(
    opened: float, clicked: float
) -> None:
    rng = np.random.default_rng(8)

    def draw() -> RatioMoments:
        opens = rng.binomial(100, opened)
        clicks = float(rng.binomial(opens, clicked))
        return RatioMoments(
            n=100,
            numerator=clicks,
            denominator=float(opens),
            numerator_sq=clicks,
            denominator_sq=float(opens),
            product=clicks,
        )

    found = [compare_means(draw(), draw()) for _ in range(3000)]
    assert np.mean([e.p_value is not None and e.p_value < 0.05 for e in found]) <= 0.06
    refused = [e for e in found if e.p_value is None]
    assert refused
    assert all(e.warnings for e in refused)


@pytest.mark.parametrize("lift", [0.0, 0.5])
def test_lift_interval_of_sparse_revenue_keeps_its_level_where_given(lift: float) -> None:
    rng = np.random.default_rng(21)

    def draw(rate: float) -> Moments:
        spent = np.exp(0.8 * rng.standard_normal(rng.binomial(100, rate)))
        return Moments(n=100, total=float(spent.sum()), total_sq=float((spent**2).sum()))

    found = [compare_means(draw(0.05 * (1 + lift)), draw(0.05)) for _ in range(3000)]
    intervals = [e.lift_ci for e in found if e.lift_ci is not None]
    assert 300 < len(intervals) < 2000
    assert np.mean([low <= lift <= high for low, high in intervals]) >= 0.93
