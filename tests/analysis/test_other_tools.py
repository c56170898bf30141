"""The same tables in tea-tasting and statsmodels, and through the whole of `analyze`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
import tea_tasting as tt
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

import liftwright


def experiment(seed: int, n: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    arm = (rng.random(n) < 0.4).astype(int)
    before = rng.gamma(2.0, 5.0, n)
    sessions = rng.integers(1, 7, n)
    return pd.DataFrame(
        {
            "variant": arm,
            "group": np.where(arm == 1, "new", "old"),
            "before": before,
            "spent": 0.5 * before + rng.gamma(2.0, 4.0, n) + 0.4 * arm,
            "sessions": sessions,
            "orders": rng.binomial(sessions, 0.25 + 0.05 * arm),
            "bought": rng.random(n) < 0.3 + 0.05 * arm,
        }
    )


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(300, 900))
def test_analyze_agrees_with_tea_tasting_and_statsmodels(seed: int, n: int) -> None:
    frame = experiment(seed, n)
    found = liftwright.analyze(
        frame,
        arm="group",
        control="old",
        metrics=["spent", "bought", "rate=orders/sessions:ratio"],
        covariates={"spent": "before"},
        shares={"old": 0.6, "new": 0.4},
    )
    ours = {row.metric: row for row in found.comparisons}
    theirs = tt.Experiment(
        spent=tt.Mean("spent"),
        bought=tt.Proportion("bought", method="norm", correction=False),
        rate=tt.RatioOfMeans("orders", "sessions"),
    ).analyze(frame.assign(bought=frame["bought"].astype(int)))
    for name in ("spent", "bought", "rate"):
        expected = theirs[name]
        assert ours[name].treatment == pytest.approx(expected.treatment, rel=1e-9)
        assert ours[name].control == pytest.approx(expected.control, rel=1e-9)
        assert ours[name].lift == pytest.approx(expected.rel_effect_size, rel=1e-7, abs=1e-9)
        assert ours[name].p_value == pytest.approx(expected.pvalue, rel=1e-5, abs=1e-12)
    for name in ("spent", "rate"):
        ends = (theirs[name].effect_size_ci_lower, theirs[name].effect_size_ci_upper)
        assert ours[name].difference_ci == pytest.approx(ends, rel=1e-5)

    # With one slope within arms, CUPED's difference is that of the analysis of covariance.
    covariance = smf.ols("spent ~ variant + before", data=frame).fit()
    (cuped,) = found.cuped
    assert cuped.difference == pytest.approx(covariance.params["variant"], rel=1e-7)
    # The errors differ a little: Welch's lets the arms' spreads differ, covariance's does not.
    ours_z, theirs_z = norm.isf([cuped.p_value / 2, covariance.pvalues["variant"] / 2])
    assert ours_z == pytest.approx(theirs_z, rel=0.15, abs=0.1)
