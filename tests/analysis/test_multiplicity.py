from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from liftwright.analysis import Correction, adjust_p_values


@pytest.mark.parametrize(
    ("correction", "expected"),
    [
        ("holm", [0.03, None, 0.04, 0.04, None]),
        ("bh", [0.03, None, 0.03, 0.03, None]),
        ("none", [0.01, None, 0.03, 0.02, None]),
    ],
)
def test_adjust_p_values_leaves_missing_ones_out_of_the_family(
    correction: Correction, expected: list[float | None]
) -> None:
    found = adjust_p_values([0.01, None, 0.03, 0.02, math.nan], correction)
    assert found == pytest.approx(expected)


@given(
    p_values=st.lists(st.floats(0, 1), min_size=1, max_size=40),
    correction=st.sampled_from(("holm", "bh")),
)
def test_adjust_p_values_of_any_family_agrees_with_statsmodels(
    p_values: list[float], correction: Correction
) -> None:
    method = {"holm": "holm", "bh": "fdr_bh"}[correction]
    expected = multipletests(p_values, method=method)[1]
    assert adjust_p_values(p_values, correction) == pytest.approx(expected, rel=1e-12, abs=0)
