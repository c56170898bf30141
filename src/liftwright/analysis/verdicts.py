"""From numbers to verdicts: which arm won, and whether to ship, stop or go on.

No winner is named, and nothing is shipped, while a sample-ratio check fails: overall, in a segment
or over time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from liftwright.analysis.aggregates import OVERALL
from liftwright.analysis.srm import SRM_ALPHA, Srm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from liftwright.analysis.results import Row
    from liftwright.model import Direction

Choice = Literal["ship", "stop", "continue"]
MISMATCH = "sample-ratio mismatch: the arms do not have the sizes that were meant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Which arm won on a metric, overall or in a segment.

    Attributes:
        arm: None where no arm is named.
        lift: The named arm's lift.
        reason: Why it is named, or why none is.
    """

    segment: str
    metric: str
    arm: str | None
    lift: float | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do with one arm now, on the primary metric."""

    arm: str
    metric: str
    decision: Choice
    reasons: tuple[str, ...]


def failed_checks(overall: Srm, parts: Mapping[str, Mapping[str, Srm]]) -> tuple[str, ...]:
    """Which sample-ratio checks stop the reading, in words; empty where all is well.

    Args:
        overall: The check on all units.
        parts: Further checks by what they divide the units by, then by part. Many parts are many
            chances of an alarm: one counts at 1 % divided by their number.
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
    rows: Sequence[Row],
    interactions: Iterable[Row],
    metric: str,
    *,
    alpha: float,
    failed: Sequence[str] = (),
    direction: Direction = "higher",
) -> list[Verdict]:
    """Who won on a metric: overall, and by segment where the segments differ beyond chance.

    Args:
        rows: The comparison's rows.
        interactions: The tests of interaction.
        metric: The metric that decides.
        alpha: Level of the tests.
        failed: What `failed_checks` found.
        direction: Whether more of the metric is better, or less.
    """
    own = [row for row in rows if row.metric == metric]
    tests = [row for row in interactions if row.metric == metric]
    differs = any(row.significant for row in tests)
    found = []
    for segment in dict.fromkeys(row.segment for row in own):
        here = [row for row in own if row.segment == segment]
        best, reason = None, f"{MISMATCH} ({few(failed)})" if failed else ""
        if not failed and segment != OVERALL and not differs:
            reason = _alike(tests, alpha)
        elif not failed:
            best, reason = _best(here, alpha, direction)
        found.append(
            Verdict(
                segment=segment,
                metric=metric,
                arm=best.arm if best else None,
                lift=best.estimate.lift if best else None,
                reason=reason,
            )
        )
    return found


def few(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many more there are: thousands of segments may fail.

    Args:
        names: All of them.
        most: How many are named.
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def _alike(tests: Sequence[Row], alpha: float) -> str:
    known = [row.p_adjusted for row in tests if row.p_adjusted is not None]
    if not known:
        return "whether the effect differs between segments cannot be tested: too few events"
    return (
        f"no sign that the effect differs between segments (interaction p {min(known):.2g}, not "
        f"below {alpha:g}): the verdict over all segments holds here too"
    )


def _best(rows: Sequence[Row], alpha: float, direction: Direction) -> tuple[Row | None, str]:
    sign = 1.0 if direction == "higher" else -1.0
    winners = [row for row in rows if row.significant and sign * (row.estimate.difference or 0) > 0]
    if not winners:
        return None, f"no arm is better than control at an adjusted p below {alpha:g}"
    best = max(winners, key=lambda row: sign * (row.estimate.difference or 0.0))
    return best, f"adjusted p {best.p_adjusted:.3g}, below {alpha:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """The rules of stopping, fixed before the first look.

    Attributes:
        metric: The metric that decides.
        direction: Whether more of it is better, or less.
        guardrails: Metrics that no arm may harm, each with its good direction.
        minimum: Units an arm needs before anything but harm is decided.
        planned: By arm, the planned units of it and the control; None if no plan says.
        undecided: Why the metric may not decide at all, such as opens alone; None if it may.
    """

    metric: str
    direction: Direction = "higher"
    guardrails: Mapping[str, Direction]
    minimum: int = 0
    planned: Mapping[str, float] | None = None
    undecided: str | None = None


def decide_arms(
    sequential: Sequence[Row], stopping: Stopping, *, failed: Sequence[str] = ()
) -> list[Decision]:
    """Ship, stop or continue, for each arm, by intervals that hold at every look.

    Args:
        sequential: Rows of `sequential_rows`.
        stopping: The rules.
        failed: What `failed_checks` found.
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
            Decision(arm=arm, metric=stopping.metric, decision=decision, reasons=tuple(reasons))
        )
    return found


def _decide(
    row: Row, rows: Mapping[tuple[str, str], Row], stopping: Stopping, failed: Sequence[str]
) -> tuple[Choice, list[str]]:
    harmed = [
        name
        for name, direction in stopping.guardrails.items()
        if (guard := rows.get((row.arm, name))) is not None and _side(guard, direction) < 0
    ]
    if failed:
        return "stop", [f"{MISMATCH} ({few(failed)}); find the cause before anything else"]
    if harmed:
        return "stop", [f"guardrail harmed: {', '.join(harmed)}"]
    if _side(row, stopping.direction) < 0:
        return "stop", [f"worse than control on {row.metric}, {_p(row)}"]
    waiting = _waiting(row, stopping)
    if waiting is not None:
        return "continue", [waiting]
    if _side(row, stopping.direction) > 0:
        kept = [f"guardrail not harmed: {name}" for name in stopping.guardrails]
        return "ship", [f"better than control on {row.metric}, {_p(row)}", *kept]
    return _without_an_effect(row, stopping)


def _waiting(row: Row, stopping: Stopping) -> str | None:
    """Why it is too early to ship or to give up; None where it is not."""
    fewest = min(row.estimate.n_treatment, row.estimate.n_control)
    if fewest < stopping.minimum:
        return f"{fewest:,} units in the smaller arm; the minimum is {stopping.minimum:,}"
    if row.p_adjusted is None:
        return row.estimate.warnings[0] if row.estimate.warnings else "not estimable yet"
    return stopping.undecided if _side(row, stopping.direction) > 0 else None


def _without_an_effect(row: Row, stopping: Stopping) -> tuple[Choice, list[str]]:
    planned = (stopping.planned or {}).get(row.arm)
    seen = row.estimate.n_treatment + row.estimate.n_control
    if planned is not None and seen >= planned:
        return "stop", [f"all {planned:,.0f} planned units are seen; no effect found, {_p(row)}"]
    return "continue", [f"the interval that holds at every look includes no effect, {_p(row)}"]


def _side(row: Row, direction: Direction) -> int:
    """1 where the arm is better beyond doubt, -1 where it is worse, 0 where neither is known."""
    if not row.significant:
        return 0
    difference = row.estimate.difference or 0.0
    better = difference > 0 if direction == "higher" else difference < 0
    return 1 if better else -1


def _p(row: Row) -> str:
    return f"always-valid p {row.p_adjusted:.2g}"
