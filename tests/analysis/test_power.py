from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_effectsize

import liftwright as lw
from liftwright.analysis import (
    ArmTotals,
    MetricSpec,
    compare,
    detectable_effects,
    sample_size,
    smallest_detectable_effect,
)
from liftwright.errors import InputError

if TYPE_CHECKING:
    from liftwright.analysis import ExperimentResult, MetricKind


@pytest.mark.parametrize(
    ("n", "alpha", "points"),
    [
        (125, 0.05, 15.7),
        (1_000, 0.05, 5.2),
        (10_000, 0.05, 1.6),
        (125, 0.05 / 15, 21.75),
        (1_000, 0.05 / 15, 7.2),
        (10_000, 0.05 / 15, 2.2),
    ],
)
def test_smallest_detectable_effect_at_twenty_percent(n: int, alpha: float, points: float) -> None:
    found = smallest_detectable_effect(0.2, n, n, alpha=alpha, power=0.8)
    assert found is not None
    assert 100 * found == pytest.approx(points, abs=0.05)


def test_smallest_detectable_effect_of_unequal_arms_has_the_power_that_statsmodels_says() -> None:
    effect = smallest_detectable_effect(0.1, 3000, 1000, power=0.9)
    assert effect is not None
    distance = proportion_effectsize(0.1 + effect, 0.1)
    oracle = NormalIndPower().power(distance, 3000, 0.05, ratio=1 / 3)
    assert oracle == pytest.approx(0.9, abs=1e-6)
    treatment, control = sample_size(0.1, effect, power=0.9, treatment_per_control=3.0)
    assert (treatment, control) == pytest.approx((3000, 1000), abs=2)


def test_smallest_detectable_effect_beyond_a_rate_of_one_is_none() -> None:
    assert smallest_detectable_effect(0.9, 10, 10) is None


def test_power_refuses_arguments_outside_their_range() -> None:
    with pytest.raises(InputError, match="base rate: found 0"):
        sample_size(0.0, 0.1)
    with pytest.raises(InputError, match="alpha: found 1"):
        smallest_detectable_effect(0.1, 10, 10, alpha=1.0)
    with pytest.raises(InputError, match=r"power: found 0\.01"):
        smallest_detectable_effect(0.1, 10, 10, power=0.01)
    with pytest.raises(InputError, match="found 0"):
        smallest_detectable_effect(0.1, 0, 10)
    with pytest.raises(InputError, match="allowed: 0 to 1"):
        sample_size(0.1, 0.95)
    with pytest.raises(InputError, match="difference 0"):
        sample_size(0.1, 0.0)


def overall(kind: MetricKind, control: dict[str, float], n: int = 10) -> ExperimentResult:
    cells = [
        ArmTotals(segment=None, arm="control", metric="y", n=n, **control),  # type: ignore[arg-type] # by name
        ArmTotals(segment=None, arm="urgent", metric="y", n=n, **control),  # type: ignore[arg-type] # by name
    ]
    units = dict.fromkeys(("control", "urgent"), n)
    return compare(cells, [MetricSpec(name="y", kind=kind)], "control", units=units)


@pytest.mark.parametrize(
    ("arms", "correction", "alpha"),
    [(2, "holm", 0.05), (4, "holm", 0.05 / 3), (4, "bh", 0.05 / 3), (4, "none", 0.05)],
)
def test_plan_rates_gives_the_sample_size_of_statsmodels(
    arms: int, correction: str, alpha: float
) -> None:
    found = lw.power(0.05, lift=0.1, arms=arms, correction=correction)
    effect = proportion_effectsize(0.055, 0.05)
    oracle = NormalIndPower().solve_power(effect, alpha=alpha, power=0.8)
    assert found.n_per_arm == math.ceil(oracle)
    assert found.alpha_per_test == pytest.approx(alpha)
    back = lw.power(0.05, n=found.n_per_arm, arms=arms, correction=correction)
    assert back.lift == pytest.approx(0.1, rel=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"baseline": 1.2},
        {"baseline": 0.5, "lift": 1.5},
        {"baseline": 0.1, "lift": 0.1, "n": 9},
        {"baseline": 0.1, "arms": 1},
        {"baseline": 0.1, "n": 0},
        {"baseline": 0.1, "correction": "hulm"},
    ],
)
def test_plan_rates_refuses_impossible_plans(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="allowed"):
        lw.power(**options)
    assert lw.power(0.9, n=10).lift is None


def test_detectable_effects_of_a_mean_are_its_power_formula() -> None:
    # A mean of 5 and a standard deviation of 20.
    found = overall("mean", {"total": 5_000.0, "total_sq": 999 * 400.0 + 25_000.0}, n=1_000)
    (effect,) = detectable_effects(found, power=0.8)
    # The quantiles 1.959964 and 0.841621, times 20, times the root of 2 / 1000.
    assert effect.detectable_difference == pytest.approx(2.50583, abs=1e-4)
    assert effect.detectable_lift == pytest.approx(2.50583 / 5, abs=1e-4)


@pytest.mark.parametrize(
    ("kind", "control"),
    [
        ("binary", {"events": 0}),
        ("binary", {"events": 10}),
        ("mean", {"total": 0.0, "total_sq": 0.0}),
        ("mean", {"total": 30.0, "total_sq": 90.0}),
    ],
)
def test_detectable_effects_where_nothing_can_be_said_are_none(
    kind: MetricKind, control: dict[str, float]
) -> None:
    (effect,) = detectable_effects(overall(kind, control), power=0.8)
    assert effect.detectable_difference is effect.detectable_lift is None
    assert effect.warning is not None


def test_detectable_effects_of_an_arm_without_units_are_left_out() -> None:
    found = overall("binary", {"events": 2})
    empty = replace(found.comparisons[0], n_treatment=0)
    assert detectable_effects(replace(found, comparisons=(empty,)), power=0.8) == ()


@pytest.mark.parametrize(("n", "warned"), [(1_000, True), (100_000, False)])
def test_detectable_effects_warn_only_where_a_tenth_cannot_be_seen(n: int, warned: bool) -> None:  # noqa: FBT001
    (effect,) = detectable_effects(overall("binary", {"events": n // 5}, n), power=0.8)
    assert effect.detectable_lift is not None
    assert (effect.detectable_lift > 0.1) is warned
    assert (effect.warning is not None) is warned


def test_detectable_effects_share_the_level_among_the_tests_of_holm() -> None:
    found = overall("binary", {"events": 2})
    twice = replace(found, comparisons=found.comparisons * 2)
    assert [effect.alpha for effect in detectable_effects(twice, power=0.8)] == [0.025, 0.025]
    plain = replace(twice, correction="none")
    assert [effect.alpha for effect in detectable_effects(plain, power=0.8)] == [0.05, 0.05]
