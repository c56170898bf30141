"""Many calls, of which every fifth attempt fails: nothing is lost or paid twice."""

from __future__ import annotations

import random
import threading
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from fake_clock import FakeClock
from liftwright.adapters.embedded.sqlite import SqliteStore
from liftwright.calls.cache_policy import CachePolicy
from liftwright.calls.client import Calls, PortClient
from liftwright.calls.concurrency import run_concurrently
from liftwright.calls.ledger import Ledger
from liftwright.config import CallSettings
from liftwright.errors import ProviderError, ProviderRefused, ProviderUnavailable
from liftwright.model import Completion, Identity, Limits, Prompt, Segment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CALLS, REQUESTS, THREADS = 800, 680, 8
FAULTS, KILLED = 0.2, 0.01
EACH_USD, MOST_USD = 0.01, 0.02


class Killed(BaseException):
    """The end of a process, between the service's reply and the ledger."""


class Service:
    """A service that goes wrong at random, equally for an equal seed.

    Attributes:
        delivered: replies that came whole, by request.
        killed: replies whose receiver died.
        most: requests that were under way at one time.
    """

    identity = Identity(provider="soak", model="m")
    metered = True

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)  # noqa: S311 - a repeatable sample
        self._lock = threading.Lock()
        self._under_way = 0
        self.faults = FAULTS
        self.delivered: Counter[str] = Counter()
        self.killed: Counter[str] = Counter()
        self.attempts = self.most = 0

    def __call__(self, request: Prompt, /) -> Completion:
        with self._lock:
            self._under_way += 1
            self.attempts += 1
            self.most = max(self.most, self._under_way)
            wrong = self._draw.random() < self.faults
            kind = self._draw.choice(("busy", "wait", "down", "refused", "reset"))
            dies = self.faults > 0 and self._draw.random() < KILLED
        try:
            if wrong:
                raise _error(kind)
            with self._lock:
                (self.killed if dies else self.delivered)[request.text] += 1
            if dies:
                raise Killed
            return Completion(text=f"reply to {request.text}", model="m", cost_usd=EACH_USD)
        finally:
            with self._lock:
                self._under_way -= 1


def _error(kind: str) -> ProviderError:
    return {
        "busy": ProviderUnavailable("429", throttled=True),
        "wait": ProviderUnavailable("429", throttled=True, retry_after_seconds=3.0),
        "down": ProviderUnavailable("503"),
        "reset": ProviderUnavailable("the connection was lost"),
        "refused": ProviderRefused("400"),
    }[kind]


def prompt(number: int) -> Prompt:
    return Prompt(
        text=f"request {number}",
        brand="Larkspur",
        segment=Segment(label="s", size=1, share=1.0, definition="d", description=""),
        tone="urgent",
        passages=(),
        limits=Limits(subject_max_characters=60, body_min_words=1, body_max_words=9),
    )


POLICY: CachePolicy[Completion] = CachePolicy(
    port="complete",
    reserve_usd=lambda _: MOST_USD,
    price_usd=lambda _: EACH_USD,
    encode=lambda reply: reply.text,
    decode=lambda text: Completion(text=str(text), model="m", cost_usd=EACH_USD),
)


def soak(service: Service, ledger: Ledger, numbers: Sequence[int]) -> list[str]:
    """What came of each call: its reply's text, or the name of what it raised."""
    clock = FakeClock()
    settings = CallSettings(concurrency=THREADS - 2)
    calls = Calls(settings, sleep=clock.sleep, clock=clock)
    client = PortClient(service, POLICY, calls, ledger=lambda: ledger)

    def call(number: int) -> str:
        try:
            return client(prompt(number)).text
        except (ProviderError, Killed) as error:
            return type(error).__name__

    return run_concurrently([partial(call, number) for number in numbers], THREADS)


def test_many_calls_with_random_faults_are_accounted_for_and_none_is_paid_twice(
    tmp_path: Path,
) -> None:
    service, store = Service(seed=7), SqliteStore(tmp_path / "ledger.sqlite")
    budget = REQUESTS * EACH_USD + 100 * MOST_USD
    numbers = [number % REQUESTS for number in range(CALLS)]
    ledger = Ledger(store, run_id="r", budget_usd=budget)

    came = soak(service, ledger, numbers)

    replies = {f"reply to request {number}" for number in range(REQUESTS)}
    outcomes = Counter("reply" if text in replies else text for text in came)
    assert set(outcomes) <= {"reply", "ProviderUnavailable", "ProviderRefused", "Killed"}
    assert all(came[n] in {f"reply to request {numbers[n]}", *outcomes} for n in range(CALLS))
    # The sample holds what it is to prove: faults met and survived, and all the ways to fail.
    assert service.attempts > CALLS
    assert outcomes["ProviderRefused"] > 20
    assert outcomes["Killed"] > 3
    assert service.most <= THREADS - 2
    done = [row for row in store.rows() if row["status"] == "done"]
    assert len(done) == sum(service.delivered.values()) == len(service.delivered)
    assert ledger.spent_usd <= budget

    # The process is gone; another goes on, and the service is well again.
    service.faults = 0.0
    ledger = Ledger(store, run_id="r", budget_usd=budget)
    before = service.attempts
    assert soak(service, ledger, range(REQUESTS)) == [
        f"reply to request {number}" for number in range(REQUESTS)
    ]
    assert service.attempts - before == REQUESTS - len(done)
    assert max(service.delivered.values()) == 1
    rows = Counter(str(row["status"]) for row in store.rows())
    assert rows["done"] == sum(service.delivered.values()) == REQUESTS
    assert rows["lost"] == sum(service.killed.values()) == outcomes["Killed"]
    assert rows["pending"] == 0
    # A lost reply keeps what was reserved for it: nobody knows what it cost.
    assert ledger.calls == rows["done"] + rows["lost"]
    paid = rows["done"] * EACH_USD + rows["lost"] * MOST_USD
    assert abs(ledger.spent_usd - paid) < 1e-6
    assert ledger.spent_usd <= budget
    store.close()
