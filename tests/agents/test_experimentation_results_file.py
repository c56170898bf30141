from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from scipy import stats

from liftwright.analysis.result import ArmMean
from liftwright.campaign.analyze import AnalyzeRequest, analyze_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("base", [0.0, 1e6, 1e9, -1e9])
@pytest.mark.parametrize("segment", [None, "place"])
def test_read_results_values_far_from_zero_keep_their_spread(
    tmp_path: Path, base: float, segment: str | None
) -> None:
    draw = random.Random(7)  # noqa: S311 - not for secrets
    rows = [("AB"[i % 2], base + round(draw.gauss(i % 2 / 4, 1), 3)) for i in range(400)]
    file = tmp_path / "results.csv"
    lines = "".join(f"{arm},here,{value:.3f}\n" for arm, value in rows)
    file.write_text(f"arm,place,seconds\n{lines}")
    values = {arm: [value - base for name, value in rows if name == arm] for arm in "AB"}
    expected = stats.ttest_ind(values["B"], values["A"], equal_var=False)

    found = analyze_file(
        AnalyzeRequest(file=file, arm="arm", control="A", metrics=("seconds",), segment=segment)
    )

    row = found.comparisons[0]
    assert row.p_value == pytest.approx(expected.pvalue, rel=1e-4)
    assert row.difference == pytest.approx(
        sum(values["B"]) / 200 - sum(values["A"]) / 200, abs=1e-6
    )


@pytest.mark.parametrize("value", ["0.1", "19.99", "1700000000.5"])
def test_read_results_a_constant_metric_has_exactly_no_spread(tmp_path: Path, value: str) -> None:
    file = tmp_path / "results.csv"
    file.write_text("arm,x\n" + f"A,{value}\nB,{value}\n" * 50)

    found = analyze_file(AnalyzeRequest(file=file, arm="arm", control="A", metrics=("x",)))

    arm, row = found.arms[0], found.comparisons[0]
    assert arm.metrics["x"] == ArmMean(kind="mean", value=float(value), sd=0.0)
    assert row.p_value is None


def test_read_results_a_covariate_far_from_zero_adjusts_as_near_it(tmp_path: Path) -> None:
    draw = random.Random(3)  # noqa: S311 - not for secrets
    rows = [(draw.gauss(0, 1), draw.gauss(0, 1)) for _ in range(300)]
    adjusted = []
    for base in (0, 10**9):
        file = tmp_path / f"{base}.csv"
        lines = "".join(
            f"{'AB'[i % 2]},{base + round(x, 3):.3f},{base + round(x + y, 3):.3f}\n"
            for i, (x, y) in enumerate(rows)
        )
        file.write_text(f"arm,before,after\n{lines}")
        found = analyze_file(
            AnalyzeRequest(
                file=file,
                arm="arm",
                control="A",
                metrics=("after:mean",),
                covariates=("after=before",),
            )
        )
        adjusted.append(found.cuped[0].p_value)

    assert adjusted[1] == pytest.approx(adjusted[0], rel=1e-3)


def test_read_results_units_in_two_arms_or_segments_are_left_out_and_counted(
    tmp_path: Path,
) -> None:
    file = tmp_path / "results.csv"
    rows = [f"u{i},{'AB'[i % 2]},{'xy'[i % 4 // 2]},{i % 3 // 2}" for i in range(80)]
    crossed, moved = ["u0,B,x,1", "u1,A,x,1"], ["u2,A,x,1"]
    file.write_text("\n".join(["unit,arm,place,clicked", *rows, *crossed, *moved]) + "\n")

    found = analyze_file(
        AnalyzeRequest(
            file=file, arm="arm", control="A", metrics=("clicked",), unit="unit", segment="place"
        )
    )

    assert found.excluded == {
        "rows_without_arm_unit_or_segment": 0,
        "units_in_two_arms": 2,
        "units_in_two_segments": 1,
    }
    assert found.n == 77
