"""What features say of an effect, and what is refused: from arrays, and through `analyze`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import liftwright
from liftwright.analysis.effect_modifiers import (
    fit_effect_modifiers,
    grow_uplift_forest,
    standardised,
)
from liftwright.errors import InputError


def units(n: int, effect: float, seed: int = 1) -> pd.DataFrame:
    """Half of them treated; the effect is there only where `age` is above 0."""
    rng = np.random.default_rng(seed)
    treated = rng.random(n) < 0.5
    age, visits = rng.normal(size=(2, n))
    return pd.DataFrame(
        {
            "arm": np.where(treated, "new", "old"),
            "age": age,
            "visits": visits,
            "place": np.where(rng.random(n) < 0.3, "town", "land"),
            "bought": rng.random(n) < 0.2 + effect * treated * (age > 0),
        }
    )


def test_moderate_is_the_regression_with_robust_errors() -> None:
    frame = units(800, 0.2)
    outcome = frame["bought"].to_numpy(float)
    features = {name: frame[name].to_numpy() for name in ("age", "visits")}
    found = fit_effect_modifiers("bought", outcome, frame["arm"].tolist(), "old", features)
    names, design = standardised(features)
    arm = (frame["arm"] == "new").to_numpy(float)[:, None]
    x = np.hstack([np.ones_like(arm), arm, design, arm * design])
    fit = sm.OLS(outcome, x).fit(cov_type="HC2")
    assert [row.feature for row in found.rows] == names
    assert [row.change for row in found.rows] == pytest.approx(fit.params[4:].tolist())
    assert [row.p_value for row in found.rows] == pytest.approx(fit.pvalues[4:].tolist(), rel=1e-6)
    joint = fit.wald_test(np.eye(6)[4:], use_f=False, scalar=True)
    assert found.joint_p_adjusted["new"] == pytest.approx(float(joint.pvalue), rel=1e-6)


def test_moderate_ranks_what_changes_the_effect_and_only_that() -> None:
    frame = units(6_000, 0.2)
    features = {name: frame[name].to_numpy() for name in ("visits", "age")}
    found = fit_effect_modifiers(
        "bought", frame["bought"].to_numpy(float), frame["arm"].tolist(), "old", features
    )
    assert [(one.arm, one.feature) for one in found.ranking] == [("new", "age")]
    age = next(row for row in found.rows if row.feature == "age")
    assert age.interval[0] > 0
    assert found.reason


def test_moderate_without_a_difference_seldom_ranks_anything() -> None:
    ranked = rejected = 0
    for seed in range(200):
        frame = units(300, 0.0, seed)
        features = {name: frame[name].to_numpy() for name in ("visits", "age")}
        found = fit_effect_modifiers(
            "bought", frame["bought"].to_numpy(float), frame["arm"].tolist(), "old", features
        )
        ranked += bool(found.ranking)
        rejected += found.joint_p_adjusted["new"] < 0.05
    assert ranked <= rejected <= 0.09 * 200


def test_moderate_of_features_that_say_the_same_estimates_nothing() -> None:
    frame = units(400, 0.2)
    age = frame["age"].to_numpy()
    outcome = frame["bought"].to_numpy(float)
    found = fit_effect_modifiers(
        "bought", outcome, frame["arm"].tolist(), "old", {"age": age, "months": 12 * age}
    )
    assert found.rows == ()


def grown(frame: pd.DataFrame) -> Any:
    names, design = standardised({name: frame[name].to_numpy() for name in ("visits", "age")})
    treated = (frame["arm"] == "new").to_numpy()
    return grow_uplift_forest(frame["bought"].to_numpy(float), treated, design, names)


def test_forest_tells_the_feature_that_changes_the_effect() -> None:
    found = grown(units(4_000, 0.4))
    assert found.importances[0].feature == "age"
    assert found.importances[0].mean_absolute_shap > 2 * found.importances[1].mean_absolute_shap
    assert found.slope > 0.3
    assert found.explained == 800


def test_forest_of_noise_tells_nothing() -> None:
    found = grown(units(2_000, 0.0, seed=3))
    assert found.importances == ()
    assert "not reported" in found.reason


def analyze(frame: pd.DataFrame, **options: Any) -> Any:
    return liftwright.analyze(frame, arm="arm", control="old", metrics=["bought"], **options)


def test_analyze_with_explain_says_which_features_go_with_the_effect() -> None:
    found = analyze(units(5_000, 0.25), explain=["age", "visits", "place"], forest=True).to_json()[
        "explain"
    ]
    assert found["ranking"] == [{"arm": "new", "feature": "age"}]
    assert {row["feature"] for row in found["rows"]} == {"age", "visits", "place = town"}
    assert found["units"] == 5_000
    forest = found["forest"]["new"]
    assert forest["exploratory"]
    assert forest["importances"][0]["feature"] == "age"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"explain": ["aeg"]}, r"--explain 'aeg': .*age"),
        ({"explain": ["name"]}, r"--explain 'name': found 300"),
        ({"explain": ["age"], "unit": "name"}, r"--explain: .*leave out --unit"),
        ({"forest": True}, r"--forest: needs --explain"),
        (
            {"explain": ["age"], "metrics": ["r=visits/age:ratio"]},
            r"--explain: the first metric is a ratio",
        ),
    ],
)
def test_analyze_with_a_wrong_explain_says_what_is_allowed(
    options: dict[str, Any], message: str
) -> None:
    frame = units(300, 0.0).assign(name=[f"n{i}" for i in range(300)])
    values: dict[str, Any] = {"metrics": ["bought"], **options}
    with pytest.raises(InputError, match=message):
        liftwright.analyze(frame, arm="arm", control="old", **values)


def test_analyze_explain_with_too_few_units_says_how_many_are_needed() -> None:
    table = [
        {"arm": "AB"[n % 2], "y": n % 3, "f": n % 7, "g": n % 5, "same": 1} for n in range(100)
    ]

    def reason(*features: str) -> str:
        found: Any = liftwright.analyze(
            table, arm="arm", control="A", metrics="y", explain=features
        )
        assert found.explain.ranking == ()
        return str(found.explain.reason)

    assert "120 units" in reason("f", "g")
    assert reason("same")
