"""Calls ahead of their time: once each, behind all others, and without a word where they fail."""

from __future__ import annotations

import threading
from functools import partial

from fake_clock import FakeClock
from liftwright.calls.prefetch import Ahead
from liftwright.calls.retry import Calls, at_once
from liftwright.config import Calls as CallSettings
from liftwright.errors import ProviderUnavailable
from waiting import PATIENCE_SECONDS, wait_until


class Screener:
    """Echoes what it is asked, as long as its gate is open.

    Attributes:
        asked: in order.
        gate: what a call waits for.
        entered: is released once for each call.
    """

    def __init__(self, *, fails_on: str = "\0") -> None:
        self.asked: list[str] = []
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self._fails_on = fails_on

    def __call__(self, request: str) -> str:
        self.asked.append(request)
        self.entered.release()
        assert self.gate.wait(PATIENCE_SECONDS)
        if request == self._fails_on:
            raise ProviderUnavailable("the screener is away")
        return request.upper()


def test_ask_has_each_request_asked_once_and_keeps_its_reply() -> None:
    screener = Screener()
    screener.gate.set()
    ahead = Ahead(screener, 2)
    ahead.ask(["a", "b", "a"])
    ahead.ask(["b", "c"])
    assert [ahead.reply(one) for one in "abcd"] == [("A",), ("B",), ("C",), None]
    assert sorted(screener.asked) == ["a", "b", "c"]
    ahead.close()


def test_ask_returns_before_there_is_a_reply_and_no_more_than_the_workers_are_under_way() -> None:
    screener = Screener()
    ahead = Ahead(screener, 2)
    ahead.ask("abc")
    assert all(screener.entered.acquire(timeout=PATIENCE_SECONDS) for _ in range(2))
    assert sorted(screener.asked) == ["a", "b"]
    screener.gate.set()
    assert ahead.reply("c") == ("C",)
    ahead.close()


def test_stop_drops_what_has_not_begun_and_keeps_what_is_under_way() -> None:
    screener = Screener()
    ahead = Ahead(screener, 1)
    ahead.ask("ab")
    assert screener.entered.acquire(timeout=PATIENCE_SECONDS)
    ahead.stop()
    ahead.ask("c")
    screener.gate.set()
    assert [ahead.reply(one) for one in "abc"] == [("A",), None, None]
    ahead.close()
    assert screener.asked == ["a"]


def test_close_waits_for_the_calls_under_way() -> None:
    screener = Screener()
    ahead = Ahead(screener, 1)
    ahead.ask("ab")
    assert screener.entered.acquire(timeout=PATIENCE_SECONDS)
    closed = threading.Thread(target=ahead.close)
    closed.start()
    screener.gate.set()
    closed.join(PATIENCE_SECONDS)
    assert not closed.is_alive()
    assert screener.asked == ["a"]


def test_ask_call_that_fails_ends_the_asking_and_is_raised_to_nobody() -> None:
    screener = Screener(fails_on="a")
    ahead = Ahead(screener, 1)
    ahead.ask("ab")
    assert screener.entered.acquire(timeout=PATIENCE_SECONDS)
    screener.gate.set()
    assert ahead.reply("a") is None
    ahead.ask("c")
    ahead.close()
    assert [ahead.reply(one) for one in "bc"] == [None, None]
    assert screener.asked == ["a"]


def test_ask_with_no_workers_asks_nothing() -> None:
    screener = Screener()
    ahead = Ahead(screener, 0)
    ahead.ask("a")
    assert ahead.reply("a") is None
    ahead.close()
    assert screener.asked == []


class Queue:
    """One place, held by a first call; drafts and calls ahead come while it is taken."""

    def __init__(self) -> None:
        clock = FakeClock()
        self.calls = Calls(CallSettings(concurrency=1), sleep=clock.sleep, clock=clock)
        self.made: list[str] = []
        self.held, self.free = threading.Event(), threading.Event()

    def hold(self) -> None:
        def ask() -> None:
            self.held.set()
            assert self.free.wait(PATIENCE_SECONDS)

        self.calls.make("complete", ask)

    def make(self, name: str) -> str:
        self.calls.make("complete", partial(self.made.append, name))
        return name

    def waits(self, count: int) -> None:
        """Until so many wait for a place, ahead of their time or not."""
        changed = self.calls._turns._changed

        def are_waiting() -> bool:
            with changed:
                return len(changed._waiters) >= count  # type: ignore[attr-defined]

        wait_until(are_waiting)


def test_ask_takes_no_place_that_another_call_waits_for() -> None:
    queue = Queue()
    holder = threading.Thread(target=queue.hold)
    holder.start()
    assert queue.held.wait(PATIENCE_SECONDS)
    ahead = Ahead(queue.make, 2)
    ahead.ask(["ahead 1", "ahead 2"])
    queue.waits(2)
    drafts = threading.Thread(
        target=at_once, args=([partial(queue.make, f"draft {n}") for n in range(3)], 3)
    )
    drafts.start()
    queue.waits(5)
    queue.free.set()
    drafts.join(PATIENCE_SECONDS)
    assert ahead.reply("ahead 1") == ("ahead 1",)
    assert ahead.reply("ahead 2") == ("ahead 2",)
    holder.join(PATIENCE_SECONDS)
    ahead.close()
    assert [name.split()[0] for name in queue.made] == ["draft"] * 3 + ["ahead"] * 2
