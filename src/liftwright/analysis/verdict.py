"""The verdict: whether an arm won, what to do with each arm, and whether guardrails hold.

One kind of test governs. Under `fixed` stopping these are the tests of `comparisons`, which are
valid once, at the planned sample; under `anytime` those of `sequential`, which are valid at every
look. The verdict, the decisions and the winners all follow the governing rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from liftwright.analysis.comparison import compare
from liftwright.analysis.result import (
    OVERALL,
    ArmDecision,
    BestArm,
    GuardrailCheck,
    Verdict,
)
from liftwright.analysis.srm import SRM_ALPHA

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from liftwright.analysis.comparison import Contrasts
    from liftwright.analysis.result import (
        Action,
        ArmComparison,
        ExperimentResult,
        GuardrailState,
        MultipleExposure,
        SampleRatioCheck,
        Stopping,
        VerdictState,
    )
    from liftwright.model import Direction

MISMATCH = "sample-ratio mismatch: the arm sizes differ from the planned shares"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """A metric that must not get worse.

    Attributes:
        direction: Whether higher or lower values are better.
        margin: The relative loss that is tolerated, as a fraction; None tolerates whatever is not
            significantly worse.
    """

    direction: Direction = "higher"
    margin: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRule:
    """How the verdict is reached, fixed before the first look.

    Attributes:
        metric: The primary metric.
        direction: Whether higher or lower values are better.
        guardrails: The guardrails by metric.
        stopping: Which tests govern: "fixed" or "anytime".
        sample: Planned units of all arms together; None without a plan.
        minimum: Planned units of each arm.
        planned: Planned units of each arm and the control together, for which the any-time
            intervals are tightest.
        undecided: Why the metric cannot decide, for example because it is the open rate; or None.
    """

    metric: str
    direction: Direction = "higher"
    guardrails: Mapping[str, Guardrail] = field(default_factory=dict)
    stopping: Stopping = "fixed"
    sample: int | None = None
    minimum: int = 0
    planned: Mapping[str, float] | None = None
    undecided: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """The verdict, and the checks and decisions behind it, arm by arm."""

    verdict: Verdict
    guardrails: tuple[GuardrailCheck, ...]
    decisions: tuple[ArmDecision, ...]


def failed_checks(
    overall: SampleRatioCheck, parts: Mapping[str, Mapping[str, SampleRatioCheck]]
) -> tuple[str, ...]:
    """The sample-ratio checks that failed, by name; empty if all passed.

    Args:
        overall: The check on all units.
        parts: Further checks by dimension ("segment", "period"), then by its value. Each is tested
            at 1 % divided by their number, as many checks raise more false alarms.
    """
    found = [] if overall.ok else ["overall"]
    for what, checks in parts.items():
        known = {name: check for name, check in checks.items() if check.p_value is not None}
        found += [
            f"{what} {name}"
            for name, check in known.items()
            if check.p_value is not None and check.p_value < SRM_ALPHA / len(known)
        ]
    return tuple(found)


def why_not_trusted(
    failed: Sequence[str], explanation: str | None, exposure: MultipleExposure | None
) -> tuple[str, ...]:
    """Why the data cannot decide anything; empty if they can.

    Args:
        failed: The failed sample-ratio checks, from `failed_checks`.
        explanation: A simple reason for the failure, if one was found.
        exposure: The check of units in two arms.
    """
    found = []
    if failed:
        found.append(f"{MISMATCH} ({few(failed)})" + (f"; {explanation}" if explanation else ""))
    if exposure is not None and not exposure.ok:
        reason = f"{exposure.units:,} units ({exposure.share:.1%}) were seen in two or more arms"
        if exposure.p_value is not None and exposure.p_value < SRM_ALPHA:
            reason += f", and their outcomes differ from the others' (p {exposure.p_value:.2g})"
        found.append(reason)
    return tuple(found)


def conclude(
    result: ExperimentResult,
    rule: DecisionRule,
    contrasts: Contrasts,
    *,
    distrust: Sequence[str] = (),
) -> Conclusion:
    """Reach the verdict and decide on each arm.

    Args:
        result: The comparison, with its sequential rows.
        rule: The decision rule.
        contrasts: Its aggregates, for the comparison of the winner with the runner-up.
        distrust: Why the data cannot decide, from `why_not_trusted`.
    """
    rows = governing_rows(result, rule)
    primary = [row for row in rows if (row.segment, row.metric) == (OVERALL, rule.metric)]
    guardrails = tuple(_check_guardrails(rows, rule, result.alpha))
    blocked = [check for check in guardrails if check.forbids]
    early = _too_early(primary, rule, result.n)
    names = {check.arm for check in blocked}
    best = winner_of([row for row in primary if row.arm not in names], rule.direction)
    state, reasons = _state(primary, rule, best, blocked, early, distrust)
    winner = best.arm if best is not None and state == "winner" else None
    if winner is not None:
        if (second := compare_runner_up(winner, primary, rule, contrasts)) is not None:
            reasons.append(second)
        reasons += [
            f"guardrail {check.metric}: {_GUARDRAIL_WORDS[check.state]}"
            for check in guardrails
            if check.arm == winner
        ]
    verdict = Verdict(governs=rule.stopping, winner=winner, state=state, reasons=tuple(reasons))
    harm = _early_harm(result, rule)
    decisions = tuple(
        _decide(
            row, rule, verdict, [c for c in blocked if c.arm == row.arm], early, harm.get(row.arm)
        )
        for row in primary
    )
    return Conclusion(verdict=verdict, guardrails=guardrails, decisions=decisions)


def governing_rows(result: ExperimentResult, rule: DecisionRule) -> tuple[ArmComparison, ...]:
    """The rows whose tests govern: primary under fixed stopping, else the sequential ones."""
    return result.comparisons if rule.stopping == "fixed" else result.sequential


_GUARDRAIL_WORDS: Mapping[GuardrailState, str] = {
    "met": "loss within the margin",
    "no_harm_shown": "no harm shown",
    "not_met": "a loss beyond the margin cannot be excluded",
    "harmed": "significantly worse than control",
}


def _check_guardrails(
    rows: Sequence[ArmComparison], rule: DecisionRule, alpha: float
) -> Iterable[GuardrailCheck]:
    for row in rows:
        guardrail = rule.guardrails.get(row.metric)
        if guardrail is None or row.segment != OVERALL:
            continue
        yield GuardrailCheck(
            arm=row.arm,
            metric=row.metric,
            margin=guardrail.margin,
            lift=row.lift,
            lift_ci=row.lift_ci,
            state=_guardrail_state(row, guardrail, alpha),
        )


def _guardrail_state(row: ArmComparison, guardrail: Guardrail, alpha: float) -> GuardrailState:
    """Non-inferiority with a margin, a test for harm without one."""
    harmed = row.p_value is not None and row.p_value < alpha and _gain(row, guardrail.direction) < 0
    if guardrail.margin is not None and row.lift_ci is not None:
        low, high = row.lift_ci
        if guardrail.direction == "lower":
            low = None if high is None else -high
        if low is not None and low > -guardrail.margin:
            return "met"
    if harmed:
        return "harmed"
    return "no_harm_shown" if guardrail.margin is None else "not_met"


def _state(  # noqa: PLR0913, PLR0917 - everything that the verdict depends on
    primary: Sequence[ArmComparison],
    rule: DecisionRule,
    best: ArmComparison | None,
    blocked: Sequence[GuardrailCheck],
    early: str | None,
    distrust: Sequence[str],
) -> tuple[VerdictState, list[str]]:
    if distrust:
        return "do_not_trust", [*distrust, "find the cause first"]
    if rule.undecided is not None:
        return "do_not_trust", [rule.undecided]
    if early is not None and rule.stopping == "fixed":
        return "too_early", [early]
    if best is not None:
        return "winner", [_in_words(best, "better", rule)]
    return _without_winner(primary, rule, blocked, early)


def _without_winner(
    primary: Sequence[ArmComparison],
    rule: DecisionRule,
    blocked: Sequence[GuardrailCheck],
    early: str | None,
) -> tuple[VerdictState, list[str]]:
    sure = [row for row in primary if row.significant]
    better = [row for row in sure if _gain(row, rule.direction) > 0]
    worse = [row for row in sure if _gain(row, rule.direction) < 0]
    if better:
        arms = {row.arm for row in better}
        return "guardrail_not_met", [
            *(_in_words(row, "better", rule) for row in better),
            *(_guardrail_in_words(check) for check in blocked if check.arm in arms),
        ]
    if worse:
        return "worse", [_in_words(row, "worse", rule) for row in worse]
    if early is not None:
        return "too_early", [early]
    if not primary:
        return "no_difference_shown", [f"{rule.metric} was not measured"]
    if all(row.p_value is None for row in primary):
        reasons = {warning for row in primary for warning in row.warnings}
        return "no_difference_shown", [f"{rule.metric} is not estimable", *sorted(reasons)]
    return "no_difference_shown", [f"no arm differs significantly from control on {rule.metric}"]


def _early_harm(result: ExperimentResult, rule: DecisionRule) -> dict[str, str]:
    """By arm, why it may be stopped at any look: it is worse than the control, or harms."""
    directions = {rule.metric: rule.direction}
    directions |= {name: guardrail.direction for name, guardrail in rule.guardrails.items()}
    return {
        row.arm: f"'{row.arm}' is worse than control on {row.metric} at any look, always-valid p "
        f"{row.p_adjusted:.2g}"
        for row in result.sequential
        if row.significant and row.metric in directions and _gain(row, directions[row.metric]) < 0
    }


def _too_early(primary: Sequence[ArmComparison], rule: DecisionRule, units: int) -> str | None:
    """Why the planned sample is not reached; None if it is, or none was planned."""
    if rule.sample is not None and units < rule.sample:
        return f"{units:,} of the {rule.sample:,} planned units"
    fewest = min((min(row.n_treatment, row.n_control) for row in primary), default=0)
    if fewest < rule.minimum:
        return f"{fewest:,} of the {rule.minimum:,} units planned per arm"
    return None


def _decide(  # noqa: PLR0913, PLR0917 - the arm's row, and all that the verdict rests on
    row: ArmComparison,
    rule: DecisionRule,
    verdict: Verdict,
    blocked: Sequence[GuardrailCheck],
    early: str | None,
    harm: str | None,
) -> ArmDecision:
    """What to do with one arm; the decision never contradicts the verdict."""
    decision: Action = "stop"
    gain = _gain(row, rule.direction) if row.significant else 0.0
    if verdict.state == "do_not_trust":
        decision = "continue" if rule.undecided in verdict.reasons and harm is None else "stop"
        reasons = verdict.reasons
    elif verdict.state == "too_early":
        decision = "continue" if harm is None else "stop"
        reasons = verdict.reasons if harm is None else (harm,)
    elif row.arm == verdict.winner:
        decision, reasons = "ship", verdict.reasons
    elif blocked and gain >= 0:
        reasons = tuple(_guardrail_in_words(check) for check in blocked)
    elif gain < 0:
        reasons = (_in_words(row, "worse", rule),)
    elif gain > 0:
        reasons = (f"{_in_words(row, 'better', rule)}; '{verdict.winner}' is ahead of it",)
    else:
        over = rule.stopping == "fixed" or (rule.sample is not None and early is None)
        decision = "stop" if over else "continue"
        p_value = "" if row.p_adjusted is None else f", {_p(row, rule)}"
        reasons = (f"no difference shown on {rule.metric}{p_value}",)
    return ArmDecision(arm=row.arm, metric=rule.metric, decision=decision, reasons=reasons)


def _gain(row: ArmComparison, direction: Direction) -> float:
    """The difference, positive where it is an improvement."""
    return (row.difference or 0.0) * (1.0 if direction == "higher" else -1.0)


def _in_words(row: ArmComparison, side: str, rule: DecisionRule) -> str:
    return f"'{row.arm}' is {side} than control on {rule.metric}, {_p(row, rule)}"


def _guardrail_in_words(check: GuardrailCheck) -> str:
    margin = "" if check.margin is None else f" (margin {check.margin:.3g})"
    return f"'{check.arm}', guardrail {check.metric}{margin}: {_GUARDRAIL_WORDS[check.state]}"


def _p(row: ArmComparison, rule: DecisionRule) -> str:
    kind = "always-valid" if rule.stopping == "anytime" else "adjusted"
    return f"{kind} p {row.p_adjusted:.2g}"


def name_winners(  # noqa: PLR0913 - rows, tests of them, and how to judge
    rows: Sequence[ArmComparison],
    interactions: Iterable[ArmComparison],
    metric: str,
    *,
    alpha: float,
    direction: Direction = "higher",
    undecided: str | None = None,
) -> list[BestArm]:
    """The best arm on a metric, overall and in each segment if the effect differs significantly.

    Args:
        rows: The governing rows.
        interactions: The tests of interaction.
        metric: The metric.
        alpha: The significance level.
        direction: Whether higher or lower values are better.
        undecided: Why no arm may be named; None if one may.
    """
    on_metric = [row for row in rows if row.metric == metric]
    tests = [row for row in interactions if row.metric == metric]
    differs = any(row.significant for row in tests)
    found = []
    for segment in dict.fromkeys(row.segment for row in on_metric):
        here = [row for row in on_metric if row.segment == segment]
        best, reason = None, undecided
        if undecided is None and segment != OVERALL and not differs:
            reason = _no_difference(tests, alpha)
        elif undecided is None:
            best = winner_of(here, direction)
            reason = (
                f"adjusted p {best.p_adjusted:.3g} < {alpha:g}"
                if best
                else f"no arm beats control at adjusted p < {alpha:g}"
            )
        found.append(
            BestArm(
                segment=segment,
                metric=metric,
                arm=best.arm if best else None,
                lift=best.lift if best else None,
                reason=reason or "",
            )
        )
    return found


def winner_of(
    rows: Sequence[ArmComparison], direction: Direction = "higher"
) -> ArmComparison | None:
    """The row with the largest significant improvement; None if no arm beats the control."""
    better = [row for row in rows if row.significant and _gain(row, direction) > 0]
    return max(better, key=lambda row: _gain(row, direction), default=None)


def compare_runner_up(
    winner: str, rows: Sequence[ArmComparison], rule: DecisionRule, contrasts: Contrasts
) -> str | None:
    """Whether the winner also beats the runner-up; None without one, or under any-time stopping.

    Args:
        winner: The winning arm.
        rows: The overall rows of the metric.
        rule: The decision rule.
        contrasts: Their aggregates; the runner-up takes the place of the control.
    """
    second = winner_of([row for row in rows if row.arm != winner], rule.direction)
    if second is None or rule.stopping == "anytime":
        return None
    pair = (winner, second.arm)
    found = compare(
        [one for one in contrasts.totals if one.metric == rule.metric and one.arm in pair],
        [metric for metric in contrasts.metrics if metric.name == rule.metric],
        second.arm,
        units=dict.fromkeys(pair, 0),
        alpha=contrasts.alpha,
        correction="none",
    )
    (row,) = found.rows()
    if row.p_value is None:
        return None
    ahead = winner_of([row], rule.direction) is not None
    words = "it also beats" if ahead else "it is not significantly better than"
    return f"{words} '{second.arm}', p {row.p_value:.2g}"


def few(names: Sequence[str], most: int = 3) -> str:
    """The first names and the number of the others, as there may be thousands.

    Args:
        names: All of them.
        most: The number of names to list.
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def _no_difference(tests: Sequence[ArmComparison], alpha: float) -> str:
    known = [row.p_adjusted for row in tests if row.p_adjusted is not None]
    if not known:
        return "too few events to test whether the effect differs between segments"
    return (
        f"no evidence that the effect differs between segments (interaction p {min(known):.2g}, "
        f"not below {alpha:g}); the overall verdict applies"
    )
