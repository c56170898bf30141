"""Killed at any moment, a run that is run again ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import campaign
import killed
import metered_writer
import stand_in
from compatible_server import failure
from liftwright.campaign import RunRequest, Workspace
from metered_writer import MeteredWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from compatible_server import Answer, Request
    from liftwright.campaign import StageProgress

REQUEST = RunRequest(run_id="campaign")
MESSAGES = 12
AT_ONCE = 3  # calls under way, as the campaign's configuration says


@pytest.fixture(scope="module")
def expected(
    finished: Path, packages: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, object]:
    """The result of the campaign with a paid writer, where nothing disturbs it."""
    root = campaign.copy(finished, tmp_path_factory.mktemp("undisturbed") / "workspace")
    drafts = metered_writer.drafts_of(finished / "data" / "runs" / "campaign")
    with MeteredWriter(drafts).running() as writer, pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(packages)
        writer.serve(root)
        outcome = campaign.run(root, run_id="campaign")
        assert outcome.exit_status == 0
        assert writer.requests == MESSAGES
    return campaign.result(outcome.folder)


def unpaid(result: dict[str, object]) -> dict[str, object]:
    """A run's result without how many calls it paid for."""
    record = result["run.json"]
    assert isinstance(record, dict)
    return {**result, "run.json": {**record, "metered_calls": None}}


def decided_once(workspace: Path, run_id: str = "campaign") -> None:
    lines = campaign.audit_lines(workspace)
    decided = Counter((line["variant_id"], line["status"]) for line in lines)
    assert set(decided.values()) == {1}
    assert len(decided) == MESSAGES + 1
    assert Workspace(workspace).verify(run_id).ok


# ── The process dies ──────────────────────────────────────────────────────────────────────────


# On one worker: both are compared with one undisturbed run, which takes long to make.
@pytest.mark.xdist_group("killed")
def test_run_killed_at_every_moment_ends_as_an_undisturbed_one(
    workspace: Path, writer: MeteredWriter, expected: dict[str, object], tmp_path: Path
) -> None:
    # What a stage finds at its start is what it finds before its first file is renamed.
    starts = [(stage, "start", stage, 1) for stage in campaign.STAGES]
    met = killed.met_already(tmp_path / "met.jsonl", *starts)
    deaths = 0
    while (status := killed.ended(killed.start(workspace, REQUEST, met=met))) != 0:
        assert status == -signal.SIGKILL
        deaths += 1
    moments = [json.loads(line) for line in met.read_text().splitlines()][len(starts) :]
    assert deaths == len(moments)
    assert {stage for stage, *_ in moments} >= {*campaign.STAGES}
    assert {Path(name).name for _, what, name, _ in moments if what == "rename"} >= {
        *("run.json", "segmented.parquet", "variants.json", "decisions.json"),
        *("assignments.parquet", "metrics.json", "experiment_report.pdf"),
    }
    assert ["screen", "open", "safety_audit.log", 1] in moments
    folder = workspace / "data" / "runs" / "campaign"
    assert campaign.result(folder) == expected
    assert not list(folder.rglob(".*"))
    # No call was under way at any of those moments, so none was made twice.
    assert writer.requests == MESSAGES
    decided_once(workspace)


@pytest.mark.xdist_group("killed")
def test_run_killed_between_call_and_reply_repeats_only_calls_under_way(
    workspace: Path, writer: MeteredWriter, expected: dict[str, object]
) -> None:
    deadly = (1, 5, 9)
    process = killed.start(workspace, REQUEST)

    def kill(_: Request, number: int) -> Answer | None:
        dying = process
        if number in deadly and dying.pid is not None:
            os.kill(dying.pid, signal.SIGKILL)
            # Not joined here: of two threads that join a process, one may miss how it ended.
            wait([dying.sentinel], 60)
        return None

    # The first process may be asking before this is in place; it then dies at a later number.
    writer.before_reply = kill
    deaths = 0
    while (status := killed.ended(process)) != 0:
        assert status == -signal.SIGKILL
        deaths += 1
        assert deaths <= len(deadly)
        process = killed.start(workspace, REQUEST)
    assert deaths >= len(deadly) - 1
    assert MESSAGES + deaths <= writer.requests <= MESSAGES + deaths * AT_ONCE
    result = campaign.result(workspace / "data" / "runs" / "campaign")
    assert unpaid(result) == unpaid(expected)
    record = Workspace(workspace).status("campaign")
    # What left without a reply counts as paid, and so it does where it may not have left.
    assert writer.requests <= record.metered_calls <= MESSAGES + deaths * AT_ONCE
    lost = record.metered_calls - MESSAGES
    assert len(campaign.events(workspace, "paid_call_lost")) == lost
    assert record.totals["replayed_calls"] == MESSAGES - writer_calls_of_last_process(workspace)
    decided_once(workspace)


def writer_calls_of_last_process(workspace: Path) -> int:
    services = Workspace(workspace).status("campaign").totals["services"]
    assert isinstance(services, dict)
    return services["complete"]["calls"] if "complete" in services else 0


def test_run_command_interrupted_by_a_person_can_be_resumed(
    workspace: Path, writer: MeteredWriter, packages: Path
) -> None:
    liftwright = Path(sys.executable).with_name("liftwright")
    command = [liftwright, "run", "--json", "--run-id", "campaign"]
    paths = os.pathsep.join([str(packages), str(Path(__file__).parents[1])])
    environment = {**os.environ, "PYTHONPATH": paths}
    process = subprocess.Popen(
        command, cwd=workspace, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    stopped: list[int] = []

    def stop(_: Request, number: int) -> Answer | None:
        if number > 1 and not stopped:
            stopped.append(number)
            process.send_signal(signal.SIGINT)
        return None

    writer.before_reply = stop
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in told
    assert b"resume" in told
    again = campaign.run(workspace, run_id="campaign")
    assert (again.exit_status, again.run.status) == (0, "complete")
    assert again.run.metered_calls >= writer.requests
    assert writer.requests <= MESSAGES + AT_ONCE
    decided_once(workspace)


# ── The provider fails ────────────────────────────────────────────────────────────────────────


def away(*marks: str) -> Callable[[Request, int], Answer | None]:
    """The server fails on prompts that hold all of these marks."""

    def answer(request: Request, _: int) -> Answer | None:
        return failure(503) if all(mark in request.prompt for mark in marks) else None

    return answer


def decisions(folder: Path) -> list[dict[str, object]]:
    found = json.loads((folder / "decisions.json").read_text())
    assert isinstance(found, list)
    return found


def test_run_without_one_variant_completes_and_is_kept(
    workspace: Path, writer: MeteredWriter
) -> None:
    segment = next(iter(Workspace(workspace).plan().segments))
    writer.before_reply = away("# Tone: friendly", f"message): {segment}\n")
    outcome = campaign.run(workspace)
    assert (outcome.exit_status, outcome.run.status) == (0, "complete")
    (failed,) = json.loads((outcome.folder / "failures.json").read_text())
    assert (failed["segment"], failed["tone"], failed["cause"]) == (segment, "friendly", "provider")
    sent = {(row[1], row[2]) for row in assigned(outcome.folder)}
    assert (segment, "friendly") not in sent
    assert len(sent) == MESSAGES - 1 + len({one for one, _ in sent})
    writer.before_reply = away()
    asked = writer.requests
    again = campaign.run(workspace)
    assert (again.exit_status, again.run) == (0, outcome.run)
    assert writer.requests == asked


def assigned(folder: Path) -> list[tuple[object, ...]]:
    return campaign.rows(folder / "assignments.parquet")


def test_run_without_any_reply_stops_asking_is_unfinished_and_asks_again(
    workspace: Path, writer: MeteredWriter
) -> None:
    writer.before_reply = away()
    outcome = campaign.run(workspace)
    assert (outcome.exit_status, outcome.run.status) == (3, "unfinished")
    assert "complete: 3" in str(outcome.reason)
    assert not (outcome.folder / "assignments.parquet").exists()
    # Three calls under way with one retry each, and two probes.
    asked = writer.requests
    assert 2 * 3 < asked <= 2 * 3 + 2 + 2
    assert outcome.run.metered_calls == 0
    writer.before_reply = lambda _, __: None
    again = campaign.run(workspace)
    assert (again.exit_status, again.run.run_id) == (0, outcome.run.run_id)
    assert writer.requests == asked + MESSAGES
    assert again.run.metered_calls == MESSAGES
    decided_once(workspace, again.run.run_id)


def test_run_whose_screener_dies_asks_the_writer_again_for_what_it_lacks(
    workspace: Path, writer: MeteredWriter
) -> None:
    segment = next(iter(Workspace(workspace).plan().segments))
    writer.before_reply = away("# Tone: friendly", f"message): {segment}\n")
    stand_in.order(workspace, down=[""], metered=True)
    stopped = campaign.run(workspace)
    assert (stopped.exit_status, stopped.run.status) == (3, "unfinished")
    assert "screen: 3" in str(stopped.reason)
    assert len(json.loads((stopped.folder / "failures.json").read_text())) == 1
    writer.before_reply = lambda _, __: None
    stand_in.order(workspace, metered=True)
    resumed = campaign.run(workspace)
    assert (resumed.exit_status, resumed.run.run_id) == (0, stopped.run.run_id)
    assert json.loads((resumed.folder / "failures.json").read_text()) == []
    assert {one["status"] for one in decisions(resumed.folder)} == {"pass"}
    assert len(decisions(resumed.folder)) == MESSAGES + 1
    assert set(writer.paid.values()) == {1}


def test_run_with_no_screening_is_unfinished_and_screens_again(workspace: Path) -> None:
    stand_in.order(workspace, down=[""])
    outcome = campaign.run(workspace)
    assert (outcome.exit_status, outcome.run.status) == (3, "unfinished")
    assert {one["status"] for one in decisions(outcome.folder)} == {"block"}
    assert Workspace(workspace).verify().ok
    still_away = campaign.run(workspace)
    assert still_away.exit_status == 3
    assert len(campaign.audit_lines(workspace)) == MESSAGES + 1
    stand_in.order(workspace)
    again = campaign.run(workspace)
    assert (again.exit_status, again.run.run_id) == (0, outcome.run.run_id)
    decided = Counter(
        (line["variant_id"], line["status"]) for line in campaign.audit_lines(workspace)
    )
    assert Counter(status for _, status in decided) == {"block": 13, "pass": 13}
    assert set(decided.values()) == {1}
    assert Workspace(workspace).verify().ok


def test_run_whose_index_was_removed_indexes_again_before_it_searches(
    workspace: Path, finished: Path
) -> None:
    folder = campaign.stop_before(workspace, "retrieve", run_id="campaign")
    shutil.rmtree(workspace / "data" / "index")
    steps: list[StageProgress] = []

    assert campaign.run(workspace, run_id="campaign", seen=steps).exit_status == 0

    ran = [step.stage for step in steps if step.state == "done"]
    assert ran == [stage for stage in campaign.STAGES if stage != "segment"]
    whole = finished / "data" / "runs" / "campaign"
    for name in ("index.json", "passages.json"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()
    # A finished run needs no index.
    shutil.rmtree(workspace / "data" / "index")
    steps.clear()
    assert campaign.run(workspace, run_id="campaign", seen=steps).exit_status == 0
    assert {step.state for step in steps} == {"kept"}


def test_run_that_died_before_its_claims_were_recorded_grounds_the_messages_it_has(
    workspace: Path, finished: Path
) -> None:
    folder = campaign.stop_before(workspace, "ground", run_id="campaign")
    assert campaign.run(workspace, run_id="campaign").exit_status == 0
    whole = finished / "data" / "runs" / "campaign" / "claims.json"
    assert (folder / "claims.json").read_bytes() == whole.read_bytes()
