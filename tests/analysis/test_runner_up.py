"""A winner is held against the next arm that beat the control, and not only against the control."""

from __future__ import annotations

import pytest

from liftwright.analysis import (
    Cell,
    Contrasts,
    MetricSpec,
    Verdict,
    beside_runner_up,
    compare,
    name_winners,
)

METRIC = MetricSpec(name="y", kind="binary")
N = 10_000


def overall(events: dict[str, int], *, lower: bool = False, segments: int = 1) -> Verdict:
    cells = [
        Cell(segment=f"s{k}" if segments > 1 else None, arm=arm, metric="y", n=N, events=y)
        for k in range(segments)
        for arm, y in events.items()
    ]
    compared = compare(cells, [METRIC], "A", units=dict.fromkeys(events, N * segments))
    contrasts = Contrasts(cells, [METRIC], "A", tuple(events))
    direction = "lower" if lower else "higher"
    (verdict, *_) = name_winners(compared.comparisons, [], "y", alpha=0.05, direction=direction)
    return beside_runner_up(verdict, compared.comparisons, contrasts, direction=direction)


def test_beside_runner_up_of_a_clear_winner_says_that_it_is_ahead() -> None:
    found = overall({"A": 1000, "B": 1300, "C": 1600})
    assert found.arm == "C"
    assert "'B' too, p 1.7e-09" in found.reason


def test_beside_runner_up_of_two_alike_does_not_tell_them_apart() -> None:
    found = overall({"A": 1000, "B": 1300, "C": 1310, "D": 1001})
    assert found.arm == "C"
    # 1,310 against 1,300 of 10,000: z = 0.21.
    assert found.reason.endswith("'B', p 0.83")


def test_beside_runner_up_where_less_is_better_compares_the_least() -> None:
    found = overall({"A": 2000, "B": 1300, "C": 1600}, lower=True)
    assert found.arm == "B"
    assert "'C' too" in found.reason


def test_beside_runner_up_over_segments_is_stratified() -> None:
    assert "'B' too" in overall({"A": 1000, "B": 1300, "C": 1600}, segments=3).reason


@pytest.mark.parametrize(
    "events", [{"A": 1000, "B": 1300, "C": 1000}, {"A": 1000, "B": 1005}, {"A": 1000, "B": 700}]
)
def test_beside_runner_up_without_two_that_won_says_nothing_more(events: dict[str, int]) -> None:
    assert "'" not in overall(events).reason
