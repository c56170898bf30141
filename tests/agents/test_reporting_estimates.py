"""What the report says beside the comparisons: decisions, other estimators, the plan."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from liftwright.agents.reporting import estimates, outcomes, summary
from liftwright.agents.reporting.run_reader import RunFiles, read_run
from liftwright.errors import IntegrityError
from reporting_samples import TONES, Sample, write_run

if TYPE_CHECKING:
    from pathlib import Path


def run_with(folder: Path, sample: Sample | None = None, **metrics: Any) -> RunFiles:
    written = write_run(folder / "run1", sample)
    file = written / "metrics.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **metrics}))
    return read_run(written)


def estimated(metric: str, arm: str, **values: Any) -> dict[str, Any]:
    return {
        "segment": "all",
        "arm": arm,
        "metric": metric,
        "kind": "binary",
        "difference_ci": [0.01, 0.02],
        "lift": 0.1,
        "lift_ci": [-0.05, 0.3],
        "p_adjusted": 0.2,
        "significant": False,
        "warnings": [],
        **values,
    }


def decided(decision: str, reason: str) -> list[dict[str, Any]]:
    return [
        {"arm": arm, "metric": "click_rate", "decision": decision, "reasons": [reason]}
        for arm in TONES
    ]


def test_decisions_are_told_in_the_summary_and_in_a_table(tmp_path: Path) -> None:
    run = run_with(tmp_path, decisions=decided("continue", "the click_rate is not known yet"))
    told = "continue urgent, informational and friendly (the click rate is not known yet)."
    assert f"**Decisions.** {told}" in str(summary.summary(run))
    assert "| friendly | continue | the click rate is not known yet |" in str(
        estimates.decisions(run)
    )


def test_advice_of_a_winner_that_is_not_to_be_shipped_yet_says_so(tmp_path: Path) -> None:
    sample = Sample(treatment_events=90, simulated=False)
    run = run_with(tmp_path, sample, decisions=decided("continue", "the minimum is 5000"))
    assert "better than control" in summary.verdict(run)
    assert "to everyone yet (continue: the minimum is 5000)" in summary.advice(run)
    shipped = run_with(tmp_path / "b", sample, decisions=decided("ship", "better"))
    assert "to everyone in the segments" in summary.advice(shipped)


def test_others_tell_each_estimator_by_metric_and_leave_out_what_has_no_interval(
    tmp_path: Path,
) -> None:
    run = run_with(
        tmp_path,
        cuped=[estimated("click_rate", "urgent"), estimated("open_rate", "urgent")],
        variance_reduction={"click_rate": 0.125},
        winsorised=[estimated("revenue", "urgent", kind="mean")],
        winsorised_at={"revenue": [None, 204.03]},
        sequential=[
            estimated("click_rate", "urgent"),
            estimated("click_rate", "friendly", lift_ci=None),
        ],
        assigned=[estimated("open_rate", "urgent"), estimated("open_rate", "x", segment="A")],
    )
    text = str(estimates.others(run))
    assert "CUPED takes away of the variance: click rate 12.5%" in text
    assert "no revenue per customer counts for more than 204.03" in text
    lines = [line.split(" | ")[:3] for line in text.splitlines() if line.startswith("| ")][2:]
    assert [[cell.strip("| ") for cell in line] for line in lines] == [
        ["open rate", "all assigned", "urgent"],
        ["open rate", "CUPED", "urgent"],
        ["click rate", "CUPED", "urgent"],
        ["click rate", "at any time", "urgent"],
        ["revenue per customer", "winsorised", "urgent"],
    ]


def test_interactions_without_a_test_are_not_called_equal(tmp_path: Path) -> None:
    row = {
        "arm": "urgent",
        "metric": "click_rate",
        "test": "Breslow-Day (Tarone)",
        "segments_compared": 3,
        "p_value": 0.01,
        "p_adjusted": 0.03,
        "significant": True,
    }
    none = {**row, "arm": "friendly", "test": None, "p_value": None, "significant": False}
    text = str(estimates.interactions(run_with(tmp_path, interactions=[row, none])))
    text = text.replace("\\", "")
    assert "0.030 | yes |" in text
    assert "cannot be tested" in text


def test_beliefs_tell_a_loss_of_rates_in_points(tmp_path: Path) -> None:
    row = {
        "arm": "urgent",
        "metric": "click_rate",
        "kind": "binary",
        "probability_best": 0.7,
        "probability_better": 0.9,
        "expected_loss": 0.0123,
    }
    spent = {**row, "metric": "revenue", "kind": "mean"}
    unknown = {**row, "arm": "friendly", "probability_best": None}
    text = str(estimates.beliefs(run_with(tmp_path, bayes=[row, spent, unknown])))
    text = text.replace("\\", "")
    assert "70.0% | 90.0% | 1.23 points |" in text
    assert "70.0% | 90.0% | 0.01 |" in text
    assert "friendly" not in text


def test_plan_that_was_deviated_from_is_told_at_the_top_and_once_below(tmp_path: Path) -> None:
    deviation = "deviates from plan: alpha was planned as 0.05 and is 0.1"
    plan = {"sha256": "ab" * 32, "deviations": [deviation]}
    run = run_with(tmp_path, plan=plan, warnings=[deviation, "underpowered: a lift"])
    assert f"> **The analysis {deviation}.**" in str(summary.summary(run))
    assert deviation in str(estimates.plan(run))
    assert deviation not in str(outcomes.power(run))
    kept = run_with(tmp_path / "b", plan={"sha256": "ab" * 32, "deviations": []})
    assert "follows the plan `abababababab`" in str(estimates.plan(kept))
    assert "deviates" not in str(summary.summary(kept))


def test_parts_that_an_older_run_has_not_say_so(tmp_path: Path) -> None:
    run = run_with(tmp_path)
    assert "Nothing was decided" in str(estimates.decisions(run))
    assert "No other estimate" in str(estimates.others(run))
    assert "not tested" in str(estimates.interactions(run))
    assert "could not be computed" in str(estimates.beliefs(run))
    assert "does not say" in str(estimates.plan(run))


def test_ratio_check_over_time_names_the_periods_that_fail(tmp_path: Path) -> None:
    check = {"p_value": 0.5, "ok": True, "observed": {}, "expected": {}}
    days = {"2026-03-01": check, "2026-03-02": {**check, "p_value": 1e-9, "ok": False}}
    passed = run_with(tmp_path, srm_over_time={"2026-03-01": check}, srm_failed=[])
    assert "By the day of delivery it passed too, in each of 1 period." in str(
        outcomes.ratio_check(passed)
    )
    run = run_with(tmp_path / "b", srm_over_time=days, srm_failed=["period 2026-03-02"])
    assert "it fails in 1 of 2: period 2026-03-02" in str(outcomes.ratio_check(run))
    assert "No winner is named" in summary.verdict(run)


def test_assignment_says_who_was_sent_nothing(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run1")
    file = folder / "arms.json"
    arms = {**json.loads(file.read_text()), "left_out": {"holdout": 1200, "suppressed": 3}}
    file.write_text(json.dumps(arms))
    assert "were sent nothing: holdout: 1,200 and suppressed: 3" in str(
        outcomes.assignment(read_run(folder))
    )


def test_read_run_with_a_decision_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError):
        run_with(tmp_path, decisions=[{"arm": 3}])
