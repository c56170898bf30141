from __future__ import annotations

import math

import pytest
from scipy import stats as scipy_stats

from liftwright.analysis import check_srm
from liftwright.errors import InputError


def test_check_srm_of_unequal_shares_is_the_chi_square_test() -> None:
    found = check_srm({"a": 520, "b": 260, "c": 220}, {"a": 0.5, "b": 0.25, "c": 0.25})
    oracle = scipy_stats.chisquare([520, 260, 220], [500, 250, 250])
    assert found.p_value == pytest.approx(oracle.pvalue)
    assert found.ok
    assert found.expected == {"a": 500, "b": 250, "c": 250}


def test_check_srm_with_small_counts_is_near_the_binomial_test() -> None:
    found = check_srm({"a": 6, "b": 1}, {"a": 1, "b": 1})
    assert found.p_value == pytest.approx(scipy_stats.binomtest(6, 7).pvalue, abs=0.015)


def test_check_srm_with_a_missing_arm_sees_it() -> None:
    found = check_srm({"a": 100, "b": 100}, {"a": 1, "b": 1, "c": 1})
    assert found.observed == {"a": 100, "b": 100, "c": 0}
    assert not found.ok


def test_check_srm_with_units_where_none_were_meant_is_zero() -> None:
    assert check_srm({"a": 10, "b": 1}, {"a": 1}).p_value == 0.0


def test_check_srm_of_one_arm_is_one_and_without_units_is_none() -> None:
    assert check_srm({"a": 10}, {"a": 1}).p_value == 1.0
    empty = check_srm({"a": 0, "b": 0}, {"a": 1, "b": 1})
    assert (empty.p_value, empty.ok) == (None, False)


@pytest.mark.parametrize("share", [-0.5, math.nan, math.inf])
def test_check_srm_refuses_impossible_shares(share: float) -> None:
    with pytest.raises(InputError, match="arm 'b'"):
        check_srm({"a": 1, "b": 1}, {"a": 1, "b": share})
