"""Unsubscribes, complaints and bounces: `run --run-id RUN --engagement FILE` with those columns."""

from __future__ import annotations

import csv
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from acceptance_samples import (
    configure,
    liftwright,
    read_json,
    read_rows,
    varied_customers,
    write_customers,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.xdist_group("optional_outcomes")

KNOWN = ["open_rate", "click_rate", "conversion_rate", "revenue"]
OPTIONAL = ("unsubscribed", "complained", "bounced")


@pytest.fixture(scope="module")
def complete(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a finished, simulated run of 1,200 customers; to be copied, not changed."""
    root = shutil.copytree(template, tmp_path_factory.mktemp("complete") / "workspace")
    write_customers(root, varied_customers(1200))
    configure(root, "experiment_config.simulation.uplift", {})
    assert liftwright(root, "run", "--run-id", "autumn").status == 0
    return root


@pytest.fixture
def done(complete: Path, tmp_path: Path) -> Path:
    return shutil.copytree(complete, tmp_path / "done")


def outcomes(root: Path, file: Path, of: Callable[[int, str], dict[str, int]]) -> Path:
    """A row for each assigned customer, by the number within the arm and the arm."""
    seen: dict[str, int] = {}
    rows = []
    for row in read_rows(root / "data/runs/autumn/assignments.parquet"):
        number = seen[row["arm"]] = seen.get(row["arm"], -1) + 1
        rows.append({"customer_id": row["customer_id"], **of(number, row["arm"])})
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


def engaged(number: int, arm: str) -> dict[str, int]:
    """What each customer did; an arm `urgent` clicks twice as often as any other."""
    clicks, ordered = 2 if arm == "urgent" else 1, int(number % 20 == 0)
    return {
        "opened": 1,
        "clicked": int(number % 5 < clicks),
        "converted": ordered,
        "revenue": 30 * ordered,
    }


def measure(root: Path, file: Path) -> dict[str, Any]:
    answer = liftwright(root, "run", "--run-id", "autumn", "--engagement", str(file), "--json")
    assert answer.status == 0, answer.err
    assert json.loads(answer.out)["simulated"] is False
    metrics: dict[str, Any] = read_json(root / "data/runs/autumn/metrics.json")
    return metrics


def test_outcomes_with_unsubscribes_are_measured_and_stop_the_arm_that_causes_them(
    done: Path, tmp_path: Path
) -> None:
    def unhappy(number: int, arm: str) -> dict[str, int]:
        left = number % 4 == 1 if arm == "urgent" else number % 50 == 1
        bounced = int(number % 20 == 3)
        flags = {"unsubscribed": 3 * left, "complained": int(number % 100 == 1)}
        happened = {**engaged(number, arm), **flags}
        return {**(dict.fromkeys(happened, 0) if bounced else happened), "bounced": bounced}

    metrics = measure(done, outcomes(done, tmp_path / "f.csv", unhappy))

    folder = done / "data/runs/autumn"
    overall = [row for row in metrics["comparisons"] if row["segment"] == "all"]
    names = [*KNOWN, "unsubscribe_rate", "complaint_rate"]
    assert [row["metric"] for row in overall if row["arm"] == "urgent"] == names
    (left,) = [r for r in overall if (r["arm"], r["metric"]) == ("urgent", "unsubscribe_rate")]
    assert left["kind"] == "binary"
    assert left["difference"] > 0.2
    assert left["significant"]
    engagement = read_rows(folder / "engagement.parquet")
    delivered = sum(not row["bounced"] for row in engagement)
    assert metrics["n"] == delivered < len(engagement)
    assert not any(row["bounced"] and row["delivered"] for row in engagement)
    plan = read_json(folder / "plan.json")
    assert plan["guardrail_metrics"] == ["unsubscribe_rate", "complaint_rate"]
    assert plan["direction"]["unsubscribe_rate"] == "lower is better"
    assert metrics["plan"]["deviations"] == []
    assert metrics["best"][0]["arm"] is None
    assert metrics["verdict"]["state"] == "too_early"
    states = {(one["arm"], one["metric"]): one["state"] for one in metrics["guardrails"]}
    assert states["urgent", "unsubscribe_rate"] == "harmed"
    assert states["urgent", "complaint_rate"] == "no_harm_shown"
    decisions = {one["arm"]: one for one in metrics["decisions"]}
    assert decisions["urgent"]["decision"] == "stop"
    assert "unsubscribe_rate" in decisions["urgent"]["reasons"][0]
    assert "complaint_rate" not in decisions["urgent"]["reasons"][0]
    assert decisions["friendly"]["decision"] == "continue"


def test_outcomes_without_the_optional_columns_are_measured_as_ever(
    done: Path, tmp_path: Path
) -> None:
    simulated = read_json(done / "data/runs/autumn/metrics.json")

    metrics = measure(done, outcomes(done, tmp_path / "f.csv", engaged))

    assert metrics.keys() == simulated.keys()
    for document in (simulated, metrics):
        assert list(document["arms"][0]["metrics"]) == KNOWN
        assert {row["metric"] for row in document["comparisons"]} == set(KNOWN)
    (row, *_) = read_rows(done / "data/runs/autumn/engagement.parquet")
    assert not row.keys() & set(OPTIONAL)
    assert metrics["plan"]["deviations"] == []
    assert not any("unsubscribe" in str(warning) for warning in metrics["warnings"])
    assert "unsubscribe" not in json.dumps(metrics["decisions"])
