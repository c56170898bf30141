from __future__ import annotations

import json
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from liftwright.calls.concurrency import run_concurrently
from liftwright.errors import ProviderRefused
from liftwright.log import Log, event, log_context, logging_to
from under_way import UnderWay
from waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from pathlib import Path


def test_run_concurrently_jobs_that_end_in_reverse_order_are_answered_in_theirs() -> None:
    ended = [threading.Event() for _ in range(4)]

    def job(number: int) -> int:
        assert number == 3 or ended[number + 1].wait(timeout=PATIENCE_SECONDS)
        ended[number].set()
        return number

    assert run_concurrently([partial(job, number) for number in range(4)], 4) == [0, 1, 2, 3]


def test_run_concurrently_two_workers_have_two_jobs_running_and_never_more() -> None:
    running, gate = UnderWay(), threading.Barrier(2)

    def job() -> None:
        with running:
            gate.wait(timeout=PATIENCE_SECONDS)

    run_concurrently([job] * 6, 2)
    assert running.most == 2


def test_run_concurrently_failing_job_is_raised_and_what_has_not_begun_is_dropped() -> None:
    begun = []
    never = threading.Event()

    def job(number: int) -> None:
        begun.append(number)
        if number == 1:
            raise ProviderRefused("complete: 401")
        never.wait(timeout=0.01)

    with pytest.raises(ProviderRefused):
        run_concurrently([partial(job, number) for number in range(500)], 1)
    assert begun[:2] == [0, 1]
    assert len(begun) < 500


def test_run_concurrently_jobs_log_in_the_context_of_their_caller(tmp_path: Path) -> None:
    with logging_to(Log(tmp_path)), log_context(stage="screen"):
        run_concurrently([partial(event, "variant_screened", agent="safety")], 2)
    (line,) = (tmp_path / "system.log").read_text().splitlines()
    assert json.loads(line)["context"] == {"stage": "screen"}
