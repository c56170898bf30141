"""Verdicts from the estimates: which arm won, and whether to ship it, stop it or keep running.

No winner is named and no arm is shipped while a sample-ratio check fails, overall, in a segment or
in a period.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from liftwright.analysis.comparison import compare
from liftwright.analysis.result import OVERALL, ArmDecision, BestArm
from liftwright.analysis.srm import SRM_ALPHA

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from liftwright.analysis.comparison import Contrasts
    from liftwright.analysis.result import Action, ArmComparison, SampleRatioCheck
    from liftwright.model import Direction

MISMATCH = "sample-ratio mismatch: the arm sizes differ from the planned shares"


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


def name_winners(  # noqa: PLR0913 - rows, tests of them, and how to judge
    rows: Sequence[ArmComparison],
    interactions: Iterable[ArmComparison],
    metric: str,
    *,
    alpha: float,
    failed: Sequence[str] = (),
    direction: Direction = "higher",
) -> list[BestArm]:
    """The winner on a metric, overall and in each segment if the effect differs significantly.

    Args:
        rows: The comparison's rows.
        interactions: The tests of interaction.
        metric: The deciding metric.
        alpha: Significance level.
        failed: The failed sample-ratio checks, from `failed_checks`.
        direction: Whether higher or lower values are better.
    """
    by_segment: dict[str, list[ArmComparison]] = {}
    for row in rows:
        if row.metric == metric:
            by_segment.setdefault(row.segment, []).append(row)
    tests = [row for row in interactions if row.metric == metric]
    differs = any(row.significant for row in tests)
    found = []
    for segment, here in by_segment.items():
        best, reason = None, f"{MISMATCH} ({few(failed)})" if failed else ""
        if not failed and segment != OVERALL and not differs:
            reason = _alike(tests, alpha)
        elif not failed:
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
                reason=reason,
            )
        )
    return found


def winner_of(
    rows: Sequence[ArmComparison], direction: Direction = "higher"
) -> ArmComparison | None:
    """The row with the largest significant improvement; None if no arm beats the control."""
    sign = 1.0 if direction == "higher" else -1.0
    better = [row for row in rows if row.significant and sign * (row.difference or 0.0) > 0]
    return max(better, key=lambda row: sign * (row.difference or 0.0), default=None)


def compare_runner_up(
    best: BestArm,
    rows: Sequence[ArmComparison],
    contrasts: Contrasts,
    *,
    direction: Direction = "higher",
) -> BestArm:
    """Add to the reason whether the winner also beats the runner-up.

    Args:
        best: The overall verdict on a metric; returned unchanged if there is no winner.
        rows: The comparison's rows.
        contrasts: Its aggregates; the runner-up takes the place of the control.
        direction: Whether higher or lower values are better.
    """
    if best.arm is None or best.segment != OVERALL:
        return best
    others = [
        row
        for row in rows
        if (row.segment, row.metric) == (OVERALL, best.metric) and row.arm != best.arm
    ]
    second = winner_of(others, direction)
    if second is None:
        return best
    pair = (best.arm, second.arm)
    found = compare(
        [c for c in contrasts.cells if c.metric == best.metric and c.arm in pair],
        [metric for metric in contrasts.metrics if metric.name == best.metric],
        second.arm,
        units=dict.fromkeys(pair, 0),
        alpha=contrasts.alpha,
        correction="none",
    )
    (row,) = found.rows()
    if row.p_value is None:
        return best
    ahead = winner_of([row], direction)
    told = (
        f"also beats '{second.arm}'" if ahead else f"not significantly better than '{second.arm}'"
    )
    return replace(best, reason=f"{best.reason}; {told}, p {row.p_value:.2g}")


def few(names: Sequence[str], most: int = 3) -> str:
    """The first names and the number of the others, as there may be thousands.

    Args:
        names: All of them.
        most: How many to list.
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def _alike(tests: Sequence[ArmComparison], alpha: float) -> str:
    known = [row.p_adjusted for row in tests if row.p_adjusted is not None]
    if not known:
        return "too few events to test whether the effect differs between segments"
    return (
        f"no evidence that the effect differs between segments (interaction p {min(known):.2g}, "
        f"not below {alpha:g}); the overall verdict applies"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingRule:
    """When to ship or stop an arm, fixed before the first look.

    Attributes:
        metric: The primary metric.
        direction: Whether higher or lower values are better.
        guardrails: Metrics that must not get worse, each with its better direction.
        minimum: Units planned per arm; below it an arm can only be stopped for harm.
        planned: Planned units of each arm together with the control; None without a plan.
        undecided: Why the metric cannot decide, for example because it is the open rate; or None.
    """

    metric: str
    direction: Direction = "higher"
    guardrails: Mapping[str, Direction] = field(default_factory=dict)
    minimum: int = 0
    planned: Mapping[str, float] | None = None
    undecided: str | None = None


def decide_arms(
    sequential: Sequence[ArmComparison], stopping: StoppingRule, *, failed: Sequence[str] = ()
) -> list[ArmDecision]:
    """Decide for each arm whether to ship, stop or continue, from always-valid intervals.

    Args:
        sequential: Rows of `sequential_rows`.
        stopping: The stopping rule.
        failed: The failed sample-ratio checks, from `failed_checks`.
    """
    rows = {(row.arm, row.metric): row for row in sequential}
    arms = list(dict.fromkeys(row.arm for row in sequential))
    found = []
    for arm in arms:
        row = rows.get((arm, stopping.metric))
        if row is None:
            continue
        decision, reasons = _decide(row, rows, stopping, failed)
        found.append(
            ArmDecision(arm=arm, metric=stopping.metric, decision=decision, reasons=tuple(reasons))
        )
    return found


def _decide(
    row: ArmComparison,
    rows: Mapping[tuple[str, str], ArmComparison],
    stopping: StoppingRule,
    failed: Sequence[str],
) -> tuple[Action, list[str]]:
    harmed = [
        name
        for name, direction in stopping.guardrails.items()
        if (guard := rows.get((row.arm, name))) is not None and _side(guard, direction) < 0
    ]
    if failed:
        return "stop", [f"{MISMATCH} ({few(failed)}); find the cause first"]
    if harmed:
        return "stop", [f"guardrail worse: {', '.join(harmed)}"]
    if _side(row, stopping.direction) < 0:
        return "stop", [f"worse than control on {row.metric}, {_p(row)}"]
    waiting = _waiting(row, stopping)
    if waiting is not None:
        return "continue", [waiting]
    if _side(row, stopping.direction) > 0:
        kept = [f"guardrail not worse: {name}" for name in stopping.guardrails]
        return "ship", [f"better than control on {row.metric}, {_p(row)}", *kept]
    return _without_an_effect(row, stopping)


def _waiting(row: ArmComparison, stopping: StoppingRule) -> str | None:
    """Why it is too early to ship or stop the arm; None if it is not."""
    fewest = min(row.n_treatment, row.n_control)
    if fewest < stopping.minimum:
        return f"{fewest:,} of the {stopping.minimum:,} units planned per arm"
    if row.p_adjusted is None:
        return row.warnings[0] if row.warnings else "not estimable yet"
    return stopping.undecided if _side(row, stopping.direction) > 0 else None


def _without_an_effect(row: ArmComparison, stopping: StoppingRule) -> tuple[Action, list[str]]:
    planned = (stopping.planned or {}).get(row.arm)
    seen = row.n_treatment + row.n_control
    if planned is not None and seen >= planned:
        return "stop", [f"no effect found after all {planned:,.0f} planned units, {_p(row)}"]
    return "continue", [f"the always-valid interval includes zero, {_p(row)}"]


def _side(row: ArmComparison, direction: Direction) -> int:
    """1 if the arm is significantly better, -1 if significantly worse, else 0."""
    if not row.significant:
        return 0
    difference = row.difference or 0.0
    better = difference > 0 if direction == "higher" else difference < 0
    return 1 if better else -1


def _p(row: ArmComparison) -> str:
    return f"always-valid p {row.p_adjusted:.2g}"
