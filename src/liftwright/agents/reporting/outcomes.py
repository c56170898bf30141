"""Segments, lift overall and by segment, and the validity of the experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.agents.reporting.markdown import (
    NOT_AVAILABLE,
    Markdown,
    SafeMarkdown,
    bullets,
    callout,
    count,
    escape,
    interval,
    join_list,
    label_metrics,
    metric_label,
    metric_value,
    number,
    p_value,
    paragraphs,
    percent,
    plural,
    signed_percent,
    stars,
    table,
)
from liftwright.analysis import OVERALL, sample_size
from liftwright.model import CONTROL
from liftwright.model.metrics import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from liftwright.agents.reporting.run_reader import RunFiles
    from liftwright.analysis import ArmComparison, ExperimentResult
    from liftwright.analysis.result import DetectableEffect, FeatureBalance

TARGET_LIFT = 0.10
_CORRECTIONS = {
    "holm": "corrected by Holm's method",
    "bh": "corrected by Benjamini and Hochberg's method",
    "none": "not corrected",
}
_METHODS = {
    "rules": "weighted rules",
    "rfm": "bands of recency, frequency and monetary scores",
    "kmeans": "k-means clusters",
}


def segments(run: RunFiles) -> Markdown:
    """The segments with their size and description."""
    rows = [
        (
            SafeMarkdown(f"**{escape(segment.label)}**"),
            count(segment.size),
            percent(segment.share),
            _profile(segment.description, [feature.words for feature in segment.defining_features]),
        )
        for segment in run.segments
    ]
    total = ("All", count(run.customers), percent(1.0 if run.customers else None), "")
    warnings = [*run.segment_warnings, *(w for segment in run.segments for w in segment.warnings)]
    return paragraphs(
        f"Segmentation method: {escape(_METHODS.get(run.method, run.method))}. "
        "Every customer is in exactly one segment.",
        table(("Segment", ">n", ">Share", "Description"), [*rows, total]),
        bullets(escape(warning) for warning in dict.fromkeys(warnings)),
    )


def assignment(run: RunFiles) -> Markdown:
    """Customers per segment and arm, as assigned."""
    arms = list(dict.fromkeys([CONTROL, *(arm for arms in run.counts.values() for arm in arms)]))
    rows = [
        (segment, *(count(counts.get(arm)) for arm in arms), count(sum(counts.values())))
        for segment, counts in run.counts.items()
    ]
    totals = [sum(counts.get(arm, 0) for counts in run.counts.values()) for arm in arms]
    excluded = [f"{reason}: {count(customers)}" for reason, customers in run.left_out.items()]
    return paragraphs(
        "Customers were assigned at random within each segment. A dash means that the arm has no "
        "approved message for the segment, so its share got the control.",
        table(
            ("Segment", *(f">{arm}" for arm in arms), ">All"),
            [*rows, ("All", *map(count, totals), count(sum(totals)))],
        ),
        escape(f"Customers who got no message: {join_list(excluded)}.") if excluded else None,
        bullets(escape(warning) for warning in run.assignment_warnings),
    )


def engagement(run: RunFiles) -> Markdown:
    """The source of the outcomes, and the rows that were excluded."""
    if run.simulated:
        return Markdown(
            "The outcomes are SIMULATED from each customer's historical rates and a configured "
            "uplift per tone; the measured lift only reproduces that configuration."
        )
    outcomes = run.outcomes
    caveat = (
        "The file does not say which message was sent: the lift is valid only if every customer "
        "got the message that was assigned."
    )
    bots = outcomes.machine_opens + outcomes.machine_clicks
    excluded = {
        reason: rows
        for reason, rows in outcomes.set_aside.items()
        if not any(reason in warning for warning in outcomes.warnings)
    }
    removed = []
    if outcomes.click_rate_before is not None and outcomes.machine_clicks:
        clicks = plural(outcomes.machine_clicks, "bot click")
        removed = [f"{clicks} removed; click rate before: {outcomes.click_rate_before:.2%}"]
    notes = [
        *outcomes.warnings,
        *removed,
        *(f"{plural(rows, 'row')}: {reason}" for reason, rows in excluded.items()),
    ]
    return paragraphs(
        f"The outcomes are observed: {count(outcomes.rows_used)} of {plural(outcomes.rows, 'row')} "
        f"in the file were used. {plural(outcomes.customers_missing, 'assigned customer')} "
        f"without a row, {count(outcomes.customers_set_aside)} left out because their rows were "
        "set aside." + ("" if bots else " No bot opens or clicks were detected."),
        None if outcomes.names_message else callout(f"**{caveat}**"),
        bullets(escape(note) for note in notes),
    )


def overall(run: RunFiles) -> Markdown:
    """Every arm compared with control on every metric, over all segments."""
    result = run.result
    if not result.comparisons:
        return Markdown("There are no comparisons.")
    rows = [
        (metric_label(metric), *_comparison_cells(row))
        for metric in result.metrics
        for row in result.rows(metric=metric)
    ]
    units: dict[str, list[str]] = {}
    for metric in (BY_NAME[name] for name in result.metrics if name in BY_NAME):
        lower = " (lower is better)" if metric.direction == "lower" else ""
        units.setdefault(metric.unit, []).append(f"{metric.label}{lower}")
    return paragraphs(
        table(("Metric", *_COLUMNS), rows),
        _legend(result, result.rows()),
        escape(
            "Units. " + "; ".join(f"{join_list(names)}: {unit}" for unit, names in units.items())
        ),
        _warnings(result, OVERALL),
    )


def by_segment(run: RunFiles) -> Markdown:
    """Every arm compared with control in each segment, by metric."""
    result = run.result
    if not result.segments:
        return Markdown("There are no comparisons by segment.")
    parts = []
    for metric in result.metrics:
        rows: list[tuple[str, ...]] = [
            (segment, *_comparison_cells(row))
            for segment in result.segments
            for row in result.rows(segment, metric)
        ]
        name = metric_label(metric)
        parts += [f"### {name.capitalize()} by segment", table(("Segment", *_COLUMNS), rows)]
    missing = [
        f"{segment}: {arm}"
        for segment in result.segments
        for arm in result.treatments
        if not any(row.arm == arm for row in result.rows(segment))
    ]
    note = escape(f"Not compared, for lack of an approved message: {join_list(missing)}.")
    shown = [row for row in result.comparisons if row.segment != OVERALL]
    return paragraphs(*parts, _legend(result, shown), note if missing else None)


def winners(run: RunFiles) -> Markdown:
    """The best arm for each segment on the primary metric, with the reason."""
    rows = [
        (
            "All segments" if winner.segment == OVERALL else winner.segment,
            winner.arm or "none",
            signed_percent(winner.lift),
            winner.reason,
        )
        for winner in run.result.best
    ]
    if not rows:
        return Markdown("No verdict was recorded.")
    return paragraphs(
        escape(f"Primary metric: {metric_label(run.result.deciding_metric)}."),
        table(("Segment", "Best arm", ">Lift", "Reason"), rows),
    )


def interim_looks(run: RunFiles) -> Markdown:
    """The result of each interim look, if there were several."""
    looks = run.result.course
    if not looks:
        return Markdown("The outcomes were measured once.")
    rows = [
        (
            f"{row.look} ({(row.measured_at or '')[:10]})",
            row.arm,
            f"{count(row.n_treatment)} / {count(row.n_control)}",
            signed_percent(row.lift),
            interval(row.lift_ci),
            p_value(row.p_value),
        )
        for row in looks
    ]
    return paragraphs(
        escape(
            f"Each look at the {metric_label(looks[0].metric)}, over all segments. Unplanned looks "
            "raise the false-positive rate above the significance level."
        ),
        table(("Look", "Arm", ">n arm / control", ">Lift", ">Interval", ">p"), rows),
    )


def sample_ratio(run: RunFiles) -> Markdown:
    """The sample-ratio check: whether the arms have their planned sizes."""
    result = run.result
    srm = result.srm
    state = "passed" if srm.ok else "FAILED" if srm.p_value is not None else "was not possible"
    state += f", except for {join_list(result.srm_failed)}" if srm.ok and result.srm_failed else ""
    outcome = f"The sample-ratio check {state} (p = {p_value(srm.p_value)})."
    meaning = (
        "The arms have their planned sizes, within chance."
        if result.trusted
        else "The lifts in this report cannot be trusted, and no winner is named."
    )
    arms = list(dict.fromkeys([*srm.expected, *srm.observed]))
    rows = [
        (arm, number(srm.expected.get(arm), 1), count(srm.observed.get(arm, 0))) for arm in arms
    ]
    failed = [name for name, check in result.srm_by_segment.items() if not check.ok]
    first = escape(f"{outcome} {meaning}")
    return paragraphs(
        first if result.trusted else callout(f"**{first}**"),
        table(("Arm", ">Expected", ">Delivered"), rows),
        escape(f"It fails in these segments: {join_list(failed)}.") if failed else None,
        escape(_over_time(result)) if result.srm_over_time else None,
    )


def _over_time(result: ExperimentResult) -> str:
    """The sample-ratio check by period of delivery."""
    periods = plural(len(result.srm_over_time), "period")
    failed = [name for name in result.srm_failed if name.startswith("period ")]
    if failed:
        return f"By delivery date, it fails in {len(failed)} of {periods}: {join_list(failed[:3])}."
    return f"By delivery date, it passed in all of {periods}."


def power(run: RunFiles) -> Markdown:
    """The smallest detectable lift, and the customers needed to detect a lift of 10 %."""
    result = run.result
    rows = [
        (
            metric_label(row.metric),
            row.arm,
            metric_value(row.base, _kind(result, row.metric)),
            f"{count(row.n_treatment)} / {count(row.n_control)}",
            signed_percent(row.detectable_lift),
            count(customers_for(row, result)),
        )
        for metric in result.metrics
        for row in result.power
        if row.metric == metric
    ]
    if not rows:
        return Markdown("The required sample size could not be computed.")
    first = result.power[0]
    return paragraphs(
        f"The smallest lift that this experiment detects with {first.power:.0%} power at the "
        f"corrected significance level {first.alpha:.4f}, and the customers per arm needed to "
        f"detect a lift of {TARGET_LIFT:+.0%}.",
        table(
            ("Metric", "Arm", ">Control", ">n arm / control", ">Detectable", ">Needed for +10%"),
            rows,
        ),
        bullets(
            escape(label_metrics(warning))
            for warning in result.warnings
            if warning not in result.deviations
        ),
    )


def customers_for(
    row: DetectableEffect, result: ExperimentResult, lift: float = TARGET_LIFT
) -> int | None:
    """Customers per arm needed to detect a lift; None if unknown."""
    if row.base is None or not row.base > 0.0:
        return None
    if _kind(result, row.metric) == "binary":
        if row.base * (1.0 + lift) > 1.0:
            return None
        return sample_size(row.base, row.base * lift, alpha=row.alpha, power=row.power)[1]
    if not row.detectable_lift or not row.n_treatment or not row.n_control:
        return None
    # For means, the detectable difference is inversely proportional to the root of the size.
    harmonic = 2.0 / (1.0 / row.n_treatment + 1.0 / row.n_control)
    return round(harmonic * (row.detectable_lift / lift) ** 2)


def balance(run: RunFiles) -> Markdown:
    """The balance of customer features across arms before the experiment."""
    recorded = run.result.balance
    if recorded is None or not recorded.differences:
        return Markdown("The balance of the features was not recorded.")
    differences = {(row.feature, row.arm): row for row in recorded.differences}
    arms = list(dict.fromkeys(row.arm for row in recorded.differences))
    features = list(dict.fromkeys(row.feature for row in recorded.differences))
    rows = [
        (
            feature.replace("_", " "),
            *(_difference(differences.get((feature, arm))) for arm in arms),
        )
        for feature in features
    ]
    state = (
        "All features are balanced: no difference is larger than expected by chance."
        if recorded.ok
        else "Some features differ by more than expected by chance (marked !); interpret the lifts "
        "with care."
    )
    return paragraphs(
        escape(f"Difference between each arm and control, in standard deviations. {state}"),
        table(("Feature", *(f">{arm}" for arm in arms)), rows),
    )


_COLUMNS = ("Arm", ">n", ">Value", ">Control", ">Lift", ">Interval", ">p", ">Adj. p", ">Sign.")


def _comparison_cells(row: ArmComparison) -> tuple[str, ...]:
    return (
        row.arm,
        f"{count(row.n_treatment)} / {count(row.n_control)}",
        metric_value(row.treatment, row.kind),
        metric_value(row.control, row.kind),
        signed_percent(row.lift),
        interval(row.lift_ci),
        p_value(row.p_value),
        p_value(row.p_adjusted),
        stars(row.p_adjusted, significant=row.significant),
    )


def _legend(result: ExperimentResult, rows: Sequence[ArmComparison]) -> str:
    tests = list(dict.fromkeys(row.test for row in rows if row.test))
    return escape(
        f"n: messages delivered in the arm and in control. Interval: {1 - result.alpha:.0%} "
        "confidence interval of the lift. p-values are "
        f"{_CORRECTIONS[result.correction]}; marks: * adjusted p below "
        f"{result.alpha:g}, ** below 0.01, *** below 0.001, no: not significant, "
        f"{NOT_AVAILABLE}: not estimable. Tests: {join_list(tests)}."
    )


def _warnings(result: ExperimentResult, segment: str) -> str:
    """Each warning once, with the metrics and arms that it applies to."""
    arms_by_metric: dict[str, dict[str, list[str]]] = {}
    for row in result.rows(segment):
        for warning in row.warnings:
            by_metric = arms_by_metric.setdefault(warning, {})
            by_metric.setdefault(metric_label(row.metric), []).append(row.arm)
    return bullets(
        escape(
            f"{warning}: "
            + "; ".join(f"{metric} ({join_list(arms)})" for metric, arms in by_metric.items())
        )
        for warning, by_metric in arms_by_metric.items()
    )


def _kind(result: ExperimentResult, metric: str) -> str:
    return next((row.kind for row in result.comparisons if row.metric == metric), "binary")


def _profile(description: str, traits: list[str]) -> str:
    return f"{description} Most distinctive: {join_list(traits)}." if traits else description


def _difference(balance: FeatureBalance | None) -> str:
    if balance is None or balance.difference is None:
        return NOT_AVAILABLE
    over = balance.limit is not None and abs(balance.difference) > balance.limit
    return f"{number(balance.difference, 3)}{' !' if over else ''}"
