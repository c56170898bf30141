"""Spans: parents, ends, fields, threads, and a telemetry port that fails."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from liftwright.calls.concurrency import run_concurrently
from liftwright.errors import ProviderUnavailable
from liftwright.log import Log, logging_to
from liftwright.tracing import span, tracing
from span_catcher import SpanCatcher
from waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from liftwright.ports import Span


class Broken(SpanCatcher):
    def start(self, span: Span) -> None:
        super().start(span)
        raise RuntimeError("canary-text of a vendor")

        raise RuntimeError("canary-text of a vendor")

    def close(self) -> None:
        super().close()
        raise RuntimeError("canary-text of a vendor")


def test_span_within_another_has_it_as_parent_and_ends_first() -> None:
    catcher = SpanCatcher()
    with tracing(catcher), span("run"):
        with span("stage", stage="segment"):
            pass
        with span("stage", stage="index"), span("call"):
            pass
    segment, call, index, run = catcher.spans
    assert [one.name for one in catcher.spans] == ["stage", "call", "stage", "run"]
    assert [one.parent for one in (run, segment, index, call)] == [None, run, run, index]
    assert catcher.started == [run, segment, index, call]
    assert run.started_ns <= index.started_ns <= call.started_ns <= call.ended_ns <= run.ended_ns
    assert catcher.closed == 1


def test_span_left_by_an_exception_names_its_type_and_never_its_message() -> None:
    catcher = SpanCatcher()
    with tracing(catcher), pytest.raises(ProviderUnavailable), span("run"), span("call"):
        raise ProviderUnavailable("canary-message 8871")
    assert [one.error for one in catcher.spans] == ["ProviderUnavailable"] * 2
    assert "canary-message" not in repr(catcher.spans)


def test_add_event_records_events_in_order_within_the_span() -> None:
    catcher = SpanCatcher()
    with tracing(catcher), span("call") as one:
        one.add_event("attempt_failed", attempt=1, error="ProviderUnavailable", wait=None)
        one.add_event("attempt_failed", attempt=2)
    (found,) = catcher.spans
    first, second = found.events
    assert first.fields == {"attempt": 1, "error": "ProviderUnavailable"}
    assert found.started_ns <= first.at_ns <= second.at_ns <= found.ended_ns


def test_span_in_threads_of_at_once_has_the_span_of_the_caller_as_parent() -> None:
    catcher = SpanCatcher()
    together = threading.Barrier(3)

    def job(number: int) -> None:
        with span("call", number=number):
            together.wait(timeout=PATIENCE_SECONDS)  # all three are open at the same time

    with tracing(catcher), span("stage"):
        run_concurrently([lambda n=n: job(n) for n in range(3)], 3)  # type: ignore[misc]
    *calls, stage = catcher.spans
    assert {one.parent for one in calls} == {stage}
    assert {one.fields["number"] for one in calls} == {0, 1, 2}


def test_tracing_to_a_port_that_fails_stops_nothing_and_asks_it_no_more(tmp_path: Path) -> None:
    broken = Broken()
    with logging_to(Log(tmp_path)), tracing(broken):
        for _ in range(3):
            with span("call"):
                pass
    lines = (tmp_path / "system.log").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["action"] for line in lines] == ["telemetry_failed"]
    assert "canary-text" not in lines[0]
    assert (len(broken.started), len(broken.spans), broken.closed) == (1, 0, 1)
