from __future__ import annotations

import threading
from functools import partial

from fake_clock import FakeClock
from liftwright.calls.cache_policy import CachePolicy
from liftwright.calls.client import Calls, PortClient
from liftwright.calls.concurrency import Prefetch, run_concurrently
from liftwright.calls.ledger import Ledger
from liftwright.errors import ProviderUnavailable
from liftwright.model import Identity, Usage
from memory_store import Memory
from waiting import PATIENCE_SECONDS, wait_until


class Screener:
    """Echoes each request in capitals, once its gate is open.

    Attributes:
        asked: the requests in order.
        gate: every call waits for it.
        entered: released once for each call.
    """

    identity = Identity(provider="test", model="m")
    metered = True

    def __init__(self, *, fails_on: str = "\0") -> None:
        self.asked: list[str] = []
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self._fails_on = fails_on

    def __call__(self, request: str, /) -> str:
        self.asked.append(request)
        self.entered.release()
        assert self.gate.wait(PATIENCE_SECONDS)
        if request == self._fails_on:
            raise ProviderUnavailable("503")
        return request.upper()


POLICY = CachePolicy(
    port="screen",
    reserve_usd=lambda _: 1.0,
    price_usd=lambda usage: float(usage.units),
    decode=str,
    used=lambda _, __: Usage(units=1),
)


def ledger_of() -> Ledger:
    return Ledger(Memory(), run_id="r1", budget_usd=None)


def client_of(
    screener: Screener, ledger: Ledger, calls: Calls, *, low_priority: bool
) -> PortClient[str, str]:
    return PortClient(screener, POLICY, calls, ledger=lambda: ledger, low_priority=low_priority)


def test_submit_calls_each_request_once_and_keeps_its_reply() -> None:
    screener = Screener()
    screener.gate.set()
    prefetch = Prefetch(screener, 2)
    prefetch.submit(["a", "b", "a"])
    prefetch.submit(["b", "c"])
    assert [prefetch.reply(one) for one in "abcd"] == ["A", "B", "C", None]
    assert sorted(screener.asked) == ["a", "b", "c"]
    prefetch.close()


def test_submit_what_is_called_later_as_well_is_paid_once() -> None:
    screener, ledger, calls = Screener(), ledger_of(), FakeClock().calls(concurrency=4, retries=0)
    prefetch = Prefetch(client_of(screener, ledger, calls, low_priority=True), 2)
    later = client_of(screener, ledger, calls, low_priority=False)
    prefetch.submit("ab")
    assert all(screener.entered.acquire(timeout=PATIENCE_SECONDS) for _ in range(2))
    screener.gate.set()
    # Both may still be in flight.
    assert run_concurrently([partial(later, one) for one in "abc"], 3) == ["A", "B", "C"]
    prefetch.close()
    assert sorted(screener.asked) == ["a", "b", "c"]
    assert (ledger.calls, ledger.spent_usd) == (3, 3.0)


def test_submit_returns_before_there_is_a_reply_and_no_more_than_the_workers_are_in_flight() -> (
    None
):
    screener = Screener()
    prefetch = Prefetch(screener, 2)
    prefetch.submit("abc")
    assert all(screener.entered.acquire(timeout=PATIENCE_SECONDS) for _ in range(2))
    assert sorted(screener.asked) == ["a", "b"]
    screener.gate.set()
    assert prefetch.reply("c") == "C"
    prefetch.close()


def test_stop_drops_what_has_not_begun_and_keeps_what_is_running() -> None:
    screener = Screener()
    prefetch = Prefetch(screener, 1)
    prefetch.submit("ab")
    assert screener.entered.acquire(timeout=PATIENCE_SECONDS)
    prefetch.stop()
    prefetch.submit("c")
    screener.gate.set()
    assert [prefetch.reply(one) for one in "abc"] == ["A", None, None]
    prefetch.close()
    assert screener.asked == ["a"]


def test_close_waits_for_the_running_call_whose_reply_is_kept() -> None:
    screener, ledger, calls = Screener(), ledger_of(), FakeClock().calls(concurrency=1, retries=0)
    prefetch = Prefetch(client_of(screener, ledger, calls, low_priority=True), 1)
    prefetch.submit("ab")
    assert screener.entered.acquire(timeout=PATIENCE_SECONDS)
    closing = threading.Thread(target=prefetch.close)
    closing.start()
    assert ledger.calls == 0
    screener.gate.set()
    closing.join(PATIENCE_SECONDS)
    assert not closing.is_alive()
    assert (screener.asked, ledger.calls) == (["a"], 1)
    assert client_of(screener, ledger, calls, low_priority=False)("a") == "A"
    assert (screener.asked, ledger.replayed) == (["a"], 1)


def test_submit_call_that_fails_stops_the_prefetch_and_is_raised_to_nobody() -> None:
    screener = Screener(fails_on="a")
    prefetch = Prefetch(screener, 1)
    prefetch.submit("ab")
    assert screener.entered.acquire(timeout=PATIENCE_SECONDS)
    screener.gate.set()
    assert prefetch.reply("a") is None
    prefetch.submit("c")
    prefetch.close()
    assert [prefetch.reply(one) for one in "bc"] == [None, None]
    assert screener.asked == ["a"]


def test_submit_acquires_no_slot_that_another_call_waits_for() -> None:
    screener, ledger, calls = Screener(), ledger_of(), FakeClock().calls(concurrency=1, retries=0)
    changed = calls._limiter._changed

    def waiting(count: int) -> bool:
        with changed:
            return len(changed._waiters) >= count  # type: ignore[attr-defined]

    first = client_of(screener, ledger, calls, low_priority=False)
    holder = threading.Thread(target=first, args=("first",))
    holder.start()
    assert screener.entered.acquire(timeout=PATIENCE_SECONDS)
    prefetch = Prefetch(client_of(screener, ledger, calls, low_priority=True), 2)
    prefetch.submit(["early 1", "early 2"])
    wait_until(lambda: waiting(2))
    drafts = [partial(first, f"draft {n}") for n in range(3)]
    others = threading.Thread(target=run_concurrently, args=(drafts, 3))
    others.start()
    wait_until(lambda: waiting(5))
    screener.gate.set()
    others.join(PATIENCE_SECONDS)
    assert prefetch.reply("early 1") == "EARLY 1"
    assert prefetch.reply("early 2") == "EARLY 2"
    holder.join(PATIENCE_SECONDS)
    prefetch.close()
    assert [one.split()[0] for one in screener.asked] == ["first"] + ["draft"] * 3 + ["early"] * 2
