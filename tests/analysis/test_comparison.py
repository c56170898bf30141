from __future__ import annotations

import json
import math
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from analysis_samples import compare_proportions, compare_stratified_proportions
from liftwright.analysis import (
    ArmComparison,
    ArmTotals,
    Correction,
    Counts,
    Estimate,
    ExperimentResult,
    MetricSpec,
    adjust_p_values,
    compare,
)
from liftwright.errors import InputError

OPENED = MetricSpec(name="opened", kind="binary")
REVENUE = MetricSpec(name="revenue", kind="mean")
PER_OPEN = MetricSpec(name="clicks_per_open", kind="ratio")


def opened(segment: str | None, arm: str, n: int, events: int) -> ArmTotals:
    return ArmTotals(segment=segment, arm=arm, metric="opened", n=n, events=events)


def two_segments() -> list[ArmTotals]:
    return [
        opened("gold", "control", 200, 40),
        opened("gold", "urgent", 210, 63),
        opened("gold", "friendly", 190, 40),
        opened("basic", "control", 400, 40),
        opened("basic", "urgent", 100, 18),
    ]


UNITS = {"control": 600, "urgent": 310, "friendly": 190}


def estimate_of(row: ArmComparison) -> Estimate:
    return Estimate(**{one.name: getattr(row, one.name) for one in fields(Estimate)})


def row(found: ExperimentResult, segment: str, arm: str) -> ArmComparison:
    return next(r for r in found.comparisons if (r.segment, r.arm) == (segment, arm))


def test_compare_with_segments_stratifies_over_those_where_the_arm_exists() -> None:
    found = compare(two_segments(), [OPENED], "control", units=UNITS)
    assert [(r.segment, r.arm) for r in found.comparisons] == [
        ("all", "urgent"),
        ("all", "friendly"),
        ("gold", "urgent"),
        ("gold", "friendly"),
        ("basic", "urgent"),
        ("basic", "friendly"),
    ]
    gold = (Counts(n=210, events=63), Counts(n=200, events=40))
    basic = (Counts(n=100, events=18), Counts(n=400, events=40))
    urgent = row(found, "all", "urgent")
    assert estimate_of(urgent) == compare_stratified_proportions([gold, basic])
    friendly = row(found, "all", "friendly")
    assert (friendly.n_treatment, friendly.n_control) == (190, 200)
    assert estimate_of(row(found, "gold", "urgent")) == compare_proportions(*gold)
    missing = row(found, "basic", "friendly")
    assert missing.p_value is None
    assert missing.warnings
    assert not missing.significant


def test_compare_corrects_overall_and_segment_rows_as_two_families() -> None:
    found = compare(two_segments(), [OPENED], "control", units=UNITS, correction="holm")
    for family in (found.comparisons[:2], found.comparisons[2:]):
        raw = [r.p_value for r in family]
        assert [r.p_adjusted for r in family] == adjust_p_values(raw, "holm")
        assert [r.significant for r in family] == [
            r.p_adjusted is not None and r.p_adjusted < 0.05 for r in family
        ]
    assert row(found, "all", "urgent").significant


def test_compare_of_each_kind_of_metric_gives_its_value_and_spread() -> None:
    cells = [
        *two_segments(),
        ArmTotals(segment="gold", arm="control", metric="revenue", n=3, total=6.0, total_sq=14.0),
        ArmTotals(segment="gold", arm="urgent", metric="revenue", n=3, total=9.0, total_sq=29.0),
        ArmTotals(
            segment="gold",
            arm="control",
            metric="clicks_per_open",
            n=100,
            total=20,
            total_sq=20,
            denominator=50,
            denominator_sq=50,
            product=20,
        ),
    ]
    found = compare(cells, [OPENED, REVENUE, PER_OPEN], "control", units=UNITS)
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (document["n"], document["srm"]["observed"]) == (1100, UNITS)
    control = document["arms"][0]["metrics"]
    assert control["opened"] == {"kind": "binary", "value": pytest.approx(80 / 600), "events": 80}
    assert control["revenue"] == {"kind": "mean", "value": 2.0, "sd": 1.0}
    assert control["clicks_per_open"]["value"] == pytest.approx(0.4)
    urgent = document["arms"][1]["metrics"]["clicks_per_open"]
    assert urgent == {"kind": "ratio", "value": None, "sd": None}
    revenue = next(r for r in document["comparisons"] if r["metric"] == "revenue")
    assert revenue["test"] == "stratified Welch t"
    assert len(revenue["difference_ci"]) == 2


def test_compare_with_an_arm_without_units_warns_and_fails_the_srm_check() -> None:
    cells = [opened(None, "control", 100, 20)]
    found = compare(
        cells,
        [OPENED],
        "control",
        units={"control": 100},
        expected={"control": 0.5, "urgent": 0.5},
    )
    assert [arm.n for arm in found.arms] == [100, 0]
    assert found.arms[1].metrics["opened"].value is None
    assert found.comparisons[0].warnings
    assert not found.srm.ok


@pytest.mark.parametrize(
    ("cells", "options", "reason"),
    [
        ([opened(None, "urgnt", 1, 0)], {}, "arm: found 'urgnt'.*'urgent'"),
        ([opened("a", "urgent", 1, 0), opened(None, "control", 1, 0)], {}, "segment"),
        ([opened("all", "urgent", 1, 0)], {}, "all"),
        ([ArmTotals(segment=None, arm="urgent", metric="opend", n=1)], {}, "'opened'"),
        ([], {"control": "contorl"}, r"'contorl'.*'control'"),
        ([], {"alpha": 1.5}, r"alpha: found 1\.5"),
    ],
)
def test_compare_refuses_what_does_not_fit(
    cells: list[ArmTotals], options: dict[str, Any], reason: str
) -> None:
    values = {"control": "control", "units": {"control": 1, "urgent": 1}, **options}
    with pytest.raises(InputError, match=reason):
        compare(cells, [OPENED], **values)


@st.composite
def any_cells(draw: st.DrawFn) -> list[ArmTotals]:
    cells = []
    small = st.integers(0, 6)
    for segment in draw(st.sampled_from([[None], ["x"], ["x", "y", "z"]])):
        for arm in ("control", "urgent", "friendly"):
            n = draw(small)
            cells.append(opened(segment, arm, n, draw(st.integers(0, n))))
            values = draw(st.lists(st.floats(-50, 50), min_size=n, max_size=n))
            sums = {"total": sum(values), "total_sq": sum(v * v for v in values)}
            cells.append(ArmTotals(segment=segment, arm=arm, metric="revenue", n=n, **sums))
            per_open = dict.fromkeys(("total", "total_sq", "product"), float(n >= 3))
            per_open |= dict.fromkeys(("denominator", "denominator_sq"), float(n // 2))
            cells.append(
                ArmTotals(segment=segment, arm=arm, metric="clicks_per_open", n=n, **per_open)
            )
    return cells


@settings(deadline=None, max_examples=40)
@given(any_cells(), st.sampled_from(["auto", "chi_square", "fisher", "welch"]))
def test_compare_of_any_small_cells_gives_numbers_or_reasons(
    cells: list[ArmTotals], test_type: str
) -> None:
    found = compare(
        cells,
        [OPENED, REVENUE, PER_OPEN],
        "control",
        units={"control": 5, "urgent": 5, "friendly": 5},
        test_type=test_type,  # type: ignore[arg-type]
    )
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    for r in document["comparisons"]:
        missing = [k for k in ("treatment", "difference", "lift", "p_value") if r[k] is None]
        assert bool(r["warnings"]) or not missing
        assert r["p_value"] is None or 0 <= r["p_value"] <= 1
        if r["p_value"] is None:
            assert not r["significant"]
        if r["difference"] is not None:
            assert r["difference"] == pytest.approx(r["treatment"] - r["control"])


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
