"""Ten customers, from the command line to the report; and the shape of every file on the way."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from acceptance_samples import (
    CUSTOMERS,
    TONES,
    lay_down,
    liftwright,
    liftwright_process,
    read_json,
    read_rows,
    run_until,
    varied_customers,
    write_customers,
)
from liftwright.wiring import read_settings
from run_shapes import CATEGORIES, CITATION, CONTRACTS, SHAPES, TABLES, faults

if TYPE_CHECKING:
    from pathlib import Path

    from acceptance_samples import Answer

# What the tests share takes long to make: on one worker it is made once.
pytestmark = pytest.mark.xdist_group("integration")

# ── The run ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A workspace of ten customers, its complete run, and what the command said of it."""

    root: Path
    folder: Path
    answer: Answer


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """Ten customers, run by the command in a process of its own, without any credentials."""
    root = lay_down(tmp_path_factory.mktemp("ten") / "workspace")
    write_customers(root, varied_customers(10, seed=4))
    assert not [name for name in os.environ if name.startswith(("AZURE_", "OPENAI_"))]
    answer = liftwright_process(root, "run", "--json")
    assert answer.status == 0, answer
    (folder,) = (root / "data/runs").iterdir()
    return Campaign(root=root, folder=folder, answer=answer)


def test_run_of_ten_customers_writes_every_file_of_the_run(ten: Campaign) -> None:
    names = {str(f.relative_to(ten.folder)) for f in ten.folder.rglob("*") if f.is_file()}
    assert names == {
        *SHAPES,
        *CONTRACTS,
        *TABLES,
        *("arms.json", "rejected.parquet", "unassigned.parquet"),
        *("report/experiment_report.ipynb", "report/experiment_report.pdf"),
    }
    assert {file.name for file in (ten.root / "logs").iterdir()} == {
        *("system.log", "experiment.log", "safety_audit.log"),
    }


@pytest.mark.parametrize("name", SHAPES)
def test_file_of_a_run_has_exactly_its_shape(ten: Campaign, name: str) -> None:
    assert faults(read_json(ten.folder / name), SHAPES[name]) == []


@pytest.mark.parametrize("name", CONTRACTS)
def test_file_of_a_run_has_what_is_agreed(ten: Campaign, name: str) -> None:
    value = read_json(ten.folder / name)
    shape = CONTRACTS[name]
    assert faults({key: value.get(key) for key in shape}, shape) == []


@pytest.mark.parametrize("name", TABLES)
def test_table_of_a_run_has_its_columns_and_every_customer_once(ten: Campaign, name: str) -> None:
    rows = read_rows(ten.folder / name)
    assert [row["customer_id"] for row in rows] == [f"C{n:05}" for n in range(1, 11)]
    for row in rows:
        assert tuple(row) == TABLES[name]


def test_faults_finds_what_is_not_of_the_shape() -> None:
    decision = {
        "variant_id": "0123456789ab",
        "content_sha256": "0" * 64,
        "status": "pass",
        "reasons": [],
        "severities": dict.fromkeys(CATEGORIES, 0),
        "decided_by": "x",
        "decided_at": "2026-01-01T00:00:00Z",
    }
    shape = SHAPES["decisions.json"]
    assert faults([decision], shape) == []
    for name, wrong in (
        ("variant_id", "xyz"),
        ("status", "approved"),
        ("reasons", [1]),
        ("severities", {"hate": 0}),
        ("decided_by", None),
        ("decided_at", "yesterday"),
    ):
        assert faults([{**decision, name: wrong}], shape), name
    assert faults([{**decision, "more": 1}], shape)


def test_segments_share_out_all_customers(ten: Campaign) -> None:
    segments = read_json(ten.folder / "segments.json")["segments"]
    sizes = {one["label"]: one["size"] for one in segments}
    assert sum(sizes.values()) == 10
    assert sum(one["share"] for one in segments) == pytest.approx(1)
    rows = read_rows(ten.folder / "segmented.parquet")
    assert sizes == {
        label: sum(row["segment"] == label for row in rows)
        for label in {row["segment"] for row in rows}
    }
    for row in rows:
        assert 0 <= row["confidence"] <= 1
        assert row["reason"].strip()
    for one in segments:
        for feature in one["features"].values():
            assert feature["q25"] <= feature["median"] <= feature["q75"]
            assert feature["min"] <= feature["mean"] <= feature["max"]
        assert one["defining_features"]


def test_messages_come_from_what_was_retrieved_and_are_all_decided(ten: Campaign) -> None:
    passages = read_json(ten.folder / "passages.json")
    variants = read_json(ten.folder / "variants.json")
    decisions = read_json(ten.folder / "decisions.json")
    claims = read_json(ten.folder / "claims.json")
    failures = read_json(ten.folder / "failures.json")
    assert {(v["segment"], v["tone"]) for v in variants["variants"]} | {
        (one["segment"], one["tone"]) for one in failures
    } == {(segment, tone) for segment in passages for tone in TONES}
    for variant in variants["variants"]:
        assert variant["arm"] == variant["tone"]
        assert variant["passages"] == passages[variant["segment"]]
        known = [{name: one[name] for name in CITATION} for one in variant["passages"]]
        assert all(citation in known for citation in variant["citations"])
    assert variants["control"]["arm"] == "control"
    assert variants["control"]["segment"] is None
    ids = [variants["control"]["variant_id"], *(v["variant_id"] for v in variants["variants"])]
    assert [one["variant_id"] for one in decisions] == ids
    assert [one["variant_id"] for one in claims] == ids[1:]
    for entry, variant in zip(claims, variants["variants"], strict=True):
        for claim in entry["claims"]:
            assert variant["body"][claim["start"] : claim["end"]] == claim["text"]


def test_metrics_agree_with_the_engagement_they_are_made_of(ten: Campaign) -> None:
    metrics = read_json(ten.folder / "metrics.json")
    rows = [row for row in read_rows(ten.folder / "engagement.parquet") if row["delivered"]]
    assert metrics["n"] == len(rows)
    for arm in metrics["arms"]:
        mine = [row for row in rows if row["arm"] == arm["arm"]]
        assert arm["n"] == len(mine)
        for name, column in (("open_rate", "opened"), ("click_rate", "clicked")):
            events = sum(bool(row[column]) for row in mine)
            assert arm["metrics"][name]["events"] == events
            assert arm["metrics"][name]["value"] == pytest.approx(events / len(mine))
    assert {row["arm"] for row in metrics["comparisons"]} == set(TONES)
    assert "all" in {row["segment"] for row in metrics["comparisons"]}
    # Ten customers can prove nothing, and it is said.
    assert not [row for row in metrics["comparisons"] if row["significant"]]
    assert any("underpowered" in warning for warning in metrics["warnings"])


def test_answer_in_json_is_the_run_s_own_record(ten: Campaign) -> None:
    said = json.loads(ten.answer.out)
    run = read_json(ten.folder / "run.json")
    assert said["run_id"] == run["run_id"] == ten.folder.name
    assert (said["status"], said["exit_status"], said["simulated"]) == ("complete", 0, True)
    assert said["totals"] == run["totals"]
    assert said["summary"]["pass"] == 1 + said["summary"]["variants"]
    stages = [stage["name"] for stage in run["stages"]]
    assert set(stages) == {
        *("segment", "index", "retrieve", "generate", "ground", "screen"),
        *("assign", "observe", "measure", "report"),
    }
    assert {stage["status"] for stage in run["stages"]} == {"done"}
    assert ten.answer.err == ""


def test_answer_for_people_says_that_the_lift_is_simulated(ten: Campaign) -> None:
    answer = liftwright(ten.root, "run")
    assert answer.status == 0
    assert "SIMULATED" in answer.out
    assert "10 rows read, 10 kept, 0 rejected" in answer.out
    assert "\x1b" not in answer.out
    assert answer.err == ""


def test_run_again_keeps_everything_as_it_is(ten: Campaign) -> None:
    before = {f: f.read_bytes() for f in ten.folder.rglob("*") if f.is_file()}
    again = liftwright(ten.root, "run", "--json")
    assert (again.status, json.loads(again.out)["run_id"]) == (0, ten.folder.name)
    after = {f: f.read_bytes() for f in ten.folder.rglob("*") if f.is_file()}
    assert after.keys() == before.keys()
    assert [f.name for f in before if after[f] != before[f]] == []


def test_report_is_a_notebook_and_a_pdf_marked_simulated(ten: Campaign) -> None:
    notebook = read_json(ten.folder / "report/experiment_report.ipynb")
    assert notebook["nbformat"] == 4
    assert "SIMULATED" in json.dumps(notebook)
    pdf = (ten.folder / "report/experiment_report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")


def test_audit_log_is_verified_and_every_message_in_it(ten: Campaign) -> None:
    answer = liftwright(ten.root, "verify", "--json")
    assert answer.status == 0
    with (ten.root / "logs/safety_audit.log").open(encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream))
    run = read_json(ten.folder / "run.json")
    assert len(lines) == run["audit"]["count"] == len(read_json(ten.folder / "decisions.json"))
    assert run["audit"]["head"] == lines[-1]["hash"]


def test_status_runs_and_plan_answer_in_json(ten: Campaign) -> None:
    status = liftwright(ten.root, "status", "--json")
    assert (status.status, json.loads(status.out)["run_id"]) == (0, ten.folder.name)
    runs = liftwright(ten.root, "runs", "--json")
    assert [one["run_id"] for one in json.loads(runs.out)] == [ten.folder.name]
    plan = liftwright(ten.root, "plan", "--json")
    assert plan.status == 0
    assert json.loads(plan.out)


def test_fresh_customers_are_a_run_of_their_own(ten: Campaign, tmp_path: Path) -> None:
    root = shutil.copytree(ten.root, tmp_path / "workspace")
    fresh = tmp_path / "fresh.csv"
    saved = (root / CUSTOMERS).read_bytes()
    write_customers(root, varied_customers(12, seed=9)).rename(fresh)
    (root / CUSTOMERS).write_bytes(saved)
    folder = run_until(root, "measure", run_id="fresh", customers=fresh)
    assert len(read_rows(folder / "assignments.parquet")) == 12
    assert read_json(folder / "segments.json")["customers"] == 12
    assert read_json(folder / "run.json")["overrides"]["customers.path"] == str(fresh)


# ── The configuration ─────────────────────────────────────────────────────────────────────────


def test_shipped_configuration_loads_and_names_no_secret(sample_workspace_root: Path) -> None:
    settings = read_settings(sample_workspace_root)
    assert settings.experiment.arms[0] == "control"
    assert sum(settings.experiment.arm_shares().values()) == pytest.approx(1)
    assert settings.services.adapters.complete == "embedded"
    assert settings.services.budget_usd is None
    assert set(settings.prompts) >= {
        *("base_template", "control_message"),
        *(f"tone_{tone}" for tone in settings.experiment.tones),
    }
    text = (sample_workspace_root / "config/azure_config.yaml").read_text(encoding="utf-8")
    assert not re.search(r"(?i)(key|secret|password|token)\s*:\s*['\"]?[A-Za-z0-9+/=]{20,}", text)


def test_run_is_judged_on_the_day_of_its_start(ten: Campaign) -> None:
    run = read_json(ten.folder / "run.json")
    assert run["valid_on"] == run["started_at"][:10]
    assert abs((datetime.fromisoformat(run["started_at"]) - datetime.now(UTC)).days) <= 1
