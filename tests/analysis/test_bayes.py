from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from liftwright.analysis import Counts, Moments, RatioMoments
from liftwright.analysis.bayes import Posterior, posterior_of, summarise_posteriors, thompson_shares
from liftwright.errors import InputError

if TYPE_CHECKING:
    from liftwright.analysis import Direction

ARMS = {"c": (500, 40), "t": (480, 52), "u": (25, 0), "v": (100_000, 9_000)}


def law(n: int, events: int) -> Posterior:
    found = posterior_of([Counts(n=n, events=events)], [1.0])
    assert found is not None
    return found


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_believe_rates_agrees_with_draws_from_the_posteriors(direction: Direction) -> None:
    found = summarise_posteriors(
        {arm: law(*counts) for arm, counts in ARMS.items()}, "c", direction=direction
    )
    rng = np.random.default_rng(1)
    draws = {arm: rng.beta(x + 0.5, n - x + 0.5, 400_000) for arm, (n, x) in ARMS.items()}
    sign = 1 if direction == "higher" else -1
    together = sign * np.vstack(list(draws.values()))
    best = together.max(axis=0)
    for place, arm in enumerate(ARMS):
        assert found[arm].probability_best == pytest.approx(
            (together.argmax(axis=0) == place).mean(), abs=0.004
        )
        loss = (best - together[place]).mean()
        assert found[arm].expected_loss == pytest.approx(loss, abs=2e-4)
    for arm in ("t", "u", "v"):
        better = (sign * (draws[arm] - draws["c"]) > 0).mean()
        assert found[arm].probability_better == pytest.approx(better, abs=0.004)
        assert found[arm].difference_ci == pytest.approx(
            np.quantile(draws[arm] - draws["c"], [0.025, 0.975]), abs=6e-4
        )
        assert found[arm].lift_ci == pytest.approx(
            np.quantile(draws[arm] / draws["c"] - 1, [0.025, 0.975]), abs=0.012
        )
    assert found["c"].probability_better is None
    assert sum(belief.probability_best for belief in found.values()) == pytest.approx(1.0)


@given(
    means=st.tuples(st.floats(1.0, 50.0), st.floats(1.0, 50.0)),
    sds=st.tuples(st.floats(0.5, 9.0), st.floats(0.5, 9.0)),
)
def test_believe_two_means_is_the_normal_law_of_their_difference(
    means: tuple[float, float], sds: tuple[float, float]
) -> None:
    one = Posterior(means[0], sds[0], rate=False)
    zero = Posterior(means[1], sds[1], rate=False)
    found = summarise_posteriors({"a": zero, "b": one}, "a")["b"]
    spread = math.hypot(*sds)
    score = (means[0] - means[1]) / spread
    assert found.probability_best == pytest.approx(stats.norm.cdf(score), abs=1e-4)
    assert found.probability_better == pytest.approx(stats.norm.cdf(score), abs=1e-4)
    loss = spread * (stats.norm.pdf(score) - score * stats.norm.sf(score))
    assert found.expected_loss == pytest.approx(loss, abs=1e-3 * spread)
    low, high = stats.norm.interval(0.95, means[0] - means[1], spread)
    assert found.difference_ci == pytest.approx((low, high), abs=2e-3 * spread)


def test_posterior_of_strata_has_the_weighted_mean_and_variance() -> None:
    cells = [Counts(n=100, events=10), Counts(n=50, events=20)]
    found = posterior_of(cells, [0.25, 0.75])
    assert found is not None
    laws = [stats.beta(10.5, 90.5), stats.beta(20.5, 30.5)]
    assert found.mean == pytest.approx(0.25 * laws[0].mean() + 0.75 * laws[1].mean())
    assert found.sd**2 == pytest.approx(0.0625 * laws[0].var() + 0.5625 * laws[1].var())
    assert found.below(np.array([0.0, 1.0])).tolist() == [0.0, 1.0]


def test_posterior_of_means_and_ratios_is_normal_by_their_standard_error() -> None:
    moments = Moments(n=4, total=20.0, total_sq=120.0)
    found = posterior_of([moments], [1.0])
    assert found == Posterior(5.0, moments.sd / 2, rate=False)
    ratio = RatioMoments(
        n=40, numerator=10, denominator=20, numerator_sq=10, denominator_sq=20, product=10
    )
    found = posterior_of([ratio], [1.0])
    assert found is not None
    assert found.sd == pytest.approx(ratio.sd / math.sqrt(40))


def test_thompson_shares_follow_the_probabilities_above_a_floor() -> None:
    found = thompson_shares({"a": 0.9, "b": 0.1, "c": 0.0})
    assert found == pytest.approx({"a": 0.05 + 0.85 * 0.9, "b": 0.05 + 0.085, "c": 0.05})
    many = thompson_shares({str(arm): float(arm == 0) for arm in range(20)})
    assert min(many.values()) == pytest.approx(0.025), "at most half of an equal share is kept"
    assert sum(many.values()) == pytest.approx(1.0)


def test_thompson_shares_without_an_arm_or_with_an_odd_floor_are_refused() -> None:
    with pytest.raises(InputError, match="allocation"):
        thompson_shares({})
    with pytest.raises(InputError, match=r"least share: found 1\.5"):
        thompson_shares({"a": 1.0}, least=1.5)
