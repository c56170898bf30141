"""Killed at any moment, a run that is run again ends as if nothing had happened."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import campaign
import killed
from liftwright.workspace import RunRequest, Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from metered_writer import MeteredWriter

REQUEST = RunRequest(run_id="campaign")


def undisturbed(workspace: Path, writer: MeteredWriter, tmp_path: Path) -> dict[str, object]:
    """The result of the same campaign in another workspace, which nothing disturbs."""
    other = campaign.copy(workspace, tmp_path / "undisturbed")
    before = writer.requests
    outcome = campaign.run(other, run_id="campaign")
    assert outcome.exit_status == 0
    assert writer.requests - before == len(writer.paid)
    return campaign.result(outcome.folder)


def test_run_killed_at_every_moment_ends_as_an_undisturbed_one(
    workspace: Path, writer: MeteredWriter, tmp_path: Path
) -> None:
    expected = undisturbed(workspace, writer, tmp_path)
    before = writer.requests
    met = tmp_path / "met.jsonl"
    met.touch()
    deaths = 0
    while (status := killed.ended(killed.start(workspace, REQUEST, met=met))) != 0:
        assert status == -9
        deaths += 1
    moments = [json.loads(line) for line in met.read_text().splitlines()]
    assert deaths == len(moments)
    assert [name for _, what, name, _ in moments if what == "start"] == list(campaign.STAGES)
    assert {name.rpartition("/")[2] for _, what, name, _ in moments if what == "rename"} >= {
        "run.json", "segmented.parquet", "variants.json", "decisions.json",
        "assignments.parquet", "metrics.json", "experiment_report.pdf",
    }  # fmt: skip
    folder = workspace / "data" / "runs" / "campaign"
    assert campaign.result(folder) == expected
    assert not list(folder.rglob(".*"))
    # No call was under way at any of those moments, so none was made twice.
    assert writer.requests - before == len(writer.paid)
    decided = Counter((line["variant_id"], line["status"]) for line in campaign.audit_lines(workspace))
    assert set(decided.values()) == {1}
    assert len(decided) == 1 + len(writer.paid)
    assert Workspace(workspace).verify("campaign").ok
