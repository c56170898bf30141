from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftwright.analysis import Counts, Moments, calculate_lift
from liftwright.errors import InputError

values = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40)


def moments_of(numbers: list[float]) -> Moments:
    return Moments(n=len(numbers), total=sum(numbers), total_sq=sum(x * x for x in numbers))


@settings(deadline=None)
@given(values)
def test_moments_of_any_values_agree_with_numpy(numbers: list[float]) -> None:
    moments = moments_of(numbers)
    tolerance = 1e-9 * (1 + max(x * x for x in numbers))
    assert moments.mean == pytest.approx(np.mean(numbers), abs=1e-9)
    assert moments.variance == pytest.approx(np.var(numbers, ddof=1), abs=tolerance)


@settings(deadline=None)
@given(values, values)
def test_moments_added_equal_those_of_all_values(one: list[float], other: list[float]) -> None:
    both = moments_of(one) + moments_of(other)
    assert both.n == len(one) + len(other)
    assert both.mean == pytest.approx(np.mean(one + other), abs=1e-9)


@pytest.mark.parametrize(("n", "events"), [(-1, 0), (3, 4), (3, -1)])
def test_counts_that_cannot_be_are_refused(n: int, events: int) -> None:
    with pytest.raises(InputError, match=rf"{events} events of n {n}"):
        Counts(n=n, events=events)


@pytest.mark.parametrize("sums", [(-1, 0.0, 0.0), (2, math.nan, 1.0), (2, 0.0, -1.0)])
def test_moments_that_cannot_be_are_refused(sums: tuple[int, float, float]) -> None:
    n, total, total_sq = sums
    with pytest.raises(InputError, match="finite sums"):
        Moments(n=n, total=total, total_sq=total_sq)


@pytest.mark.parametrize(("treatment", "control"), [(0.3, 0.0), (math.nan, 0.2), (0.2, math.inf)])
def test_calculate_lift_without_a_lift_raises(treatment: float, control: float) -> None:
    with pytest.raises(InputError, match="lift"):
        calculate_lift(treatment, control)


def test_add_moments_about_unlike_origins_is_the_moments_of_all() -> None:
    near = Moments(n=3, total=6.0, total_sq=14.0, origin=100.0)
    plain = Moments(n=2, total=207.0, total_sq=21425.0)

    for both in (near + plain, plain + near):
        assert both.n == 5
        assert both.mean == pytest.approx((101 + 102 + 103 + 103 + 104) / 5)
        assert both.variance == pytest.approx(1.3)
