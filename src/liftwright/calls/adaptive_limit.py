"""How fast one service is asked: requests under way, requests and tokens a minute.

After a 429 the pace is halved, and comes back by one place for as many replies as there are
places (additive increase, multiplicative decrease: Chiu and Jain, 1989,
doi:10.1016/0169-7552(89)90019-6). It holds no lock and reads no clock: `calls` does both.
"""

from __future__ import annotations

import math
from collections import deque

WINDOW_SECONDS = 60.0


class Pace:
    """The pace of one service.

    Args:
        places: requests under way at a time, at most.
        requests_per_minute: requests that may begin in any 60 seconds; None is no limit.
        tokens_per_minute: tokens that may be sent in any 60 seconds; None is no limit. A request
            above it leaves alone.
    """

    def __init__(
        self, places: int, requests_per_minute: int | None, tokens_per_minute: int | None
    ) -> None:
        self._places = places
        self._requests = requests_per_minute
        self._tokens = tokens_per_minute
        self._share = 1.0
        self._slowed_at = -math.inf
        self._paused_until = -math.inf
        self._under_way = 0
        self._begun: deque[tuple[float, int]] = deque()
        self._begun_tokens = 0

    @property
    def places(self) -> int:
        """Requests that may be under way at present; 1 at least."""
        return max(1, math.floor(self._places * self._share))

    def wait(self, now: float, tokens: int) -> float:
        """Seconds until a request may leave; 0 now, infinite until another has come back."""
        if self._under_way >= self.places:
            return math.inf
        self._forget(now)
        until = max(self._paused_until, self._requests_free(), self._tokens_free(tokens))
        return max(0.0, until - now)

    def take(self, now: float, tokens: int) -> None:
        """Let a request leave."""
        self._under_way += 1
        if self._requests is not None or self._tokens is not None:
            self._begun.append((now, tokens))
            self._begun_tokens += tokens

    def give_back(self) -> None:
        """A request has come back, whatever came of it."""
        self._under_way -= 1

    def replied(self) -> None:
        """A reply: a little faster, where the pace was slowed."""
        self._share = min(1.0, self._share + 1 / (self._places * self.places))

    def slow(self, began: float, now: float) -> bool:
        """Halve the pace for a 429; gives whether it was.

        Args:
            began: when the refused request left: those that left before the last halving say
                nothing of the pace since.
            now: the time.
        """
        if began < self._slowed_at:
            return False
        self._slowed_at = now
        self._share = max(self._share / 2, 1 / self._places / 2)
        return True

    def pause(self, until: float) -> None:
        """Let nothing leave before a time, as the service has asked."""
        self._paused_until = max(self._paused_until, until)

    def _forget(self, now: float) -> None:
        while self._begun and self._begun[0][0] + WINDOW_SECONDS <= now:
            self._begun_tokens -= self._begun.popleft()[1]

    def _requests_free(self) -> float:
        """When one request more fits the window."""
        if self._requests is None:
            return -math.inf
        most = max(1, math.floor(self._requests * self._share))
        over = len(self._begun) - most
        return -math.inf if over < 0 else self._begun[over][0] + WINDOW_SECONDS

    def _tokens_free(self, tokens: int) -> float:
        """When so many tokens more fit the window, or nothing else is in it."""
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
