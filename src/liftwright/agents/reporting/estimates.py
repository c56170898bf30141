"""The numbers beside the comparisons: what to do with each arm, other estimators, the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.agents.reporting.markdown import (
    Words,
    bullets,
    callout,
    code,
    in_words,
    interval,
    joined,
    listed,
    metric_name,
    number,
    p_value,
    percent,
    plain,
    signed,
    stars,
    table,
)
from liftwright.analysis import OVERALL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from liftwright.agents.reporting.run_reader import RunFiles
    from liftwright.analysis.result import ArmPosterior, InteractionTest

# In the order in which they are told; each with what it is.
_ESTIMATES = {
    "assigned": ("all assigned", "also those whose message did not arrive, as having done nothing"),
    "cuped": ("CUPED", "less noise, by the rates that were known before"),
    "winsorised": ("winsorised", "without the largest amounts"),
    "ratios": ("ratio", "clicks to opened messages, by the delta method"),
    "sequential": ("at any time", "holds however often one looks, at the price of width"),
}
_HASH_SHOWN = 12


def decided(run: RunFiles) -> str | None:
    """The decisions in a sentence; None where there are none."""
    told: dict[tuple[str, str], list[str]] = {}
    for one in run.result.decisions:
        told.setdefault((one.decision, "; ".join(one.reasons)), []).append(one.arm)
    if not told:
        return None
    each = [f"{choice} {listed(arms)} ({why})" for (choice, why), arms in told.items()]
    return plain(in_words("; ".join(each)) + ".")


def decisions(run: RunFiles) -> Words:
    """Ship, stop or continue, for each arm, with the reasons."""
    found = run.result.decisions
    if not found:
        return Words("Nothing was decided.")
    rows = [(one.arm, one.decision, in_words("; ".join(one.reasons))) for one in found]
    return joined(
        plain(
            f"On the {metric_name(found[0].metric)}, by intervals that hold however often the "
            "outcomes are looked at:"
        ),
        table(("Arm", "Decision", "Why"), rows),
    )


def others(run: RunFiles) -> Words:
    """The other estimators over all segments; they should tell the same story."""
    result = run.result
    estimates = {
        "assigned": result.assigned,
        "cuped": result.cuped,
        "winsorised": result.winsorised,
        "ratios": result.ratios,
        "sequential": result.sequential,
    }
    found = [
        (name, row)
        for key, (name, _) in _ESTIMATES.items()
        for row in estimates[key]
        if row.segment == OVERALL and row.lift_ci is not None
    ]
    order = [*result.metrics, *(row.metric for _, row in found)]
    # Of one metric together, and of one estimate its arms.
    found.sort(key=lambda one: order.index(one[1].metric))
    rows = [
        (
            metric_name(row.metric),
            name,
            row.arm,
            signed(row.lift),
            interval(row.lift_ci),
            p_value(row.p_adjusted),
            stars(row.p_adjusted, significant=row.significant),
        )
        for name, row in found
    ]
    if not rows:
        return Words("No other estimate could be made.")
    there = {row[1] for row in rows}
    meaning = [f"{name}: {told}" for name, told in _ESTIMATES.values() if name in there]
    return joined(
        "The lift over all segments as other estimators see it. What is significant in the table "
        "above and vanishes here rests on a few customers or on chance.",
        bullets(plain(one) for one in (*meaning, *_sizes(run))),
        table(
            ("Metric", "Estimate", "Arm", ">Lift", ">Interval", ">Adj. p", ">Sign."),
            rows,
        ),
    )


def _sizes(run: RunFiles) -> Iterator[str]:
    result = run.result
    if result.variance_reduction:
        told = ", ".join(
            f"{metric_name(metric)} {percent(share)}"
            for metric, share in result.variance_reduction.items()
        )
        yield f"Variance reduction by CUPED: {told}"
    for metric, (_, cap) in result.winsorised_at.items():
        if cap is not None:
            yield f"winsorised: no {metric_name(metric)} counts for more than {number(cap)}"


def interactions(run: RunFiles) -> Words:
    """Whether the effect differs between segments, which must be shown before it is said."""
    found = run.result.interactions
    if not found:
        return Words("Whether the effect differs between segments was not tested.")
    rows = [
        (
            metric_name(one.metric),
            one.arm,
            one.test,
            str(one.segments_compared),
            p_value(one.p_value),
            p_value(one.p_adjusted),
            _differs(one),
        )
        for one in found
    ]
    return joined(
        "An arm works best for a segment only if its effect differs between segments by more than "
        "chance. Where that cannot be tested, too few customers did anything.",
        table(("Metric", "Arm", "Test", ">Segments", ">p", ">Adj. p", "Differs"), rows),
    )


def _differs(one: InteractionTest) -> str:
    if one.p_value is None:
        return "cannot be tested"
    return "yes" if one.significant else "no"


def beliefs(run: RunFiles) -> Words:
    """How probable it is that each arm is the best, and the expected loss of choosing it."""
    found = [one for one in run.result.bayes if one.probability_best is not None]
    if not found:
        return Words("The probabilities could not be computed.")
    rows = [
        (
            metric_name(one.metric),
            one.arm,
            percent(one.probability_best),
            percent(one.probability_better),
            _loss(one),
        )
        for one in found
    ]
    return joined(
        "What the outcomes make probable if nothing was known before; a probability is no test. "
        "The loss is what choosing the arm costs on average, where another one is better.",
        table(
            ("Metric", "Arm", ">Is best", ">Better than control", ">Expected loss"),
            rows,
        ),
    )


def _loss(one: ArmPosterior) -> str:
    if one.expected_loss is None or one.kind != "binary":
        return number(one.expected_loss)
    return f"{number(100 * one.expected_loss)} points"


def plan(run: RunFiles) -> Words:
    """Whether the numbers are those that were planned."""
    found = run.result.plan
    if found is None:
        return Words("The run does not say whether its plan was followed.")
    name = code(found.sha256[:_HASH_SHOWN])
    if not found.deviations:
        return Words(
            f"The analysis follows the plan {name} that was laid down before any outcome was read."
        )
    return joined(
        callout(f"**The analysis deviates from the plan {name} that was laid down before.**"),
        bullets(plain(in_words(one)) for one in found.deviations),
    )
