from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_clock import FakeClock
from liftwright.calls.client import Calls
from liftwright.config import CallSettings
from liftwright.errors import ProviderRefused, ProviderUnavailable
from liftwright.log import Log, logging_to
from waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SETTINGS = CallSettings(retries=3, backoff_seconds=2.0, max_wait_seconds=60.0)
CANARY = "canary.person@example.org"


def calls_on(clock: FakeClock, settings: CallSettings = SETTINGS, jitter: float = 0.0) -> Calls:
    return Calls(settings, sleep=clock.sleep, clock=clock, jitter=lambda: jitter)


class Failing:
    """A service that fails some times and then replies."""

    def __init__(self, failures: int, error: Callable[[], Exception]) -> None:
        self.asked = 0
        self._failures = failures
        self._error = error

    def __call__(self) -> str:
        self.asked += 1
        if self.asked <= self._failures:
            raise self._error()
        return "reply"


def busy() -> Exception:
    return ProviderUnavailable("complete: 503")


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "system.log").read_text().splitlines()]


@given(st.floats(0, 1, exclude_max=True))
def test_make_unavailable_service_is_asked_four_times_with_doubling_gaps(jitter: float) -> None:
    clock, service = FakeClock(), Failing(99, busy)
    with pytest.raises(ProviderUnavailable):
        calls_on(clock, jitter=jitter).make("complete", service)
    assert service.asked == 4
    for wait, full in zip(clock.slept, [2.0, 4.0, 8.0], strict=True):
        assert 0.75 * full <= wait <= full


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        (7.5, 7.5),
        (0.0, 0.0),
        (-3.0, 0.0),
        (60.0, 60.0),
        (float("nan"), 2.0),
        (None, 2.0),
    ],
)
def test_make_retry_after_is_honoured(asked: float | None, waited: float) -> None:
    clock = FakeClock()
    service = Failing(1, lambda: ProviderUnavailable("429", retry_after_seconds=asked))
    calls_on(clock).make("complete", service)
    assert clock.slept == [waited]


def test_make_refused_is_raised_at_once() -> None:
    clock, service = FakeClock(), Failing(99, lambda: ProviderRefused("401"))
    calls = calls_on(clock)
    with pytest.raises(ProviderRefused, match="401"):
        calls.make("complete", service)
    assert (service.asked, clock.slept) == (1, [])
    assert calls.totals()["complete"].errors == 1


@pytest.mark.parametrize("kind", [ValueError, TimeoutError])
def test_make_foreign_error_propagates_at_once_and_its_text_is_not_logged(
    kind: type[Exception], tmp_path: Path
) -> None:
    clock, service = FakeClock(), Failing(99, lambda: kind(CANARY))
    with logging_to(Log(tmp_path)), pytest.raises(kind):
        calls_on(clock).make("complete", service)
    assert (service.asked, clock.slept) == (1, [])
    assert CANARY not in (tmp_path / "system.log").read_text()
    (line,) = lines(tmp_path)
    context = line["context"]
    assert isinstance(context, dict)
    assert (line["action"], context["error"], context["status"]) == (
        "call_failed",
        kind.__name__,
        "defect",
    )


def test_make_from_many_threads_loses_no_count() -> None:
    calls = calls_on(FakeClock())
    gate = threading.Barrier(8)

    def work() -> None:
        gate.wait(timeout=PATIENCE_SECONDS)
        for _ in range(50):
            calls.make("complete", Failing(1, busy))

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work) for _ in range(8)]:
            done.result(timeout=PATIENCE_SECONDS)
    totals = calls.totals()["complete"]
    assert (totals.calls, totals.attempts, totals.errors) == (400, 800, 0)
