"""What the report says of different runs; the wording stands in `__snapshots__`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from liftwright.agents.reporting import estimates, messages, next_steps, outcomes, summary
from liftwright.agents.reporting.run_reader import read_run
from liftwright.errors import IntegrityError
from reporting_samples import SEGMENTS, TONES, Sample, write_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion

    from liftwright.agents.reporting.run_reader import RunFiles

DEVIATION = "deviates from plan: alpha was planned as 0.05 and is 0.1"
PASSED = {"p_value": 0.5, "ok": True, "observed": {}, "expected": {}}
FAILED = {**PASSED, "p_value": 1e-9, "ok": False}


def estimated(metric: str, arm: str, **values: Any) -> dict[str, Any]:
    return {
        "segment": "all",
        "arm": arm,
        "metric": metric,
        "kind": "binary",
        "n_treatment": 400,
        "n_control": 400,
        "treatment": 0.11,
        "control": 0.1,
        "difference": 0.01,
        "difference_ci": [0.01, 0.02],
        "lift": 0.1,
        "lift_ci": [-0.05, 0.3],
        "p_value": 0.1,
        "p_adjusted": 0.2,
        "significant": False,
        "test": None,
        "warnings": [],
        **values,
    }


def decided(decision: str, reason: str) -> list[dict[str, Any]]:
    return [
        {"arm": arm, "metric": "click_rate", "decision": decision, "reasons": [reason]}
        for arm in TONES
    ]


def interaction(arm: str, **values: Any) -> dict[str, Any]:
    return estimated(
        "click_rate",
        arm,
        **{
            "test": "Breslow-Day (Tarone)",
            "statistic": 9.0,
            "degrees_of_freedom": 2,
            "segments_compared": 3,
            "common_odds_ratio": 1.1,
            "p_value": 0.01,
            "p_adjusted": 0.03,
            "significant": True,
            **values,
        },
    )


def belief(arm: str, metric: str, kind: str, probability_best: float | None) -> dict[str, Any]:
    return estimated(
        metric,
        arm,
        kind=kind,
        probability_best=probability_best,
        probability_better=0.9,
        expected_loss=0.0123,
    )


@dataclass(frozen=True, kw_only=True)
class Told:
    """A run, and the parts of its report that are looked at.

    Attributes:
        changes: values of the run's files that are other than the sample's.
    """

    parts: tuple[Callable[[RunFiles], object], ...]
    sample: Sample = field(default_factory=Sample)
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)


def metrics(**values: Any) -> dict[str, dict[str, Any]]:
    return {"metrics.json": values}


REAL_WINNER = Sample(treatment_events=90, simulated=False)
VERDICT = (summary.summary, summary.advice)
RUNS = {
    "usual": Told(
        parts=(
            *(summary.cover, summary.summary, summary.criteria, outcomes.overall),
            *(outcomes.by_segment, outcomes.winners, outcomes.segments, outcomes.assignment),
            *(outcomes.engagement, outcomes.sample_ratio, outcomes.power, outcomes.balance),
            *(messages.safety, messages.audit, messages.citations, messages.grounding),
            *(messages.failures, messages.appendix, next_steps.next_steps, next_steps.scaling),
            *(estimates.decisions, estimates.other_estimates, estimates.interactions),
            *(estimates.win_probabilities, estimates.plan),
        )
    ),
    "winner": Told(sample=REAL_WINNER, parts=VERDICT),
    "winner to ship": Told(
        sample=REAL_WINNER, parts=VERDICT, changes=metrics(decisions=decided("ship", "better"))
    ),
    "winner to go on": Told(
        sample=REAL_WINNER,
        parts=(*VERDICT, estimates.decisions),
        changes=metrics(decisions=decided("continue", "the minimum is 5000")),
    ),
    "simulated winner": Told(sample=Sample(treatment_events=90), parts=VERDICT),
    "winner in a segment": Told(
        parts=(summary.summary, outcomes.winners),
        changes=metrics(
            best=[
                {
                    "segment": SEGMENTS[0],
                    "metric": "click_rate",
                    "arm": "urgent",
                    "lift": 0.2,
                    "reason": "p",
                }
            ]
        ),
    ),
    "mismatch": Told(
        sample=Sample(treatment_events=90, lost_in_control=150),
        parts=(*VERDICT, outcomes.sample_ratio),
    ),
    "mismatch on a day": Told(
        parts=(*VERDICT, outcomes.sample_ratio),
        changes=metrics(
            srm_over_time={"2026-03-01": PASSED, "2026-03-02": FAILED},
            srm_failed=["period 2026-03-02"],
        ),
    ),
    "no mismatch on any day": Told(
        parts=(outcomes.sample_ratio,),
        changes=metrics(srm_over_time={"2026-03-01": PASSED}, srm_failed=[]),
    ),
    "measured again": Told(parts=(summary.cover,), changes={"run.json": {"measurements": 2}}),
    "messages that are missing": Told(
        sample=Sample(missing=((SEGMENTS[0], "urgent"),), blocked=((SEGMENTS[1], "urgent"),)),
        parts=(next_steps.next_steps, messages.safety, outcomes.by_segment),
    ),
    "unlike arms": Told(
        parts=(outcomes.balance,),
        changes=metrics(
            balance={
                "assigned": {},
                "delivered": {},
                "largest": 0.4,
                "differences": [
                    {"arm": "urgent", "feature": "age", "difference": -0.4, "limit": 0.1}
                ],
                "ok": False,
            }
        ),
    ),
    "customers left out": Told(
        parts=(outcomes.assignment,),
        changes={"arms.json": {"left_out": {"holdout": 1200, "suppressed": 3}}},
    ),
    "other estimates": Told(
        parts=(estimates.other_estimates,),
        changes=metrics(
            cuped=[estimated("click_rate", "urgent"), estimated("open_rate", "urgent")],
            variance_reduction={"click_rate": 0.125},
            winsorised=[estimated("revenue", "urgent", kind="mean")],
            winsorised_at={"revenue": [None, 204.03]},
            sequential=[
                estimated("click_rate", "urgent"),
                estimated("click_rate", "friendly", lift_ci=None),
            ],
            assigned=[estimated("open_rate", "urgent"), estimated("open_rate", "x", segment="A")],
        ),
    ),
    "interactions": Told(
        parts=(estimates.interactions,),
        changes=metrics(
            interactions=[
                interaction("urgent"),
                interaction("friendly", test=None, p_value=None, significant=False),
            ]
        ),
    ),
    "beliefs": Told(
        parts=(estimates.win_probabilities,),
        changes=metrics(
            bayes=[
                belief("urgent", "click_rate", "binary", 0.7),
                belief("urgent", "revenue", "mean", 0.7),
                belief("friendly", "click_rate", "binary", None),
            ]
        ),
    ),
    "plan kept": Told(
        parts=(summary.summary, estimates.plan),
        changes=metrics(plan={"sha256": "ab" * 32, "deviations": []}),
    ),
    "plan not kept": Told(
        parts=(summary.summary, estimates.plan, outcomes.power),
        changes=metrics(
            plan={"sha256": "ab" * 32, "deviations": [DEVIATION]},
            warnings=[DEVIATION, "underpowered: a lift"],
        ),
    ),
}


def told_run(folder: Path, told: Told) -> RunFiles:
    written = write_run(folder / "run1", told.sample)
    for name, values in told.changes.items():
        file = written / name
        document = json.loads(file.read_text(encoding="utf-8"))
        file.write_text(json.dumps({**document, **values}), encoding="utf-8")
    return read_run(written)


@pytest.mark.parametrize("name", RUNS)
def test_report_texts(name: str, tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    run = told_run(tmp_path, RUNS[name])
    assert "\n\n".join(str(part(run)) for part in RUNS[name].parts) == snapshot


def test_deviation_from_the_plan_stands_at_the_top_and_once_below(tmp_path: Path) -> None:
    run = told_run(tmp_path, RUNS["plan not kept"])
    assert DEVIATION in str(summary.summary(run))
    assert DEVIATION in str(estimates.plan(run))
    assert DEVIATION not in str(outcomes.power(run))


def test_read_run_with_a_decision_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError):
        told_run(tmp_path, Told(parts=(), changes=metrics(decisions=[{"arm": 3}])))
