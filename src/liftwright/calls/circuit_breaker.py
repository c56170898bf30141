"""A circuit breaker: blocks calls to a failing service, and gives up after failed probes.

    closed ── failures in a row ──► open ── cool-down ──► half open ── reply ──► closed
                                     ▲                        │
                                     └──── the probe failed ──┘  … `probes` times: given up

Locks and the clock are the rate limiter's, so that every state can be tested.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from liftwright.config import Breaker as BreakerSettings


class CircuitBreaker:
    """The circuit breaker of one service.

    Args:
        settings: the number of failed calls that open it, the cool-down, and the number of probes.

    Attributes:
        given_up: whether the service is not called again in this process.
        last_error: the message of the last failure.
    """

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._failed_calls = 0
        self._failed_probes = 0
        self._half_open_at: float | None = None
        self._probing = False
        self.given_up = False
        self.last_error = ""

    @property
    def is_open(self) -> bool:
        """Whether requests other than a probe are blocked."""
        return self._half_open_at is not None

    def wait(self, now: float) -> float:
        """Seconds until a request may be sent; infinite while a probe is in flight."""
        if self._half_open_at is None:
            return 0.0
        return math.inf if self._probing else max(0.0, self._half_open_at - now)

    def acquire(self) -> bool:
        """Count a request as sent; returns whether it is the probe."""
        self._probing = self.is_open
        return self._probing

    def replied(self) -> bool:
        """Record a reply or a refusal; returns whether it closed the circuit."""
        closed, self._half_open_at = self.is_open and not self.given_up, None
        self._failed_calls = self._failed_probes = 0
        self._probing = False
        return closed

    def probe_failed(self, now: float, error: str) -> None:
        """Record a failed probe: open for another cool-down, or for good."""
        if not self._probing:
            # A reply to an earlier request has closed the circuit in the meantime.
            return
        self._probing, self.last_error = False, error
        self._failed_probes += 1
        self._half_open_at = now + self._settings.cool_down_seconds
        self.given_up = self._failed_probes >= self._settings.probes

    def probe_dropped(self) -> None:
        """Record an interrupted probe, which proves nothing: another may be sent at once."""
        self._probing = False

    def call_failed(self, now: float, error: str) -> bool:
        """Record a call whose attempts all failed; returns whether that opened the circuit."""
        self.last_error = error
        self._failed_calls += 1
        if self.is_open or self._failed_calls < self._settings.failures:
            return False
        self._half_open_at = now + self._settings.cool_down_seconds
        return True
