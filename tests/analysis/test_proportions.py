from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest

from analysis_samples import compare_proportions, compare_stratified_proportions
from liftwright.analysis import (
    Counts,
    estimate_proportions,
)


@st.composite
def counts(draw: st.DrawFn, low: int = 1, high: int = 3000) -> Counts:
    n = draw(st.integers(low, high))
    return Counts(n=n, events=draw(st.integers(0, n)))


pairs = st.tuples(counts(), counts())
strata_lists = st.lists(st.tuples(counts(high=60), counts(high=60)), min_size=1, max_size=6)


def least_expected_cell(treatment: Counts, control: Counts) -> float:
    both = treatment + control
    events = (both.events, both.n - both.events)
    return min(arm.n * e / both.n for arm in (treatment, control) for e in events)


@settings(deadline=None)
@given(pairs)
def test_compare_proportions_with_enough_expected_is_the_pooled_z_test(
    pair: tuple[Counts, Counts],
) -> None:
    one, zero = pair
    assume(least_expected_cell(one, zero) >= 5)
    found = compare_proportions(one, zero)
    _, p_value = proportions_ztest([one.events, zero.events], [one.n, zero.n])
    assert found.test == "pooled z"
    assert found.p_value == pytest.approx(p_value, rel=1e-9, abs=1e-300)
    squared = compare_proportions(one, zero, test_type="chi_square")
    assert (squared.p_value, squared.test) == (found.p_value, "chi-square")


@settings(deadline=None)
@given(st.tuples(counts(high=80), counts(high=80)))
def test_compare_proportions_with_few_expected_is_fishers_exact_test(
    pair: tuple[Counts, Counts],
) -> None:
    one, zero = pair
    table = [[one.events, one.n - one.events], [zero.events, zero.n - zero.events]]
    assume(0 < one.events + zero.events < one.n + zero.n)
    forced = compare_proportions(one, zero, test_type="fisher")
    assert forced.p_value == pytest.approx(scipy_stats.fisher_exact(table).pvalue, rel=1e-6)
    if least_expected_cell(one, zero) < 5:
        assert compare_proportions(one, zero) == forced


@settings(deadline=None)
@given(pairs)
def test_difference_interval_is_newcombes(pair: tuple[Counts, Counts]) -> None:
    one, zero = pair
    found = compare_proportions(one, zero)
    oracle = confint_proportions_2indep(
        one.events, one.n, zero.events, zero.n, compare="diff", method="newcomb"
    )
    assert found.difference_ci == pytest.approx(oracle, abs=1e-9)


@pytest.mark.parametrize("table", [(30, 100, 25, 90), (7, 60, 12, 50), (3894, 21307, 2262, 21306)])
def test_lift_interval_agrees_with_statsmodels_where_that_works(
    table: tuple[int, int, int, int],
) -> None:
    found = compare_proportions(
        Counts(n=table[1], events=table[0]), Counts(n=table[3], events=table[2])
    )
    oracle = confint_proportions_2indep(*table, compare="ratio", method="score")
    assert found.lift_ci is not None
    assert [limit + 1 for limit in found.lift_ci] == pytest.approx(oracle, rel=1e-6)


@settings(deadline=None)
@given(pairs)
def test_every_interval_is_ordered_finite_and_holds_its_estimate(
    pair: tuple[Counts, Counts],
) -> None:
    for found in (compare_proportions(*pair), compare_stratified_proportions([pair])):
        for value, interval in (
            (found.difference, found.difference_ci),
            (found.lift, found.lift_ci),
        ):
            if value is None:
                assert interval is None
                continue
            assert interval is not None
            assert all(map(math.isfinite, interval))
            assert interval[0] - 1e-9 <= value <= interval[1] + 1e-9 * (1 + abs(value))
        assert found.difference_ci is not None
        assert found.difference_ci[0] >= -1
        assert found.difference_ci[1] <= 1


def test_lift_without_a_control_event_is_refused_with_a_reason() -> None:
    found = compare_proportions(Counts(n=50, events=5), Counts(n=50, events=0))
    assert (found.lift, found.lift_ci) == (None, None)
    assert found.warnings == ("lift not estimable: control has no event",)
    assert found.difference == pytest.approx(0.1)
    assert found.p_value == pytest.approx(0.0563, abs=1e-4)


@settings(deadline=None)
@given(strata_lists)
def test_stratified_rates_have_mantel_haenszel_weights_and_agree(
    strata: list[tuple[Counts, Counts]],
) -> None:
    found = compare_stratified_proportions(strata)
    weights = [one.n * zero.n / (one.n + zero.n) for one, zero in strata]
    control = np.average([zero.mean for _, zero in strata], weights=weights)
    assert found.control == pytest.approx(control)
    assert found.treatment is not None
    assert found.difference == pytest.approx(found.treatment - control)
    if found.lift is not None:
        assert found.lift == pytest.approx(found.treatment / control - 1)


@settings(deadline=None)
@given(strata_lists)
def test_stratified_test_is_cochran_mantel_haenszel(strata: list[tuple[Counts, Counts]]) -> None:
    found = compare_stratified_proportions(strata)
    assume(found.test == "Cochran-Mantel-Haenszel")
    informative = [pair for pair in strata if sum(c.events for c in pair) > 0]
    tables = [
        np.array([[one.events, one.n - one.events], [zero.events, zero.n - zero.events]])
        for one, zero in informative
    ]
    oracle = StratifiedTable([t.astype(float) for t in tables]).test_null_odds(correction=False)
    assert found.p_value == pytest.approx(oracle.pvalue, rel=1e-6, abs=1e-13)


@settings(deadline=None)
@given(strata_lists)
def test_stratified_intervals_exclude_no_effect_where_the_test_rejects(
    strata: list[tuple[Counts, Counts]],
) -> None:
    found = compare_stratified_proportions(strata)
    assume(found.test == "Cochran-Mantel-Haenszel" and abs((found.p_value or 0) - 0.05) > 1e-6)
    assert found.p_value is not None
    for interval in (found.difference_ci, found.lift_ci):
        if interval is not None:
            assert (interval[0] > 0 or interval[1] < 0) == (found.p_value < 0.05)


def test_stratified_test_with_few_events_is_exact_given_all_margins() -> None:
    strata = [
        (Counts(n=6, events=4), Counts(n=5, events=1)),
        (Counts(n=4, events=2), Counts(n=7, events=1)),
    ]
    laws = [
        scipy_stats.hypergeom(one.n + zero.n, one.events + zero.events, one.n)
        for one, zero in strata
    ]
    law: dict[int, float] = {}
    for a, b in itertools.product(range(7), range(5)):
        law[a + b] = law.get(a + b, 0.0) + laws[0].pmf(a) * laws[1].pmf(b)
    oracle = sum(p for p in law.values() if p <= law[6] * (1 + 1e-7))
    found = compare_stratified_proportions(strata)
    assert found.test == "exact conditional"
    assert found.p_value == pytest.approx(oracle, rel=1e-9)


def test_stratified_estimate_is_free_of_simpsons_paradox() -> None:
    strata = [
        (Counts(n=900, events=90), Counts(n=100, events=10)),
        (Counts(n=100, events=50), Counts(n=900, events=450)),
    ]
    found = compare_stratified_proportions(strata)
    assert found.difference == pytest.approx(0.0, abs=1e-12)
    assert found.p_value == pytest.approx(1.0)
    pooled = compare_proportions(Counts(n=1000, events=140), Counts(n=1000, events=460))
    assert pooled.difference == pytest.approx(-0.32)


def test_false_positive_rate_without_effect_is_near_alpha() -> None:
    rng = np.random.default_rng(11)
    draws, n = 4000, np.array([120, 300, 580])
    x1 = rng.binomial(n, [0.3, 0.15, 0.05], (draws, 3)).tolist()
    x0 = rng.binomial(n, [0.3, 0.15, 0.05], (draws, 3)).tolist()
    rows = [
        [
            (Counts(n=int(m), events=a), Counts(n=int(m), events=b))
            for m, a, b in zip(n, one, zero, strict=True)
        ]
        for one, zero in zip(x1, x0, strict=True)
    ]
    found = estimate_proportions(rows, alpha=0.05, stratified=True)
    rejected = np.mean([e.p_value is not None and e.p_value < 0.05 for e in found])
    covered = np.mean(
        [e.difference_ci[0] <= 0 <= e.difference_ci[1] for e in found if e.difference_ci]
    )
    assert rejected == pytest.approx(0.05, abs=0.0105)
    assert covered == pytest.approx(0.95, abs=0.0105)


@pytest.mark.parametrize(("n1", "n0", "base", "lift"), [(25, 25, 0.02, 1.0), (150, 50, 0.005, 0.5)])
def test_lift_interval_with_few_events_keeps_its_level_where_given(
    n1: int, n0: int, base: float, lift: float
) -> None:
    x1, x0 = range(n1 // 3), range(1, n0 // 3)
    tables = list(itertools.product(x1, x0))
    rows = [[(Counts(n=n1, events=a), Counts(n=n0, events=b))] for a, b in tables]
    found = estimate_proportions(rows, alpha=0.05, stratified=False)
    weights = [
        scipy_stats.binom.pmf(a, n1, base * (1 + lift)) * scipy_stats.binom.pmf(b, n0, base)
        for a, b in tables
    ]
    covered = [e.lift_ci is not None and e.lift_ci[0] <= lift <= e.lift_ci[1] for e in found]
    assert np.average(covered, weights=weights) >= 0.93
