"""The first pages: cover, executive summary and success criteria."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.agents.reporting.estimates import decision_summary
from liftwright.agents.reporting.markdown import (
    Markdown,
    bullets,
    callout,
    count,
    escape,
    interval,
    join_list,
    label_metrics,
    metric_label,
    metric_value,
    p_value,
    paragraphs,
    percent,
    plural,
    signed_percent,
    table,
)
from liftwright.model import direction_of

if TYPE_CHECKING:
    from liftwright.agents.reporting.run_reader import RunFiles
    from liftwright.analysis import ArmComparison, ExperimentResult

SIMULATED = "SIMULATED"
_COMPOSER = "grounded-composer"
_TARGET_LIFT = 0.10
_NO_DIFFERENCE = "no evidence that the effect differs"
_GOOD_PASS_RATE = 0.90
_AGENTS = {
    "segmentation": ("segment",),
    "retrieval": ("index", "retrieve"),
    "generation": ("generate", "ground"),
    "safety": ("screen",),
    "experimentation": ("assign", "observe", "measure"),
    "reporting": (),
}


def cover(run: RunFiles) -> Markdown:
    """Brand, experiment, run, and whether the engagement is simulated."""
    source = (
        callout(
            f"**{SIMULATED}**\n\nThe engagement in this report was simulated. It is an example of "
            "a report, not evidence about customers."
        )
        if run.simulated
        else "Engagement: observed outcomes of delivered messages."
    )
    return paragraphs(
        "# Experiment report",
        f"**{escape(run.brand)}**" if run.brand else None,
        f"Experiment: {escape(run.experiment)}",
        f"Run: {escape(run.run_id)}",
        f"Date: {escape(started_on(run))}",
        f"Customers: {count(run.customers)}",
        _measurement(run),
        source,
    )


def _measurement(run: RunFiles) -> str | None:
    earlier = run.run.get("measurements")
    return f"Measurement: {earlier + 1}" if isinstance(earlier, int) and earlier else None


def started_on(run: RunFiles) -> str:
    """The UTC date of the run's first start."""
    return str(run.run.get("started_at") or run.run.get("valid_on") or "")[:10] or "not recorded"


def summary(run: RunFiles) -> Markdown:
    """What was done, the results, and what to do next."""
    result = run.result
    return paragraphs(
        callout(f"**{_label(run)}{escape(verdict(run))}**"),
        _deviation(result),
        _what_was_done(run),
        f"On the primary metric, {metric_label(result.deciding_metric)}:"
        if result.rows(metric=result.deciding_metric)
        else None,
        bullets(_sentence(row, result) for row in result.rows(metric=result.deciding_metric)),
        _other_metrics(result),
        _segments(result),
        f"**Decisions.** {decisions}" if (decisions := decision_summary(run)) else None,
        f"**What to do.** {escape(advice(run))}",
    )


def _deviation(result: ExperimentResult) -> str | None:
    if not result.deviations:
        return None
    deviations = label_metrics("; ".join(result.deviations))
    return callout(f"**{escape(f'The analysis {deviations}.')}**")


_UNDECIDED = {
    "too_early": "It is too early to decide",
    "guardrail_not_met": "No winner is named, as a guardrail is not met",
    "do_not_trust": "No winner is named, as the result cannot be trusted",
}


_ADVICE = {
    "too_early": "Do not act on this result; measure again when the planned sample is reached.",
    "guardrail_not_met": "Keep the control message until the guardrail is met.",
}


def verdict(run: RunFiles) -> str:
    """The conclusion in one sentence."""
    result = run.result
    metric = metric_label(result.deciding_metric)
    rows = result.rows(metric=result.deciding_metric)
    decided = result.verdict
    if decided is not None and decided.state in _UNDECIDED and not result.srm_failed:
        return f"{_UNDECIDED[decided.state]}: {label_metrics('; '.join(decided.reasons))}."
    if not result.trusted:
        where = join_list(result.srm_failed) or "overall"
        return (
            "No winner: the arms do not have their planned sizes (sample-ratio mismatch: "
            f"{escape(where)}; p {_p(result.srm.p_value)} overall), so no difference can be "
            "trusted."
        )
    best = result.winner()
    if best is not None and best.arm is not None:
        row = next(row for row in rows if row.arm == best.arm)
        return (
            f"'{best.arm}' is better than control: {metric} "
            f"{metric_value(row.treatment, row.kind)} versus "
            f"{metric_value(row.control, row.kind)}, a lift of {signed_percent(row.lift)} "
            f"({_confidence(result)} interval {interval(row.lift_ci)}, adjusted p "
            f"{_p(row.p_adjusted)})."
        )
    if all(row.p_value is None for row in rows):
        return f"No conclusion: the {metric} could not be estimated for any arm."
    worse = [row for row in rows if row.significant and _gain(row.difference, row.metric) < 0]
    conclusion = f"No arm is significantly better than control on the {metric}."
    if worse:
        conclusion += f" Significantly worse: {join_list([row.arm for row in worse])}."
    caveat = _underpowered(result)
    return f"{conclusion} {caveat}" if caveat else conclusion


def advice(run: RunFiles) -> str:
    """The recommendation."""
    result = run.result
    best = result.winner()
    if result.verdict is not None and result.verdict.state in _ADVICE:
        return _ADVICE[result.verdict.state]
    if not result.trusted:
        return (
            "Find out why messages are missing or duplicated (delivery, logging, joins), fix it, "
            "and measure again. Do not act on the lifts below."
        )
    if best is not None and best.arm is not None:
        if run.simulated:
            return (
                "Do not roll out anything based on this result: it is simulated. Send the messages "
                "as assigned, then measure this run again with real outcomes."
            )
        now = result.decision(best.arm)
        if now is not None and now.decision != "ship":
            return (
                f"Do not send '{best.arm}' to everyone yet ({now.decision}: "
                f"{label_metrics('; '.join(now.reasons))}). Measure again when there are more "
                "outcomes."
            )
        return (
            f"Send '{best.arm}' to everyone in the segments where it was approved, and keep a "
            "small control group to keep measuring the effect."
        )
    return (
        "Repeat with more customers (see the section on sample size), or with a more frequent "
        "outcome as the metric. Do not read the order of the arms as a ranking."
        if _underpowered(result)
        else "Keep the control message, and test messages that differ more from it."
    )


def criteria(run: RunFiles) -> Markdown:
    """The four success criteria, and whether this run meets them."""
    source = "simulated" if run.simulated else "observed"
    rows = [
        ("Six agents in separate modules", "6", *_agents(run), "this run"),
        ("Messages that pass screening", "more than 90%", *_pass_rate(run), "this run"),
        ("Lift in at least one metric", "more than 10%", *_lift(run), source),
        ("Every decision in the audit log", "all", *_audited(run), "this run"),
    ]
    return Markdown(table(("Criterion", "Target", "Result", "Met", "Data"), rows))


def _agents(run: RunFiles) -> tuple[str, str]:
    stages = run.run.get("stages")
    done = {
        str(stage.get("name"))
        for stage in (stages if isinstance(stages, list) else [])
        if stage.get("status") == "done"
    }
    ran = sum(set(names) <= done for names in _AGENTS.values())
    return f"{ran} ran", _met(ran == len(_AGENTS))


def _pass_rate(run: RunFiles) -> tuple[str, str]:
    total = len(run.decisions)
    passed = sum(decision.status != "block" for decision in run.decisions)
    if not total:
        return "none screened", _met(met=False)
    rate = passed / total
    return f"{percent(rate)} ({passed} of {total})", _met(rate > _GOOD_PASS_RATE)


def _lift(run: RunFiles) -> tuple[str, str]:
    rows = [row for row in run.result.rows() if row.lift is not None]
    significant = [row for row in rows if row.significant and run.result.trusted]
    if not rows:
        return "not estimable", _met(met=False)
    best = max(significant or rows, key=lambda row: _gain(row.lift, row.metric))
    note = "significant" if best in significant else "not significant"
    outcome = f"{signed_percent(best.lift)} {metric_label(best.metric)}, {best.arm}; {note}"
    return outcome, _met(best in significant and _gain(best.lift, best.metric) > _TARGET_LIFT)


def _gain(change: float | None, metric: str) -> float:
    """A change, with its sign flipped if lower is better."""
    return (change or 0.0) * (1.0 if direction_of(metric) == "higher" else -1.0)


def _audited(run: RunFiles) -> tuple[str, str]:
    audit = run.run.get("audit")
    lines = audit.get("count", 0) if isinstance(audit, dict) else 0
    messages = len(run.decisions)
    coverage = f"{plural(lines, 'line')} for {plural(messages, 'message')}"
    return coverage, _met(lines >= messages > 0)


def _met(met: bool) -> str:  # noqa: FBT001 - one question
    return "yes" if met else "no"


def _what_was_done(run: RunFiles) -> str:
    blocked = sum(decision.status == "block" for decision in run.decisions)
    parts = [
        f"Customers: {count(run.customers)} in {plural(len(run.segments), 'segment')}.",
        f"Messages: {len(run.variants)} valid variants"
        + (f", {len(run.failures)} failed" if run.failures else "")
        + f"; screening blocked {blocked or 'none'}.",
        f"Delivered and measured: {count(run.result.n)}.",
        _writer(run),
    ]
    return escape(" ".join(filter(None, parts)))


def _writer(run: RunFiles) -> str:
    models = sorted({variant.model for variant in run.variants if variant.model})
    if not models:
        return ""
    writer = f"The messages were written by {join_list(models)}"
    if models == [_COMPOSER]:
        return f"{writer}, which combines approved sentences and is not a language model."
    return f"{writer}."


def _sentence(row: ArmComparison, result: ExperimentResult) -> str:
    if row.p_value is None:
        reason = "; ".join(row.warnings) or "too little data"
        return escape(f"{row.arm}: not estimable ({reason}).")
    significance = "significant" if row.significant else "not significant"
    return (
        f"**{escape(row.arm)}**: {metric_value(row.treatment, row.kind)} versus "
        f"{metric_value(row.control, row.kind)}; lift {signed_percent(row.lift)}, "
        f"{_confidence(result)} interval {interval(row.lift_ci)}; n = {count(row.n_treatment)} and "
        f"{count(row.n_control)} in control; adjusted p {escape(_p(row.p_adjusted))}: "
        f"**{significance}**."
    )


def _other_metrics(result: ExperimentResult) -> str | None:
    if not result.trusted:
        return None
    rows = [row for row in result.rows() if row.metric != result.deciding_metric]
    significant = [row for row in rows if row.significant]
    if not rows:
        return None
    if not significant:
        names = join_list([metric_label(m) for m in result.metrics if m != result.deciding_metric])
        return escape(f"On the other metrics ({names}) no arm differs significantly from control.")
    lifts = [
        f"{row.arm} {signed_percent(row.lift)} {metric_label(row.metric)}" for row in significant
    ]
    return escape(f"Significant on the other metrics: {join_list(lifts)}.")


def _segments(result: ExperimentResult) -> str | None:
    if not result.trusted:
        return None
    verdicts = [row for row in result.best if row.segment in result.segments]
    if not verdicts:
        return None
    winners = [
        f"'{row.arm}' in {row.segment} ({signed_percent(row.lift)})" for row in verdicts if row.arm
    ]
    if winners:
        return escape(f"By segment, better than control: {join_list(winners)}.")
    reason = next((row.reason for row in verdicts if row.reason.startswith(_NO_DIFFERENCE)), None)
    if reason:
        return escape(f"No separate verdict by segment: {reason}.")
    return escape(
        f"No arm is significantly better than control in any of the {len(verdicts)} segments."
    )


def _underpowered(result: ExperimentResult) -> str | None:
    """A note on power, if the primary metric has an underpowered comparison."""
    rows = [row for row in result.power if row.metric == result.deciding_metric]
    rows = [row for row in rows if row.warning]
    if not rows:
        return None
    known = [row.detectable_lift for row in rows if row.detectable_lift is not None]
    if not known:
        return "There are too few customers to detect a lift of any size."
    return (
        "There are too few customers for a conclusion: the smallest detectable lift is "
        f"{signed_percent(max(known), 0)} ({rows[0].power:.0%} power); smaller ones may go "
        "undetected."
    )


def _label(run: RunFiles) -> str:
    return f"{SIMULATED}. " if run.simulated else ""


def _confidence(result: ExperimentResult) -> str:
    return f"{1 - result.alpha:.0%}"


def _p(value: float | None) -> str:
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"


__all__ = ["SIMULATED", "advice", "cover", "criteria", "started_on", "summary", "verdict"]
