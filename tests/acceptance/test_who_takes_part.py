"""Who is mailed and who is not, and the analysis plan that stands before any outcome."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from acceptance_samples import (
    configure,
    liftwright,
    read_json,
    read_rows,
    run_until,
    varied_customers,
    write_customers,
)

if TYPE_CHECKING:
    from pathlib import Path


def ids(file: Path) -> set[str]:
    return {row["customer_id"] for row in read_rows(file)}


def test_run_with_a_holdout_and_exclusions_mails_the_others_and_lists_these(root: Path) -> None:
    write_customers(root, varied_customers(200))
    configure(root, "experiment_config.holdout.share", 0.2)
    configure(root, "experiment_config.exclusions.rules", ["age < 30"])

    folder = run_until(root, "assign")

    left_out = {
        row["customer_id"]: row["reason"] for row in read_rows(folder / "unassigned.parquet")
    }
    assigned = ids(folder / "assignments.parquet")
    assert len(assigned) + len(left_out) == 200
    assert not assigned & set(left_out)
    assert set(left_out.values()) == {"holdout", "excluded: age < 30"}
    told = read_json(folder / "arms.json")["left_out"]
    assert sum(told.values()) == len(left_out)
    # Segments are of all customers, arms of those who take part.
    assert len(read_rows(folder / "segmented.parquet")) == 200


def test_run_within_days_of_another_lets_its_customers_rest(done: Path) -> None:
    earlier = ids(done / "data/runs/first/assignments.parquet")
    write_customers(done, varied_customers(120))
    configure(done, "experiment_config.exclusions.assigned_within_days", 7)

    folder = run_until(done, "assign", "second")

    assert earlier
    assert not earlier & ids(folder / "assignments.parquet")
    left_out = read_rows(folder / "unassigned.parquet")
    assert {row["reason"] for row in left_out} == {"assigned by run first"}
    assert {row["customer_id"] for row in left_out} == earlier


def test_run_that_leaves_everybody_out_is_no_experiment(done: Path) -> None:
    configure(done, "experiment_config.exclusions.assigned_within_days", 7)

    answer = liftwright(done, "run", "--run-id", "second")

    assert answer.status == 1
    assert "0 customers for 4 arms" in answer.err + answer.out


def test_run_plan_is_laid_down_before_the_outcomes_are_read(root: Path) -> None:
    folder = run_until(root, "assign")

    plan = read_json(folder / "plan.json")

    assert not (folder / "engagement.parquet").exists()
    assert plan["primary_metric"] == "click_rate"
    assert plan["salt"] == "small-campaign"
    assert set(plan["slices"]) == set(plan["sizes"])
    run_until(root, "measure")
    told = read_json(folder / "metrics.json")["plan"]
    assert told == {"sha256": plan["sha256"], "deviations": []}


def test_run_measured_otherwise_than_planned_says_so_everywhere(done: Path, tmp_path: Path) -> None:
    assigned = read_rows(done / "data/runs/first/assignments.parquet")
    lines = [f"{row['customer_id']},1,0" for row in assigned]
    file = tmp_path / "outcomes.csv"
    file.write_text("\n".join(["customer_id,opened,clicked", *lines]) + "\n", encoding="utf-8")
    configure(done, "experiment_config.analysis.alpha", 0.2)

    answer = liftwright(done, "run", "--run-id", "first", "--engagement", str(file))

    assert answer.status == 0, answer.err
    folder = done / "data/runs/first"
    (deviation,) = read_json(folder / "metrics.json")["plan"]["deviations"]
    assert "alpha" in deviation
    assert deviation in " ".join((answer.out + answer.err).split())
    assert deviation in read_json(folder / "metrics.json")["warnings"]
    assert deviation in json.dumps(read_json(folder / "report/experiment_report.ipynb"))
    status = liftwright(done, "status", "first")
    assert deviation in " ".join((status.out + status.err).split())


def test_run_measured_again_with_a_plan_that_was_rewritten_ends_with_4(
    done: Path, tmp_path: Path
) -> None:
    folder = done / "data/runs/first"
    plan = read_json(folder / "plan.json")
    (folder / "plan.json").write_text(json.dumps({**plan, "alpha": 0.5}), encoding="utf-8")
    file = tmp_path / "outcomes.csv"
    customer = read_rows(folder / "assignments.parquet")[0]["customer_id"]
    file.write_text(f"customer_id,opened,clicked\n{customer},1,0\n", encoding="utf-8")

    answer = liftwright(done, "run", "--run-id", "first", "--engagement", str(file))

    assert answer.status == 4
    assert "plan.json" in answer.err
