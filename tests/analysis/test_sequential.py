from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftwright.analysis import Counts, Moments, RatioMoments
from liftwright.analysis.sequential import (
    always_valid_p_value,
    best_information,
    confidence_multiplier,
    estimate_sequence,
)
from liftwright.errors import InputError


@given(alpha=st.floats(0.001, 0.5), information=st.floats(0.01, 1e4), score=st.floats(0.0, 20.0))
def test_p_value_is_below_alpha_where_the_interval_excludes_zero(
    alpha: float, information: float, score: float
) -> None:
    reach = confidence_multiplier(alpha, information)
    p_value = always_valid_p_value(score, information)
    if abs(score - reach) > 1e-6 * reach:
        assert (p_value < alpha) == (score > reach)


def test_estimate_sequence_is_wider_than_the_interval_for_one_look() -> None:
    found = estimate_sequence(
        [(Counts(n=1000, events=150), Counts(n=1000, events=100))], alpha=0.05, planned=2000
    )
    error = math.sqrt((0.15 * 0.85 + 0.1 * 0.9) / 999)
    reach = confidence_multiplier(0.05, best_information(0.05))
    assert found.difference_ci == pytest.approx((0.05 - reach * error, 0.05 + reach * error))
    assert 2.4 < reach < 3.2, "looking at any time costs half as much again"
    assert found.p_value == pytest.approx(
        always_valid_p_value(0.05 / error, best_information(0.05))
    )
    assert found.lift == pytest.approx(0.5)
    assert found.lift_ci is not None
    assert (found.lift_ci[0] > 0) == (
        found.difference_ci is not None and found.difference_ci[0] > 0
    )


@pytest.mark.parametrize(
    ("one", "zero"),
    [
        (Counts(n=500, events=19), Counts(n=500, events=20)),
        (Counts(n=500, events=490), Counts(n=500, events=482)),
        (Counts(n=100, events=0), Counts(n=5000, events=500)),
        (Moments(n=500, total=40.0, total_sq=200.0), Moments(n=500, total=900.0, total_sq=4000.0)),
        (
            RatioMoments(
                n=90, numerator=4, denominator=9, numerator_sq=4, denominator_sq=9, product=4
            ),
            RatioMoments(
                n=90, numerator=9, denominator=50, numerator_sq=9, denominator_sq=50, product=9
            ),
        ),
    ],
)
def test_estimate_sequence_with_few_carriers_waits(one: Counts, zero: Counts) -> None:
    found = estimate_sequence([(one, zero)], alpha=0.05)
    assert found.difference is not None
    assert found.difference_ci is None
    assert found.p_value is None
    assert "too early" in found.warnings[0]


@pytest.mark.parametrize(
    "strata",
    [
        [(Counts(n=1000, events=0), Counts(n=2500, events=260))],
        [
            (Counts(n=600, events=0), Counts(n=1500, events=150)),
            (Counts(n=400, events=0), Counts(n=1000, events=110)),
        ],
        [(Counts(n=1000, events=1000), Counts(n=2500, events=2240))],
    ],
)
def test_estimate_sequence_of_an_arm_without_spread_tests_by_the_common_rate(
    strata: list[tuple[Counts, Counts]],
) -> None:
    found = estimate_sequence(strata, alpha=0.05)
    assert found.difference_ci is None
    assert found.lift_ci is None
    assert found.p_value is not None
    assert found.p_value < 1e-6
    assert "interval not estimable" in found.warnings[0]


def test_estimate_sequence_by_the_common_rate_is_the_pooled_z_of_one_look() -> None:
    one, zero = Counts(n=1000, events=12), Counts(n=1000, events=60)
    found = estimate_sequence([(one, zero)], alpha=0.05, planned=2000)
    z = (0.012 - 0.06) / math.sqrt(0.036 * 0.964 * 0.002)
    assert found.p_value == pytest.approx(always_valid_p_value(z, best_information(0.05)))


def test_estimate_sequence_without_units_or_denominator_gives_nothing() -> None:
    nothing = estimate_sequence([(Counts(n=0, events=0), Counts(n=9, events=3))], alpha=0.05)
    assert nothing.n_treatment == 0
    assert nothing.warnings
    empty = RatioMoments(
        n=30, numerator=0, denominator=0, numerator_sq=0, denominator_sq=0, product=0
    )
    assert estimate_sequence([(empty, empty)], alpha=0.05).difference is None


def test_estimate_sequence_refuses_a_plan_of_nothing() -> None:
    with pytest.raises(InputError, match="planned: found 0"):
        estimate_sequence([(Counts(n=9, events=3), Counts(n=9, events=3))], alpha=0.05, planned=0)


@pytest.mark.parametrize(("rate", "planned"), [(0.4, 1_000), (0.05, 4_000)])
def test_fifty_looks_without_an_effect_reject_at_most_at_alpha(rate: float, planned: int) -> None:
    rng = np.random.default_rng(11)
    looks = np.unique(np.geomspace(40, 2_000, 50).round().astype(int))
    steps = np.diff(looks, prepend=0)
    runs, rejected, once = 300, 0, 0
    for _ in range(runs):
        events = rng.binomial(steps, rate, (2, len(steps))).cumsum(axis=1)
        p_values = [
            estimate_sequence(
                [(Counts(n=int(n), events=int(a)), Counts(n=int(n), events=int(b)))],
                alpha=0.05,
                planned=planned,
            ).p_value
            for n, a, b in zip(looks, *events, strict=True)
        ]
        rejected += any(p is not None and p < 0.05 for p in p_values)
        once += _naive(events, looks)
    assert rejected / runs <= 0.05
    assert once / runs > 0.2, "looking so often with a test for one look finds much that is not"


def _naive(events: np.ndarray, looks: np.ndarray) -> bool:
    rates = events / looks
    pooled = rates.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(rates[0] - rates[1]) / np.sqrt(2 * pooled * (1 - pooled) / looks)
    return bool((z > 1.96).any())


def test_the_sequence_holds_the_truth_at_all_looks_together() -> None:
    rng = np.random.default_rng(12)
    looks = list(itertools.accumulate([100] * 20))
    missed = 0
    for _ in range(300):
        events = rng.binomial(100, [[0.25] * 20, [0.2] * 20]).cumsum(axis=1)
        missed += any(
            ci is not None and not ci[0] <= 0.05 <= ci[1]
            for ci in (
                estimate_sequence(
                    [(Counts(n=n, events=int(a)), Counts(n=n, events=int(b)))],
                    alpha=0.05,
                    planned=2_000,
                ).difference_ci
                for n, a, b in zip(looks, *events, strict=True)
            )
        )
    assert missed / 300 <= 0.05
