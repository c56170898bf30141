from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from liftwright.analysis import (
    Aggregates,
    AnalysisOptions,
    ArmSizes,
    ArmTotals,
    DecisionRule,
    ExperimentData,
    Guardrail,
    MetricSpec,
    MultipleExposure,
    analyze_experiment,
    check_srm,
)
from liftwright.analysis.verdict import failed_checks

if TYPE_CHECKING:
    from liftwright.analysis import ExperimentResult

N = 10_000
FINE = check_srm({"a": 500, "b": 500}, {"a": 1, "b": 1})
BAD = check_srm({"a": 500, "b": 700}, {"a": 1, "b": 1})


def analyzed(
    events: dict[str, int] | dict[str, dict[str, int]],
    *,
    left: dict[str, int] | None = None,
    n: int = N,
    exposure: MultipleExposure | None = None,
    sizes: dict[str, int] | None = None,
    **rule: Any,
) -> ExperimentResult:
    """An experiment in which each arm has `n` units per segment and these events of `bought`."""
    segments = {name: arms for name, arms in events.items() if isinstance(arms, dict)}
    parts: dict[str | None, dict[str, int]] = {**segments} or {None: events}  # type: ignore[dict-item] # plain
    arms = list(next(iter(parts.values())))
    totals = [
        ArmTotals(segment=segment, arm=arm, metric=metric, n=n, events=count)
        for segment, bought in parts.items()
        for metric, counts in (("bought", bought), ("left", left or {}))
        for arm, count in counts.items()
    ]
    direction = rule.get("direction", "higher")
    units = sizes or dict.fromkeys(arms, n * len(parts))
    return analyze_experiment(
        ExperimentData(
            main=Aggregates(
                metrics=[
                    MetricSpec(name="bought", kind="binary", direction=direction),
                    MetricSpec(name="left", kind="binary", direction="lower"),
                ][: 1 + bool(left)],
                totals=totals,
            ),
            sizes=ArmSizes(observed=units, expected=dict.fromkeys(units, 1.0)),
            by_segment={
                name: ArmSizes(observed=dict.fromkeys(arms, n), expected=dict.fromkeys(arms, 1.0))
                for name in segments
            },
            multiple_exposure=exposure,
        ),
        AnalysisOptions(
            control="A",
            alpha=0.05,
            correction="holm",
            rule=DecisionRule(**{"metric": "bought", **rule}),
            winners_of_all=True,
        ),
    )


def told(result: ExperimentResult) -> tuple[str, str | None, dict[str, str]]:
    """State, winner and decisions; `best` and the verdict agree."""
    assert result.verdict is not None
    best = result.winner()
    assert best is not None
    assert best.arm == result.verdict.winner
    decisions = {one.arm: one.decision for one in result.decisions}
    assert {arm for arm, choice in decisions.items() if choice == "ship"} == (
        {best.arm} if best.arm else set()
    )
    return result.verdict.state, result.verdict.winner, decisions


BETTER = {"A": 1000, "B": 1300}
SAME = {"A": 1000, "B": 1005}
# Significant at one look, not at any look.
NEAR = {"A": 1000, "B": 1095}
LOWER = Guardrail(direction="lower")


@pytest.mark.parametrize(
    ("events", "options", "expected"),
    [
        (BETTER, {}, ("winner", "B", "ship")),
        (BETTER, {"direction": "lower"}, ("worse", None, "stop")),
        (SAME, {}, ("no_difference_shown", None, "stop")),
        (NEAR, {}, ("winner", "B", "ship")),
        (NEAR, {"stopping": "anytime"}, ("no_difference_shown", None, "continue")),
        (BETTER, {"stopping": "anytime"}, ("winner", "B", "ship")),
        (BETTER, {"stopping": "anytime", "sample": 90_000}, ("winner", "B", "ship")),
        (NEAR, {"stopping": "anytime", "sample": 90_000}, ("too_early", None, "continue")),
        (NEAR, {"stopping": "anytime", "sample": 20_000}, ("no_difference_shown", None, "stop")),
        (BETTER, {"sample": 20_001}, ("too_early", None, "continue")),
        (BETTER, {"sample": 20_000}, ("winner", "B", "ship")),
        (BETTER, {"minimum": 10_001}, ("too_early", None, "continue")),
        # Harm may end it at any look, though it decides nothing.
        (BETTER, {"sample": 90_000, "direction": "lower"}, ("too_early", None, "stop")),
        (BETTER, {"undecided": "opens alone decide nothing"}, ("do_not_trust", None, "continue")),
        (BETTER, {"sizes": {"A": 10_000, "B": 12_000}}, ("do_not_trust", None, "stop")),
        (
            BETTER,
            {"exposure": MultipleExposure(units=300, share=0.03, ok=False)},
            ("do_not_trust", None, "stop"),
        ),
        ({"A": 0, "B": 0}, {}, ("no_difference_shown", None, "stop")),
    ],
)
def test_verdict_state_winner_and_decision(
    events: dict[str, int], options: dict[str, Any], expected: tuple[str, str | None, str]
) -> None:
    state, winner, decisions = told(analyzed(events, **options))
    assert (state, winner, decisions["B"]) == expected


@pytest.mark.parametrize(
    ("left", "margin", "state", "verdict"),
    [
        ({"A": 400, "B": 410}, None, "no_harm_shown", "winner"),
        ({"A": 400, "B": 410}, 0.05, "not_met", "guardrail_not_met"),
        ({"A": 400, "B": 410}, 0.2, "met", "winner"),
        ({"A": 400, "B": 600}, None, "harmed", "guardrail_not_met"),
        ({"A": 400, "B": 600}, 0.05, "harmed", "guardrail_not_met"),
        # Significantly worse, and surely by less than is tolerated.
        ({"A": 4_000, "B": 4_200}, 0.2, "met", "winner"),
        ({"A": 0, "B": 0}, 0.2, "not_met", "guardrail_not_met"),
    ],
)
def test_guardrail_state_gates_the_winner(
    left: dict[str, int], margin: float | None, state: str, verdict: str
) -> None:
    guardrails = {"left": Guardrail(direction="lower", margin=margin)}
    result = analyzed(BETTER, left=left, guardrails=guardrails)
    (check,) = result.guardrails
    assert (check.state, check.margin) == (state, margin)
    assert told(result)[0] == verdict


def test_verdict_of_several_arms_names_the_best_that_guardrails_allow() -> None:
    three = {"A": 1000, "B": 1300, "C": 1600}
    state, winner, decisions = told(analyzed(three))
    assert (state, winner, decisions) == ("winner", "C", {"B": "stop", "C": "ship"})
    harmful = analyzed(three, left={"A": 400, "B": 400, "C": 700}, guardrails={"left": LOWER})
    state, winner, decisions = told(harmful)
    assert (state, winner, decisions) == ("winner", "B", {"B": "ship", "C": "stop"})


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ({"A": 1000, "B": 1300, "C": 1600}, "also beats 'B', p 1.7e-09"),
        # 1,310 against 1,300 of 10,000: z = 0.21.
        ({"A": 1000, "B": 1300, "C": 1310}, "not significantly better than 'B', p 0.83"),
    ],
)
def test_verdict_says_whether_the_winner_beats_the_runner_up(
    events: dict[str, int], words: str
) -> None:
    verdict = analyzed(events).verdict
    assert verdict is not None
    assert verdict.winner == "C"
    assert any(words in reason for reason in verdict.reasons)


def test_segments_have_winners_only_where_the_effect_differs() -> None:
    alike = analyzed({"x": {"A": 1000, "B": 1300}, "y": {"A": 500, "B": 650}})
    assert [one.arm for one in alike.best if one.metric == "bought"] == ["B", None, None]
    unlike = analyzed({"x": {"A": 1000, "B": 1600}, "y": {"A": 500, "B": 350}})
    assert [one.arm for one in unlike.best if one.metric == "bought"] == ["B", "B", None]
    early = analyzed({"x": {"A": 1000, "B": 1600}, "y": {"A": 500, "B": 350}}, sample=90_000)
    assert {one.arm for one in early.best} == {None}


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
