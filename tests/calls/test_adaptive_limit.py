from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from liftwright.calls.adaptive_limit import WINDOW_SECONDS, Pace


def test_wait_all_places_taken_waits_until_one_has_come_back() -> None:
    pace = Pace(2, None, None)
    pace.take(0.0, 0)
    pace.take(0.0, 0)
    assert pace.wait(0.0, 0) == math.inf
    pace.give_back()
    assert pace.wait(0.0, 0) == 0.0


def test_wait_full_minute_waits_until_the_oldest_request_is_a_minute_old() -> None:
    pace = Pace(9, 2, None)
    pace.take(0.0, 0)
    pace.take(20.0, 0)
    assert pace.wait(25.0, 0) == 35.0
    assert pace.wait(60.0, 0) == 0.0
    pace.take(60.0, 0)
    assert pace.wait(60.0, 0) == 20.0


def test_wait_request_of_more_tokens_than_a_minute_allows_leaves_alone() -> None:
    pace = Pace(9, None, 100)
    pace.take(0.0, 1)
    assert pace.wait(0.0, 5_000) == 60.0
    assert pace.wait(60.0, 5_000) == 0.0


def test_slow_halves_the_places_and_replies_bring_them_back_one_by_one() -> None:
    pace = Pace(8, None, None)
    assert pace.slow(began=0.0, now=1.0)
    assert pace.places == 4
    for places in (4, 5, 6, 7):
        assert pace.places == places
        for _ in range(places):
            pace.replied()
    assert pace.places == 8
    pace.replied()
    assert pace.places == 8


def test_slow_requests_that_left_together_halve_the_pace_once() -> None:
    pace = Pace(8, None, None)
    assert [pace.slow(began=0.0, now=1.0) for _ in range(4)] == [True, False, False, False]
    assert pace.places == 4
    assert pace.slow(began=1.5, now=2.0)
    assert pace.places == 2


def test_pause_holds_every_request_back_and_is_never_shortened() -> None:
    pace = Pace(4, None, None)
    pace.pause(until=9.0)
    pace.pause(until=5.0)
    assert (pace.wait(2.0, 0), pace.wait(9.0, 0)) == (7.0, 0.0)


@given(
    places=st.integers(1, 6),
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
def test_pace_any_load_keeps_every_window_and_always_goes_on(
    places: int,
    requests: int | None,
    tokens: int | None,
    asked: list[tuple[float, int, str]],
) -> None:
    pace, now, under_way = Pace(places, requests, tokens), 0.0, 0
    begun: list[tuple[float, int]] = []
    for gap, size, outcome in asked:
        now += gap
        waits = 0
        while (wait := pace.wait(now, size)) > 0:
            waits += 1
            assert waits < 200, "the pace does not go on"
            if math.isinf(wait):
                assert under_way > 0, "nobody is there to be waited for"
                pace.give_back()
                under_way -= 1
            else:
                now += wait
        pace.take(now, size)
        under_way += 1
        begun.append((now, size))
        assert under_way <= places
        if outcome == "stays":
            continue
        pace.give_back()
        under_way -= 1
        if outcome == "reply":
            pace.replied()
        elif outcome == "slow":
            pace.slow(now, now)
        elif outcome == "pause":
            pace.pause(now + 5)
    for first, (start, _) in enumerate(begun):
        window = [size for at, size in begun[first:] if at < start + WINDOW_SECONDS]
        assert requests is None or len(window) <= requests
        assert tokens is None or sum(window) <= tokens or sum(map(bool, window)) == 1
