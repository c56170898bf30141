from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import StratifiedTable

from liftwright.analysis import Counts, Moments
from liftwright.analysis.interactions import check_interaction


@st.composite
def well_filled(draw: st.DrawFn) -> Counts:
    n = draw(st.integers(200, 2_000))
    return Counts(n=n, events=draw(st.integers(n // 4, 3 * n // 4)))


@given(st.lists(st.tuples(well_filled(), well_filled()), min_size=2, max_size=6))
def test_check_interaction_of_rates_is_breslow_day_by_tarone(
    strata: list[tuple[Counts, Counts]],
) -> None:
    tables = [
        np.array([[one.events, one.n - one.events], [zero.events, zero.n - zero.events]])
        for one, zero in strata
    ]
    oracle = StratifiedTable(tables)
    # At an odds ratio of 1 the oracle divides by 0, and near it loses its digits.
    assume(abs(oracle.oddsratio_pooled - 1) > 1e-3)
    oracle = oracle.test_equal_odds(adjust=True)
    found = check_interaction(strata)
    assert found.statistic == pytest.approx(oracle.statistic, rel=1e-6, abs=1e-6)
    assert found.p_value == pytest.approx(oracle.pvalue, rel=1e-6, abs=1e-9)
    assert (found.df, found.segments) == (len(strata) - 1, len(strata))


def test_check_interaction_leaves_out_segments_with_few_events() -> None:
    full = [
        (Counts(n=400, events=80), Counts(n=400, events=40)),
        (Counts(n=400, events=60), Counts(n=400, events=60)),
    ]
    sparse = [
        (Counts(n=400, events=2), Counts(n=400, events=3)),
        (Counts(n=9, events=0), Counts(n=9, events=0)),
        (Counts(n=0, events=0), Counts(n=9, events=1)),
    ]
    common = check_interaction(full)
    found = check_interaction([*full, *sparse])
    assert replace(found, common_odds_ratio=common.common_odds_ratio) == common
    assert found.common_odds_ratio != common.common_odds_ratio, "that is of all segments"
    nothing = check_interaction([*sparse, full[0]])
    assert nothing.p_value is None
    assert nothing.warnings


def test_check_interaction_without_an_event_in_one_arm_is_not_estimable() -> None:
    strata = [(Counts(n=400, events=80), Counts(n=400, events=0))] * 2
    assert check_interaction(strata).p_value is None


def moments(values: list[float]) -> Moments:
    return Moments(n=len(values), total=sum(values), total_sq=sum(v * v for v in values))


def test_check_interaction_of_two_means_is_welch_t_of_the_difference_of_differences() -> None:
    draw = random.Random(5)  # noqa: S311 - not for secrets
    groups = [[draw.gauss(i, 1 + i) for _ in range(20 + 10 * i)] for i in range(4)]
    one, zero, other_one, other_zero = map(moments, groups)
    found = check_interaction([(one, zero), (other_one, other_zero)])
    parts = [(m.variance / m.n, m.n - 1) for m in (one, zero, other_one, other_zero)]
    variance = sum(v for v, _ in parts)
    gap = (one.mean - zero.mean) - (other_one.mean - other_zero.mean)
    df = variance**2 / sum(v**2 / k for v, k in parts)
    assert found.statistic == pytest.approx(gap**2 / variance)
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(gap) / variance**0.5, df), rel=1e-9)


def test_check_interaction_of_means_needs_ten_units_and_a_spread() -> None:
    wide, few = moments([1.0, 2.0] * 20), moments([1.0, 2.0] * 3)
    flat = moments([1.0] * 40)
    assert check_interaction([(wide, wide), (few, wide), (flat, flat)]).p_value is None
    assert check_interaction([(wide, wide), (wide, wide)]).p_value == pytest.approx(1.0)


def test_check_interaction_of_equal_effects_rejects_near_alpha() -> None:
    rng = np.random.default_rng(8)
    runs, rejected = 600, 0
    base = np.array([0.05, 0.1, 0.2, 0.3])
    odds = 1.4 * base / (1 - base)
    for _ in range(runs):
        one = rng.binomial(400, odds / (1 + odds)).tolist()
        zero = rng.binomial(400, base).tolist()
        strata = [
            (Counts(n=400, events=a), Counts(n=400, events=b))
            for a, b in zip(one, zero, strict=True)
        ]
        rejected += (check_interaction(strata).p_value or 1.0) < 0.05
    assert 0.025 <= rejected / runs <= 0.075
