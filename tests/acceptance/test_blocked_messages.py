"""What becomes of a message that the screener blocks, and when it is asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import campaign
import stand_in
from liftwright.model import CONTROL

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
    reasons = {
        line["variant_id"]: line["block_reason"]
        for line in campaign.audit_lines(workspace)
        if line["status"] == "block"
    }
    assert set(reasons) == blocked
    assert all("severity 6 is above 4" in reason for reason in reasons.values())
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
