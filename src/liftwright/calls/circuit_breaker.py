"""A circuit breaker: what keeps a dead service from being asked, and says when it is given up.

    closed ── failures in a row ──► open ── cool-down ──► half open ── reply ──► closed
                                     ▲                        │
                                     └──── the probe failed ──┘  … `probes` times: given up

It holds no lock and reads no clock: `calls` does both, so that every state can be tested.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from liftwright.config import Breaker as BreakerSettings


class Breaker:
    """The breaker of one service.

    Args:
        settings: after how many failed calls it opens, for how long, how often it is tried.

    Attributes:
        given_up: whether the service stays unasked for the rest of the process.
        told: what the last failure said.
    """

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._failed_calls = 0
        self._failed_probes = 0
        self._opens_at: float | None = None
        self._probing = False
        self.given_up = False
        self.told = ""

    @property
    def is_open(self) -> bool:
        """Whether requests are held back, but for a probe."""
        return self._opens_at is not None

    def wait(self, now: float) -> float:
        """Seconds until a request may leave; 0 now, infinite while a probe is under way."""
        if self._opens_at is None:
            return 0.0
        return math.inf if self._probing else max(0.0, self._opens_at - now)

    def take(self) -> bool:
        """Let a request leave; gives whether it is the probe."""
        self._probing = self.is_open
        return self._probing

    def replied(self) -> bool:
        """The service answered, be it with a refusal; gives whether that closed the breaker."""
        closed, self._opens_at = self.is_open and not self.given_up, None
        self._failed_calls = self._failed_probes = 0
        self._probing = False
        return closed

    def probe_failed(self, now: float, told: str) -> None:
        """The probe got no reply: open for another cool-down, or for good."""
        if not self._probing:
            # A reply that came meanwhile has closed the breaker.
            return
        self._probing, self.told = False, told
        self._failed_probes += 1
        self._opens_at = now + self._settings.cool_down_seconds
        self.given_up = self._failed_probes >= self._settings.probes

    def probe_dropped(self) -> None:
        """The probe was broken off and says nothing: another may be made at once."""
        self._probing = False

    def call_failed(self, now: float, told: str) -> bool:
        """A call failed with all its attempts; gives whether that opened the breaker."""
        self.told = told
        self._failed_calls += 1
        if self.is_open or self._failed_calls < self._settings.failures:
            return False
        self._opens_at = now + self._settings.cool_down_seconds
        return True
