"""Decisions per arm, other estimators, interactions and the analysis plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.agents.reporting.markdown import (
    Markdown,
    bullets,
    callout,
    code,
    escape,
    interval,
    join_list,
    label_metrics,
    metric_label,
    number,
    p_value,
    paragraphs,
    percent,
    signed_percent,
    stars,
    table,
)
from liftwright.analysis import OVERALL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from liftwright.agents.reporting.run_reader import RunFiles
    from liftwright.analysis.result import ArmPosterior, InteractionTest

# In display order; each with its explanation.
_ESTIMATORS = {
    "assigned": (
        "all assigned",
        "intention to treat; customers whose message was not delivered count as no response",
    ),
    "cuped": ("CUPED", "variance reduction with rates from before the experiment"),
    "winsorised": ("winsorised", "large amounts are capped"),
    "ratios": ("ratio", "clicks per opened message, by the delta method"),
    "sequential": ("anytime-valid", "valid however often the results are checked, but wider"),
}
_HASH_LENGTH = 12


def decision_summary(run: RunFiles) -> str | None:
    """The decisions in one sentence; None if there are none."""
    arms_by_decision: dict[tuple[str, str], list[str]] = {}
    for row in run.result.decisions:
        arms_by_decision.setdefault((row.decision, "; ".join(row.reasons)), []).append(row.arm)
    if not arms_by_decision:
        return None
    parts = [
        f"{decision} {join_list(arms)} ({reasons})"
        for (decision, reasons), arms in arms_by_decision.items()
    ]
    return escape(label_metrics("; ".join(parts)) + ".")


def decisions(run: RunFiles) -> Markdown:
    """Ship, stop or continue for each arm, with the reasons."""
    decided = run.result.decisions
    if not decided:
        return Markdown("There are no decisions.")
    rows = [(row.arm, row.decision, label_metrics("; ".join(row.reasons))) for row in decided]
    fixed = run.result.verdict is not None and run.result.verdict.governs == "fixed"
    rule = "at the planned sample" if fixed else "by tests that are valid at every look"
    return paragraphs(
        escape(f"On the {metric_label(decided[0].metric)}, {rule}:"),
        table(("Arm", "Decision", "Reason"), rows),
    )


def other_estimates(run: RunFiles) -> Markdown:
    """The other estimators over all segments; they should agree with the primary one."""
    result = run.result
    estimates = {
        "assigned": result.assigned,
        "cuped": result.cuped,
        "winsorised": result.winsorised,
        "ratios": result.ratios,
        "sequential": result.sequential,
    }
    estimated = [
        (name, row)
        for key, (name, _) in _ESTIMATORS.items()
        for row in estimates[key]
        if row.segment == OVERALL and row.lift_ci is not None
    ]
    order = [*result.metrics, *(row.metric for _, row in estimated)]
    # Grouped by metric, then by estimator.
    estimated.sort(key=lambda named: order.index(named[1].metric))
    rows = [
        (
            metric_label(row.metric),
            name,
            row.arm,
            signed_percent(row.lift),
            interval(row.lift_ci),
            p_value(row.p_adjusted),
            stars(row.p_adjusted, significant=row.significant),
        )
        for name, row in estimated
    ]
    if not rows:
        return Markdown("No other estimates are available.")
    shown = {row[1] for row in rows}
    notes = [f"{name}: {meaning}" for name, meaning in _ESTIMATORS.values() if name in shown]
    return paragraphs(
        "The lift over all segments by other estimators. An effect that is significant in the "
        "table above but not here may depend on a few customers or on chance.",
        bullets(escape(note) for note in (*notes, *_adjustments(run))),
        table(
            ("Metric", "Estimator", "Arm", ">Lift", ">Interval", ">Adj. p", ">Sign."),
            rows,
        ),
    )


def _adjustments(run: RunFiles) -> Iterator[str]:
    result = run.result
    if result.variance_reduction:
        reductions = ", ".join(
            f"{metric_label(metric)} {percent(share)}"
            for metric, share in result.variance_reduction.items()
        )
        yield f"Variance reduction by CUPED: {reductions}"
    for metric, (_, cap) in result.winsorised_at.items():
        if cap is not None:
            yield f"winsorised: {metric_label(metric)} is capped at {number(cap)}"


def interactions(run: RunFiles) -> Markdown:
    """Tests of whether the effect differs between segments."""
    tests = run.result.interactions
    if not tests:
        return Markdown("Differences in effect between segments were not tested.")
    rows = [
        (
            metric_label(test.metric),
            test.arm,
            test.test,
            str(test.segments_compared),
            p_value(test.p_value),
            p_value(test.p_adjusted),
            _differs(test),
        )
        for test in tests
    ]
    return paragraphs(
        "An arm can only be called best for a segment if its effect differs between segments by "
        "more than chance. If this cannot be tested, there were too few responses.",
        table(("Metric", "Arm", "Test", ">Segments", ">p", ">Adj. p", "Differs"), rows),
    )


def _differs(test: InteractionTest) -> str:
    if test.p_value is None:
        return "cannot be tested"
    return "yes" if test.significant else "no"


def win_probabilities(run: RunFiles) -> Markdown:
    """The probability that each arm is the best, and the expected loss of choosing it."""
    posteriors = [row for row in run.result.bayes if row.probability_best is not None]
    if not posteriors:
        return Markdown("The probabilities could not be computed.")
    rows = [
        (
            metric_label(posterior.metric),
            posterior.arm,
            percent(posterior.probability_best),
            percent(posterior.probability_better),
            _loss(posterior),
        )
        for posterior in posteriors
    ]
    return paragraphs(
        "Bayesian probabilities with an uninformative prior; they do not replace a test. The "
        "expected loss is the average cost of choosing the arm if another one is better.",
        table(
            ("Metric", "Arm", ">Best", ">Better than control", ">Expected loss"),
            rows,
        ),
    )


def _loss(posterior: ArmPosterior) -> str:
    if posterior.expected_loss is None or posterior.kind != "binary":
        return number(posterior.expected_loss)
    return f"{number(100 * posterior.expected_loss)} percentage points"


def plan(run: RunFiles) -> Markdown:
    """Whether the analysis follows the plan."""
    compliance = run.result.plan
    if compliance is None:
        return Markdown("The run does not record whether its plan was followed.")
    name = code(compliance.sha256[:_HASH_LENGTH])
    if not compliance.deviations:
        return Markdown(
            f"The analysis follows plan {name}, which was recorded before any outcome was read."
        )
    return paragraphs(
        callout(f"**The analysis deviates from plan {name}, which was recorded in advance.**"),
        bullets(escape(label_metrics(deviation)) for deviation in compliance.deviations),
    )
