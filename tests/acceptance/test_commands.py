"""What each command prints and how it ends; equal questions get equal answers."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

import campaign
import stand_in
from acceptance_samples import timeless
from liftwright.analysis import ExperimentResult
from liftwright.campaign import Workspace
from liftwright.cli import app
from liftwright.model import Run

if TYPE_CHECKING:
    from click.testing import Result

PASSAGE = ["document_id", "title", "section", "paragraph_index", "text", "score"]
CLAIM = ["text", "start", "end", "verdict", "score", "source"]
COMPARISON = [
    *("segment", "arm", "metric", "kind", "n_treatment", "n_control", "treatment", "control"),
    *("difference", "difference_ci", "lift", "lift_ci", "p_value", "p_adjusted", "significant"),
    *("test", "warnings"),
]
ANALYSIS = {"n", "control", "alpha", "correction", "srm", "arms", "comparisons"}
CATEGORIES = ["hate", "violence", "self_harm", "sexual"]


@pytest.fixture
def done(finished: Path, tmp_path: Path, _installed: None) -> Path:
    root = tmp_path / "done"
    shutil.copytree(finished, root)
    return root


def ask(root: Path | None, *arguments: str, status: int = 0) -> Result:
    place = ["--workspace", str(root)] if root else []
    result = CliRunner().invoke(app, [arguments[0], *place, *arguments[1:]])
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result


def document(root: Path | None, *arguments: str, status: int = 0) -> Any:
    """The JSON document of a command, once it was asked twice and said the same."""
    first, second = (
        json.loads(ask(root, *arguments, "--json", status=status).stdout) for _ in range(2)
    )
    assert timeless(first) == timeless(second)
    return first


def lines(root: Path, *arguments: str, status: int = 0) -> list[Any]:
    first, second = (ask(root, *arguments, "--json", status=status).stdout for _ in range(2))
    assert first == second
    return [json.loads(line) for line in first.splitlines()]


def write_lines(file: Path, *values: object) -> str:
    file.write_text("".join(json.dumps(value) + "\n" for value in values))
    return str(file)


# ── Runs ──────────────────────────────────────────────────────────────────────────────────────


def test_run_json_says_what_run_json_says(done: Path) -> None:
    answer = document(done, "run", "--run-id", "campaign")
    assert list(answer) == [
        *("run_id", "status", "exit_status", "reason"),
        *("repeated", "simulated", "folder", "summary", "totals"),
    ]
    assert (answer["run_id"], answer["status"], answer["simulated"]) == (
        "campaign",
        "complete",
        True,
    )
    assert answer["summary"]["pass"] == 13
    assert sum(answer["summary"]["segments"].values()) == campaign.CUSTOMERS
    assert answer["totals"] == Workspace(done).status().totals


def test_status_and_runs_print_the_records(done: Path, workspace: Path) -> None:
    record = json.loads((done / "data/runs/campaign/run.json").read_text())
    assert set(record) == {field.name for field in fields(Run)}
    assert document(done, "status") == record
    assert document(done, "runs") == [record]
    assert [stage["name"] for stage in record["stages"]] == list(campaign.STAGES)
    for command in ("status", "report"):
        assert ask(workspace, command, status=2).stderr


def test_report_writes_the_form_that_is_asked(done: Path) -> None:
    folder = done / "data/runs/campaign/report"
    shutil.rmtree(folder)
    found = json.loads(ask(done, "report", "campaign", "--format", "ipynb", "--json").stdout)
    assert [Path(name).name for name in found] == ["experiment_report.ipynb"]
    assert [path.name for path in folder.iterdir()] == ["experiment_report.ipynb"]
    assert "docx" in ask(done, "report", "--format", "docx", status=2).stderr


def test_doctor_finds_each_fault_and_goes_on(done: Path) -> None:
    log = done / "logs/safety_audit.log"
    log.write_text(log.read_text().replace(",pass,", ",block,", 1))
    (done / "data/raw/customers.csv").unlink()
    found = document(done, "doctor", status=1)
    faults = {check["name"] for check in found["checks"] if not check["ok"]}
    assert faults == {"audit log", "customers"}
    (done / "config/segments.yaml").write_text("method: [")
    found = document(done, "doctor", status=1)
    assert "segments.yaml" in found["checks"][-1]["detail"]


def test_plan_says_calls_cost_and_power_before_paying(workspace: Path) -> None:
    plan = document(workspace, "plan")
    assert set(plan) >= {
        *("customers", "segments", "arms", "calls", "expected_usd", "at_most_usd"),
        *("budget_usd", "alpha", "power", "detectable", "answers", "warnings"),
    }
    assert (plan["customers"], sum(plan["arms"].values())) == (campaign.CUSTOMERS, 1.0)
    assert {call["port"]: call["expected"] for call in plan["calls"]}["complete"] == 12
    assert plan["answers"]
    assert not (workspace / "data/runs").exists()


# ── Questions ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("top_k", [3, 20])
def test_search_gives_the_best_passage_of_each_document(workspace: Path, top_k: int) -> None:
    found = document(workspace, "search", "how long is the guarantee", "--top-k", str(top_k))
    assert len(found) == min(top_k, len(campaign.DOCUMENTS))
    assert len({one["document_id"] for one in found}) == len(found)
    assert all(list(one) == PASSAGE for one in found)
    scores = [one["score"] for one in found]
    assert scores == sorted(scores, reverse=True)
    assert found[0]["document_id"] == "three-year-guarantee"


def test_search_with_a_floor_gives_nothing_below_it(workspace: Path) -> None:
    scores = [one["score"] for one in document(workspace, "search", "boots", "--top-k", "8")]
    floor = scores[3]
    found = document(workspace, "search", "boots", "--top-k", "8", "--min-score", str(floor))
    assert [one["score"] for one in found] == [score for score in scores if score >= floor]


def test_search_of_many_queries_prints_a_line_each(workspace: Path, tmp_path: Path) -> None:
    file = write_lines(
        tmp_path / "q.jsonl", {"id": "a", "text": "repair"}, {"id": 7, "text": "points"}
    )
    found = lines(workspace, "search", "--queries", file, "--top-k", "2")
    assert [(one["id"], len(one["results"])) for one in found] == [("a", 2), (7, 2)]
    assert [list(passage) for one in found for passage in one["results"]] == [PASSAGE] * 4
    assert found[0]["results"] == document(workspace, "search", "repair", "--top-k", "2")


@pytest.mark.parametrize("arguments", [(), ("text", "--queries", "q.jsonl")])
def test_search_with_no_or_two_questions_ends_with_2(
    workspace: Path, arguments: tuple[str, ...]
) -> None:
    assert "--queries" in ask(workspace, "search", *arguments, status=2).stderr


def test_screen_prints_all_categories_and_ends_with_1_where_one_is_blocked(
    workspace: Path, tmp_path: Path
) -> None:
    stand_in.order(workspace, block=["HARM"])
    good, bad = {"id": "good", "text": "Come and see."}, {"id": "bad", "text": "Some HARM."}
    passed = lines(workspace, "screen", write_lines(tmp_path / "a.jsonl", good))
    found = lines(workspace, "screen", write_lines(tmp_path / "b.jsonl", good, bad), status=1)
    assert passed == found[:1]
    assert [(one["id"], one["status"]) for one in found] == [("good", "pass"), ("bad", "block")]
    for one in found:
        assert list(one) == ["id", "status", "findings"]
        assert [finding["category"] for finding in one["findings"]] == CATEGORIES
        assert all(list(f) == ["category", "severity", "score"] for f in one["findings"])
    (alone,) = lines(workspace, "screen", "Come and see.")
    assert (alone["id"], alone["status"]) == (None, "pass")


def test_screen_without_a_screener_blocks(workspace: Path) -> None:
    stand_in.order(workspace, down=[""])
    (found,) = lines(workspace, "screen", "Come and see.", status=1)
    assert found["status"] == "block"
    assert [(f["category"], f["severity"]) for f in found["findings"]] == [
        (category, None) for category in CATEGORIES
    ]


def test_ground_prints_each_claim_with_its_source(workspace: Path, tmp_path: Path) -> None:
    source = {"title": "Delivery", "text": "Delivery costs £3.95. It takes two working days."}
    true = {"id": 1, "text": "Delivery costs £3.95.", "sources": [source]}
    false = {"id": 2, "text": "Delivery costs £9.95.", "sources": [source]}
    bare = {"id": 3, "text": "Delivery costs £3.95.", "sources": []}
    (good,) = lines(workspace, "ground", write_lines(tmp_path / "a.jsonl", true))
    found = lines(
        workspace, "ground", write_lines(tmp_path / "b.jsonl", true, false, bare), status=1
    )
    assert found[0] == good
    assert [one["claims"][0]["verdict"] for one in found] == [
        *("supported", "unsupported", "unsupported"),
    ]
    for one in found:
        assert list(one) == ["id", "score", "claims"]
        assert all(list(claim) == CLAIM for claim in one["claims"])
        assert one["score"] == min(claim["score"] for claim in one["claims"])
    span = good["claims"][0]["source"]
    assert list(span) == ["index", "start", "end"]
    assert source["text"][span["start"] : span["end"]] == "Delivery costs £3.95."
    assert (found[2]["score"], found[2]["claims"][0]["source"]) == (0, None)


# ── Any experiment ────────────────────────────────────────────────────────────────────────────


def results(file: Path) -> list[str]:
    rows = ["user,group,bought,spent"]
    for number in range(400):
        arm = ("plain", "new")[number % 2]
        bought = int(number % (9 if arm == "plain" else 7) == 0)
        rows.append(f"u{number},{arm},{bought},{bought * (10 + number % 5)}")
    file.write_text("\n".join(rows) + "\n")
    return [str(file), "--arm", "group", "--control", "plain", "--metric", "bought"]


def test_analyze_prints_the_comparison_without_a_workspace(tmp_path: Path) -> None:
    arguments = [*results(tmp_path / "r.csv"), "--metric", "spent:mean", "--unit", "user"]
    found = document(None, "analyze", *arguments)
    assert set(found) >= ANALYSIS
    assert (found["n"], found["control"], found["alpha"], found["correction"]) == (
        *(400, "plain", 0.05, "holm"),
    )
    assert list(found["srm"]) == ["p_value", "ok", "observed", "expected"]
    assert [list(row) for row in found["comparisons"]] == [COMPARISON] * 2
    assert {(row["metric"], row["kind"]) for row in found["comparisons"]} == {
        *(("bought", "binary"), ("spent", "mean")),
    }
    bought = next(row for row in found["comparisons"] if row["metric"] == "bought")
    assert bought["control"] == pytest.approx(23 / 200)
    assert bought["lift"] == pytest.approx(bought["treatment"] / bought["control"] - 1)


def test_analyze_decides_by_the_rule_that_its_options_set(tmp_path: Path) -> None:
    arguments = [*results(tmp_path / "r.csv"), "--metric", "spent:mean"]
    arguments += ["--guardrail", "spent:5%", "--stopping", "fixed", "--planned", "900"]
    found = document(None, "analyze", *arguments)
    assert list(found["verdict"]) == ["governs", "winner", "state", "reasons"]
    assert (found["verdict"]["governs"], found["verdict"]["state"]) == ("fixed", "too_early")
    assert [list(one) for one in found["guardrails"]] == [
        ["arm", "metric", "margin", "lift", "lift_ci", "state"]
    ]
    assert found["guardrails"][0]["margin"] == pytest.approx(0.05)
    assert found["multiple_exposure"] == {"units": 0, "share": 0.0, "ok": True}
    shown = ask(None, "analyze", *arguments).stdout
    assert "Too early" in shown


def test_power_plans_without_a_workspace() -> None:
    found = document(None, "power", "--baseline", ".05", "--lift", ".1", "--arms", "4")
    assert found == {
        "n_per_arm": 41_640,
        "lift": 0.1,
        "baseline": 0.05,
        "alpha_per_test": pytest.approx(0.05 / 3),
    }
    assert "41,640 units per arm" in ask(None, "power", "--baseline", ".05", "--arms", "4").stdout
    assert "allowed" in ask(None, "power", "--baseline", "5", status=2).stderr


def test_metrics_json_is_the_object_of_analyze_and_more(done: Path) -> None:
    found = json.loads((done / "data/runs/campaign/metrics.json").read_text())
    assert set(found) >= ANALYSIS | {"simulated", "balance", "power", "daily"}
    assert all(list(row) == COMPARISON for row in found["comparisons"])
    schema = Path(__file__).parents[2] / "docs/schemas/experiment_result.schema.json"
    Draft202012Validator(json.loads(schema.read_text())).validate(found)
    assert ExperimentResult.from_json(found).to_json() == found


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("decisions.json", '"status": "pass"', '"status": "block"'),
        ("variants.json", '"subject": "', '"subject": "Changed: '),
        ("variants.json", "[", "{"),
    ],
)
def test_verify_finds_what_a_run_says_otherwise_than_the_audit_log(
    done: Path, file: str, old: str, new: str
) -> None:
    (path,) = (done / "data/runs").glob(f"*/{file}")
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")

    found = document(done, "verify", status=4)

    assert not found["ok"]
    assert found["problems"]
