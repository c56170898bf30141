"""One run at a time in a workspace; within a run, calls at once change nothing but the time."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

import campaign
import killed
import stand_in
from compatible_server import failure
from liftwright.campaign import Workspace
from liftwright.errors import WorkspaceBusy
from under_way import UnderWay
from waiting import PATIENCE_SECONDS, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from compatible_server import Answer, Request
    from metered_writer import MeteredWriter

MESSAGES = 12
A_FEW_MESSAGES_PARTS = 40


def test_second_run_at_once_is_refused_and_names_the_first(
    workspace: Path, writer: MeteredWriter
) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def hold(_: Request, __: int) -> Answer | None:
        asked.set()
        go_on.wait(PATIENCE_SECONDS)
        return None

    writer.before_reply = hold
    process = killed.start(workspace)
    try:
        assert asked.wait(PATIENCE_SECONDS)
        with pytest.raises(WorkspaceBusy, match=f"process {process.pid}") as refused:
            campaign.run(workspace)
        assert refused.value.exit_status == 2
        with pytest.raises(WorkspaceBusy):
            Workspace(workspace).index()
        # To read is allowed at any time.
        (record,) = Workspace(workspace).runs()
        assert record.status == "running"
    finally:
        os.kill(process.pid or 0, signal.SIGKILL)
        go_on.set()
        killed.ended(process)
    # The lock dies with its holder.
    writer.before_reply = lambda _, __: failure(401)
    assert campaign.run(workspace).exit_status == 3


@pytest.mark.parametrize("concurrency", [5, 12])
def test_run_with_any_number_of_calls_at_once_writes_the_same_messages(
    workspace: Path, writer: MeteredWriter, concurrency: int
) -> None:
    under_way, together = UnderWay(), threading.Barrier(concurrency)

    def count(_: Request, number: int) -> Answer | None:
        with under_way:
            if number <= concurrency:
                # Fails unless so many calls are under way at once.
                together.wait(PATIENCE_SECONDS)
        return None

    writer.before_reply = count
    folder = campaign.stop_before(workspace, "assign", f"calls.concurrency={concurrency}")
    assert under_way.most == concurrency
    assert writer.requests == MESSAGES
    found = campaign.result(folder)
    other = campaign.copy(workspace, workspace.with_name("other"))
    writer.before_reply = lambda _, __: None
    alone = campaign.result(campaign.stop_before(other, "assign", "calls.concurrency=1"))
    for name in ("variants.json", "failures.json", "claims.json", "decisions.json"):
        assert found[name] == alone[name]


def test_run_with_a_metered_screener_remembers_its_replies(workspace: Path) -> None:
    stand_in.order(workspace, metered=True)
    folder = campaign.stop_before(workspace, "assign")
    asked = stand_in.asked(workspace)
    # Texts that several messages share are asked for once.
    assert len(asked) == len(set(asked))
    (folder / "decisions.json").unlink()
    campaign.stop_before(workspace, "assign")
    assert stand_in.asked(workspace) == asked
    assert Workspace(workspace).verify().ok


def test_run_has_messages_screened_while_others_are_written(
    workspace: Path, writer: MeteredWriter
) -> None:
    stand_in.order(workspace, metered=True)

    def hold(_: Request, number: int) -> Answer | None:
        if number == MESSAGES:
            # The last draft: it comes only once more was looked at than the control has parts.
            wait_until(lambda: len(stand_in.asked(workspace)) > A_FEW_MESSAGES_PARTS)
        return None

    writer.before_reply = hold
    folder = campaign.stop_before(workspace, "assign")
    asked = stand_in.asked(workspace)
    assert len(asked) == len(set(asked))
    decisions = campaign.result(folder)["decisions.json"]
    assert len(decisions) == MESSAGES + 1
    assert writer.requests == MESSAGES


def test_run_with_a_budget_has_nothing_screened_before_all_is_written(
    workspace: Path, writer: MeteredWriter
) -> None:
    stand_in.order(workspace, metered=True)
    seen = []

    def look(_: Request, __: int) -> Answer | None:
        seen.append(len(stand_in.asked(workspace)))
        return None

    writer.before_reply = look
    price = "service_prices.stand-in={usd_per_thousand: 0.1, as_of: 2026-05-01}"
    campaign.stop_before(workspace, "ground", price, budget_usd=50.0)
    # What is set aside for a screening cannot refuse a draft.
    assert seen == [0] * MESSAGES
    assert stand_in.asked(workspace) == []
