"""Ten customers, from the command line to the report, and the keys of every file on the way."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from dataclasses import dataclass
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

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from acceptance_samples import Answer

# What the tests share takes long to make: on one worker it is made once.
pytestmark = pytest.mark.xdist_group("integration")

# ── The files of a run ────────────────────────────────────────────────────────────────────────

CITATION = ("document_id", "version", "title", "section", "paragraph_index")
# Of each file the records to look at, and exactly the keys that they have.
RECORDS: dict[str, tuple[Callable[[Any], list[Any]], tuple[str, ...]]] = {
    "passages.json": (
        lambda found: [one for passages in found.values() for one in passages],
        (*CITATION, "text", "score", "category", "fallback"),
    ),
    "variants.json": (
        lambda found: [found["control"], *found["variants"]],
        (
            *("variant_id", "arm", "segment", "tone", "subject", "body", "citations", "passages"),
            *("prompt", "prompt_sha256", "model", "tokens", "cost_usd", "attempts"),
            *("created_at", "latency_ms"),
        ),
    ),
    "claims.json": (
        lambda found: [claim for one in found for claim in one["claims"]],
        ("text", "start", "end", "verdict", "score", "source", "reason"),
    ),
    "decisions.json": (
        list,
        (
            *("variant_id", "content_sha256", "status", "reasons", "severities"),
            *("decided_by", "decided_at"),
        ),
    ),
    "channel.json": (lambda found: [found], ("channel", "footer")),
}
# Files that may gain keys, and those that are contracts.
CONTRACTS: dict[str, tuple[str, ...]] = {
    "run.json": (
        *("run_id", "status", "started_at", "finished_at", "valid_on", "seed", "simulated"),
        *("overrides", "inputs", "versions", "measurements", "metered_calls", "totals", "reason"),
    ),
    "customers.json": ("rows_in", "rows_kept", "rejected", "warnings"),
    "segments.json": ("method", "customers", "segments", "warnings"),
    "index.json": ("name", "documents", "paragraphs", "excluded"),
    "engagement.json": ("source", "machine_opens", "machine_clicks"),
    "plan.json": (
        *("hypotheses", "primary_metric", "secondary_metrics", "guardrail_metrics", "direction"),
        *("alpha", "power", "correction", "minimum_lift", "minimum_sample", "stopping"),
        *("arms", "sizes", "shares", "salt", "slices", "left_out", "planned_at", "sha256"),
    ),
}
TABLES = {
    "segmented.parquet": ("customer_id", "segment", "confidence", "reason"),
    "assignments.parquet": ("customer_id", "segment", "arm", "variant_id", "assigned_at"),
    "history.parquet": ("customer_id", "historical_open_rate", "historical_click_rate"),
    "engagement.parquet": (
        *("customer_id", "segment", "arm", "variant_id", "delivered", "opened", "clicked"),
        *("converted", "revenue", "source", "delivered_at", "opened_at", "clicked_at"),
        "converted_at",
    ),
}


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
        *RECORDS,
        *CONTRACTS,
        *TABLES,
        *("failures.json", "arms.json", "metrics.json", "rejected.parquet", "unassigned.parquet"),
        *("report/experiment_report.ipynb", "report/experiment_report.pdf"),
    }
    assert {file.name for file in (ten.root / "logs").iterdir()} == {
        *("system.log", "experiment.log", "safety_audit.log"),
    }


@pytest.mark.parametrize("name", RECORDS)
def test_records_of_a_file_have_exactly_their_keys(ten: Campaign, name: str) -> None:
    records_of, keys = RECORDS[name]
    records = records_of(read_json(ten.folder / name))
    assert records
    assert {tuple(sorted(one)) for one in records} == {tuple(sorted(keys))}


@pytest.mark.parametrize("name", CONTRACTS)
def test_file_of_a_run_has_the_keys_of_its_contract(ten: Campaign, name: str) -> None:
    assert set(CONTRACTS[name]) <= read_json(ten.folder / name).keys()


@pytest.mark.parametrize("name", TABLES)
def test_table_of_a_run_has_its_columns_and_every_customer_once(ten: Campaign, name: str) -> None:
    rows = read_rows(ten.folder / name)
    assert [row["customer_id"] for row in rows] == [f"C{n:05}" for n in range(1, 11)]
    for row in rows:
        assert tuple(row) == TABLES[name]


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


def test_shipped_configuration_loads_and_holds_no_secret(sample_workspace_root: Path) -> None:
    settings = read_settings(sample_workspace_root)
    assert settings.services.adapters.complete == "embedded"
    assert settings.services.budget_usd is None
    text = (sample_workspace_root / "config/azure_config.yaml").read_text(encoding="utf-8")
    assert not re.search(r"(?i)(key|secret|password|token)\s*:\s*['\"]?[A-Za-z0-9+/=]{20,}", text)


def test_run_is_judged_on_the_day_of_its_start(ten: Campaign) -> None:
    run = read_json(ten.folder / "run.json")
    assert run["valid_on"] == run["started_at"][:10]
