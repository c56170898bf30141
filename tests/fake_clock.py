"""A clock that only sleeping moves, for tests of waits."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from liftwright.calls.client import Calls
from liftwright.config import CallSettings

if TYPE_CHECKING:
    from collections.abc import Callable


class FakeClock:
    """Time in seconds from 0; safe for threads.

    Attributes:
        slept: every sleep, in order.
        during_sleep: called once, in the next sleep, before time moves.
    """

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.during_sleep: Callable[[], object] | None = None
        self._now = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        with self._lock:
            return self._now

    def sleep(self, seconds: float) -> None:
        """Let so much time pass at once."""
        with self._lock:
            self.slept.append(seconds)
            aside, self.during_sleep = self.during_sleep, None
            woken = self._now + seconds
        if aside is not None:
            aside()
        with self._lock:
            self._now = max(self._now, woken)

    def calls(self, **settings: Any) -> Calls:
        """Calls that wait on this clock, without jitter."""
        config = CallSettings.model_validate(settings)
        return Calls(config, sleep=self.sleep, clock=self, jitter=lambda: 0.0)
