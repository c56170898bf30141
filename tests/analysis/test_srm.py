from __future__ import annotations

import math

import pytest
from scipy import stats as scipy_stats

from liftwright.analysis import Counts, check_multiple_exposure, check_srm
from liftwright.analysis.srm import check_srm_over_segments, explain_mismatch
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


def test_check_srm_over_segments_sums_their_chi_squares() -> None:
    parts = [
        ({"a": 5_020, "b": 4_980}, {"a": 1, "b": 1}),
        ({"a": 3_080, "b": 6_920}, {"a": 3, "b": 7}),
    ]
    found = check_srm_over_segments(parts)
    statistic = sum(
        scipy_stats.chisquare(list(seen.values()), meant).statistic
        for (seen, _), meant in zip(parts, ([5_000, 5_000], [3_000, 7_000]), strict=True)
    )
    assert found.p_value == pytest.approx(scipy_stats.chi2.sf(statistic, 2))
    assert found.observed == {"a": 8_100, "b": 11_900}
    assert found.expected == {"a": 8_000, "b": 12_000}
    small = check_srm_over_segments([({"a": 9, "b": 0}, {"a": 1, "b": 1})] * 2)
    assert small.p_value is not None
    assert small.p_value < 0.01


@pytest.mark.parametrize(
    ("observed", "words"),
    [
        ({"c": 5_010, "x": 2_480, "y": 2_510}, "did you mean 50/25/25? (--share c=0.5"),
        ({"c": 1_010, "x": 8_990}, "did you mean 10/90?"),
        ({"c": 4_990, "x": 5_010}, "did you mean 50/50?"),
        ({"c": 5_010, "x 1": 9_990}, "--share 'x 1=0.6666666667'"),
        ({"c": 5_000, "x": 4_615}, None),
    ],
)
def test_explain_mismatch_names_simple_shares(observed: dict[str, int], words: str | None) -> None:
    found = explain_mismatch(check_srm(observed, dict.fromkeys(observed, 1.0)), {})
    assert found is None if words is None else words in (found or "")


def test_explain_mismatch_of_shares_that_differ_by_segment_asks_for_them() -> None:
    checks = {
        "1": check_srm({"a": 5_000, "b": 5_000}, {"a": 1, "b": 1}),
        "2": check_srm({"a": 3_000, "b": 7_000}, {"a": 1, "b": 1}),
    }
    found = explain_mismatch(check_srm({"a": 8_000, "b": 12_000}, {"a": 1, "b": 1}), checks)
    assert found is not None
    assert "--share-by" in found
    assert "1: 50/50; 2: 30/70" in found


@pytest.mark.parametrize(
    ("exposed", "units", "ok"),
    [((0, 0), 0, True), ((10, 1), 10, True), ((101, 11), 101, False), ((30, 30), 30, False)],
)
def test_check_multiple_exposure_by_share_and_by_outcome(
    exposed: tuple[int, int],
    units: int,
    ok: bool,  # noqa: FBT001
) -> None:
    here, others = Counts(n=exposed[0], events=exposed[1]), Counts(n=9_900, events=1_000)
    found = check_multiple_exposure(here, others, units=units, total=10_000, most=0.01)
    assert (found.share, found.ok) == (units / 10_000, ok)
    table = [[here.events, here.n - here.events], [1_000, 8_900]]
    if units >= 20:
        assert found.p_value == pytest.approx(scipy_stats.fisher_exact(table).pvalue)
