from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from liftwright.calls.circuit_breaker import CircuitBreaker
from liftwright.config import Breaker as Settings

SETTINGS = Settings(failures=3, cool_down_seconds=30.0, probes=2)


def opened(at: float = 100.0) -> CircuitBreaker:
    breaker = CircuitBreaker(SETTINGS)
    assert [breaker.call_failed(at, "503") for _ in range(3)] == [False, False, True]
    return breaker


def test_wait_open_breaker_is_the_rest_of_the_cool_down_then_one_probe_alone() -> None:
    breaker = opened(at=100.0)
    assert [breaker.wait(now) for now in (100.0, 129.0, 130.0)] == [30.0, 1.0, 0.0]
    assert breaker.acquire()
    assert breaker.wait(130.0) == math.inf


def test_probe_failed_waits_again_and_is_given_up_after_the_last() -> None:
    breaker = opened(at=0.0)
    breaker.acquire()
    breaker.probe_failed(40.0, "504")
    assert (breaker.wait(40.0), breaker.given_up, breaker.last_error) == (30.0, False, "504")
    breaker.acquire()
    breaker.probe_failed(80.0, "reset")
    assert (breaker.given_up, breaker.last_error) == (True, "reset")


def test_probe_failed_after_a_late_reply_closed_the_breaker_changes_nothing() -> None:
    breaker = opened()
    breaker.acquire()
    breaker.replied()
    breaker.probe_failed(131.0, "503")
    assert not breaker.is_open


@given(
    failures=st.integers(1, 5),
    probes=st.integers(1, 5),
    answers=st.lists(st.booleans(), max_size=60),
)
def test_breaker_any_service_never_has_more_probes_than_configured_without_a_reply(
    failures: int, probes: int, answers: list[bool]
) -> None:
    settings = Settings(failures=failures, cool_down_seconds=10.0, probes=probes)
    breaker, now = CircuitBreaker(settings), 0.0
    failed_in_a_row = 0
    for answer in answers:
        if breaker.given_up:
            # Exactly: fewer would give up on a service too early.
            assert failed_in_a_row == failures + probes
            return
        now += breaker.wait(now)
        is_probe = breaker.acquire()
        # Once the breaker is open, only probes are sent.
        assert is_probe == (failed_in_a_row >= failures)
        if answer:
            breaker.replied()
            failed_in_a_row = 0
            continue
        failed_in_a_row += 1
        if is_probe:
            breaker.probe_failed(now, "503")
        else:
            breaker.call_failed(now, "503")
    assert breaker.given_up == (failed_in_a_row == failures + probes)
