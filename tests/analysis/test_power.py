from __future__ import annotations

import pytest
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_effectsize

from liftwright.analysis import sample_size, smallest_detectable_effect
from liftwright.errors import InputError


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
    with pytest.raises(InputError, match="base rate 0"):
        sample_size(0.0, 0.1)
    with pytest.raises(InputError, match="alpha 1"):
        smallest_detectable_effect(0.1, 10, 10, alpha=1.0)
    with pytest.raises(InputError, match=r"power 0\.01"):
        smallest_detectable_effect(0.1, 10, 10, power=0.01)
    with pytest.raises(InputError, match="0 units"):
        smallest_detectable_effect(0.1, 0, 10)
    with pytest.raises(InputError, match="allowed is 0 to 1"):
        sample_size(0.1, 0.95)
    with pytest.raises(InputError, match="difference 0"):
        sample_size(0.1, 0.0)
