"""The limits of one service: requests in flight, requests and tokens per minute.

A 429 halves the limits; each round of replies then raises them by one request in flight (additive
increase, multiplicative decrease: Chiu and Jain, 1989, doi:10.1016/0169-7552(89)90019-6). Locks and
the clock are the rate limiter's.
"""

from __future__ import annotations

import math
from collections import deque

WINDOW_SECONDS = 60.0


class AdaptiveLimit:
    """The limits of one service.

    Args:
        concurrency: the maximum number of requests in flight.
        requests_per_minute: the most requests sent in any 60 seconds; None is no limit.
        tokens_per_minute: the most tokens sent in any 60 seconds; None is no limit. A larger
            request is sent alone.
    """

    def __init__(
        self, concurrency: int, requests_per_minute: int | None, tokens_per_minute: int | None
    ) -> None:
        self._concurrency = concurrency
        self._requests = requests_per_minute
        self._tokens = tokens_per_minute
        self._share = 1.0
        self._slowed_at = -math.inf
        self._paused_until = -math.inf
        self._in_flight = 0
        self._begun: deque[tuple[float, int]] = deque()
        self._begun_tokens = 0

    @property
    def concurrency(self) -> int:
        """The current limit of requests in flight; at least 1."""
        return max(1, math.floor(self._concurrency * self._share))

    def wait(self, now: float, tokens: int) -> float:
        """Seconds until a request may be sent; infinite if another one must return first."""
        if self._in_flight >= self.concurrency:
            return math.inf
        while self._begun and self._begun[0][0] + WINDOW_SECONDS <= now:
            self._begun_tokens -= self._begun.popleft()[1]
        until = max(self._paused_until, self._requests_free(), self._tokens_free(tokens))
        return max(0.0, until - now)

    def acquire(self, now: float, tokens: int) -> None:
        """Count a request as sent."""
        self._in_flight += 1
        if self._requests is not None or self._tokens is not None:
            self._begun.append((now, tokens))
            self._begun_tokens += tokens

    def release(self) -> None:
        """Count a request as returned, with or without a reply."""
        self._in_flight -= 1

    def replied(self) -> None:
        """Raise the limits a little, after a reply."""
        self._share = min(1.0, self._share + 1 / (self._concurrency * self.concurrency))

    def slow_down(self, began: float, now: float) -> bool:
        """Halve the limits after a 429; returns whether they changed.

        Args:
            began: when the refused request was sent. If that was before the last halving, the
                limits do not change.
            now: the time.
        """
        if began < self._slowed_at:
            return False
        self._slowed_at = now
        self._share = max(self._share / 2, 1 / self._concurrency / 2)
        return True

    def pause(self, until: float) -> None:
        """Send nothing before a time, as the service has asked."""
        self._paused_until = max(self._paused_until, until)

    def paused(self, now: float) -> float:
        """Seconds for which the service has asked to be left alone; 0 if it has not."""
        return max(0.0, self._paused_until - now)

    def _requests_free(self) -> float:
        """When the window has room for another request."""
        if self._requests is None:
            return -math.inf
        most = max(1, math.floor(self._requests * self._share))
        over = len(self._begun) - most
        return -math.inf if over < 0 else self._begun[over][0] + WINDOW_SECONDS

    def _tokens_free(self, tokens: int) -> float:
        """When the window has room for these tokens, or is empty."""
        if self._tokens is None:
            return -math.inf
        over = self._begun_tokens + tokens - max(1, math.floor(self._tokens * self._share))
        free = -math.inf
        for began, sent in self._begun:
            if over <= 0:
                break
            over -= sent
            free = began + WINDOW_SECONDS
        return free
