from __future__ import annotations

import json
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_clock import FakeClock
from liftwright.calls.client import CallContext
from liftwright.calls.concurrency import run_concurrently
from liftwright.calls.rate_limiter import RateLimiter, limited
from liftwright.config import Breaker, CallSettings
from liftwright.errors import (
    BudgetSpent,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
    ServiceDown,
)
from liftwright.log import Log, logging_to
from under_way import UnderWay
from waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from liftwright.calls.client import Calls

BREAKER = Breaker(failures=2, cool_down_seconds=30.0, probes=2)


class Service:
    """A service that is down while it has an error, and records when it is asked."""

    def __init__(self, error: Callable[[], Exception] | None = None) -> None:
        self.asked_at: list[float] = []
        self.error = error
        self._clock: FakeClock | None = None

    def at(self, clock: FakeClock) -> Service:
        self._clock = clock
        return self

    def __call__(self) -> str:
        self.asked_at.append(self._clock() if self._clock else 0.0)
        if self.error is not None:
            raise self.error()
        return "reply"


def down() -> Exception:
    return ProviderUnavailable("The Writer answered 503")


def slow_down(seconds: float | None = None) -> Exception:
    return ProviderUnavailable("429", retry_after_seconds=seconds, throttled=True)


def calls_on(clock: FakeClock, **changes: Any) -> Calls:
    return clock.calls(**{"retries": 1, "backoff_seconds": 2.0, "breaker": BREAKER, **changes})


def actions(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    lines = (folder / "system.log").read_text().splitlines()
    return [(line["action"], line["context"]) for line in map(json.loads, lines)]


def test_make_dead_service_is_asked_by_two_calls_then_by_two_probes_then_never(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    service, calls = Service(down).at(clock), calls_on(clock)
    with logging_to(Log(tmp_path)):
        for _ in range(3):
            with pytest.raises(ProviderUnavailable):
                calls.make("complete", service)
        # Two calls of two attempts each; the third call's attempts are the probes.
        assert service.asked_at == [0.0, 2.0, 2.0, 4.0, 34.0, 64.0]
        with pytest.raises(ServiceDown) as told:
            calls.make("complete", service)
    assert len(service.asked_at) == 6
    assert clock() == 64.0
    assert "complete" in str(told.value)
    assert "The Writer answered 503" in str(told.value)
    assert told.value.exit_status == 3
    opened = [context["status"] for action, context in actions(tmp_path) if "opened" in action]
    assert opened == ["waits for a probe", "waits for a probe", "given up"]


def test_make_service_that_recovers_at_the_probe_is_asked_as_before(tmp_path: Path) -> None:
    clock = FakeClock()
    service, calls = Service(down).at(clock), calls_on(clock)
    with logging_to(Log(tmp_path)):
        for _ in range(2):
            with pytest.raises(ProviderUnavailable):
                calls.make("complete", service)
        service.error = None
        assert [calls.make("complete", service) for _ in range(3)] == ["reply"] * 3
    assert service.asked_at[4:] == [34.0] * 3
    calls.check_services()
    assert [action for action, _ in actions(tmp_path) if action == "breaker_closed"] == [
        "breaker_closed"
    ]


def test_make_call_that_waits_to_retry_stops_when_others_find_the_service_dead() -> None:
    clock = FakeClock()
    mine, others, calls = Service(down), Service(down), calls_on(clock)

    def fail_for_good() -> None:
        for _ in range(3):
            with pytest.raises(ProviderUnavailable):
                calls.make("complete", others)

    clock.during_sleep = fail_for_good
    with pytest.raises(ServiceDown):
        calls.make("complete", mine)
    assert len(mine.asked_at) == 1


def test_make_interrupted_probe_lets_the_next_call_be_the_probe() -> None:
    clock = FakeClock()
    service, calls = Service(down), calls_on(clock)
    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            calls.make("complete", service)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        calls.make("complete", interrupted)
    assert calls.make("complete", Service()) == "reply"


def test_make_retry_after_holds_the_whole_service_back() -> None:
    clock = FakeClock()
    calls, other = calls_on(clock), Service().at(clock)
    replies = iter([slow_down(7.0)])

    def service() -> str:
        for error in replies:
            raise error
        return "reply"

    def ask_others() -> None:
        assert calls.make("screen", Service().at(clock)) == "reply"
        assert clock() == 0.0
        assert calls.make("complete", other) == "reply"

    clock.during_sleep = ask_others
    assert calls.make("complete", service) == "reply"
    assert other.asked_at == [7.0]
    assert clock.slept == [7.0, 7.0]


def test_make_after_a_retry_after_that_is_too_long_sends_nothing_until_then() -> None:
    clock, service = FakeClock(), Service()
    calls = calls_on(clock)

    def slow() -> str:
        raise slow_down(3600.0)

    with pytest.raises(ProviderUnavailable, match="3600 s"):
        calls.make("complete", slow)
    for _ in range(5):
        with pytest.raises(ProviderUnavailable, match=r"max_wait_seconds \(60\)"):
            calls.make("complete", service.at(clock))
    assert (service.asked_at, clock.slept) == ([], [])
    clock.sleep(3550.0)
    assert calls.make("complete", service.at(clock)) == "reply"
    assert service.asked_at == [3600.0]


def test_make_after_a_429_half_as_many_are_under_way() -> None:
    clock = FakeClock()
    never = Breaker(failures=100)
    calls = calls_on(clock, concurrency=4, retries=0, breaker=never)
    with pytest.raises(ProviderUnavailable):
        calls.make("complete", Service(slow_down))
    under_way, pair = UnderWay(), threading.Barrier(2)

    def ask() -> None:
        with under_way:
            # Only two at a time pass.
            pair.wait(timeout=PATIENCE_SECONDS)
        raise ProviderUnavailable("503")

    def job() -> None:
        with pytest.raises(ProviderUnavailable):
            calls.make("complete", ask)

    run_concurrently([job] * 8, 8)
    assert under_way.most == 2


def test_make_slots_are_shared_by_all_services() -> None:
    calls = calls_on(FakeClock(), concurrency=3)
    under_way, gate = UnderWay(), threading.Barrier(3)

    def ask() -> None:
        with under_way:
            gate.wait(timeout=PATIENCE_SECONDS)

    services = ["complete", "screen", "search"] * 4
    run_concurrently([partial(calls.make, name, ask) for name in services], 12)
    assert under_way.most == 3


def limiter_on(clock: FakeClock, **changes: Any) -> RateLimiter:
    shape = {"breaker": BREAKER, **changes}
    return RateLimiter(CallSettings(**shape), sleep=clock.sleep, clock=clock)


def test_limited_tokens_per_minute_are_kept_for_the_service_they_are_set_for() -> None:
    clock = FakeClock()
    limiter = limiter_on(clock, tokens_per_minute={"complete": 1000})
    asked_at: dict[str, list[float]] = {"complete": [], "screen": []}
    for _ in range(3):
        for service, times in asked_at.items():
            ask = limited(lambda times, _: times.append(clock()), limiter)
            ask(times, CallContext(service=service, tokens=500))
    assert asked_at["complete"] == [0.0, 0.0, 60.0]
    assert clock.slept == [60.0]


def test_limited_nested_call_needs_no_slot_of_its_own() -> None:
    limiter = limiter_on(FakeClock(), concurrency=2, requests_per_minute={"embed": 9})
    both = threading.Barrier(2)
    embed = limited(lambda request, _: request, limiter)

    def search(request: str, _: CallContext) -> Any:
        # All slots are taken by the calls that wait for this one.
        both.wait(timeout=PATIENCE_SECONDS)
        return embed(request, CallContext(service="embed", nested=True))

    def ask(_: int) -> Any:
        return limited(search, limiter)("reply", CallContext(service="search"))

    assert run_concurrently([partial(ask, n) for n in range(8)], 4) == ["reply"] * 8
    # The slots have been given back as they were taken.
    assert run_concurrently([partial(ask, n) for n in range(2)], 2) == ["reply"] * 2


def test_make_spent_budget_at_the_probe_says_nothing_about_the_service() -> None:
    clock = FakeClock()
    calls = calls_on(clock)
    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            calls.make("complete", Service(down))
    with pytest.raises(BudgetSpent):
        calls.make("complete", Service(lambda: BudgetSpent("spent")))
    still_down = Service(down).at(clock)
    with pytest.raises(ProviderUnavailable):
        calls.make("complete", still_down)
    # The probe, and after another cool-down the second.
    assert still_down.asked_at == [34.0, 64.0]


def test_make_local_call_needs_no_slot() -> None:
    clock = FakeClock()
    calls = calls_on(clock, concurrency=1, requests_per_minute={"embed": 1})

    def ask() -> list[str]:
        # The only slot is taken, and the minute's only request would be.
        return [calls.make("embed", Service(), local=True) for _ in range(3)]

    assert calls.make("complete", ask) == ["reply"] * 3
    assert clock() == 0.0
    assert calls.totals()["embed"].calls == 3


@settings(max_examples=25, deadline=None)
@given(
    concurrency=st.integers(1, 6),
    rate=st.none() | st.integers(1, 20),
    script=st.lists(st.sampled_from(["reply", "503", "429", "after", "401"]), max_size=60),
)
def test_make_any_script_from_many_threads_ends_and_never_exceeds_the_slots(
    concurrency: int, rate: int | None, script: list[str]
) -> None:
    clock = FakeClock()
    calls = calls_on(
        clock, concurrency=concurrency, retries=2, requests_per_minute={"complete": rate}
    )
    lock, todo = threading.Lock(), list(script)
    under_way, most, replies = 0, 0, 0

    def ask() -> None:
        nonlocal under_way, most, replies
        with lock:
            under_way += 1
            most = max(most, under_way)
            step = todo.pop() if todo else "reply"
        with lock:
            under_way -= 1
            replies += step == "reply"
        if step == "401":
            raise ProviderRefused("401")
        if step != "reply":
            raise slow_down(5.0 if step == "after" else None) if step != "503" else down()

    def job() -> bool:
        try:
            calls.make("complete", ask)
        except ProviderError:
            return False
        return True

    ended = run_concurrently([job] * 40, 8)
    assert most <= concurrency
    assert sum(ended) == replies
