"""How many callers are inside a place at once."""

from __future__ import annotations

import threading


class UnderWay:
    """Counts who is inside a `with`; safe for threads.

    Attributes:
        most: so many were inside at one time.
    """

    def __init__(self) -> None:
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1
