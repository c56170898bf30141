from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from liftwright.analysis import (
    ArmComparison,
    Cell,
    Contrasts,
    MetricSpec,
    StoppingRule,
    check_srm,
    compare,
    compare_runner_up,
    decide_arms,
    failed_checks,
    interaction_rows,
    name_winners,
    sequential_rows,
)

if TYPE_CHECKING:
    from liftwright.analysis.result import BestArm

BOUGHT = MetricSpec(name="bought", kind="binary")
LEFT = MetricSpec(name="left", kind="binary")
ARMS = ("control", "urgent", "friendly")
FINE = check_srm({"a": 500, "b": 500}, {"a": 1, "b": 1})
BAD = check_srm({"a": 500, "b": 700}, {"a": 1, "b": 1})


def cells(
    bought: dict[str, dict[str, int]], n: int = 2_000, left: dict[str, int] | None = None
) -> list[Cell]:
    """By segment and arm the events; of `left` the same in every segment."""
    found = [
        Cell(segment=segment, arm=arm, metric="bought", n=n, events=events)
        for segment, arms in bought.items()
        for arm, events in arms.items()
    ]
    return found + [
        Cell(segment=segment, arm=arm, metric="left", n=n, events=events)
        for segment in bought
        for arm, events in (left or {}).items()
    ]


def verdicts(found: list[Cell], **options: Any) -> dict[str, BestArm]:
    units = {arm: sum(c.n for c in found if c.arm == arm) for arm in ARMS}
    rows = compare(found, (BOUGHT,), "control", units=units).comparisons
    tests = interaction_rows(Contrasts(found, (BOUGHT,), "control", ARMS))
    told = name_winners(rows, tests, "bought", alpha=0.05, **options)
    return {one.segment: one for one in told}


ALIKE = {
    "gold": {"control": 200, "urgent": 300, "friendly": 210},
    "basic": {"control": 100, "urgent": 155, "friendly": 105},
}
UNLIKE = {
    "gold": {"control": 200, "urgent": 400, "friendly": 210},
    "basic": {"control": 100, "urgent": 60, "friendly": 105},
}


def test_name_winners_where_segments_are_alike_names_none_by_segment() -> None:
    found = verdicts(cells(ALIKE))
    assert found["all"].arm == "urgent"
    assert found["all"].lift == pytest.approx(455 / 300 - 1)
    assert found["gold"].arm is None
    assert found["gold"].reason


def test_name_winners_where_segments_differ_names_them() -> None:
    found = verdicts(cells(UNLIKE))
    assert found["gold"].arm == "urgent"
    assert found["basic"].arm is None
    assert found["basic"].reason


def test_name_winners_with_too_few_events_says_that_it_cannot_be_tested() -> None:
    found = verdicts(cells({"x": {"control": 1, "urgent": 2}, "y": {"control": 0, "urgent": 3}}))
    assert "too few events" in found["x"].reason


def test_name_winners_after_a_failed_check_names_nobody() -> None:
    found = verdicts(cells(UNLIKE), failed=("segment gold",))
    assert {one.arm for one in found.values()} == {None}
    assert all("sample-ratio mismatch" in one.reason for one in found.values())
    assert "segment gold" in found["all"].reason


def test_name_winners_of_a_metric_of_which_less_is_better() -> None:
    fewer = {"x": {"control": 300, "urgent": 200, "friendly": 400}}
    assert verdicts(cells(fewer))["all"].arm == "friendly"
    assert verdicts(cells(fewer), direction="lower")["all"].arm == "urgent"


def test_failed_checks_divide_their_level_by_the_number_of_parts() -> None:
    near = check_srm({"a": 500, "b": 585}, {"a": 1, "b": 1})
    assert near.p_value is not None
    assert 0.005 < near.p_value < 0.01
    assert failed_checks(FINE, {"segment": {"x": FINE, "y": FINE}}) == ()
    assert failed_checks(FINE, {"segment": {"x": near}}) == ("segment x",)
    assert failed_checks(FINE, {"segment": {"x": near, "y": FINE}}) == ()
    nothing = check_srm({"a": 0, "b": 0}, {"a": 1, "b": 1})
    assert failed_checks(BAD, {"period": {"Monday": BAD, "Sunday": nothing}}) == (
        *("overall", "period Monday"),
    )


def decided(found: list[Cell], failed: tuple[str, ...] = (), **rules: Any) -> dict[str, Any]:
    rows: list[ArmComparison] = sequential_rows(
        Contrasts(found, (BOUGHT, LEFT), "control", ("control", "urgent"))
    )
    stopping = StoppingRule(**{"metric": "bought", "guardrails": {}, **rules})
    (one,) = decide_arms(rows, stopping, failed=failed)
    return {"decision": one.decision, "reasons": " ".join(one.reasons)}


BETTER = cells({"x": {"control": 200, "urgent": 300}}, left={"control": 40, "urgent": 100})
SAME = cells({"x": {"control": 200, "urgent": 204}})


@pytest.mark.parametrize(
    ("found", "rules", "decision", "reason"),
    [
        (BETTER, {}, "ship", "better than control on bought"),
        (BETTER, {"direction": "lower"}, "stop", "worse than control"),
        (BETTER, {"guardrails": {"left": "lower"}}, "stop", "guardrail worse: left"),
        (BETTER, {"guardrails": {"left": "higher"}}, "ship", "guardrail not worse: left"),
        (BETTER, {"guardrails": {"gone": "higher"}}, "ship", "guardrail not worse"),
        (BETTER, {"minimum": 5_000}, "continue", "2,000 of the 5,000 units"),
        (BETTER, {"undecided": "opens alone decide nothing"}, "continue", "opens alone"),
        (SAME, {}, "continue", "includes zero"),
        (SAME, {"planned": {"urgent": 4_000}}, "stop", "all 4,000 planned units"),
        (SAME, {"planned": {"urgent": 4_001}}, "continue", "includes zero"),
        (cells({"x": {"control": 3, "urgent": 9}}), {}, "continue", "too early"),
    ],
)
def test_decide_arms_gives_a_decision_and_its_reason(
    found: list[Cell], rules: dict[str, Any], decision: str, reason: str
) -> None:
    told = decided(found, **rules)
    assert told["decision"] == decision
    assert reason in told["reasons"]


def test_decide_arms_after_a_failed_check_stops() -> None:
    told = decided(BETTER, failed=("overall",))
    assert told["decision"] == "stop"
    assert "sample-ratio mismatch" in told["reasons"]


def test_decide_arms_of_a_metric_that_is_not_there_decides_nothing() -> None:
    rows = sequential_rows(Contrasts(BETTER, (BOUGHT, LEFT), "control", ("control", "urgent")))
    assert decide_arms(rows, StoppingRule(metric="opened", guardrails={})) == []


METRIC = MetricSpec(name="y", kind="binary")
N = 10_000


def overall(events: dict[str, int], *, lower: bool = False, segments: int = 1) -> BestArm:
    cells = [
        Cell(segment=f"s{k}" if segments > 1 else None, arm=arm, metric="y", n=N, events=y)
        for k in range(segments)
        for arm, y in events.items()
    ]
    compared = compare(cells, [METRIC], "A", units=dict.fromkeys(events, N * segments))
    contrasts = Contrasts(cells, [METRIC], "A", tuple(events))
    direction = "lower" if lower else "higher"
    (verdict, *_) = name_winners(compared.comparisons, [], "y", alpha=0.05, direction=direction)
    return compare_runner_up(verdict, compared.comparisons, contrasts, direction=direction)


def test_compare_runner_up_of_a_clear_winner_says_that_it_is_ahead() -> None:
    found = overall({"A": 1000, "B": 1300, "C": 1600})
    assert found.arm == "C"
    assert "also beats 'B', p 1.7e-09" in found.reason


def test_compare_runner_up_of_two_alike_does_not_tell_them_apart() -> None:
    found = overall({"A": 1000, "B": 1300, "C": 1310, "D": 1001})
    assert found.arm == "C"
    # 1,310 against 1,300 of 10,000: z = 0.21.
    assert found.reason.endswith("'B', p 0.83")


def test_compare_runner_up_where_less_is_better_compares_the_least() -> None:
    found = overall({"A": 2000, "B": 1300, "C": 1600}, lower=True)
    assert found.arm == "B"
    assert "also beats 'C'" in found.reason


def test_compare_runner_up_over_segments_is_stratified() -> None:
    assert "also beats 'B'" in overall({"A": 1000, "B": 1300, "C": 1600}, segments=3).reason


@pytest.mark.parametrize(
    "events", [{"A": 1000, "B": 1300, "C": 1000}, {"A": 1000, "B": 1005}, {"A": 1000, "B": 700}]
)
def test_compare_runner_up_without_two_that_won_says_nothing_more(events: dict[str, int]) -> None:
    assert "'" not in overall(events).reason
