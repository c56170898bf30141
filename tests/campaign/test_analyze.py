"""`analyze` on files of many shapes: what stands beside the primary analysis, and odd input."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from liftwright.campaign.analyze import AnalyzeRequest, analyze_file
from liftwright.errors import DataError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable


def write(path: Path, header: str, rows: Iterable[object]) -> Path:
    path.write_text("\n".join([header, *map(str, rows)]) + "\n")
    return path


def analyze(file: Path, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"arm": "arm", "control": "A", "metrics": ("y",)}
    found: dict[str, Any] = analyze_file(
        AnalyzeRequest(file=file, **{**values, **changes})
    ).to_json()
    json.dumps(found, allow_nan=False)
    return found


@pytest.fixture
def dated(tmp_path: Path) -> Path:
    """Ten days of 40 units; on the last two the arm B gets far too many."""
    rows = []
    for day in range(1, 11):
        for unit in range(40):
            arm = "B" if unit % 2 or (day > 8 and unit < 24) else "A"
            rows.append(f"{arm},2026-03-{day:02d}T08:{unit:02d},{unit % 5 == 0},{unit % 3 == 0}")
    return write(tmp_path / "dated.csv", "arm,at,y,met", rows)


def test_analyze_checks_the_ratio_over_time_and_names_no_winner(dated: Path) -> None:
    found = analyze(dated, time="at", bayes=True)
    assert found["allocation"]["shares"] is None
    assert found["srm"]["ok"], "over all days the arms are near their sizes"
    assert len(found["srm_over_time"]) == 10
    assert found["srm_over_time"]["2026-03-09"]["observed"] == {"A": 8, "B": 32}
    assert found["srm_failed"] == ["period 2026-03-09", "period 2026-03-10"]
    assert {one["arm"] for one in found["best"]} == {None}
    assert {one["decision"] for one in found["decisions"]} == {"stop"}


def test_analyze_exposed_units_stand_apart_from_assigned_ones(dated: Path) -> None:
    found = analyze(dated, exposed="met")
    assert found["n"] == 400
    assert found["exposed"]["n"] == 140
    assert [arm["arm"] for arm in found["exposed"]["arms"]] == ["A", "B"]
    row = found["exposed"]["comparisons"][0]
    assert row["n_treatment"] + row["n_control"] == 140
    assert found["exposed"]["caveat"]
    assert "exposed" not in analyze(dated)


def test_analyze_winsorised_caps_at_the_percentile_of_values_other_than_zero(
    tmp_path: Path,
) -> None:
    draw = random.Random(1)  # noqa: S311 - not for secrets
    values = [0.0 if n % 4 else round(draw.expovariate(0.05), 2) + 1 for n in range(800)]
    values[0] = 9_000.0
    rows = [f"{'AB'[n // 4 % 2]},{value}" for n, value in enumerate(values)]
    found = analyze(write(tmp_path / "w.csv", "arm,y", rows))
    low, high = found["winsorised_at"]["y"]
    assert low is None
    assert high == sorted(v for v in values if v)[197]
    capped = {
        arm: [min(v, high) for n, v in enumerate(values) if "AB"[n // 4 % 2] == arm] for arm in "AB"
    }
    expected = stats.ttest_ind(capped["B"], capped["A"], equal_var=False)
    assert found["winsorised"][0]["p_value"] == pytest.approx(expected.pvalue, rel=1e-6)
    assert found["winsorised"][0]["difference"] == pytest.approx(
        sum(capped["B"]) / 400 - sum(capped["A"]) / 400
    )
    assert found["comparisons"][0]["control"] > found["winsorised"][0]["control"]
    assert "winsorised" not in analyze(
        write(tmp_path / "b.csv", "arm,y", ["A,0", "B,1", "A,1"] * 9)
    )


def test_analyze_with_bayes_gives_posteriors_and_shares_of_a_next_wave(tmp_path: Path) -> None:
    rows = [f"{'ABC'[n % 3]},{n % 10 < 2 + n % 3}" for n in range(900)]
    file = write(tmp_path / "b.csv", "arm,y", rows)
    found = analyze(file, bayes=True)
    best = {row["arm"]: row["probability_best"] for row in found["bayes"]}
    assert sum(best.values()) == pytest.approx(1.0)
    shares = found["allocation"]["shares"]
    assert max(shares, key=shares.get) == max(best, key=lambda arm: best[arm])
    assert min(shares.values()) >= 0.05 - 1e-12
    assert len(found["allocation"]["caveats"]) == 3
    assert "bayes" not in analyze(file)


def test_analyze_guardrail_plan_and_minimum_shape_the_decision(tmp_path: Path) -> None:
    rows = [
        f"{'AB'[n % 2]},{n % 20 < (4 if n % 2 else 2)},{n % 10 < (5 if n % 2 else 2)}"
        for n in range(4_000)
    ]
    file = write(tmp_path / "g.csv", "arm,y,left", rows)
    options: dict[str, Any] = {"metrics": ("y", "left")}

    def decision(**more: Any) -> str:
        (found,) = analyze(file, **options, **more)["decisions"]
        return str(found["decision"])

    assert decision() == "ship"
    assert decision(guardrails=("left",)) == "ship"
    assert decision(guardrails=("left",), lower=("left",)) == "stop"
    assert decision(minimum=3_000) == "continue"
    assert decision(lower=("y",)) == "stop"
    same = write(tmp_path / "p.csv", "arm,y", [f"{'AB'[n % 2]},{n % 10 < 2}" for n in range(2_000)])
    assert analyze(same, planned=2_000)["decisions"][0]["decision"] == "stop"
    assert analyze(same, planned=9_000)["decisions"][0]["decision"] == "continue"


def test_analyze_an_arm_without_units_is_null_with_a_warning(tmp_path: Path) -> None:
    rows = ["A,1,30", "A,0,70", "B,1,40", "B,0,60", "C,1,0", "C,0,0"]
    found = analyze(write(tmp_path / "e.csv", "arm,y,n", rows), count="n")
    row = next(row for row in found["comparisons"] if row["arm"] == "C")
    assert row["difference"] is None
    assert "not estimable" in row["warnings"][0]
    assert not found["srm"]["ok"]
    named = analyze(
        write(tmp_path / "f.csv", "arm,y", ["A,1", "A,0", "B,1", "B,0"] * 20),
        shares=("A=0.4", "B=0.4", "none sent=0.2"),
    )
    assert [arm["n"] for arm in named["arms"]] == [40, 40, 0]
    assert named["srm_failed"] == ["overall"]


def test_analyze_a_covariate_with_gaps_leaves_the_other_rows_as_they_are(tmp_path: Path) -> None:
    draw = random.Random(4)  # noqa: S311 - not for secrets
    rows = []
    for n in range(400):
        x = draw.gauss(20, 5)
        # Who lacks the covariate gains more: leaving them out would change the answer.
        lacks = n % 4 == 0
        y = 2 * x + draw.gauss(0, 3) + (n % 2) * (9 if lacks else 3)
        rows.append(f"{'AB'[n % 2]},{y:.3f},{'NA' if lacks else f'{x:.3f}'}")
    rows = [row.replace("A,", "B,", 1) if n % 8 == 4 else row for n, row in enumerate(rows)]
    file = write(tmp_path / "gaps.csv", "arm,y,x", rows)
    plain = analyze(file)
    found = analyze(file, covariates=("y=x",))
    for part in ("n", "arms", "comparisons", "sequential", "winsorised", "verdict"):
        assert found[part] == plain[part]
    (row,) = found["cuped"]
    assert (row["n_treatment"], row["n_control"]) == (250, 150)
    assert found["covariate_missing"] == {"y": 100}
    assert row["warnings"][0].startswith("100 units lack the covariate")
    # A regression on arm, imputed covariate and indicator, with the same coefficients in both arms.
    y, x, lacks, treated = (
        [float(value) for value in column]
        for column in zip(
            *(
                (r.split(",")[1], 0 if "NA" in r else r.split(",")[2], "NA" in r, r[0] == "B")
                for r in rows
            ),
            strict=True,
        )
    )
    design = np.column_stack([np.ones(400), treated, x, lacks])
    beta = np.linalg.lstsq(design, np.array(y), rcond=None)[0]
    assert row["difference"] == pytest.approx(beta[1], rel=1e-9)


def test_analyze_shares_by_segment_are_checked_segment_by_segment(tmp_path: Path) -> None:
    rows = ["1,A,5000,250", "1,B,5000,300", "2,A,3000,150", "2,B,7000,420"]
    file = write(tmp_path / "waves.csv", "wave,arm,n,x", rows)
    shares = write(
        tmp_path / "shares.csv", "segment,arm,share", ["1,A,50%", "1,B,.5", "2,A,0.3", "2, b ,0.7"]
    )
    options: dict[str, Any] = {"metrics": ("r=x/n:binary",), "segment": "wave"}
    found = analyze(file, **options, share_by=shares)
    assert found["srm"]["p_value"] == pytest.approx(1.0)
    assert {name: one["p_value"] for name, one in found["srm_by_segment"].items()} == {
        "1": pytest.approx(1.0),
        "2": pytest.approx(1.0),
    }
    assert found["verdict"]["winner"] == "B"
    assert found["comparisons"][0]["p_value"] == pytest.approx(0.00316, rel=1e-2)
    without = analyze(file, **options)
    assert without["verdict"]["state"] == "do_not_trust"
    assert "--share-by" in without["srm"]["explanation"]
    for text, message in (
        ("segment,arm\n1,A", r"no column 'share'"),
        ("segment,arm,share\n1,A,0.5\n1,B,0.5", r"no shares for segment '2'"),
        ("segment,arm,share\n1,A,0.5\n1,B,0.4", r"segment '1': found a sum of 0.9"),
        ("segment,arm,share\n1,A,x", r"row 1: found share 'x'"),
    ):
        shares.write_text(text)
        with pytest.raises(InputError, match=message):
            analyze(file, **options, share_by=shares)


@pytest.mark.parametrize("spelling", [("a", "B "), (" A", "b"), ("A", "B")])
def test_analyze_reads_yes_no_na_and_spellings_of_arms(
    tmp_path: Path, spelling: tuple[str, str]
) -> None:
    rows = [f"{'AB'[n % 2]},{n % 5 == 0},{n % 7}" for n in range(100)]
    words = [
        f"{(*'AB', *spelling)[n % 4]},{'Yes' if n % 5 == 0 else 'no'},{n % 7}" for n in range(100)
    ]
    gaps = ["NA,Yes,3", ",No,3", "A,N/A,NaN", "B,,null"]
    options: dict[str, Any] = {"metrics": ("y", "v")}
    expected = analyze(write(tmp_path / "e.csv", "arm,y,v", [*rows, "A,,", "B,,"]), **options)
    found = analyze(write(tmp_path / "w.csv", "arm,y,v", [*words, *gaps]), **options)
    warnings = found.pop("warnings", [])
    assert bool(warnings) is (spelling != ("A", "B"))
    assert found.pop("excluded") == {"rows_without_arm_unit_or_segment": 2}
    expected.pop("excluded")
    assert found == expected


def test_analyze_units_in_two_arms_gate_the_winner(tmp_path: Path) -> None:
    rows = [f"u{n},{'AB'[n % 2]},{int(n % 20 < (4 if n % 2 else 2))}" for n in range(4_000)]
    seen_twice = [f"u{2 * n},B,1" for n in range(100)]
    file = write(tmp_path / "twice.csv", "unit,arm,y", [*rows, *seen_twice])
    found = analyze(file, unit="unit")
    exposure = found["multiple_exposure"]
    assert (exposure["units"], exposure["share"]) == (100, pytest.approx(0.025))
    assert found["verdict"]["state"] == "do_not_trust"
    # All of them bought: that alone is enough.
    assert not analyze(file, unit="unit", multiple_exposure=0.05)["multiple_exposure"]["ok"]
    few = write(tmp_path / "few.csv", "unit,arm,y", [*rows, *seen_twice[:15]])
    assert analyze(few, unit="unit")["verdict"]["winner"] == "B"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"stopping": "never"}, InputError, r"--stopping: found 'never', allowed: fixed, anytime"),
        ({"share_by": Path("x.csv")}, InputError, r"--share-by: needs --segment"),
        (
            {"share_by": Path("gone.csv"), "segment": "met"},
            InputError,
            r"--share-by gone.csv: cannot be read",
        ),
        (
            {"share_by": Path("x.csv"), "segment": "met", "shares": ("A=1",)},
            InputError,
            r"--share-by: cannot be combined with --share",
        ),
        ({"multiple_exposure": 2.0}, InputError, r"--multiple-exposure: found 2"),
        ({"metrics": ("y", "met"), "guardrails": ("met:2",)}, InputError, r"margin 2, allowed"),
        ({"exposed": "mett"}, InputError, r"--exposed 'mett'.*met"),
        ({"exposed": "at"}, DataError, r"row 1: at: found '2026"),
        ({"time": "ta"}, InputError, r"--time 'ta'"),
        ({"time": "y"}, DataError, r"row 1: y: found 'True', allowed: a date or time"),
        ({"guardrails": ("yy",)}, InputError, r"--guardrail 'yy': no such metric"),
        ({"guardrails": ("y",)}, InputError, r"--guardrail 'y':"),
        ({"lower": ("x",)}, InputError, r"--lower 'x': no such metric"),
        ({"planned": 0}, InputError, r"--planned: found 0"),
        ({"minimum": -1}, InputError, r"--minimum: found -1"),
        ({"metrics": ()}, InputError, r"--metric: none given"),
        ({"covariate_time": "at"}, InputError, r"--covariate-time: .*--covariate"),
        (
            {"covariate_time": "at", "covariates": ("y=met",)},
            InputError,
            r"--covariate-time: needs --time",
        ),
    ],
)
def test_analyze_with_a_wrong_option_says_what_is_allowed(
    dated: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        analyze(dated, **changes)


def test_analyze_a_covariate_from_after_the_assignment_is_refused(tmp_path: Path) -> None:
    rows = [f"{'AB'[n % 2]},2026-03-02,2026-03-0{1 + (n == 7) * 4},{n},{n % 9}" for n in range(40)]
    file = write(tmp_path / "c.csv", "arm,at,seen,y,x", rows)
    options: dict[str, Any] = {"covariates": ("y=x",), "time": "at", "covariate_time": "seen"}
    with pytest.raises(InputError, match=r"row 8: .*'2026-03-05'"):
        analyze(file, **options)
    fine = write(tmp_path / "d.csv", "arm,at,seen,y,x", rows[:7])
    assert analyze(fine, **options)["cuped"]


def test_analyze_a_covariate_told_in_every_row_of_a_unit_does_not_add_up(tmp_path: Path) -> None:
    draw = random.Random(6)  # noqa: S311 - not for secrets
    units = [(n, draw.gauss(50, 9), 1 + n % 3) for n in range(120)]
    once = [f"{n},{'AB'[n % 2]},{x:.3f},{3 * x + n % 5:.3f}" for n, x, _ in units]
    often = [
        f"{n},{'AB'[n % 2]},{x:.3f},{(3 * x + n % 5 if time == 0 else 0):.3f}"
        for n, x, times in units
        for time in range(times)
    ]
    found = [
        analyze(write(tmp_path / f"{name}.csv", "u,arm,x,y", rows), unit="u", covariates=("y=x",))
        for name, rows in (("once", once), ("often", often))
    ]
    assert found[0]["variance_reduction"]["y"] > 0.9
    assert found[1]["variance_reduction"]["y"] == pytest.approx(found[0]["variance_reduction"]["y"])


def test_analyze_hillstrom_gives_every_published_number(shared_data: Path) -> None:
    file = shared_data / "experiments" / "hillstrom.csv"
    options: dict[str, Any] = {
        "arm": "segment",
        "control": "No E-Mail",
        "metrics": ("visit", "conversion", "spend"),
    }
    found = analyze(file, **options)
    assert f"{found['srm']['p_value']:.3f}" == "0.904"
    rows = {(row["arm"].split()[0], row["metric"]): row for row in found["comparisons"]}
    printed = {
        ("Mens", "visit"): ("0.0765896", "72.14", "5.685e-112"),
        ("Mens", "conversion"): ("0.0068050", "118.84", "1.523e-13"),
        ("Mens", "spend"): ("0.7698272", "117.93", "1.164e-07"),
        ("Womens", "visit"): ("0.0452331", "42.61", "3.182e-44"),
        ("Womens", "conversion"): ("0.0031111", "54.33", "1.571e-04"),
        ("Womens", "spend"): ("0.4244122", "65.02", "1.129e-03"),
    }
    for key, (difference, lift, p_value) in printed.items():
        row = rows[key]
        assert f"{row['difference']:.7f}"[:8] == difference[:8]
        assert f"{100 * row['lift']:.2f}" == lift
        assert f"{row['p_value']:.3e}" == p_value
    # The published intervals are on the log scale, ours are score intervals.
    for arm, interval in (("Mens", (0.768, 1.709)), ("Womens", (0.230, 0.936))):
        assert rows[arm, "conversion"]["lift_ci"] == pytest.approx(interval, abs=0.0015)
    assert f"{rows['Womens', 'conversion']['p_adjusted']:.3e}" == "3.142e-04"
    assert f"{rows['Womens', 'spend']['p_adjusted']:.7f}" == "0.0011294"
    visit = next(one for one in found["omnibus"] if one["metric"] == "visit")
    assert f"{visit['statistic']:.3f}" == "504.461"
    by_history = analyze(file, **options, segment="history_segment")
    odds = {
        (row["arm"].split()[0], row["metric"]): row["common_odds_ratio"]
        for row in by_history["interactions"]
    }
    assert f"{odds['Mens', 'visit']:.5f}" == "1.88863"
    assert f"{odds['Womens', 'conversion']:.5f}" == "1.54383"
    womens = [
        row["difference"]
        for row in by_history["comparisons"]
        if (row["arm"], row["metric"]) == ("Womens E-Mail", "conversion")
        and row["segment"] != "all"
    ]
    assert sum(difference < 0 for difference in womens) == 2


def test_analyze_fast_food_gives_every_published_number(shared_data: Path) -> None:
    found = analyze(
        shared_data / "experiments" / "fastfood.csv",
        arm="Promotion",
        control="1",
        metrics=("SalesInThousands",),
    )
    means = [arm["metrics"]["SalesInThousands"]["value"] for arm in found["arms"]]
    assert [f"{mean:.3f}" for mean in means] == ["58.099", "47.329", "55.364"]
    (omnibus,) = found["omnibus"]
    assert f"{omnibus['statistic']:.4f}" == "21.9535"
    assert f"{omnibus['p_value']:.3e}" == "6.766e-10"
    pair = next(one for one in omnibus["pairs"] if one["arms"] == ["1", "3"])
    assert f"{pair['p_value']:.4f}" == "0.2444"
