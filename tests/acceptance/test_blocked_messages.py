"""What becomes of a message that the screener blocks, and when it is asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import campaign
import stand_in
from acceptance_samples import liftwright
from liftwright.model import CATEGORIES, CONTROL

if TYPE_CHECKING:
    from pathlib import Path

    from metered_writer import MeteredWriter


def messages(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "variants.json").read_text())["variants"]
    return found


def test_run_never_has_a_blocked_message_written_again(
    workspace: Path, writer: MeteredWriter, finished: Path
) -> None:
    first, second, *others = messages(finished / "data" / "runs" / "campaign")
    stand_in.order(workspace, block=[first["subject"], second["subject"]])
    folder = campaign.stop_before(workspace, "observe")
    assert writer.requests == len(others) + 2
    decided = json.loads((folder / "decisions.json").read_text())
    blocked = {one["variant_id"] for one in decided if one["status"] == "block"}
    assert blocked == {one["variant_id"] for one in messages(folder)[:2]}
    assigned = campaign.rows(folder / "assignments.parquet")
    assert blocked.isdisjoint({row[3] for row in assigned})
    audited = [line for line in campaign.audit_lines(workspace) if line["status"] == "block"]
    assert {line["variant_id"] for line in audited} == blocked
    assert campaign.stop_before(workspace, "observe") == folder
    assert writer.requests == len(others) + 2


def test_run_screens_each_message_after_it_is_written_and_before_anyone_is_assigned(
    workspace: Path,
) -> None:
    folder = campaign.stop_before(workspace, "observe")
    log = (workspace / "logs" / "system.log").read_text().splitlines()
    events = [json.loads(line) for line in log]
    actions = [event["action"] for event in events]
    screened = [at for at, action in enumerate(actions) if action == "variant_screened"]
    assert len(screened) == len(messages(folder)) + 1
    named = {events[at]["context"]["variant_id"] for at in screened}
    control = json.loads((folder / "variants.json").read_text())[CONTROL]
    assert named == {one["variant_id"] for one in (*messages(folder), control)}
    written = max(at for at, action in enumerate(actions) if action == "variant_generated")
    assert written < min(screened)
    assert max(screened) < actions.index("customers_assigned")


# ── Prohibited phrases ────────────────────────────────────────────────────────────────────────


def prohibit(root: Path, *lines: str) -> None:
    (root / "config" / "prohibited_phrases.txt").write_text("\n".join(lines) + "\n")


def test_run_blocks_each_message_with_a_prohibited_phrase_and_says_why(workspace: Path) -> None:
    phrase = messages(campaign.stop_before(workspace, "screen"))[0]["subject"].lower()
    prohibit(workspace, f"{phrase}\tLegal says no.")
    seen: list[Any] = []
    outcome = campaign.run(workspace, seen=seen)
    assert outcome.exit_status == 0
    decided = json.loads((outcome.folder / "decisions.json").read_text())
    holding = {
        one["variant_id"]: one
        for one in messages(outcome.folder)
        if phrase in f"{one['subject']} {one['body']}".lower()
    }
    blocked = {one["variant_id"]: one for one in decided if one["status"] == "block"}
    assert set(blocked) == set(holding) != set()
    for variant_id, decision in blocked.items():
        (finding,), message = decision["findings"], holding[variant_id]
        text = message["subject" if finding["where"] == "subject" else "body"]
        assert finding["category"] == finding["check"] == "prohibited_phrase"
        assert "Legal says no." in finding["reason"]
        assert text[finding["start"] : finding["end"]].lower() == phrase
        assert decision["severities"] == dict.fromkeys(CATEGORIES, 0)
    lines = [one for one in campaign.audit_lines(workspace) if one["status"] == "block"]
    assert {one["variant_id"] for one in lines} == set(blocked)
    assert all("Legal says no." in one["block_reason"] for one in lines)
    assert all(len(one["block_reason"]) < 200 for one in lines)
    assigned = {row[3] for row in campaign.rows(outcome.folder / "assignments.parquet")}
    assert assigned.isdisjoint(blocked)
    (note,) = [step.note for step in seen if (step.stage, step.state) == ("screen", "done")]
    assert f"prohibited_phrase {len(blocked)}" in note
    assert "Legal says no." in (outcome.folder / "report/experiment_report.ipynb").read_text()


def test_run_with_a_prohibited_phrase_in_the_control_has_no_experiment(workspace: Path) -> None:
    control = json.loads((campaign.stop_before(workspace, "screen") / "variants.json").read_text())[
        "control"
    ]
    prohibit(workspace, control["subject"])
    outcome = campaign.run(workspace)
    assert (outcome.exit_status, outcome.run.status) == (1, "no_experiment")
    assert not (outcome.folder / "assignments.parquet").exists()
    decided = json.loads((outcome.folder / "decisions.json").read_text())
    assert decided[0]["variant_id"] == control["variant_id"]
    assert decided[0]["status"] == "block"


def test_screen_blocks_a_text_with_a_prohibited_phrase(workspace: Path) -> None:
    prohibit(workspace, "risk free\tNothing is.")
    answer = liftwright(workspace, "screen", "Our boots are risk-free today.", "--json")
    found = json.loads(answer.out)
    assert (answer.status, found["status"]) == (1, "block")
    *categories, phrase = found["findings"]
    assert [one["category"] for one in categories] == list(CATEGORIES)
    assert all(set(one) == {"category", "severity", "score"} for one in categories)
    assert (phrase["category"], phrase["severity"]) == ("prohibited_phrase", 6)
    assert (phrase["start"], phrase["end"]) == (14, 23)
    assert "Nothing is." in phrase["reason"]
    assert liftwright(workspace, "screen", "Our boots are free today.", "--json").status == 0


@pytest.mark.parametrize(
    ("command", "status"), [(["run"], 2), (["plan"], 2), (["doctor", "--json"], 1)]
)
def test_malformed_prohibited_phrases_are_named_with_their_line(
    workspace: Path, command: list[str], status: int
) -> None:
    prohibit(workspace, "# brand", "free\tone\ttwo")
    answer = liftwright(workspace, *command)
    assert answer.status == status
    said = "".join((answer.out + answer.err).split())
    assert "prohibited_phrases.txt:2" in said
    assert not list((workspace / "data").glob("runs/*"))
