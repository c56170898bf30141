"""The turns that the calls of all threads take: who may ask which service now, and who must wait.

An attempt waits until its service's breaker is closed, until the pace of the service lets one
more leave, and until one of the places that all services share is free. It gives its place back
with what came of it. Who only asks ahead takes no place that another waits for. Waits are bounded:
by `max_wait_seconds` after a fault, by a minute for a rate, by the breaker's probes for a service
that is down.
"""

from __future__ import annotations

import contextlib
import math
import threading
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.calls.adaptive_limit import Pace
from liftwright.calls.circuit_breaker import Breaker
from liftwright.errors import ProviderRefused, ProviderUnavailable, ServiceDown
from liftwright.log import event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from liftwright.config import Calls as CallSettings

_AGENT = "calls"
_WITHIN: ContextVar[bool] = ContextVar("liftwright_turn", default=False)
_YIELDS: ContextVar[bool] = ContextVar("liftwright_yields", default=False)


@dataclass(slots=True, kw_only=True)
class Caller:
    """Who takes turns: one call, in one thread.

    Attributes:
        service: the port that it asks.
        tokens: how many one attempt may come to.
        now: the time that its thread has come to, its own waits included.
        is_inner: whether it is a call within a call.
        yields: whether it lets all others have their turns first.
    """

    service: str
    tokens: int
    now: float
    is_inner: bool = False
    yields: bool = False


@dataclass(frozen=True, slots=True)
class _Gate:
    breaker: Breaker
    pace: Pace


@contextlib.contextmanager
def yielding() -> Iterator[None]:
    """Within the block, calls take no place that another call waits for."""
    outer = _YIELDS.set(True)
    try:
        yield
    finally:
        _YIELDS.reset(outer)


class Turns:
    """Gives turns; safe for threads.

    A call within a call (a search that has its query embedded) needs no place of its own: the
    outer one only waits for it, and two that waited for each other's places would never end.

    Args:
        settings: how many at once, how fast, and when a service is given up.
        sleep: waits for seconds.
        clock: the time in seconds.
    """

    def __init__(
        self,
        settings: CallSettings,
        *,
        sleep: Callable[[float], object],
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._sleep = sleep
        self._clock = clock
        self._changed = threading.Condition()
        self._under_way = 0
        self._queued = 0
        self._gates: dict[str, _Gate] = {}

    @contextlib.contextmanager
    def turn(self, caller: Caller) -> Iterator[None]:
        """One attempt: waits for its turn first, and notes what comes of it.

        Raises:
            ServiceDown: where the service was given up; there was no turn then.
        """
        caller.is_inner, caller.yields = _WITHIN.get(), _YIELDS.get()
        gate, is_probe = self._take(caller)
        began = caller.now
        outer = _WITHIN.set(True)
        try:
            yield
        except ProviderUnavailable as error:
            with self._given_back(caller, gate):
                self._note_fault(caller, gate, error, began)
                if is_probe:
                    self._note_probe(caller, gate, error)
            raise
        except ProviderRefused:
            # A refusal is an answer, too.
            with self._given_back(caller, gate):
                self._note_answer(caller, gate)
            raise
        except BaseException:
            # An interruption, a spent budget or our own defect says nothing of the service.
            with self._given_back(caller, gate):
                if is_probe:
                    gate.breaker.probe_dropped()
            raise
        else:
            with self._given_back(caller, gate):
                self._note_answer(caller, gate)
        finally:
            _WITHIN.reset(outer)

    def wait(self, caller: Caller, seconds: float) -> None:
        """Let time pass for a caller that holds no turn."""
        self._sleep(seconds)
        caller.now += seconds

    def now(self) -> float:
        """The time in seconds."""
        return self._clock()

    def exhausted(self, caller: Caller, error: ProviderUnavailable) -> None:
        """Note that a call has failed with all its attempts."""
        with self._changed:
            gate = self._gate(caller.service)
            if gate.breaker.call_failed(caller.now, str(error)):
                self._report_open(caller.service, gate.breaker)

    def check(self) -> None:
        """Raise what calls to a service that was given up are refused with.

        Raises:
            ServiceDown: where there is such a service.
        """
        with self._changed:
            for service, gate in self._gates.items():
                if gate.breaker.given_up:
                    raise self._down(service, gate.breaker)

    def _take(self, caller: Caller) -> tuple[_Gate, bool]:
        """Wait until one more attempt may leave; gives whether it is the breaker's probe."""
        with contextlib.ExitStack() as until_taken:
            is_queued = caller.yields
            while True:
                with self._changed:
                    gate = self._gate(caller.service)
                    caller.now = max(caller.now, self._clock())
                    wait = self._seconds(caller, gate)
                    if wait <= 0:
                        self._under_way += not caller.is_inner
                        gate.pace.take(caller.now, caller.tokens)
                        return gate, gate.breaker.take()
                    if math.isinf(wait):
                        if not is_queued:
                            is_queued = True
                            self._queued += 1
                            until_taken.callback(self._leave_queue)
                        self._changed.wait()
                        continue
                self.wait(caller, wait)

    def _leave_queue(self) -> None:
        with self._changed:
            self._queued -= 1
            self._changed.notify_all()

    def _seconds(self, caller: Caller, gate: _Gate) -> float:
        """Until the caller may try again; infinite until another attempt has ended."""
        if gate.breaker.given_up:
            raise self._down(caller.service, gate.breaker)
        is_full = self._under_way >= self._settings.concurrency
        if not caller.is_inner and (is_full or (caller.yields and self._queued)):
            return math.inf
        return max(gate.breaker.wait(caller.now), gate.pace.wait(caller.now, caller.tokens))

    @contextlib.contextmanager
    def _given_back(self, caller: Caller, gate: _Gate) -> Iterator[None]:
        with self._changed:
            caller.now = max(caller.now, self._clock())
            self._under_way -= not caller.is_inner
            gate.pace.give_back()
            try:
                yield
            finally:
                self._changed.notify_all()

    def _note_answer(self, caller: Caller, gate: _Gate) -> None:
        gate.pace.replied()
        if gate.breaker.replied():
            event("breaker_closed", agent=_AGENT, service=caller.service)

    def _note_fault(
        self, caller: Caller, gate: _Gate, error: ProviderUnavailable, began: float
    ) -> None:
        if error.throttled and gate.pace.slow(began, caller.now):
            event(
                "calls_slowed",
                agent=_AGENT,
                level="warning",
                service=caller.service,
                concurrency=gate.pace.places,
            )
        asked = error.retry_after_seconds
        if asked is not None and asked > 0:
            gate.pace.pause(caller.now + min(asked, self._settings.max_wait_seconds))

    def _note_probe(self, caller: Caller, gate: _Gate, error: ProviderUnavailable) -> None:
        gate.breaker.probe_failed(caller.now, str(error))
        if gate.breaker.is_open:
            self._report_open(caller.service, gate.breaker)

    def _report_open(self, service: str, breaker: Breaker) -> None:
        event(
            "breaker_opened",
            agent=_AGENT,
            level="error",
            service=service,
            status="given up" if breaker.given_up else "waits for a probe",
            cool_down_seconds=self._settings.breaker.cool_down_seconds,
        )

    def _down(self, service: str, breaker: Breaker) -> ServiceDown:
        settings = self._settings.breaker
        return ServiceDown(
            f"{service}: {settings.failures} calls in a row got no reply, nor did "
            f"{settings.probes} more tries, each {settings.cool_down_seconds:g} s later; the "
            f"service is asked no more (last: {breaker.told}). Once it answers, run again to resume"
        )

    def _gate(self, service: str) -> _Gate:
        settings = self._settings
        if service not in self._gates:
            pace = Pace(
                settings.concurrency,
                getattr(settings.requests_per_minute, service, None),
                getattr(settings.tokens_per_minute, service, None),
            )
            self._gates[service] = _Gate(Breaker(settings.breaker), pace)
        return self._gates[service]
