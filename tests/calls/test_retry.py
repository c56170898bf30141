from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liftwright.calls.retry import Calls, _quantile, at_once
from liftwright.config import Calls as CallSettings
from liftwright.errors import ProviderRefused, ProviderUnavailable
from liftwright.log import Log, event, logging_to, within
from under_way import UnderWay
from waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SETTINGS = CallSettings(retries=3, backoff_seconds=2.0, max_wait_seconds=60.0)
CANARY = "canary.person@example.org"


class Waits:
    """Sleeps that are noted and not slept."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


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


def test_make_service_always_unavailable_asks_one_and_three_times_with_doubling_gaps() -> None:
    waits, service = Waits(), Failing(99, busy)
    with pytest.raises(ProviderUnavailable, match="503"):
        Calls(SETTINGS, sleep=waits, jitter=lambda: 0.0).make("complete", service)
    assert service.asked == 4
    assert waits.seconds == [2.0, 4.0, 8.0]


@given(st.floats(0, 1, exclude_max=True))
def test_make_jitter_shortens_gaps_by_a_quarter_at_most(jitter: float) -> None:
    waits = Waits()
    with pytest.raises(ProviderUnavailable):
        Calls(SETTINGS, sleep=waits, jitter=lambda: jitter).make("complete", Failing(99, busy))
    for wait, full in zip(waits.seconds, [2.0, 4.0, 8.0], strict=True):
        assert 0.75 * full <= wait <= full


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        (7.5, 7.5),
        (0.0, 0.0),
        (-3.0, 0.0),
        (3600.0, 60.0),
        (float("inf"), 60.0),
        (float("nan"), 2.0),
        (None, 2.0),
    ],
)
def test_make_retry_after_is_honoured_and_capped(asked: float | None, waited: float) -> None:
    waits = Waits()
    service = Failing(1, lambda: ProviderUnavailable("429", retry_after_seconds=asked))
    Calls(SETTINGS, sleep=waits, jitter=lambda: 0.0).make("complete", service)
    assert waits.seconds == [waited]


def test_make_refused_is_raised_at_once() -> None:
    waits, service = Waits(), Failing(99, lambda: ProviderRefused("401"))
    calls = Calls(SETTINGS, sleep=waits)
    with pytest.raises(ProviderRefused, match="401"):
        calls.make("complete", service)
    assert (service.asked, waits.seconds) == (1, [])
    assert calls.totals()["complete"].errors == 1


@pytest.mark.parametrize("kind", [ValueError, TypeError, ConnectionError, TimeoutError, KeyError])
def test_make_foreign_error_propagates_at_once_and_its_text_is_not_logged(
    kind: type[Exception], tmp_path: Path
) -> None:
    waits, service = Waits(), Failing(99, lambda: kind(CANARY))
    with logging_to(Log(tmp_path)), pytest.raises(kind):
        Calls(SETTINGS, sleep=waits).make("complete", service)
    assert (service.asked, waits.seconds) == (1, [])
    assert CANARY not in (tmp_path / "system.log").read_text()
    (line,) = lines(tmp_path)
    context = line["context"]
    assert isinstance(context, dict)
    assert (line["action"], context["error"], context["status"]) == (
        "call_failed",
        kind.__name__,
        "defect",
    )


def test_make_interruption_is_neither_retried_nor_counted() -> None:
    calls = Calls(SETTINGS, sleep=Waits())

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        calls.make("complete", interrupted)
    assert calls.totals() == {}


def test_make_each_call_logs_service_status_latency_and_attempts(tmp_path: Path) -> None:
    calls = Calls(SETTINGS, sleep=Waits(), jitter=lambda: 0.0)
    with logging_to(Log(tmp_path)):
        calls.make("screen", Failing(1, busy))
        with pytest.raises(ProviderUnavailable):
            calls.make("complete", Failing(99, busy))
    written = lines(tmp_path)
    assert [line["action"] for line in written] == [
        "call_retried",
        "call_made",
        *["call_retried"] * 3,
        "call_failed",
    ]
    for line, service, status, attempts, level in (
        (written[1], "screen", "ok", 2, "info"),
        (written[5], "complete", "ProviderUnavailable", 4, "error"),
    ):
        context = line["context"]
        assert isinstance(context, dict)
        assert (context["service"], context["status"]) == (service, status)
        assert (context["attempts"], line["level"]) == (attempts, level)
        assert context["latency_ms"] >= 0
    retries = [line["context"] for line in written if line["action"] == "call_retried"]
    assert [c["wait_seconds"] for c in retries if isinstance(c, dict)] == [2.0, 2.0, 4.0, 8.0]


def test_totals_by_service_count_calls_attempts_and_errors() -> None:
    calls = Calls(SETTINGS, sleep=Waits())
    calls.make("screen", Failing(0, busy))
    calls.make("complete", Failing(2, busy))
    with pytest.raises(ProviderUnavailable):
        calls.make("complete", Failing(99, busy))
    totals = calls.totals()
    assert list(totals) == ["complete", "screen"]
    complete = totals["complete"]
    assert (complete.calls, complete.attempts, complete.errors) == (2, 7, 1)
    assert complete.error_rate == 0.5
    assert totals["screen"].error_rate == 0.0
    assert complete.latency_p50_ms <= complete.latency_p95_ms <= complete.latency_p99_ms


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=400), st.sampled_from([0.5, 0.95, 0.99]))
def test_quantile_any_values_equals_the_nearest_rank_of_numpy(
    values: list[float], q: float
) -> None:
    ordered = sorted(values)
    assert _quantile(ordered, q) == np.percentile(ordered, round(q * 100), method="inverted_cdf")


def test_make_from_many_threads_loses_no_count() -> None:
    calls = Calls(SETTINGS, sleep=Waits())
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


def test_at_once_jobs_that_end_in_reverse_order_are_answered_in_theirs() -> None:
    ended = [threading.Event() for _ in range(4)]

    def job(number: int) -> int:
        assert number == 3 or ended[number + 1].wait(timeout=PATIENCE_SECONDS)
        ended[number].set()
        return number

    assert at_once([partial(job, number) for number in range(4)], 4) == [0, 1, 2, 3]


def test_at_once_two_workers_have_two_jobs_under_way_and_never_more() -> None:
    under_way, gate = UnderWay(), threading.Barrier(2)

    def job() -> None:
        with under_way:
            gate.wait(timeout=PATIENCE_SECONDS)

    at_once([job] * 6, 2)
    assert under_way.most == 2


def test_at_once_failing_job_is_raised_and_what_has_not_begun_is_dropped() -> None:
    begun = []
    never = threading.Event()

    def job(number: int) -> None:
        begun.append(number)
        if number == 1:
            raise ProviderRefused("complete: 401")
        never.wait(timeout=0.01)

    with pytest.raises(ProviderRefused):
        at_once([partial(job, number) for number in range(500)], 1)
    assert begun[:2] == [0, 1]
    assert len(begun) < 500


def test_at_once_jobs_log_in_the_context_of_their_caller(tmp_path: Path) -> None:
    with logging_to(Log(tmp_path)), within(stage="screen"):
        at_once([partial(event, "variant_screened", agent="safety")], 2)
    (line,) = lines(tmp_path)
    assert line["context"] == {"stage": "screen"}
