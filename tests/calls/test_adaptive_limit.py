from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from liftwright.calls.adaptive_limit import WINDOW_SECONDS, AdaptiveLimit


def test_wait_full_minute_waits_until_the_oldest_request_is_a_minute_old() -> None:
    limit = AdaptiveLimit(9, 2, None)
    limit.acquire(0.0, 0)
    limit.acquire(20.0, 0)
    assert limit.wait(25.0, 0) == 35.0
    assert limit.wait(60.0, 0) == 0.0
    limit.acquire(60.0, 0)
    assert limit.wait(60.0, 0) == 20.0


def test_slow_down_halves_the_concurrency_and_replies_bring_them_back_one_by_one() -> None:
    limit = AdaptiveLimit(8, None, None)
    assert limit.slow_down(began=0.0, now=1.0)
    assert limit.concurrency == 4
    for concurrency in (4, 5, 6, 7):
        assert limit.concurrency == concurrency
        for _ in range(concurrency):
            limit.replied()
    assert limit.concurrency == 8
    limit.replied()
    assert limit.concurrency == 8


def test_slow_down_requests_that_left_together_halve_the_limits_once() -> None:
    limit = AdaptiveLimit(8, None, None)
    assert [limit.slow_down(began=0.0, now=1.0) for _ in range(4)] == [True, False, False, False]
    assert limit.concurrency == 4
    assert limit.slow_down(began=1.5, now=2.0)
    assert limit.concurrency == 2


@given(
    concurrency=st.integers(1, 6),
    requests=st.none() | st.integers(1, 12),
    tokens=st.none() | st.integers(1, 500),
    asked=st.lists(
        st.tuples(
            st.floats(0, 40),
            st.integers(0, 700),
            st.sampled_from(["reply", "fault", "slow", "pause", "stays"]),
        ),
        max_size=80,
    ),
)
def test_limit_any_load_keeps_every_window_and_always_goes_on(
    concurrency: int,
    requests: int | None,
    tokens: int | None,
    asked: list[tuple[float, int, str]],
) -> None:
    limit, now, in_flight = AdaptiveLimit(concurrency, requests, tokens), 0.0, 0
    begun: list[tuple[float, int]] = []
    for gap, size, outcome in asked:
        now += gap
        waits = 0
        while (wait := limit.wait(now, size)) > 0:
            waits += 1
            assert waits < 200, "the limit does not go on"
            if math.isinf(wait):
                assert in_flight > 0, "nobody is there to be waited for"
                limit.release()
                in_flight -= 1
            else:
                now += wait
        limit.acquire(now, size)
        in_flight += 1
        begun.append((now, size))
        assert in_flight <= concurrency
        if outcome == "stays":
            continue
        limit.release()
        in_flight -= 1
        if outcome == "reply":
            limit.replied()
        elif outcome == "slow":
            limit.slow_down(now, now)
        elif outcome == "pause":
            limit.pause(now + 5)
    for first, (start, _) in enumerate(begun):
        window = [size for at, size in begun[first:] if at < start + WINDOW_SECONDS]
        assert requests is None or len(window) <= requests
        assert tokens is None or sum(window) <= tokens or sum(map(bool, window)) == 1
