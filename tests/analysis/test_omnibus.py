from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from liftwright.analysis import Counts, Moments
from liftwright.analysis.omnibus import check_any_difference, tukey_p_values

values = st.lists(st.integers(-50, 50), min_size=2, max_size=30)


def moments(numbers: list[int]) -> Moments:
    return Moments(n=len(numbers), total=sum(numbers), total_sq=sum(v * v for v in numbers))


@given(st.lists(values, min_size=2, max_size=5))
def test_check_any_difference_of_means_is_the_analysis_of_variance(arms: list[list[int]]) -> None:
    found = check_any_difference("y", {str(i): moments(arm) for i, arm in enumerate(arms)})
    if all(len(set(arm)) == 1 for arm in arms):
        assert found.p_value is None
        assert found.warnings
        return
    expected = stats.f_oneway(*arms)
    if np.isnan(expected.pvalue):
        # Equal means: rounding takes the oracle's sum of squares below 0.
        assert found.p_value == pytest.approx(1.0)
        return
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-6, abs=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)


@given(st.lists(st.tuples(st.integers(1, 90), st.integers(1, 90)), min_size=2, max_size=5))
def test_check_any_difference_of_rates_is_pearsons_chi_square(arms: list[tuple[int, int]]) -> None:
    found = check_any_difference(
        "y", {str(i): Counts(n=yes + no, events=yes) for i, (yes, no) in enumerate(arms)}
    )
    expected = stats.chi2_contingency(np.array(arms), correction=False)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-12)
    assert found.degrees_of_freedom == len(arms) - 1


def test_tukey_p_values_of_unlike_sizes_agree_with_scipy() -> None:
    rng = np.random.default_rng(3)
    arms = [rng.normal(place, 2, 12 + 7 * place) for place in range(3)]
    found = tukey_p_values(
        {
            str(i): Moments(n=len(a), total=float(a.sum()), total_sq=float((a**2).sum()))
            for i, a in enumerate(arms)
        }
    )
    expected = stats.tukey_hsd(*arms)
    assert found == pytest.approx(
        {(str(i), str(j)): expected.pvalue[i, j] for i, j in ((0, 1), (0, 2), (1, 2))}, rel=1e-6
    )
