"""The numbers: segments, lift overall and by segment, and whether the experiment was sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.agents.reporting.markdown import (
    NOT_THERE,
    Marked,
    Words,
    bullets,
    callout,
    count,
    in_words,
    interval,
    joined,
    level,
    listed,
    metric_name,
    number,
    p_value,
    percent,
    plain,
    plural,
    signed,
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

WANTED_LIFT = 0.10
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


def segments(run: RunFiles) -> Words:
    """Who the segments are, and how many customers each has."""
    rows = [
        (
            Marked(f"**{plain(one.label)}**"),
            count(one.size),
            percent(one.share),
            _who(one.description, [feature.words for feature in one.defining_features]),
        )
        for one in run.segments
    ]
    total = ("All", count(run.customers), percent(1.0 if run.customers else None), "")
    warnings = [*run.segment_warnings, *(w for one in run.segments for w in one.warnings)]
    return joined(
        f"Segments were made by {plain(_METHODS.get(run.method, run.method))}. "
        "Every customer is in exactly one.",
        table(("Segment", ">n", ">Share", "Who they are"), [*rows, total]),
        bullets(plain(warning) for warning in dict.fromkeys(warnings)),
    )


def assignment(run: RunFiles) -> Words:
    """Customers per segment and arm, as assigned."""
    arms = list(dict.fromkeys([CONTROL, *(arm for arms in run.counts.values() for arm in arms)]))
    rows = [
        (segment, *(count(counts.get(arm)) for arm in arms), count(sum(counts.values())))
        for segment, counts in run.counts.items()
    ]
    totals = [sum(counts.get(arm, 0) for counts in run.counts.values()) for arm in arms]
    nothing = [f"{reason}: {count(customers)}" for reason, customers in run.left_out.items()]
    return joined(
        "Customers were assigned at random within each segment. A dash: the arm has no approved "
        "message there, and its share got the control.",
        table(
            ("Segment", *(f">{arm}" for arm in arms), ">All"),
            [*rows, ("All", *map(count, totals), count(sum(totals)))],
        ),
        plain(f"Customers who were sent nothing: {listed(nothing)}.") if nothing else None,
    )


def engagement(run: RunFiles) -> Words:
    """Where the outcomes come from, and what was left out of them."""
    if run.simulated:
        return Words(
            "The outcomes are SIMULATED from each customer's historical rates and an uplift per "
            "tone that the configuration fixes; measuring it again returns what was put in."
        )
    found = run.outcomes
    trust = (
        "The file does not say which message was sent: the lift holds only if every customer was "
        "sent the message that was assigned."
    )
    machines = found.machine_opens + found.machine_clicks
    untold = {
        why: rows
        for why, rows in found.set_aside.items()
        if not any(why in warning for warning in found.warnings)
    }
    notes = [*found.warnings, *(f"{count(n)} rows: {why}" for why, n in untold.items())]
    return joined(
        f"The outcomes are observed: {count(found.rows_used)} of {count(found.rows)} rows of the "
        f"file were used. Of {count(found.customers_missing)} assigned customers it says nothing."
        + ("" if machines else " No open and no click was taken for a machine's."),
        None if found.names_message else callout(f"**{trust}**"),
        bullets(plain(note) for note in notes),
    )


def overall(run: RunFiles) -> Words:
    """Every arm against control on every metric, over all segments."""
    result = run.result
    if not result.comparisons:
        return Words("Nothing was compared.")
    rows = [
        (metric_name(metric), *_cells(row))
        for metric in result.metrics
        for row in result.rows(metric=metric)
    ]
    units: dict[str, list[str]] = {}
    for metric in (BY_NAME[name] for name in result.metrics if name in BY_NAME):
        lower = " (lower is better)" if metric.direction == "lower" else ""
        units.setdefault(metric.unit, []).append(f"{metric.label}{lower}")
    return joined(
        table(("Metric", *_COLUMNS), rows),
        _legend(result, result.rows()),
        plain("Units. " + "; ".join(f"{listed(names)}: {unit}" for unit, names in units.items())),
        _row_notes(result, OVERALL),
    )


def by_segment(run: RunFiles) -> Words:
    """Every arm against control in each segment, metric by metric."""
    result = run.result
    if not result.segments:
        return Words("No segment was compared by itself.")
    parts = []
    for metric in result.metrics:
        rows: list[tuple[str, ...]] = [
            (segment, *_cells(row))
            for segment in result.segments
            for row in result.rows(segment, metric)
        ]
        name = metric_name(metric)
        parts += [f"### {name.capitalize()} by segment", table(("Segment", *_COLUMNS), rows)]
    missing = [
        f"{segment}: {arm}"
        for segment in result.segments
        for arm in result.treatments
        if not any(row.arm == arm for row in result.rows(segment))
    ]
    left = plain(f"Arms without an approved message, so not compared: {listed(missing)}.")
    shown = [row for row in result.comparisons if row.segment != OVERALL]
    return joined(*parts, _legend(result, shown), left if missing else None)


def winners(run: RunFiles) -> Words:
    """The verdict for each segment on the primary metric, with its reason."""
    rows = [
        (
            "All segments" if one.segment == OVERALL else one.segment,
            one.arm or "none named",
            signed(one.lift),
            one.reason,
        )
        for one in run.result.best
    ]
    if not rows:
        return Words("No verdict was recorded.")
    return joined(
        plain(f"Primary metric: {metric_name(run.result.deciding_metric)}."),
        table(("Segment", "Best arm", ">Lift", "Reason"), rows),
    )


def course(run: RunFiles) -> Words:
    """What each look found, where there were several; looking often finds too much by chance."""
    looks = run.result.course
    if not looks:
        return Words("The outcomes were measured once.")
    rows = [
        (
            f"{one.look} ({(one.measured_at or '')[:10]})",
            one.arm,
            f"{count(one.n_treatment)} / {count(one.n_control)}",
            signed(one.lift),
            interval(one.lift_ci),
            p_value(one.p_value),
        )
        for one in looks
    ]
    return joined(
        plain(
            f"Each look at the {metric_name(looks[0].metric)}, over all segments. A look that was "
            "not planned finds a difference by chance more often than the level says."
        ),
        table(("Look", "Arm", ">n arm / control", ">Lift", ">Interval", ">p"), rows),
    )


def ratio_check(run: RunFiles) -> Words:
    """Whether the arms have the sizes that were designed."""
    result = run.result
    srm = result.srm
    state = "passed" if srm.ok else "FAILED" if srm.p_value is not None else "could not be made"
    state += f" but for {listed(result.srm_failed)}" if srm.ok and result.srm_failed else ""
    told = f"The sample-ratio check {state} (p = {p_value(srm.p_value)})."
    meaning = (
        "The arms have the sizes that were designed, within what chance allows."
        if result.trusted
        else "The lifts in this report cannot be trusted, and no winner is named."
    )
    arms = list(dict.fromkeys([*srm.expected, *srm.observed]))
    rows = [
        (arm, number(srm.expected.get(arm), 1), count(srm.observed.get(arm, 0))) for arm in arms
    ]
    failed = [name for name, found in result.srm_by_segment.items() if not found.ok]
    first = plain(f"{told} {meaning}")
    return joined(
        first if result.trusted else callout(f"**{first}**"),
        table(("Arm", ">Expected", ">Delivered"), rows),
        plain(f"It fails in these segments by themselves: {listed(failed)}.") if failed else None,
        plain(f"{_over_time(result)}") if result.srm_over_time else None,
    )


def _over_time(result: ExperimentResult) -> str:
    """Whether the arms had their sizes in each period of days of delivery."""
    parts = len(result.srm_over_time)
    failed = [one for one in result.srm_failed if one.startswith("period ")]
    if failed:
        return f"By the day of delivery it fails in {len(failed)} of {parts}: {listed(failed[:3])}."
    return f"By the day of delivery it passed too, in each of {plural(parts, 'period')}."


def power(run: RunFiles) -> Words:
    """What this experiment could have shown, and how many customers a lift of a tenth needs."""
    result = run.result
    rows = [
        (
            metric_name(one.metric),
            one.arm,
            level(one.base, _kind(result, one.metric)),
            f"{count(one.n_treatment)} / {count(one.n_control)}",
            signed(one.detectable_lift),
            count(customers_for(one, result)),
        )
        for metric in result.metrics
        for one in result.power
        if one.metric == metric
    ]
    if not rows:
        return Words("The sizes that would be needed could not be computed.")
    first = result.power[0]
    return joined(
        f"Smallest lift that this experiment finds with {first.power:.0%} power, at the corrected "
        f"level {first.alpha:.4f}, and the customers per arm that a lift of {WANTED_LIFT:+.0%} "
        "needs.",
        table(
            ("Metric", "Arm", ">Control", ">n arm / control", ">Detectable", ">Needed for +10%"),
            rows,
        ),
        bullets(
            plain(in_words(warning))
            for warning in result.warnings
            if warning not in result.deviations
        ),
    )


def customers_for(
    row: DetectableEffect, result: ExperimentResult, lift: float = WANTED_LIFT
) -> int | None:
    """Customers per arm that are needed to find a lift; None where it cannot be said."""
    if row.base is None or not row.base > 0.0:
        return None
    if _kind(result, row.metric) == "binary":
        if row.base * (1.0 + lift) > 1.0:
            return None
        return sample_size(row.base, row.base * lift, alpha=row.alpha, power=row.power)[1]
    if not row.detectable_lift or not row.n_treatment or not row.n_control:
        return None
    # Of means the detectable difference falls with the root of the size, whatever the spread.
    harmonic = 2.0 / (1.0 / row.n_treatment + 1.0 / row.n_control)
    return round(harmonic * (row.detectable_lift / lift) ** 2)


def balance(run: RunFiles) -> Words:
    """Whether the arms' customers were alike before anything was sent."""
    recorded = run.result.balance
    if recorded is None or not recorded.differences:
        return Words("The balance of the features was not recorded.")
    arms = list(dict.fromkeys(one.arm for one in recorded.differences))
    found = {(one.feature, one.arm): one for one in recorded.differences}
    features = list(dict.fromkeys(one.feature for one in recorded.differences))
    rows = [
        (
            feature.replace("_", " "),
            *(_difference(found.get((feature, arm))) for arm in arms),
        )
        for feature in features
    ]
    state = (
        "All features are balanced: no difference is larger than chance gives."
        if recorded.ok
        else "Some features differ by more than chance gives (marked !); read the lifts with care."
    )
    return joined(
        plain(f"Difference between each arm and control, in standard deviations. {state}"),
        table(("Feature", *(f">{arm}" for arm in arms)), rows),
    )


_COLUMNS = ("Arm", ">n", ">Value", ">Control", ">Lift", ">Interval", ">p", ">Adj. p", ">Sign.")


def _cells(row: ArmComparison) -> tuple[str, ...]:
    return (
        row.arm,
        f"{count(row.n_treatment)} / {count(row.n_control)}",
        level(row.treatment, row.kind),
        level(row.control, row.kind),
        signed(row.lift),
        interval(row.lift_ci),
        p_value(row.p_value),
        p_value(row.p_adjusted),
        stars(row.p_adjusted, significant=row.significant),
    )


def _legend(result: ExperimentResult, rows: Sequence[ArmComparison]) -> str:
    tests = list(dict.fromkeys(row.test for row in rows if row.test))
    return plain(
        f"n: messages delivered in the arm and in control. Interval: {1 - result.alpha:.0%} "
        "interval of the lift. p-values are "
        f"{_CORRECTIONS[result.correction]}; marks: * adjusted p below "
        f"{result.alpha:g}, ** below 0.01, *** below 0.001, no: not significant, "
        f"{NOT_THERE}: not estimable. Tests: {listed(tests)}."
    )


def _row_notes(result: ExperimentResult, segment: str) -> str:
    """Each warning once, with the comparisons that it concerns."""
    found: dict[str, dict[str, list[str]]] = {}
    for row in result.rows(segment):
        for warning in row.warnings:
            found.setdefault(warning, {}).setdefault(metric_name(row.metric), []).append(row.arm)
    return bullets(
        plain(f"{warning}: " + "; ".join(f"{name} ({listed(arms)})" for name, arms in of.items()))
        for warning, of in found.items()
    )


def _kind(result: ExperimentResult, metric: str) -> str:
    return next((row.kind for row in result.comparisons if row.metric == metric), "binary")


def _who(description: str, traits: list[str]) -> str:
    return f"{description} Most marked: {listed(traits)}." if traits else description


def _difference(found: FeatureBalance | None) -> str:
    if found is None or found.difference is None:
        return NOT_THERE
    over = found.limit is not None and abs(found.difference) > found.limit
    return f"{number(found.difference, 3)}{' !' if over else ''}"
