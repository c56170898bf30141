from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from liftwright.agents.experimentation import (
    AnalysisPlan,
    Assignment,
    assign,
    check_plan,
    design_experiment,
    write_analysis_plan,
)
from liftwright.errors import IntegrityError
from liftwright.model import fingerprint, from_json, to_json
from plane_samples import (
    customer,
    decide,
    experiment_config,
    keep_customers,
    keep_segmented,
    open_tables,
    variants_for,
)

if TYPE_CHECKING:
    from pathlib import Path

    from liftwright.config import Experiment

AT = "2026-01-02T03:04:05.678Z"


@pytest.fixture
def assignment(tmp_path: Path) -> Assignment:
    tables = open_tables(tmp_path)
    rows = [(f"A-{index}", "A") for index in range(40)]
    keep_segmented(tables, rows)
    keep_customers(tables, [customer(0, customer_id=customer_id) for customer_id, _ in rows])
    variants = variants_for({"A": 40})
    design = design_experiment(variants, decide(variants), experiment_config(), {"A": 40})
    found = assign(tables, design, AT)
    tables.close()
    return found


def laid_down(assignment: Assignment, experiment: Experiment) -> AnalysisPlan:
    return write_analysis_plan(assignment, experiment, minimum_sample=1200, planned_at=AT)


def test_lay_down_plan_holds_all_that_decides(assignment: Assignment) -> None:
    config = experiment_config(analysis={"guardrail_metrics": ["revenue"], "alpha": 0.01})

    plan = laid_down(assignment, config)

    assert plan.primary_metric == "click_rate"
    assert plan.guardrail_metrics == ("revenue",)
    assert plan.secondary_metrics == (
        *("open_rate", "conversion_rate", "unsubscribe_rate", "complaint_rate"),
    )
    assert plan.direction["revenue"] == "higher is better"
    assert plan.direction["unsubscribe_rate"] == "lower is better"
    assert plan.alpha == 0.01
    assert plan.salt == assignment.design.salt
    assert plan.slices == assignment.slices
    assert len(plan.hypotheses) == 3
    assert len(plan.sha256) == 64


def test_lay_down_plan_read_back_from_json_is_the_same_and_checks(assignment: Assignment) -> None:
    config = experiment_config()
    plan = laid_down(assignment, config)

    again = from_json(AnalysisPlan, to_json(plan))

    assert again == plan
    assert check_plan(again, assignment, config) == ()


@pytest.mark.parametrize(
    ("key", "planned", "now"),
    [
        ("alpha", 0.05, 0.1),
        ("primary_metric", "click_rate", "open_rate"),
        ("correction", "holm", "none"),
        ("guardrail_metrics", ["unsubscribe_rate", "complaint_rate"], ["open_rate"]),
        ("stopping", "fixed", "anytime"),
        ("minimum_lift", 0.1, 0.2),
    ],
)
def test_check_plan_names_what_was_decided_otherwise(
    assignment: Assignment, key: str, planned: object, now: object
) -> None:
    plan = laid_down(assignment, experiment_config(analysis={key: planned}))

    deviations = check_plan(plan, assignment, experiment_config(analysis={key: now}))

    deviation = next(one for one in deviations if f"{key.replace('_', ' ')} " in one)
    for value in (planned, now):
        for one in value if isinstance(value, list) else [value]:
            assert str(one) in deviation


def test_check_plan_made_before_a_metric_existed_deviates_only_where_the_metric_was_measured(
    assignment: Assignment,
) -> None:
    config = experiment_config()
    known = ("open_rate", "click_rate", "conversion_rate", "revenue")
    plan = laid_down(assignment, config)
    older = replace(plan, guardrail_metrics=(), direction={m: plan.direction[m] for m in known})
    older = replace(older, sha256=fingerprint(unhashed(older)))

    without = check_plan(older, assignment, config, absent=("unsubscribe_rate", "complaint_rate"))
    measured = check_plan(older, assignment, config, absent=("complaint_rate",))

    assert without == ()
    assert any("unsubscribe_rate" in one for one in measured)


def unhashed(plan: AnalysisPlan) -> dict[str, object]:
    values = to_json(plan)
    assert isinstance(values, dict)
    return {name: value for name, value in values.items() if name not in ("planned_at", "sha256")}


def test_check_plan_of_other_cut_points_names_them(assignment: Assignment) -> None:
    plan = laid_down(assignment, experiment_config())
    other = replace(assignment, slices={"A": assignment.slices["A"][:-1]})

    (deviation,) = check_plan(plan, other, experiment_config())

    assert "slices" in deviation


def test_check_plan_that_was_rewritten_is_refused(assignment: Assignment) -> None:
    forged = replace(laid_down(assignment, experiment_config()), primary_metric="open_rate")

    with pytest.raises(IntegrityError, match=r"plan\.json"):
        check_plan(forged, assignment, experiment_config())
