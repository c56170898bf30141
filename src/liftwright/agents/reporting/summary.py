"""The first pages: the cover, the summary for someone who reads no further, and the criteria."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.agents.reporting.estimates import decided
from liftwright.agents.reporting.markdown import (
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
    p_value,
    percent,
    plain,
    plural,
    signed,
    table,
)
from liftwright.model import direction_of

if TYPE_CHECKING:
    from liftwright.agents.reporting.run_reader import RunFiles
    from liftwright.analysis import ArmComparison, ExperimentResult

SIMULATED = "SIMULATED"
_COMPOSER = "grounded-composer"
_NOTABLE_LIFT = 0.10
_ALIKE = "no evidence that the effect differs"
_GOOD_PASS_RATE = 0.90
_AGENTS = {
    "segmentation": ("segment",),
    "retrieval": ("index", "retrieve"),
    "generation": ("generate", "ground"),
    "safety": ("screen",),
    "experimentation": ("assign", "observe", "measure"),
    "reporting": (),
}


def cover(run: RunFiles) -> Words:
    """Whose experiment this is, which run, and whether its numbers are real."""
    source = (
        callout(
            f"**{SIMULATED}**\n\nThe engagement in this report was simulated. It shows what a "
            "report says; it is no evidence about customers."
        )
        if run.simulated
        else "Engagement: observed outcomes of delivered messages."
    )
    return joined(
        "# Experiment report",
        f"**{plain(run.brand)}**" if run.brand else None,
        f"Experiment: {plain(run.experiment)}",
        f"Run: {plain(run.run_id)}",
        f"Date: {plain(started_on(run))}",
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


def summary(run: RunFiles) -> Words:
    """What was done, what came of it, and what to do about it."""
    result = run.result
    return joined(
        callout(f"**{_label(run)}{plain(verdict(run))}**"),
        _deviation(result),
        _what_was_done(run),
        f"On the primary metric, {metric_name(result.deciding_metric)}:"
        if result.rows(metric=result.deciding_metric)
        else None,
        bullets(_sentence(row, result) for row in result.rows(metric=result.deciding_metric)),
        _other_metrics(result),
        _segments(result),
        f"**Decisions.** {found}" if (found := decided(run)) else None,
        f"**What to do.** {plain(advice(run))}",
    )


def _deviation(result: ExperimentResult) -> str | None:
    if not result.deviations:
        return None
    told = in_words("; ".join(result.deviations))
    return callout(f"**{plain(f'The analysis {told}.')}**")


def verdict(run: RunFiles) -> str:
    """The answer in a sentence: a winner, none, or that it cannot be told."""
    result = run.result
    metric = metric_name(result.deciding_metric)
    rows = result.rows(metric=result.deciding_metric)
    if not result.trusted:
        where = listed(result.srm_failed) or "overall"
        return (
            "No winner is named: the arms do not have the sizes that were designed "
            f"(sample-ratio mismatch: {plain(where)}; p {_p(result.srm.p_value)} overall), so no "
            "difference can be trusted."
        )
    best = result.winner()
    if best is not None and best.arm is not None:
        row = next(row for row in rows if row.arm == best.arm)
        return (
            f"'{best.arm}' is better than control: {metric} {level(row.treatment, row.kind)} "
            f"against {level(row.control, row.kind)}, a lift of {signed(row.lift)} "
            f"({_confidence(result)} interval {interval(row.lift_ci)}, "
            f"adjusted p {_p(row.p_adjusted)})."
        )
    if all(row.p_value is None for row in rows):
        return f"Nothing can be said about the {metric}: it could not be estimated for any arm."
    worse = [row for row in rows if row.significant and _gain(row.difference, row.metric) < 0]
    lead = f"No arm is significantly better than control on the {metric}."
    if worse:
        lead += f" Significantly worse: {listed([row.arm for row in worse])}."
    weak = _underpowered(result)
    return f"{lead} {weak}" if weak else lead


def advice(run: RunFiles) -> str:
    """What follows for the one who decides."""
    result = run.result
    best = result.winner()
    if not result.trusted:
        return (
            "Find out why messages are missing or doubled (delivery, logging, joins), correct it, "
            "and measure again. Do not act on the lifts below."
        )
    if best is not None and best.arm is not None:
        if run.simulated:
            return (
                "Nothing may be rolled out on this result, as it is simulated. Send the messages "
                "as assigned, then measure this run again with the real outcomes."
            )
        now = result.decision(best.arm)
        if now is not None and now.decision != "ship":
            return (
                f"Do not send '{best.arm}' to everyone yet ({now.decision}: "
                f"{in_words('; '.join(now.reasons))}). Measure again when there are more outcomes."
            )
        return (
            f"Send '{best.arm}' to everyone in the segments where it was approved, and keep a "
            "small control so that the effect stays measured."
        )
    if _underpowered(result):
        return (
            "Repeat with more customers, or on a metric that is less rare; the section on sample "
            "size says how many. Do not read the order of the arms as a ranking."
        )
    return "Keep the control message, and test messages that differ more from it."


def criteria(run: RunFiles) -> Words:
    """The four success criteria, and whether this run meets them."""
    note = "simulated" if run.simulated else "observed"
    rows = [
        ("Six agents in separate modules", "6", *_agents(run), "this run"),
        ("Messages that pass screening", "more than 90%", *_pass_rate(run), "this run"),
        ("Lift in at least one metric", "more than 10%", *_lift(run), note),
        ("Every decision in the audit log", "all", *_audited(run), "this run"),
    ]
    return Words(table(("Criterion", "Wanted", "Found", "Met", "Data"), rows))


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
    free = sum(one.status != "block" for one in run.decisions)
    if not total:
        return "none screened", _met(met=False)
    return f"{percent(free / total)} ({free} of {total})", _met(free / total > _GOOD_PASS_RATE)


def _lift(run: RunFiles) -> tuple[str, str]:
    rows = [row for row in run.result.rows() if row.lift is not None]
    sure = [row for row in rows if row.significant and run.result.trusted]
    if not rows:
        return "not estimable", _met(met=False)
    best = max(sure or rows, key=lambda row: _gain(row.lift, row.metric))
    told = "significant" if best in sure else "not significant"
    found = f"{signed(best.lift)} {metric_name(best.metric)}, {best.arm}; {told}"
    return found, _met(best in sure and _gain(best.lift, best.metric) > _NOTABLE_LIFT)


def _gain(change: float | None, metric: str) -> float:
    """A change with its sign such that more is better."""
    return (change or 0.0) * (1.0 if direction_of(metric) == "higher" else -1.0)


def _audited(run: RunFiles) -> tuple[str, str]:
    audit = run.run.get("audit")
    lines = audit.get("count", 0) if isinstance(audit, dict) else 0
    wanted = len(run.decisions)
    return f"{lines} lines for {plural(wanted, 'message')}", _met(wanted > 0 and lines >= wanted)


def _met(met: bool) -> str:  # noqa: FBT001 - one question
    return "yes" if met else "no"


def _what_was_done(run: RunFiles) -> str:
    blocked = sum(one.status == "block" for one in run.decisions)
    parts = [
        f"{count(run.customers)} customers were put into {plural(len(run.segments), 'segment')}.",
        f"{plural(len(run.variants), 'message')} beside the control became valid"
        + (f", {len(run.failures)} did not" if run.failures else "")
        + f"; screening blocked {blocked or 'none'}.",
        f"{count(run.result.n)} messages were delivered and measured.",
        _who_wrote(run),
    ]
    return plain(" ".join(filter(None, parts)))


def _who_wrote(run: RunFiles) -> str:
    models = sorted({variant.model for variant in run.variants if variant.model})
    if not models:
        return ""
    told = f"The messages were written by {listed(models)}"
    if models == [_COMPOSER]:
        return f"{told}, which joins approved sentences and is no language model."
    return f"{told}."


def _sentence(row: ArmComparison, result: ExperimentResult) -> str:
    if row.p_value is None:
        why = "; ".join(row.warnings) or "too little data"
        return plain(f"{row.arm}: not estimable ({why}).")
    verdict_on = "significant" if row.significant else "not significant"
    return (
        f"**{plain(row.arm)}**: {level(row.treatment, row.kind)} against "
        f"{level(row.control, row.kind)}; lift {signed(row.lift)}, {_confidence(result)} interval "
        f"{interval(row.lift_ci)}; n = {count(row.n_treatment)} and {count(row.n_control)} in "
        f"control; adjusted p {plain(_p(row.p_adjusted))}: **{verdict_on}**."
    )


def _other_metrics(result: ExperimentResult) -> str | None:
    if not result.trusted:
        return None
    rows = [row for row in result.rows() if row.metric != result.deciding_metric]
    sure = [row for row in rows if row.significant]
    if not rows:
        return None
    if not sure:
        names = listed([metric_name(m) for m in result.metrics if m != result.deciding_metric])
        return plain(f"On the other metrics ({names}) no arm differs significantly from control.")
    told = [f"{row.arm} {signed(row.lift)} {metric_name(row.metric)}" for row in sure]
    return plain(f"Significant on the other metrics: {listed(told)}.")


def _segments(result: ExperimentResult) -> str | None:
    if not result.trusted:
        return None
    named = [one for one in result.best if one.segment in result.segments]
    won = [f"'{one.arm}' in {one.segment} ({signed(one.lift)})" for one in named if one.arm]
    if not named:
        return None
    if won:
        return plain(f"By segment, better than control: {listed(won)}.")
    alike = next((one.reason for one in named if one.reason.startswith(_ALIKE)), None)
    if alike:
        return plain(f"No separate verdict by segment: {alike}.")
    return plain(
        f"In none of the {len(named)} segments by itself is an arm significantly better than "
        "control."
    )


def _underpowered(result: ExperimentResult) -> str | None:
    """What the least certain comparison of the primary metric could have shown."""
    rows = [one for one in result.power if one.metric == result.deciding_metric]
    rows = [one for one in rows if one.warning]
    if not rows:
        return None
    known = [one.detectable_lift for one in rows if one.detectable_lift is not None]
    if not known:
        return "There are not enough customers to tell: no lift of any size could have been found."
    return (
        "There are not enough customers to tell: the smallest detectable lift is "
        f"{signed(max(known), 0)} ({rows[0].power:.0%} power); a smaller one may be there."
    )


def _label(run: RunFiles) -> str:
    return f"{SIMULATED}. " if run.simulated else ""


def _confidence(result: ExperimentResult) -> str:
    return f"{1 - result.alpha:.0%}"


def _p(value: float | None) -> str:
    found = p_value(value)
    return found if found.startswith("<") else f"= {found}"


__all__ = ["SIMULATED", "advice", "cover", "criteria", "started_on", "summary", "verdict"]
